//! The diagnosis: what the three factors do on one model and one text, under several attention policies.
//!
//! A [`Collector`] watches one run through [`lm_infinite_runtime::probe`] and ends as [`Measurements`]; a [`DiagnosisBuilder`] takes
//! one run after the other and ends as a [`Diagnosis`], from which figures, tables and the summary are made. [`Live`] makes
//! the same of several policies in step, to be looked at on the way. A [`DiagnosisShard`] is what one of many machines measures
//! of a part of the text.

mod bands;
mod builder;
mod collector;
mod drift;
mod extent;
mod factors;
mod head;
mod head_effects;
mod heads;
mod live;
mod loss;
mod model;
mod one_head;
mod onset;
mod outcome;
mod plan;
mod shard;
mod statements;
mod summary;
mod sums;
#[cfg(test)]
pub(crate) mod synthetic;

pub(crate) use drift::START_APART;
pub(crate) use factors::{ENTROPY_FACTOR_MARGIN, heads_needed};
pub(crate) use head_effects::{
    ENTROPY_MARGIN as HEAD_ENTROPY_MARGIN, LOGIT_MARGIN as HEAD_LOGIT_MARGIN, effects, stays_above,
};
pub(crate) use outcome::SEED;
pub(crate) use plan::{COUNTERFACTUAL_DISTANCES, COUNTERFACTUAL_KEYS};
pub(crate) use summary::first_broken;

pub use bands::HeadBand;
pub use builder::{DiagnosisBuilder, RunInput};
pub use collector::{Collector, Measurements, pooled_bytes, pooled_side};
pub use drift::{ProjectedState, SiteDrift};
pub use factors::{DriftFactor, EntropyFactor, FactorVerdict, Factors, LargestExcess, LogitFactor};
pub use head::{Head, head_name};
pub use head_effects::HeadEffect;
pub use heads::HeadReport;
pub use live::Live;
pub use loss::{FinitePart, LOSS_MARGIN, LossVerdict};
pub use model::{BinEdges, Curves, Diagnosis, LogitQuantile, RunArrays, RunMeasurement};
pub use onset::TokenOnset;
pub use outcome::Outcome;
pub use plan::{MeasurementPlan, START_TOKENS};
pub use shard::{DiagnosisShard, ShardRun, reference_of_shard, run_of_shard};
pub use statements::{HeadStatement, head_statements};
pub use sums::Sums;
