//! What a run sends.

use std::sync::Arc;

use lm_infinite::diagnose::Diagnosis;

use crate::inputs::Inputs;

/// What the run sends: a diagnosis, and what it is of.
#[derive(Clone)]
pub struct Update {
    /// What is known so far.
    pub diagnosis: Arc<Diagnosis>,
    /// What was read.
    pub inputs: Arc<Inputs>,
}
