//! What a run reads, and with what: enough to measure more.

use std::sync::Arc;

use lm_infinite::policy::PolicySpec;
use lm_infinite::session::Decoder;
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
    /// The whole text, of which [`Self::tokens`] may be the beginning.
    pub text: Arc<str>,
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
