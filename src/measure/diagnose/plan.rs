//! What a diagnosis looks at, so that memory stays bounded at any length.

use std::collections::BTreeSet;

use lm_infinite_analysis::Bins;
use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::probe::{HiddenSite, PositionSet, ProbePlan, StatisticsPlan};

/// Tokens that count as start tokens in every measurement: the paper's default of n_start.
pub const START_TOKENS: u64 = 10;

/// Positions whose hidden states are all kept (the paper sees about 25 of them stand apart).
pub(super) const FIRST_POSITIONS: u64 = 64;

/// Later hidden states, on either side of the training length.
const LATER_POSITIONS: u64 = 256;

/// Attention rows, on either side of the training length; the last of each ends its side.
const ROWS_INSIDE: u64 = 8;
const ROWS_BEYOND: u64 = 8;

/// Queries of the attention maps, evenly over the whole text, and bins of their keys.
const MAP_QUERIES: u64 = 32;
const MAP_KEYS: u64 = 64;

/// Positions, distances and layers to be measured for one model and length.
#[derive(Clone, Debug)]
pub struct MeasurementPlan {
    /// Length of the text, in tokens.
    pub tokens: u64,
    /// L_pretrain.
    pub trained_length: u64,
    /// Layers of the model.
    pub layers: usize,
    /// Query heads per layer.
    pub heads: usize,
    /// Bins of query position, for entropy and start mass.
    pub positions: Bins,
    /// Bins of distance, for logits.
    pub logit_distances: Bins,
    /// Bins of distance, for probability mass.
    pub mass_distances: Bins,
    /// Bins of query position of whole attention rows, for entropy against its bounds.
    pub row_positions: Bins,
    /// Queries of the attention maps.
    pub map_queries: Vec<u64>,
    /// Bins of key position of the attention maps.
    pub map_keys: Bins,
    /// What the session is asked for.
    pub probe: ProbePlan,
}

impl MeasurementPlan {
    /// The plan for a text of `tokens` tokens.
    pub fn new(config: &ModelConfig, tokens: u64) -> Self {
        let trained = config.trained_length.max(1);
        let knee = trained.saturating_mul(32);
        let mass_distances = Bins::doubling(tokens);
        let map_queries = spread(0, tokens, MAP_QUERIES);
        let rows: BTreeSet<u64> =
            row_positions(trained, tokens).into_iter().chain(map_queries.clone()).collect();
        let probe = ProbePlan {
            statistics: Some(StatisticsPlan {
                start_tokens: START_TOKENS,
                distance_edges: mass_distances.lower().to_vec(),
                cell: None,
            }),
            rows: PositionSet { at: rows.into_iter().collect(), ..PositionSet::default() },
            row_head: None,
            hidden_positions: PositionSet {
                below: FIRST_POSITIONS,
                every: Some(tokens.div_ceil(LATER_POSITIONS).max(1)),
                at: spread(FIRST_POSITIONS, trained.min(tokens), LATER_POSITIONS),
            },
            hidden_sites: hidden_sites(config.layers),
        };
        Self {
            tokens,
            trained_length: config.trained_length,
            layers: config.layers,
            heads: config.heads,
            positions: Bins::linear_then_doubling(knee, tokens, 256),
            logit_distances: Bins::linear_then_doubling(knee, tokens, 256),
            mass_distances,
            row_positions: Bins::linear_then_doubling(knee, tokens, 64),
            map_queries,
            map_keys: Bins::linear(tokens, MAP_KEYS),
            probe,
        }
    }

    /// Width of the position bins of the loss: a power of two, about 96 of them, and at least 4 in the training length.
    pub fn nll_bucket(&self) -> u64 {
        let wanted = (self.tokens / 96).min(self.trained_length / 4).max(1);
        1 << wanted.ilog2()
    }
}

/// At most `count` positions spread evenly over `from..end`, the last of them included.
fn spread(from: u64, end: u64, count: u64) -> Vec<u64> {
    let span = end.saturating_sub(from);
    let count = count.min(span);
    // In u128: a span of 2^40 positions times 256 of them does not fit the product of u64 at every length.
    let at = |i: u64| from + (u128::from(span) * u128::from(i) / u128::from(count)) as u64 - 1;
    (1..=count).map(at).collect()
}

/// Spread evenly on both sides, and doubling within the training length: a start token is only ever seen at the distance
/// of its query, so without short queries its logits would show steps where the sampled queries happen to be.
fn row_positions(trained: u64, tokens: u64) -> Vec<u64> {
    let inside = trained.min(tokens);
    let doubling = (1..u64::BITS).map(|bit| 1 << bit).take_while(|&position| position < inside);
    let even = spread(0, inside, ROWS_INSIDE).into_iter().chain(spread(trained, tokens, ROWS_BEYOND));
    // Where things break: the two training lengths after the first.
    let after = trained.saturating_mul(3).min(tokens);
    let dense = spread(trained, after, after.saturating_sub(trained).div_ceil((trained / 8).max(1)).min(16));
    doubling.chain(even).chain(dense).collect::<BTreeSet<u64>>().into_iter().collect()
}

/// Embedding, the first three blocks (where start tokens part from the rest), quarter points, and the last block.
fn hidden_sites(layers: usize) -> Vec<HiddenSite> {
    let depths: BTreeSet<usize> = [0, 1, 2, 3, layers / 4, layers / 2, layers * 3 / 4, layers]
        .into_iter()
        .filter(|&d| d <= layers)
        .collect();
    depths
        .into_iter()
        .map(|depth| depth.checked_sub(1).map_or(HiddenSite::Embedding, HiddenSite::AfterBlock))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::collector::tests::tiny_config;

    #[test]
    fn rows_end_at_the_training_length_and_at_the_text() {
        assert_eq!(
            row_positions(16, 32),
            [1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31]
        );
        assert_eq!(row_positions(100, 3), [0, 1, 2]);
        assert_eq!(row_positions(8, 0), [0_u64; 0]);
        let long = row_positions(4096, 200_000_000);
        assert_eq!((long.len(), long.last()), (8 + 11 + 16 + 8, Some(&199_999_999)));
    }

    #[test]
    fn hidden_states_are_few_at_any_length() {
        for tokens in [1, 60, 300, 5000, 1_000_000] {
            let set = MeasurementPlan::new(&tiny_config(256), tokens).probe.hidden_positions;
            let count = (0..tokens).filter(|&position| set.contains(position)).count() as u64;
            assert!(count <= 64 + 512 + 1, "{tokens}: {count}");
            assert!(count >= tokens.min(200), "{tokens}: {count}");
        }
    }

    #[test]
    fn sites_name_no_block_twice() {
        let depths = |layers| hidden_sites(layers).len();
        assert_eq!((depths(0), depths(1), depths(6), depths(30)), (1, 2, 6, 8));
        assert_eq!(hidden_sites(1), [HiddenSite::Embedding, HiddenSite::AfterBlock(0)]);
    }

    #[test]
    fn loss_buckets_are_powers_of_two() {
        let bucket = |trained, tokens| MeasurementPlan::new(&tiny_config(trained), tokens).nll_bucket();
        assert_eq!((bucket(8192, 12288), bucket(256, 4096), bucket(256, 1), bucket(1, 99)), (128, 32, 1, 1));
    }
}
