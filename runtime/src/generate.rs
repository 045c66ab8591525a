//! Text, token by token.

use crate::error::{Error, Result};
use crate::sampler::Sampler;
use crate::session::Session;

/// An iterator over generated tokens. It ends before the first stop token. Logits that are NaN or +inf are an error
/// ([`Error::NotFinite`]): nothing is drawn from them.
pub struct Generator<'a> {
    session: Session,
    sampler: Sampler,
    stop: &'a [u32],
    pending: Option<u32>,
    nll: f32,
}

impl<'a> Generator<'a> {
    /// Goes on after `prompt`, which `session` is fed; what it was fed before goes before it.
    ///
    /// # Errors
    /// An empty prompt, or a token outside the vocabulary.
    pub fn new(mut session: Session, prompt: &[u32], sampler: Sampler, stop: &'a [u32]) -> Result<Self> {
        if prompt.is_empty() {
            return Err(Error::input("prompt", "it has no tokens; at least one is needed"));
        }
        session.feed(prompt, None)?;
        Ok(Self { session, sampler, stop, pending: None, nll: f32::NAN })
    }

    /// The session so far; the last token given out has not been fed.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Negative log-likelihood of the last token given out, in nats, under the model itself: before any temperature and
    /// any cut of the sampler. Not a number before the first.
    pub fn nll(&self) -> f32 {
        self.nll
    }

    fn advance(&mut self) -> Result<Option<u32>> {
        if let Some(token) = self.pending.take() {
            self.session.feed(&[token], None)?;
        }
        let Some(logits) = self.session.logits() else { return Ok(None) };
        let broken = logits.iter().filter(|logit| logit.is_nan() || **logit == f32::INFINITY).count();
        if broken > 0 {
            return Err(Error::NotFinite {
                position: self.session.position().saturating_sub(1),
                reason: format!("not finite for {broken} of {} tokens", logits.len()),
            });
        }
        let token = self.sampler.sample(&logits)?;
        if self.stop.contains(&token) {
            return Ok(None);
        }
        self.nll = surprise(&logits, token);
        self.pending = Some(token);
        Ok(Some(token))
    }
}

impl Iterator for Generator<'_> {
    type Item = Result<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// `−ln softmax(logits)[token]`, in nats.
fn surprise(logits: &[f32], token: u32) -> f32 {
    let high = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - high).exp()).sum();
    let chosen = logits.get(token as usize).map_or(f32::NAN, |&logit| logit - high);
    (sum.ln() - f64::from(chosen)) as f32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::AttentionPolicy;
    use crate::sampler::SamplingParams;
    use crate::session::Decoder;

    #[test]
    fn what_is_generated_costs_what_reading_it_costs() {
        let loaded =
            crate::checkpoint::load("tiny-rope", &crate::hub::Cache::open().expect("a folder")).expect("it");
        let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights).expect("a whole model"));
        let prompt = loaded.tokenizer.encode("The capital of France").expect("tokens");
        let session = || Session::new(decoder.clone(), AttentionPolicy::default()).expect("a session");
        let params = SamplingParams { temperature: 1.5, seed: 3, ..SamplingParams::default() };
        let sampler = Sampler::new(params).expect("fine");
        let mut generator = Generator::new(session(), &prompt, sampler, &[]).expect("a prompt");
        assert!(generator.nll().is_nan());
        let (mut tokens, mut losses) = (prompt.clone(), Vec::new());
        for _ in 0..8 {
            tokens.push(generator.next().expect("one more").expect("a token"));
            losses.push(generator.nll());
        }
        let read = session().score(&tokens, None).expect("reads").nll;
        for (told, read) in losses.iter().zip(&read[prompt.len() - 1..]) {
            assert!((told - read).abs() < 1e-3, "{told} {read}");
        }
        assert!(losses.iter().any(|&loss| loss > 0.5), "at this temperature some are surprising: {losses:?}");
    }
}
