//! What a diagnosis looks at, so that memory stays bounded at any length.
//!
//! Positions are sampled, and bins are cut, on grids that depend on the model's training length alone: octaves `trained·2^e`,
//! each cut evenly, finest around the training length ([`Bins::octaves`]). The length of the text only says where a grid may
//! stop. So a text is measured at the same places however much of it was meant to be read, and the measurements of a run that
//! was stopped are those of a shorter one.

use std::collections::BTreeSet;

use lm_infinite_analysis::Bins;
use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::probe::{CounterfactualPlan, HiddenSite, PositionSet, ProbePlan, StatisticsPlan};

/// Tokens that count as start tokens in every measurement: the paper's default of n_start.
pub const START_TOKENS: u64 = 10;

/// Positions whose hidden states are all kept (the paper sees about 25 of them stand apart).
pub(super) const FIRST_POSITIONS: u64 = 64;

/// Into how many parts the octaves of a grid are cut.
#[derive(Clone, Copy)]
struct Density {
    /// Those from twice the training length on.
    far: u64,
    /// The one after the training length, where things break.
    after: u64,
    /// The one before it.
    before: u64,
    /// The one before that.
    early: u64,
    /// All earlier ones.
    first: u64,
}

/// Hidden states: nearly every one or evenly far from the training length inward, since they make the region of reference.
const HIDDEN: Density = Density { far: 64, after: 128, before: 128, early: 64, first: 32 };

/// Whole attention rows. There are short ones too: a start token is only ever seen at the distance of its query, so without
/// short queries its logits would show steps where the sampled queries happen to be.
const ROWS: Density = Density { far: 16, after: 32, before: 16, early: 8, first: 4 };

/// Queries whose logits are held against those at other distances, keys of each, and distances of each key. They need no whole
/// row, so that there may be more of them.
const COUNTERFACTUAL: Density = Density { far: 32, after: 128, before: 1, early: 1, first: 1 };
pub(crate) const COUNTERFACTUAL_KEYS: usize = 64;
pub(crate) const COUNTERFACTUAL_DISTANCES: usize = 32;

/// Bins of those rows.
const ROW_BINS: Density = Density { far: 8, after: 16, before: 8, early: 8, first: 4 };

/// Queries of the attention maps, and bins of their keys. Cuts of queries are cuts of rows.
const MAP_QUERIES: Density = Density { far: 8, after: 8, before: 8, early: 4, first: 2 };
const MAP_KEYS: Density = Density { far: 16, after: 16, before: 16, early: 8, first: 4 };

/// Bins of an octave of the curves, none of them narrower than so many tokens, or an eighth of its position: means over fewer
/// tokens say more of the text than of the position.
const CURVE_BINS: u64 = 64;
const NARROWEST: u64 = 16;

/// Bins of an octave of the loss from 16 training lengths on; before, they are of one width.
const FAR_LOSS_BINS: u64 = 128;
/// Fewest tokens in a bin of the loss, unless the training length has less than four of them.
const LEAST_LOSS_BIN: u64 = 32;

impl Density {
    /// The octaves of this density around `trained`, with edges below `end`.
    fn cut(self, trained: u64, end: u64) -> Bins {
        let trained = trained.max(1);
        let parts = |begin: u64| match begin {
            _ if begin > trained => self.far,
            _ if begin == trained => self.after,
            _ if begin >= trained / 2 => self.before,
            _ if begin >= trained / 4 => self.early,
            _ => self.first,
        };
        Bins::octaves(trained, end, parts)
    }

    /// The last position of every part that ends within `tokens` tokens, ascending: each `trained·2^e − 1` is among them.
    fn positions(self, trained: u64, tokens: u64) -> Vec<u64> {
        let edges = self.cut(trained, tokens.saturating_add(1));
        edges.lower().iter().skip(1).map(|&edge| edge - 1).collect()
    }
}

/// Positions, distances and layers to be measured for one model, up to one length.
#[derive(Clone, Debug)]
pub struct MeasurementPlan {
    /// Length of the text, in tokens, or what it may be at most.
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
    /// The plan for a text of at most `tokens` tokens. That of a longer one begins with it.
    pub fn new(config: &ModelConfig, tokens: u64) -> Self {
        let trained = config.trained_length.max(1);
        let mass_distances = Bins::doubling(tokens);
        let map_queries = MAP_QUERIES.positions(trained, tokens);
        let curve_bins = curve_bins(trained, tokens);
        let probe = ProbePlan {
            statistics: Some(StatisticsPlan {
                start_tokens: START_TOKENS,
                distance_edges: mass_distances.lower().to_vec(),
                tile: None,
            }),
            rows: PositionSet { at: row_positions(trained, tokens), ..PositionSet::default() },
            row_head: None,
            counterfactual: Some(CounterfactualPlan {
                queries: PositionSet {
                    at: COUNTERFACTUAL.positions(trained, tokens),
                    ..PositionSet::default()
                },
                seen: trained,
                start_tokens: START_TOKENS,
                keys: COUNTERFACTUAL_KEYS,
                distances: COUNTERFACTUAL_DISTANCES,
            }),
            hidden_positions: PositionSet {
                below: FIRST_POSITIONS,
                every: None,
                at: HIDDEN.positions(trained, tokens),
            },
            hidden_sites: hidden_sites(config.layers),
        };
        Self {
            tokens,
            trained_length: config.trained_length,
            layers: config.layers,
            heads: config.heads,
            positions: curve_bins.clone(),
            logit_distances: curve_bins,
            mass_distances,
            row_positions: ROW_BINS.cut(trained, tokens),
            map_queries,
            map_keys: MAP_KEYS.cut(trained, tokens),
            probe,
        }
    }

    /// Width of the bins of the loss up to 16 training lengths: a power of two, a 64th of the training length, but at least 32
    /// tokens where there are four such in the training length.
    pub fn nll_bucket(&self) -> u64 {
        let trained = self.trained_length.max(1);
        let wanted = (trained / 64).max(LEAST_LOSS_BIN).min(trained / 4).max(1);
        1 << wanted.ilog2()
    }

    /// Bins of the loss: of [`Self::nll_bucket`] up to 16 training lengths, then 128 to an octave, so that their number stays
    /// bounded.
    pub fn nll_bins(&self) -> Bins {
        let width = self.nll_bucket();
        let knee = self.trained_length.max(1).saturating_mul(16).div_ceil(width).saturating_mul(width);
        let even = (0..knee.min(self.tokens.max(1)).div_ceil(width)).map(|bin| bin * width);
        let far = Bins::octaves(knee, self.tokens, |_| FAR_LOSS_BINS);
        let far = far.lower().iter().copied().filter(|&edge| edge >= knee);
        // Ascending and from 0, so there is nothing to refuse.
        Bins::new(even.chain(far).collect()).unwrap_or_else(|_| Bins::doubling(self.tokens))
    }
}

/// Bins of the curves.
fn curve_bins(trained: u64, tokens: u64) -> Bins {
    let width = |begin: u64| (begin / CURVE_BINS).max(NARROWEST.min(begin / 8)).max(1);
    Bins::octaves(trained, tokens, |begin| begin / width(begin))
}

/// The queries of the maps, and more; the query at the training length is the first to see a distance that training never had.
fn row_positions(trained: u64, tokens: u64) -> Vec<u64> {
    let maps = MAP_QUERIES.positions(trained, tokens);
    let rows =
        ROWS.positions(trained, tokens).into_iter().chain(maps).chain((trained < tokens).then_some(trained));
    rows.collect::<BTreeSet<u64>>().into_iter().collect()
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

    const LENGTHS: [u64; 14] = [0, 1, 2, 3, 60, 255, 256, 257, 300, 768, 4096, 31_250, 1_000_000, 1 << 40];
    const TRAINED: [u64; 8] = [0, 1, 7, 100, 256, 1000, 8192, 131_072];

    #[test]
    fn rows_are_dense_at_every_length_and_at_the_training_length() {
        assert_eq!(row_positions(16, 20), (0..20).collect::<Vec<u64>>());
        for trained in TRAINED.into_iter().map(|trained| trained.max(1)) {
            let rows = row_positions(trained, 1 << 40);
            for pair in rows.windows(2) {
                let gap = pair[1] - pair[0];
                let most = if pair[0] >= trained { pair[0] / 16 } else { pair[0] / 4 };
                assert!(gap <= most + 1, "{trained}: {pair:?}");
            }
            for position in [trained - 1, trained, 2 * trained - 1, 4 * trained - 1] {
                assert!(rows.contains(&position), "{trained}: {position}");
            }
            assert!(rows.len() < 16 * 40 + 120, "{trained}: {}", rows.len());
        }
        // Of a million tokens, none was sampled from 768 to 31,250 once.
        let between =
            row_positions(256, 1_000_000).into_iter().filter(|row| (768..31_250).contains(row)).count();
        assert!(between > 80, "{between}");
    }

    /// The kind of fault: where a run of N tokens looks depends on how long it was meant to be.
    #[test]
    fn the_plan_of_a_longer_text_begins_with_that_of_a_shorter_one() {
        for trained in TRAINED {
            let plan = |tokens| MeasurementPlan::new(&tiny_config(trained), tokens);
            let longest = plan(1 << 41);
            for tokens in LENGTHS {
                let case = format!("{tokens} tokens of a model trained on {trained}");
                let short = plan(tokens);
                for (name, short, long) in [
                    ("positions", &short.positions, &longest.positions),
                    ("logit distances", &short.logit_distances, &longest.logit_distances),
                    ("mass distances", &short.mass_distances, &longest.mass_distances),
                    ("row positions", &short.row_positions, &longest.row_positions),
                    ("map keys", &short.map_keys, &longest.map_keys),
                    ("loss", &short.nll_bins(), &longest.nll_bins()),
                ] {
                    let (short, long) = (short.lower(), long.lower());
                    assert_eq!(short, &long[..short.len()], "{case}: {name}");
                    assert!(long[short.len()] >= tokens, "{case}: {name}");
                }
                let sampled = |set: &PositionSet| {
                    (0..tokens.min(5000)).filter(|&at| set.contains(at)).collect::<Vec<_>>()
                };
                for (short, long) in [
                    (&short.probe.rows, &longest.probe.rows),
                    (&short.probe.hidden_positions, &longest.probe.hidden_positions),
                ] {
                    assert_eq!(sampled(short), sampled(long), "{case}");
                    assert!(short.at.is_sorted() && short.at.iter().all(|&at| at < tokens), "{case}");
                    assert_eq!(short.at, long.at[..short.at.len()], "{case}");
                }
                assert!(short.map_queries.iter().all(|query| short.probe.rows.contains(*query)), "{case}");
                assert_eq!(short.map_queries, longest.map_queries[..short.map_queries.len()], "{case}");
                assert_eq!(short.nll_bucket(), longest.nll_bucket());
            }
        }
    }

    #[test]
    fn bins_have_an_edge_at_the_training_length_and_stay_few() {
        for trained in TRAINED.into_iter().map(|trained| trained.max(1)) {
            let plan = MeasurementPlan::new(&tiny_config(trained), 1 << 40);
            for bins in [&plan.positions, &plan.row_positions, &plan.map_keys] {
                assert!(
                    bins.lower().contains(&trained) && bins.lower().contains(&(16 * trained)),
                    "{trained}"
                );
            }
            assert!(plan.positions.len() <= 64 * 40 && plan.nll_bins().len() <= 1024 + 128 * 40, "{trained}");
            let hidden = &plan.probe.hidden_positions.at;
            assert!(hidden.len() <= 64 * 40 + 400, "{trained}: {}", hidden.len());
        }
        let at_default = MeasurementPlan::new(&tiny_config(256), 4096);
        assert_eq!((at_default.positions.len(), at_default.nll_bins().len()), (224, 128));
    }

    #[test]
    fn hidden_states_are_few_at_any_length_and_enough_to_make_a_region() {
        for (trained, tokens) in [(256, 1), (256, 60), (256, 300), (256, 5000), (8192, 300), (8192, 12_288)] {
            let set = MeasurementPlan::new(&tiny_config(trained), tokens).probe.hidden_positions;
            let count = (0..tokens).filter(|&position| set.contains(position)).count() as u64;
            assert!(count <= 64 + 512 + 64, "{trained} {tokens}: {count}");
            assert!(count >= tokens.min(64 + 60), "{trained} {tokens}: {count}");
        }
    }

    #[test]
    fn sites_name_no_block_twice() {
        let depths = |layers| hidden_sites(layers).len();
        assert_eq!((depths(0), depths(1), depths(6), depths(30)), (1, 2, 6, 8));
        assert_eq!(hidden_sites(1), [HiddenSite::Embedding, HiddenSite::AfterBlock(0)]);
    }

    #[test]
    fn loss_bins_are_powers_of_two_and_widen_from_16_training_lengths_on() {
        let plan = |trained, tokens| MeasurementPlan::new(&tiny_config(trained), tokens);
        let bucket = |trained| plan(trained, 9).nll_bucket();
        assert_eq!([8192, 4096, 256, 100, 1, 0].map(bucket), [128, 64, 32, 16, 1, 1]);
        let bins = plan(256, 1_000_000).nll_bins();
        assert_eq!(bins.lower()[..2], [0, 32]);
        assert_eq!(bins.lower()[127..131], [4064, 4096, 4128, 4160]);
        assert_eq!(bins.lower()[128 + 128..128 + 130], [8192, 8256]);
    }
}
