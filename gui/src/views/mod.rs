//! What is drawn. A view takes what is [`Shown`], and pushes commands for what the reader asks for.

pub mod ask;
pub mod curves;
pub mod export;
pub mod features;
pub mod generate;
pub mod heads;
pub mod map;
pub mod memo;
pub mod run_bar;
pub mod text;
pub mod theory;
pub mod tokens;
pub mod verdicts;

use std::sync::Arc;

use lm_infinite::diagnose::Diagnosis;

use crate::command::Hover;
use crate::job::Inputs;

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

pub use crate::theme::SIDES;

/// Names of the two policies.
pub const NAMES: [&str; 2] = ["A", "B"];
