//! The policies that a difference can be of: those of the run on screen, and those of earlier runs that are held against them.

use std::sync::Arc;

use lm_infinite::diagnose::{Diagnosis, RunMeasurement};

use super::pair::{Earlier, Row};
use crate::inputs::Inputs;

/// An earlier run that is held against the one on screen: both read the same tokens.
#[derive(Clone)]
pub struct Compared {
    /// The number of the run among those that are kept.
    pub kept: u64,
    /// What it found.
    pub diagnosis: Arc<Diagnosis>,
    /// What it was made of, if it was made here.
    pub inputs: Option<Arc<Inputs>>,
}

/// Where rows are looked up.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The run on screen.
    pub diagnosis: &'a Arc<Diagnosis>,
    /// What is held against it.
    pub earlier: &'a [Compared],
    /// Another number whenever the earlier ones are others.
    pub version: u64,
}

impl<'a> Rows<'a> {
    /// The run on screen alone.
    pub fn of(diagnosis: &'a Arc<Diagnosis>) -> Self {
        Self { diagnosis, earlier: &[], version: 0 }
    }

    /// The run that kept it.
    pub fn compared(self, kept: u64) -> Option<&'a Compared> {
        self.earlier.iter().find(|compared| compared.kept == kept)
    }

    /// What a policy did.
    pub fn run(self, row: Row) -> Option<&'a RunMeasurement> {
        match row {
            Row::Here(side) => self.diagnosis.runs.get(side),
            Row::Earlier(Earlier { kept, side, .. }) => self.compared(kept)?.diagnosis.runs.get(side),
        }
    }

    /// Losses of tokens 1 and on under a policy, in nats, as far as they are known.
    pub fn nll(self, row: Row) -> Option<&'a [f32]> {
        self.run(row).map(|run| run.arrays.nll.as_slice())
    }

    /// Why the heads of a policy are not those on screen, if they are others: measures of a head go over all that was read.
    pub fn other_heads(self, row: Row) -> Option<String> {
        let Row::Earlier(Earlier { kept, .. }) = row else { return None };
        let (here, there) = (self.diagnosis, &self.compared(kept)?.diagnosis);
        if here.model != there.model || here.config != there.config {
            return Some(format!("{} is of another model, with other heads", row.words()));
        }
        (here.tokens != there.tokens)
            .then(|| format!("{} is of {} tokens, not of {}", row.words(), there.tokens, here.tokens))
    }
}
