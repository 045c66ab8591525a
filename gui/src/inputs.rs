//! What a run reads, and with what: enough to measure more.

use std::sync::Arc;

use lm_infinite::note::Note;
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::Decoder;
use lm_infinite::text::TextRead;
use lm_infinite::tokenizer::Tokenizer;

use crate::settings::Settings;

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
    /// The tokens that are read.
    pub tokens: Arc<[u32]>,
    /// A and B.
    pub policies: Vec<PolicySpec>,
    /// What the run bar said.
    pub settings: Settings,
    /// What was read of the text.
    pub read: TextRead,
    /// Position from which on the text repeats.
    pub repeated_from: Option<u64>,
    /// What there is to say of the text.
    pub notes: Vec<Note>,
}

impl Inputs {
    /// Whether a second of work goes far.
    pub fn is_small(&self) -> bool {
        is_small(&self.decoder)
    }
}

/// Whether a second of work goes far with this model.
pub fn is_small(decoder: &Decoder) -> bool {
    decoder.config().block_parameters() <= SMALL
}
