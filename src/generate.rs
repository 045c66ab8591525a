//! Text, token by token.

use crate::error::{Error, Result};
use crate::sampler::Sampler;
use crate::session::Session;

/// An iterator over generated tokens. It ends before the first stop token.
pub struct Generator<'a> {
    session: Session,
    sampler: Sampler,
    stop: &'a [u32],
    pending: Option<u32>,
}

impl<'a> Generator<'a> {
    /// Goes on after `prompt`, from an empty session.
    ///
    /// # Errors
    /// An empty prompt, or a token outside the vocabulary.
    pub fn new(mut session: Session, prompt: &[u32], sampler: Sampler, stop: &'a [u32]) -> Result<Self> {
        if prompt.is_empty() {
            return Err(Error::input("prompt", "it has no tokens; at least one is needed"));
        }
        session.feed(prompt, None)?;
        Ok(Self { session, sampler, stop, pending: None })
    }

    /// The session so far; the last token given out has not been fed.
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn advance(&mut self) -> Result<Option<u32>> {
        if let Some(token) = self.pending.take() {
            self.session.feed(&[token], None)?;
        }
        let Some(logits) = self.session.logits() else { return Ok(None) };
        let token = self.sampler.sample(&logits)?;
        if self.stop.contains(&token) {
            return Ok(None);
        }
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
