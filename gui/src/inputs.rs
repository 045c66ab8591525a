//! What a run reads, and with what: enough to measure more.

use std::sync::{Arc, Mutex, PoisonError};

use lm_infinite::note::Note;
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::Decoder;
use lm_infinite::tokenizer::{ChatTemplate, Tokenizer};

use crate::pace::Pace;
use crate::settings::Settings;
use crate::text_tokens::TextTokens;

/// Models with at most this many parameters in their blocks are small.
const SMALL: u64 = 20_000_000;

/// What a run reads, and with what.
pub struct Inputs {
    /// Name of the model.
    pub model: String,
    /// The model.
    pub decoder: Arc<Decoder>,
    /// What makes its tokens.
    pub tokenizer: Tokenizer,
    /// What makes a prompt of a conversation, of a model that has one.
    pub chat_template: Option<ChatTemplate>,
    /// The tokens that are read, as far as they are known.
    pub tokens: TextTokens,
    /// A, B and so on.
    pub policies: Vec<PolicySpec>,
    /// What the run bar said.
    pub settings: Settings,
    /// What there is to say of the model.
    pub notes: Vec<Note>,
    /// How long reading takes.
    pub pace: Mutex<Pace>,
}

impl Inputs {
    /// Whether a second of work goes far.
    pub fn is_small(&self) -> bool {
        is_small(&self.decoder)
    }

    /// Asks, or tells, how long reading takes.
    pub fn paced<T>(&self, with: impl FnOnce(&mut Pace) -> T) -> T {
        with(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a second of work goes far with this model.
pub fn is_small(decoder: &Decoder) -> bool {
    decoder.config().block_parameters() <= SMALL
}
