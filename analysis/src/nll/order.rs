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
    /// First position, in tokens.
    pub at: u64,
    /// 95 % interval of it, or the sampled positions between which it lies; `None` in results of older versions.
    #[serde(default)]
    pub interval: Option<[u64; 2]>,
}

impl FactorBreak {
    /// First and last position where it may have begun.
    pub fn span(&self) -> [u64; 2] {
        self.interval.unwrap_or([self.at; 2])
    }
}

/// Breaks of the factors against that of the loss.
///
/// Two of them have an order only where their intervals do not overlap. A factor can have broken the loss only if it did not
/// break after it. An order in time is no proof of a cause; interventions are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakOrder {
    /// Factors that broke, first to last; equal positions in the order of [`Factor`].
    pub factors: Vec<FactorBreak>,
    /// First break of the loss.
    pub loss: Option<u64>,
    /// 95 % interval of it; `None` without one.
    #[serde(default)]
    pub loss_interval: Option<[u64; 2]>,
}

impl BreakOrder {
    /// Orders the breaks of the factors, each a position and its interval, as is that of the loss.
    pub fn new(
        factors: impl IntoIterator<Item = (Factor, Option<(u64, [u64; 2])>)>,
        loss: Option<(u64, [u64; 2])>,
    ) -> Self {
        let broken = factors.into_iter().filter_map(|(factor, at)| {
            let (at, interval) = at?;
            Some(FactorBreak { factor, at, interval: Some(interval) })
        });
        let mut factors: Vec<_> = broken.collect();
        factors.sort_by_key(|broken| (broken.at, broken.factor));
        Self { factors, loss: loss.map(|(at, _)| at), loss_interval: loss.map(|(_, interval)| interval) }
    }

    /// The factor that broke first, or seems to: those whose interval overlaps may have.
    pub fn first(&self) -> Option<FactorBreak> {
        self.factors.first().copied()
    }

    /// Factors in groups, first to last: within a group each interval overlaps the one before or after it, so that nothing can
    /// be said of their order.
    pub fn groups(&self) -> Vec<Vec<FactorBreak>> {
        let mut sorted = self.factors.clone();
        sorted.sort_by_key(|broken| (broken.span(), broken.factor));
        let mut groups: Vec<(u64, Vec<FactorBreak>)> = Vec::new();
        for broken in sorted {
            let [low, high] = broken.span();
            match groups.last_mut() {
                Some((end, group)) if low <= *end => {
                    group.push(broken);
                    *end = high.max(*end);
                }
                _ => groups.push((high, vec![broken])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// Factors that may have broken the loss: those that did not break after it. Empty if the loss did not break, or broke
    /// before any factor.
    pub fn before_loss(&self) -> impl Iterator<Item = FactorBreak> + '_ {
        let limit = self.loss_interval.map(|[_, high]| high).or(self.loss);
        self.factors
            .iter()
            .copied()
            .filter(move |broken| limit.is_some_and(|limit| broken.span()[0] <= limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(at: [Option<(u64, [u64; 2])>; 3], loss: Option<(u64, [u64; 2])>) -> BreakOrder {
        BreakOrder::new([Factor::Drift, Factor::Entropy, Factor::Logits].into_iter().zip(at), loss)
    }

    fn exactly(at: u64) -> Option<(u64, [u64; 2])> {
        Some((at, [at, at]))
    }

    #[test]
    fn factors_are_ordered_by_where_they_broke() {
        let order = of([exactly(300), None, exactly(100)], exactly(110));
        let factors: Vec<_> = order.factors.iter().map(|b| (b.factor, b.at)).collect();
        assert_eq!(factors, [(Factor::Logits, 100), (Factor::Drift, 300)]);
        assert_eq!(order.first().map(|b| b.factor), Some(Factor::Logits));
        assert_eq!(order.before_loss().map(|b| b.factor).collect::<Vec<_>>(), [Factor::Logits]);
        assert_eq!(of([exactly(5); 3], None).first().map(|b| b.factor), Some(Factor::Logits));
    }

    #[test]
    fn there_is_an_order_only_where_intervals_do_not_overlap() {
        let groups = |at| {
            let of =
                |group: Vec<FactorBreak>| group.into_iter().map(|broken| broken.factor).collect::<Vec<_>>();
            self::of(at, None).groups().into_iter().map(of).collect::<Vec<_>>()
        };
        use Factor::{Drift, Entropy, Logits};
        assert_eq!(
            groups([Some((300, [280, 310])), Some((290, [250, 300])), Some((100, [90, 249]))]),
            [vec![Logits], vec![Entropy, Drift]]
        );
        // In a chain.
        assert_eq!(
            groups([Some((30, [30, 40])), Some((20, [15, 30])), Some((10, [10, 15]))]),
            [vec![Logits, Entropy, Drift]]
        );
        assert_eq!(groups([None; 3]), Vec::<Vec<Factor>>::new());
    }

    #[test]
    fn a_factor_whose_interval_reaches_the_loss_counts_as_before() {
        let before = |loss| of([Some((116, [110, 120])), exactly(117), None], loss).before_loss().count();
        assert_eq!(
            (before(exactly(116)), before(exactly(117)), before(exactly(109)), before(None)),
            (1, 2, 0, 0)
        );
        assert_eq!(before(Some((90, [80, 110]))), 1);
        assert_eq!(
            (of([None; 3], exactly(4)).first(), of([None; 3], exactly(4)).before_loss().count()),
            (None, 0)
        );
    }

    #[test]
    fn results_without_intervals_are_read() {
        let old = r#"{"factors":[{"factor":"logits","at":300}],"loss":310,"tolerance":32}"#;
        let order: BreakOrder = serde_json::from_str(old).expect("reads");
        assert_eq!((order.factors[0].span(), order.before_loss().count()), ([300, 300], 1));
    }
}
