//! The diagnosis: what the three factors do on one model and one text, under several attention policies.
//!
//! A [`Collector`] watches one run through [`crate::probe`] and ends as [`Measurements`]; a [`DiagnosisBuilder`] takes
//! one run after the other and ends as a [`Diagnosis`], from which figures, tables and the summary are made.

mod collector;
mod drift;
mod factors;
mod model;
mod plan;
mod summary;
#[cfg(test)]
pub(crate) mod synthetic;

pub(crate) use summary::grouped;

pub use collector::{Collector, Measurements};
pub use drift::{ProjectedState, SiteDrift};
pub use factors::{DriftFactor, EntropyFactor, Factors, LogitFactor};
pub use model::{BinEdges, Curves, Diagnosis, DiagnosisBuilder, RunArrays, RunInput, RunMeasurement};
pub use plan::{MeasurementPlan, START_TOKENS};
