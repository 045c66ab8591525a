//! Where documents start among the tokens of a text.

use crate::error::Result;
use crate::tokenizer::{StreamDecoder, Tokenizer};

/// Positions of the tokens with which documents start: files, lines of JSON, or what at least two empty lines set apart.
///
/// They are found by the text that tokens decode to: near, where a tokenizer does not give the text back, and none, where it gives
/// back more than was read.
pub struct DocumentStarts<'a> {
    decoder: StreamDecoder<'a>,
    /// Bytes that the tokens decode to.
    decoded: u64,
    /// Tokens taken.
    tokens: u64,
    starts: Vec<u64>,
}

impl<'a> DocumentStarts<'a> {
    /// Of a text that `tokenizer` reads.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { decoder: tokenizer.stream(), decoded: 0, tokens: 0, starts: Vec::new() }
    }

    /// Takes the next tokens. `bytes` are where documents start in the text, as far as it was read
    /// ([`TokenStream::document_bytes`](super::TokenStream::document_bytes)): at least as far as these tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn push(&mut self, tokens: &[u32], bytes: &[u64]) -> Result<()> {
        for &token in tokens {
            self.decoded += self.decoder.push(token)?.len() as u64;
            while bytes.get(self.starts.len()).is_some_and(|&start| start < self.decoded) {
                self.starts.push(self.tokens);
            }
            self.tokens += 1;
        }
        Ok(())
    }

    /// The positions, of a text of which `read` bytes were read.
    pub fn finish(self, read: u64) -> Vec<u64> {
        if self.decoded > read { Vec::new() } else { self.starts }
    }
}
