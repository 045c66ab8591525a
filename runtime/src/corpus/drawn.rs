//! The documents of a text, drawn with replacement by a seed. The tokens of short ones are kept.

use std::collections::HashMap;
use std::sync::Arc;

use rand_chacha::rand_core::RngCore;

use super::encoded_pieces::{EncodedPieces, Parts};
use crate::error::{Error, Result};
use crate::random::{self, Purpose, Stream};
use crate::text::Documents;
use crate::tokenizer::Tokenizer;

/// Tokens of drawn documents that are kept, so that one that is drawn again is not tokenized again: 256 MB.
const KEPT_TOKENS: usize = 64 << 20;

/// Longest document that is kept, in bytes.
const KEPT_DOCUMENT: u64 = 1 << 20;

/// The documents of a text, in the order in which they are drawn.
pub(super) struct DrawnDocuments {
    random: Stream,
    /// Known once the text has been read to its end.
    documents: Option<Documents>,
    kept: HashMap<u64, Arc<[u32]>>,
    kept_tokens: usize,
}

impl DrawnDocuments {
    /// Nothing drawn yet.
    pub fn new(seed: u64) -> Self {
        let random = random::stream(Purpose::Documents, seed, &[]);
        Self { random, documents: None, kept: HashMap::new(), kept_tokens: 0 }
    }

    /// Draws from these from now on.
    pub fn set(&mut self, documents: Documents) {
        self.documents = Some(documents);
    }

    /// The number of a document: the upper half of a random number times how many there are.
    pub fn draw(&mut self) -> Result<u64> {
        let count = self.documents()?.count();
        let scaled = u128::from(self.random.next_u64()) * u128::from(count);
        Ok((scaled >> 64) as u64)
    }

    /// The document of this number from its beginning; tokenized if it is short and was not kept.
    pub fn open(&mut self, number: u64, tokenizer: &Tokenizer) -> Result<EncodedPieces> {
        if let Some(tokens) = self.kept.get(&number) {
            return Ok(EncodedPieces::of_document(tokens.clone(), tokenizer));
        }
        let (mut pieces, short) = self.read(number, tokenizer)?;
        if short && let Some(piece) = pieces.next(tokenizer, None)? {
            if piece.last && self.kept_tokens + piece.tokens.len() <= KEPT_TOKENS {
                self.kept_tokens += piece.tokens.len();
                self.kept.insert(number, piece.tokens.clone());
            }
            pieces.put_back(piece);
        }
        Ok(pieces)
    }

    /// The document of this number from its beginning, nothing of it tokenized; and whether its tokens may be kept.
    pub fn read(&mut self, number: u64, tokenizer: &Tokenizer) -> Result<(EncodedPieces, bool)> {
        let document = self.documents()?.open(number)?;
        let short = document.length() <= KEPT_DOCUMENT;
        Ok((EncodedPieces::new(Parts::Document(Box::new(document)), tokenizer), short))
    }

    fn documents(&mut self) -> Result<&mut Documents> {
        self.documents.as_mut().ok_or_else(|| Error::input("text", "it has not been read"))
    }
}
