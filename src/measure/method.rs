//! What a task compares: attention policies, and the baseline that reads only the end of its input.

use std::sync::Arc;

use lm_infinite_runtime::generate::Generator;
use lm_infinite_runtime::policy::{AttentionPolicy, PolicySpec, parse_length};
use lm_infinite_runtime::sampler::{Sampler, SamplingParams};
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::session::Session;
use lm_infinite_runtime::tokenizer::Tokenizer;

use crate::error::{Error, Result};

/// A policy, or `truncate`.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// As written, with every default spelled out.
    pub label: String,
    /// How to attend.
    pub policy: AttentionPolicy,
    /// `Some(W)`: the model is given the last `W` tokens only, as if nothing had been before.
    pub truncate: Option<u64>,
}

impl Method {
    /// Reads a policy as [`PolicySpec::parse`], or `truncate[:window=W]`, whose window defaults to `trained_length`.
    ///
    /// # Errors
    /// As [`PolicySpec::parse`].
    pub fn parse(text: &str, trained_length: u64) -> Result<Self> {
        let refuse = |reason: String| {
            Error::from(lm_infinite_runtime::Error::Policy { policy: text.to_owned(), reason })
        };
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        if name != "truncate" {
            let PolicySpec { label, policy } = PolicySpec::parse(text, trained_length)?;
            return Ok(Self { label, policy, truncate: None });
        }
        let window = match rest.split_once('=') {
            None if rest.is_empty() => trained_length,
            Some(("window", value)) => parse_length(value).map_err(|e| refuse(format!("window: {e}")))?,
            _ => return Err(refuse(format!("`truncate` takes window=W, got `{rest}`"))),
        };
        if window == 0 {
            return Err(refuse("window must be at least 1, got 0".into()));
        }
        let label = format!("truncate:window={window}");
        Ok(Self { label, policy: AttentionPolicy::default(), truncate: Some(window) })
    }

    /// What is left of `prompt` when `more` tokens are to follow within the window: its last tokens, behind `bos` where the
    /// model was trained with one.
    pub fn cut(&self, prompt: &[u32], more: usize, bos: Option<u32>) -> Vec<u32> {
        let room = self.truncate.map_or(usize::MAX, |window| usize::try_from(window).unwrap_or(usize::MAX));
        let room = room.saturating_sub(more).max(1);
        if prompt.len() <= room {
            return prompt.to_vec();
        }
        let bos = bos.filter(|_| room > 1);
        let kept = room - usize::from(bos.is_some());
        bos.into_iter().chain(prompt[prompt.len() - kept..].iter().copied()).collect()
    }
}

/// Up to `count` tokens after `prompt`, the likeliest always, ended by a token of `stop`. Under `truncate`, prompt and
/// continuation together fit its window, so that nothing has to be computed twice.
///
/// # Errors
/// An empty prompt, or a policy that does not fit the model; later ones as [`Generator`]'s.
pub fn continuation(
    decoder: &Arc<Decoder>,
    tokenizer: &Tokenizer,
    method: &Method,
    prompt: &[u32],
    count: usize,
    stop: &[u32],
) -> Result<impl Iterator<Item = Result<u32>>> {
    let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
    let prompt = method.cut(prompt, count, bos);
    let session = Session::new(decoder.clone(), method.policy.clone())?;
    let sampler = Sampler::new(SamplingParams::default())?;
    let tokens = Generator::new(session, &prompt, sampler, stop)?;
    Ok(tokens.take(count).map(|token| Ok(token?)))
}

/// What a model generated; `None` where its logits are not finite, which is an outcome and no failure.
///
/// # Errors
/// Every other one of `outcome`.
pub fn finite<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(Error::Runtime(lm_infinite_runtime::Error::NotFinite { .. })) => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncate_keeps_the_end() {
        let method = |text| Method::parse(text, 8).expect("a method");
        let prompt: Vec<u32> = (10..30).collect();
        assert_eq!(method("vanilla").cut(&prompt, 3, Some(1)), prompt);
        assert_eq!(method("truncate").label, "truncate:window=8");
        assert_eq!(method("truncate").cut(&prompt, 3, None), [25, 26, 27, 28, 29]);
        assert_eq!(method("truncate").cut(&prompt, 3, Some(1)), [1, 26, 27, 28, 29]);
        assert_eq!(method("truncate").cut(&prompt[..5], 3, Some(1)), prompt[..5]);
        assert_eq!(method("truncate:window=2").cut(&prompt, 9, Some(1)), [29]);
        for wrong in
            ["truncate:window=0", "truncate:start=3", "truncate:window", "truncate:window=x", "truncated"]
        {
            assert!(Method::parse(wrong, 8).is_err(), "{wrong}");
        }
    }
}
