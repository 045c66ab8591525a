//! Calibration: how often verdicts are wrong where the right answer is known.
//!
//! A *null* case is one in which the right answer is not `fails`: LM-Infinite, whose distances and numbers of keys are those of
//! training; a model that never leaves its training length, which is taken for a half, a quarter or an eighth of what it is; a
//! model with random weights, which has nothing to lose. A *failure* is a case in which the loss has to fail: vanilla attention
//! far beyond the training length; a window without start tokens.
//!
//! Each case is judged as `diagnose` does it, on one text. That the case is what it was made to be, an independent and much
//! longer reading says: other texts of the same kind, at least six times as many tokens (four in the quick subset), drawn from other random numbers; of a
//! text that ends, its rest. Where the effect of this reading on the loss lies on the other side of the margin, or its interval
//! holds the margin, the case is set apart and named. Where longer readings would take hours, the other texts of the same row are
//! the reading. The factors of a null case are null by construction.
//!
//! [`measure`] judges case by case, and a [`Workspace`] keeps each of them on disk, so that a calibration that was killed goes
//! on; [`Identity::calibration`] puts cases together, those of one process or those of many ([`CalibrationShard`]).

mod case;
mod generated;
mod identity;
mod plan;
mod random_model;
mod result;
mod run;
mod shard;
mod texts;
mod workspace;

pub use case::{Case, Judged, Measure, Measured, Reading, Truth};
pub use identity::{Difference, Identity};
pub use plan::{DEFAULT_TOKENS, Expected, Extent, Plan, PlannedRow, Row, Subject};
pub use random_model::{RANDOM_TRAINED_LENGTH, random_model};
pub use result::{Calibration, MOST_FALSE_FAILS, MOST_MISSED, MOST_UNDECIDED, OutcomeCounts, Rate};
pub use run::{calibrate, measure};
pub use shard::CalibrationShard;
pub use texts::{CalibrationText, Cut, Source};
pub use workspace::Workspace;
