//! What a sequence of differences says: the mean effect with its interval, a verdict against a margin, and where the
//! effect begins.
//!
//! Differences of neighbouring tokens are not independent: hard passages are long. So nothing here divides by √n. Intervals
//! come from a bootstrap over blocks that are long enough for the measured autocorrelation.
//!
//! * [`block_length`]: how long blocks have to be.
//! * [`MeanEffect`]: the mean and its 95 % interval, also over documents ([`MeanEffect::of_documents`]).
//! * [`Verdict`]: `fails`, `holds` or `undecided` against a margin, and how many values would decide.
//! * [`Onset`]: where the mean changes, with an interval.
//! * [`rejections`]: which of many hypotheses are rejected at a false discovery rate.

mod block;
mod discovery;
mod documents;
mod mean;
mod onset;
mod resample;
#[cfg(test)]
pub(crate) mod simulated;
mod verdict;

pub use block::block_length;
pub use discovery::rejections;
pub use mean::MeanEffect;
pub(crate) use mean::{REPLICATES, student_975};
pub use onset::Onset;
pub(crate) use resample::{Blocks, PrefixSums};
pub use verdict::{Decision, Verdict};
