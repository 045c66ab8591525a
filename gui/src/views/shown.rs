//! What all views show.

use std::sync::Arc;

use lm_infinite::diagnose::Diagnosis;

use crate::inputs::Inputs;

/// What the pointer is over, told to all views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hover {
    /// Position of a token of the text; of the query where there is a key.
    pub position: u64,
    /// Position of the key it is seen with.
    pub key: Option<u64>,
}

/// What all views show.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The newest diagnosis.
    pub diagnosis: &'a Arc<Diagnosis>,
    /// Model, text and policies it was made of, for whoever wants to measure more; a result folder has none.
    pub inputs: Option<&'a Arc<Inputs>>,
    /// The chosen head, as (layer, head); `None` for the mean over all.
    pub head: Option<(usize, usize)>,
    /// What the pointer was over in the last frame, in whichever view.
    pub hover: Option<Hover>,
    /// The query that was marked, in whichever view.
    pub mark: Option<u64>,
}
