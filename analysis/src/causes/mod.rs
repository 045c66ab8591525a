//! What causes an excess loss, by intervention: losses of the same tokens with each cause present or taken away.
//!
//! The paper names three causes of length failure (section 3): distances that training never had, more keys than training
//! had, and start tokens that are lost. Each can be taken away alone: distances by a ceiling, keys by a window, lost start
//! tokens by keeping them. Eight runs over the same tokens, one per set of present causes, are a 2×2×2 factorial.
//!
//! * [`Cause`], [`CauseSet`]: the three, and which of them a run has.
//! * [`Factorial`]: main effects, interactions and Shapley shares of the excess loss, with 95 % intervals.
//! * [`PairedMeans`]: contrasts of several series over the same tokens, and ratios of contrasts, with intervals.
//! * [`RankCorrelation`]: whether a measured quantity of a head predicts what the fix in that head restores.

mod cause;
mod factorial;
mod paired;
mod rank;

pub use cause::{ByCause, Cause, CauseSet};
pub use factorial::{Effects, Factorial, VanillaEffects};
pub use paired::{PairedMeans, Share};
pub use rank::RankCorrelation;
