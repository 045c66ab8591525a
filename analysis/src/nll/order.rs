//! Which factor broke first.

use serde::{Deserialize, Serialize};

/// The three factors of the paper (section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Factor {
    /// Unseen distances: logits out of range.
    Logits,
    /// Unseen number of tokens: entropy above its range.
    Entropy,
    /// Start tokens dropped, or states out of their region.
    Drift,
}

impl std::fmt::Display for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Logits => "logits",
            Self::Entropy => "entropy",
            Self::Drift => "drift",
        })
    }
}

/// Where a factor broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactorBreak {
    /// Which.
    pub factor: Factor,
    /// First position, in tokens. A distance counts as the first position that has it.
    pub at: u64,
}

/// Breaks of the factors against that of the loss.
///
/// A factor can have broken the loss only if it broke no later. The tolerance is the resolution of the measurements: both
/// are known to a bin, so a factor counts as before the loss if its break begins at most `tolerance` tokens after.
/// An order in time is no proof of a cause; the ablations of the paper's Fig. 5 are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakOrder {
    /// Factors that broke, first to last; equal positions in the order of [`Factor`].
    pub factors: Vec<FactorBreak>,
    /// First break of the loss.
    pub loss: Option<u64>,
    /// In tokens.
    pub tolerance: u64,
}

impl BreakOrder {
    /// Orders the breaks of the factors.
    pub fn new(
        factors: impl IntoIterator<Item = (Factor, Option<u64>)>,
        loss: Option<u64>,
        tolerance: u64,
    ) -> Self {
        let broken = factors.into_iter().filter_map(|(factor, at)| Some(FactorBreak { factor, at: at? }));
        let mut factors: Vec<_> = broken.collect();
        factors.sort_by_key(|broken| (broken.at, broken.factor));
        Self { factors, loss, tolerance }
    }

    /// The factor that broke first.
    pub fn first(&self) -> Option<FactorBreak> {
        self.factors.first().copied()
    }

    /// Factors that may have broken the loss: those that broke no later. Empty if the loss did not break, or broke before
    /// any factor.
    pub fn before_loss(&self) -> impl Iterator<Item = FactorBreak> + '_ {
        let limit = self.loss.map(|loss| loss.saturating_add(self.tolerance));
        self.factors.iter().copied().filter(move |broken| limit.is_some_and(|limit| broken.at <= limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(at: [Option<u64>; 3], loss: Option<u64>) -> BreakOrder {
        BreakOrder::new([Factor::Drift, Factor::Entropy, Factor::Logits].into_iter().zip(at), loss, 16)
    }

    #[test]
    fn factors_are_ordered_by_where_they_broke() {
        let order = of([Some(300), None, Some(100)], Some(110));
        let factors: Vec<_> = order.factors.iter().map(|b| (b.factor, b.at)).collect();
        assert_eq!(factors, [(Factor::Logits, 100), (Factor::Drift, 300)]);
        assert_eq!(order.first().map(|b| b.factor), Some(Factor::Logits));
        assert_eq!(order.before_loss().map(|b| b.factor).collect::<Vec<_>>(), [Factor::Logits]);
        assert_eq!(of([Some(5); 3], None).first().map(|b| b.factor), Some(Factor::Logits));
    }

    #[test]
    fn a_factor_within_the_resolution_counts_as_before() {
        let before = |loss| of([Some(116), Some(117), None], loss).before_loss().count();
        assert_eq!((before(Some(100)), before(Some(101)), before(Some(99)), before(None)), (1, 2, 0, 0));
        assert_eq!((of([None; 3], Some(4)).first(), of([None; 3], Some(4)).before_loss().count()), (None, 0));
    }
}
