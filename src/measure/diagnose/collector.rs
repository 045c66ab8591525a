//! The probe of a diagnosis: feeds the accumulators while a model runs.

use std::num::NonZeroU64;
use std::sync::Arc;

use lm_infinite_analysis::distance::MassByDistance;
use lm_infinite_analysis::entropy::{EntropyAccumulator, EntropyExcess, EntropyRows};
use lm_infinite_analysis::explosion::{
    LogitQuantiles, LogitsByDistance, LogitsByLength, PairLogits, UnseenDistances,
};
use lm_infinite_analysis::{AttentionMaps, Bins, HeadMeans, NonFinite, PooledMaps};
use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::probe::{
    AttentionRow, CounterfactualLogits, HeadStatistics, HiddenSite, Probe, ProbePlan, TileMaxima,
};
use serde::{Deserialize, Serialize};

use super::plan::{MeasurementPlan, START_TOKENS};
use crate::error::{Error, Result};

/// Most cells from side to side of a pooled map.
const POOLED_SIDE: u64 = 256;
/// Fewest, however many heads there are.
const COARSEST_SIDE: u64 = 32;
/// Most bytes of the pooled maps of all heads, where they are not coarser than that.
const POOLED_BYTES: u64 = 128 << 20;

/// Most cells from side to side of the pooled maps of so many heads, a power of two: 256, fewer where all maps together would take
/// more than 128 MiB.
pub fn pooled_side(heads: usize) -> u64 {
    let mut side = POOLED_SIDE;
    while side > COARSEST_SIDE && pooled_bytes(heads, side) > POOLED_BYTES {
        side /= 2;
    }
    side
}

/// Bytes of pooled maps of `heads` heads with `side` cells from side to side: 8 for each on or below the diagonal.
pub fn pooled_bytes(heads: usize, side: u64) -> u64 {
    (heads as u64).saturating_mul(side * (side + 1) / 2 * 8)
}

/// Watches one run over one text.
///
/// Memory: about 100 kB per head and 4 bytes per value of about 600 hidden states at 8 sites for 16 training lengths, a fifth
/// of that more for every doubling of the text after that, and the one row of logits that is looked at.
#[derive(Clone, Debug)]
pub struct Collector {
    measurements: Measurements,
    /// The first thing that went wrong; a probe cannot return it.
    failure: Option<Arc<lm_infinite_analysis::Error>>,
}

/// What was measured in one run.
#[derive(Clone, Debug)]
pub struct Measurements {
    /// What was asked for.
    pub plan: MeasurementPlan,
    /// Tokens read so far: of a run that was stopped, less than were planned for. What is measured ends here.
    pub read: u64,
    /// Entropy and start mass of all queries.
    pub entropy: EntropyAccumulator,
    /// Probability on the learned sinks of all queries, where heads have them.
    pub sink_mass: Option<HeadMeans>,
    /// Logits of all sampled queries on keys after the start tokens.
    pub logits: LogitsByDistance,
    /// Logits of all sampled queries on the start tokens. They stand apart because a sink has large logits at every
    /// distance: in one maximum with the others it would hide what distance does to them.
    pub logits_start: LogitsByDistance,
    /// Logits of the last sampled query alone, on all keys, as in the paper's Fig. 1a.
    pub logits_last: LogitsByDistance,
    /// The largest logit of every query, against its position.
    pub logits_by_length: LogitsByLength,
    /// Logits of sampled queries on keys at unseen distances, against the same keys at distances of training.
    pub unseen_distances: UnseenDistances,
    /// Quantiles of the logits of sampled queries on all keys, all heads together, by doubling distance.
    pub logit_quantiles: LogitQuantiles,
    /// Entropy of sampled queries against what their logits alone say of it.
    pub entropy_rows: EntropyRows,
    /// Entropy of sampled queries beyond the training length above that of the same rows with as many keys as in training.
    pub entropy_excess: EntropyExcess,
    /// Sampled queries against bins of keys.
    pub maps: AttentionMaps,
    /// All queries on all keys in squares of tokens, where they are wanted ([`Collector::with_pooled_maps`]).
    pub pooled: Option<PooledMaps>,
    /// Mass by distance of queries within the training length.
    pub mass_inside: MassByDistance,
    /// Mass by distance of queries beyond it.
    pub mass_beyond: MassByDistance,
    /// Sampled hidden states, one entry per site.
    pub hidden: Vec<HiddenStates>,
}

/// Hidden states of one site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HiddenStates {
    /// Where they were read.
    pub site: HiddenSite,
    /// Positions, in the order in which they came.
    pub positions: Vec<u64>,
    /// [positions, hidden]
    pub values: Vec<f32>,
}

impl HiddenStates {
    /// States with a value that is not finite.
    pub(super) fn non_finite(&self) -> NonFinite {
        let mut seen = NonFinite::default();
        let width = self.values.len().checked_div(self.positions.len()).unwrap_or(0).max(1);
        for (&position, state) in self.positions.iter().zip(self.values.chunks(width)) {
            seen.note(position, u64::from(state.iter().any(|value| !value.is_finite())));
        }
        seen
    }
}

impl Collector {
    /// A collector for a run of `config` over a text of `tokens` tokens.
    pub fn new(config: &ModelConfig, tokens: u64) -> Self {
        let plan = MeasurementPlan::new(config, tokens);
        let (layers, heads) = (plan.layers, plan.heads);
        let logits = LogitsByDistance::new(layers, heads, plan.logit_distances.clone());
        let mass = MassByDistance::new(layers, heads, plan.mass_distances.clone());
        let hidden = |&site| HiddenStates { site, positions: Vec::new(), values: Vec::new() };
        let measurements = Measurements {
            entropy: EntropyAccumulator::new(layers, heads, plan.positions.clone()),
            sink_mass: config.learned_sinks.then(|| HeadMeans::new(layers, heads, plan.positions.clone())),
            logits_by_length: LogitsByLength::new(layers, heads, plan.positions.clone()),
            unseen_distances: UnseenDistances::new(layers, heads, START_TOKENS),
            logit_quantiles: LogitQuantiles::new(1, 1, Bins::doubling(tokens)),
            entropy_rows: EntropyRows::new(layers, heads, plan.row_positions.clone()),
            entropy_excess: EntropyExcess::new(layers, heads, plan.trained_length, START_TOKENS),
            maps: AttentionMaps::new(layers, heads, plan.map_queries.clone(), plan.map_keys.clone()),
            pooled: None,
            read: 0,
            logits_start: logits.clone(),
            logits_last: logits.clone(),
            logits,
            mass_beyond: mass.clone(),
            mass_inside: mass,
            hidden: plan.probe.hidden_sites.iter().map(hidden).collect(),
            plan,
        };
        Self { measurements, failure: None }
    }

    /// Gathers pooled attention maps too: the largest logit and probability in squares of tokens, of every query; at most
    /// [`pooled_side`] squares from side to side. They begin as single tokens and double when the text outgrows them, so that they depend
    /// on what was read alone.
    ///
    /// Memory: [`pooled_bytes`], where [`Self::make_room`] is told of every chunk before. Time: a few hundredths of the attention at lengths where squares are large.
    #[must_use]
    pub fn with_pooled_maps(mut self) -> Self {
        let plan = &mut self.measurements.plan;
        let side = NonZeroU64::MIN;
        // While a chunk is read that outgrows the squares, there are more of them; never more than tokens.
        let rows = usize::try_from(plan.tokens).unwrap_or(usize::MAX);
        self.measurements.pooled = Some(PooledMaps::new(plan.layers, plan.heads, rows, side));
        if let Some(statistics) = &mut plan.probe.statistics {
            statistics.tile = Some(side);
        }
        self
    }

    /// Tells that the text is going to be read up to `end`, so that the squares of pooled maps are large enough before: while a chunk is
    /// read, there would be up to four times as many otherwise.
    pub fn make_room(&mut self, end: u64) {
        let outcome = self.measurements.coarsen_pooled(end);
        self.note(outcome);
    }

    /// What was measured, or the first report that did not fit the model.
    pub fn finish(self) -> Result<Measurements> {
        match self.failure {
            Some(failure) => Err(Error::input("probe", failure)),
            None => Ok(self.measurements),
        }
    }

    fn note(&mut self, outcome: lm_infinite_analysis::Result<()>) {
        if let Err(failure) = outcome {
            self.failure.get_or_insert_with(|| Arc::new(failure));
        }
    }
}

impl Measurements {
    fn add_statistics(&mut self, layer: usize, seen: &HeadStatistics) -> lm_infinite_analysis::Result<()> {
        if seen.queries == 0 {
            return Ok(());
        }
        let first = seen.first_position;
        self.read = self.read.max(first + seen.queries as u64);
        let entropies = seen.entropy.chunks_exact(seen.queries);
        let start_masses = seen.start_mass.chunks_exact(seen.queries);
        for (head, (entropy, start_mass)) in entropies.zip(start_masses).enumerate() {
            self.entropy.push(layer, head, first, entropy, start_mass)?;
        }
        if let Some(means) = &mut self.sink_mass {
            for (head, masses) in seen.sink_mass.chunks_exact(seen.queries).enumerate() {
                means.push(layer, head, first, masses)?;
            }
        }
        for (head, maxima) in seen.max_logit.chunks_exact(seen.queries).enumerate() {
            self.logits_by_length.push_maxima(layer, head, first, maxima)?;
        }
        if let Some(pooled) = &mut self.pooled {
            for TileMaxima { head, query_tile, first_key_tile, logits, log_probabilities } in &seen.tiles {
                let (row, first) = (*query_tile as usize, *first_key_tile as usize);
                pooled.push((layer, *head), row, first, logits, log_probabilities)?;
            }
        }
        if layer + 1 == self.plan.layers {
            self.coarsen_pooled(self.read)?;
        }
        if seen.buckets > 0 {
            let room = self.plan.trained_length.saturating_sub(first);
            let inside = usize::try_from(room).unwrap_or(usize::MAX).min(seen.queries) * seen.buckets;
            for (head, masses) in seen.bucket_mass.chunks_exact(seen.queries * seen.buckets).enumerate() {
                let (within, beyond) = masses.split_at(inside);
                self.mass_inside.push(layer, head, first, within)?;
                self.mass_beyond.push(layer, head, first + (inside / seen.buckets) as u64, beyond)?;
            }
        }
        Ok(())
    }

    /// Queries beyond the training length that were read and whose logits are held against those at other distances, where they
    /// have keys at unseen ones.
    pub(super) fn sampled_beyond(&self) -> usize {
        let queries = self.plan.probe.counterfactual.as_ref().map_or(&[][..], |plan| &plan.queries.at);
        queries.iter().filter(|&&query| query > self.plan.trained_length && query < self.read).count()
    }

    /// Hidden states, of all sites, with a value that is not finite.
    pub(super) fn non_finite_states(&self) -> NonFinite {
        NonFinite::total(&self.hidden.iter().map(HiddenStates::non_finite).collect::<Vec<_>>())
    }

    /// Doubles the squares of the pooled maps until those of `end` tokens are at most [`pooled_side`] from side to side. Only between two
    /// chunks: until then the layers of a chunk are reported in the squares that were asked for.
    fn coarsen_pooled(&mut self, end: u64) -> lm_infinite_analysis::Result<()> {
        let most = pooled_side(self.plan.layers * self.plan.heads);
        let Some(pooled) = &mut self.pooled else { return Ok(()) };
        while end.div_ceil(pooled.side()) > most {
            *pooled = pooled.coarsened()?;
        }
        if let Some(statistics) = &mut self.plan.probe.statistics {
            statistics.tile = NonZeroU64::new(pooled.side());
        }
        Ok(())
    }

    fn add_row(&mut self, row: &AttentionRow) -> lm_infinite_analysis::Result<()> {
        self.read = self.read.max(row.position + 1);
        // This query takes the place of the one before it: the last query of a text is known only at its end.
        self.logits_last.clear(row.layer, row.head)?;
        let runs = row.runs.iter().map(|run| (run.first_key, run.logits.as_slice()));
        self.maps.push(row.layer, row.head, row.position, runs)?;
        let whole: Vec<f32> = row.runs.iter().flat_map(|run| &run.logits).copied().collect();
        self.entropy_rows.push(row.layer, row.head, row.position, &whole)?;
        let runs = row.runs.iter().map(|run| (run.first_key, run.logits.as_slice()));
        self.entropy_excess.push((row.layer, row.head), row.position, runs)?;
        for run in row.runs {
            self.logit_quantiles.push(0, 0, row.position, run.first_key, &run.logits)?;
            let starts = START_TOKENS.saturating_sub(run.first_key).min(run.logits.len() as u64);
            let (start, other) = run.logits.split_at(starts as usize);
            self.logits_start.push(row.layer, row.head, row.position, run.first_key, start)?;
            self.logits.push(row.layer, row.head, row.position, run.first_key + starts, other)?;
            self.logits_last.push(row.layer, row.head, row.position, run.first_key, &run.logits)?;
        }
        Ok(())
    }
}

impl Probe for Collector {
    fn plan(&self) -> &ProbePlan {
        &self.measurements.plan.probe
    }

    fn head_statistics(&mut self, layer: usize, statistics: &HeadStatistics) {
        let outcome = self.measurements.add_statistics(layer, statistics);
        self.note(outcome);
    }

    fn attention_row(&mut self, row: &AttentionRow) {
        let outcome = self.measurements.add_row(row);
        self.note(outcome);
    }

    fn counterfactual_logits(&mut self, seen: &CounterfactualLogits) {
        let logits = PairLogits { keys: seen.keys, actual: seen.actual, seen: seen.logits };
        let outcome = self.measurements.unseen_distances.push((seen.layer, seen.head), seen.position, logits);
        self.note(outcome);
    }

    fn hidden_state(&mut self, site: HiddenSite, position: u64, values: &[f32]) {
        if let Some(states) = self.measurements.hidden.iter_mut().find(|states| states.site == site) {
            states.positions.push(position);
            states.values.extend_from_slice(values);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use lm_infinite_runtime::model::config::{Mlp, Multipliers, Norm, PositionConfig, Residual, SoftCaps};
    use lm_infinite_runtime::policy::Region;
    use lm_infinite_runtime::probe::KeyRun;

    pub fn tiny_config(trained_length: u64) -> ModelConfig {
        ModelConfig {
            architecture: "llama".into(),
            vocabulary: 16,
            hidden: 4,
            layers: 2,
            heads: 2,
            kv_heads: 1,
            head_dim: 2,
            intermediate: 8,
            norm: Norm::Rms { epsilon: 1e-5 },
            mlp: Mlp::SwiGlu,
            residual: Residual::Sequential,
            clip_qkv: None,
            query_key_norm: false,
            layer_positions: Vec::new(),
            multipliers: Multipliers::default(),
            learned_sinks: false,
            experts: None,
            soft_caps: SoftCaps::default(),
            position: PositionConfig::None,
            tied_embeddings: true,
            trained_length,
            sliding_windows: Vec::new(),
            kv: lm_infinite_runtime::model::KvType::default(),
        }
    }

    #[test]
    fn maps_of_many_heads_are_coarser_and_take_no_more() {
        let sides = [(1, 256), (24, 256), (510, 256), (511, 128), (1024, 128), (2048, 64), (1 << 20, 32)];
        for (heads, side) in sides {
            assert_eq!(pooled_side(heads), side, "{heads}");
        }
        assert!(pooled_bytes(510, 256) <= POOLED_BYTES && pooled_bytes(511, 256) > POOLED_BYTES);
    }

    #[test]
    fn squares_are_large_enough_before_a_chunk_is_read() {
        let cache = lm_infinite_runtime::hub::Cache::at("no-cache");
        let loaded = lm_infinite_runtime::checkpoint::load("tiny-rope", &cache).expect("embedded");
        let mut collector = Collector::new(&loaded.config, 4096).with_pooled_maps();
        for (end, side) in [(1, 1), (256, 1), (257, 2), (512, 2), (100, 2), (513, 4), (4096, 16)] {
            collector.make_room(end);
            let measured = &collector.measurements;
            assert_eq!(measured.pooled.as_ref().map(PooledMaps::side), Some(side), "{end}");
            let asked = measured.plan.probe.statistics.as_ref().and_then(|statistics| statistics.tile);
            assert_eq!(asked.map(NonZeroU64::get), Some(side), "{end}");
        }
    }

    #[test]
    fn pooled_maps_have_at_most_256_cells_from_side_to_side_whatever_the_total() {
        for (read, side) in [(1, 1), (256, 1), (257, 2), (512, 2), (513, 4), (5000, 32)] {
            for total in [read, 10_000, 1 << 40] {
                for chunk in [100, 512] {
                    let mut collector = Collector::new(&tiny_config(2), total).with_pooled_maps();
                    let mut first = 0;
                    while first < read {
                        let queries = (read - first).min(chunk);
                        let cell =
                            collector.plan().statistics.as_ref().and_then(|statistics| statistics.tile);
                        let side = cell.expect("was asked for").get();
                        for layer in 0..2 {
                            // One cell for each query, whose largest logit is the query's position.
                            let at = |position: u64| TileMaxima {
                                head: 1,
                                query_tile: position / side,
                                first_key_tile: 0,
                                logits: vec![position as f32],
                                log_probabilities: vec![-1.0],
                            };
                            let seen = HeadStatistics {
                                first_position: first,
                                queries: queries as usize,
                                tiles: (first..first + queries).map(at).collect(),
                                ..HeadStatistics::default()
                            };
                            collector.head_statistics(layer, &seen);
                        }
                        first += queries;
                    }
                    let case = format!("{read} of {total} in chunks of {chunk}");
                    let maps = collector.finish().expect("fits").pooled.expect("was asked for");
                    assert_eq!(maps.side(), side, "{case}");
                    for query in [0, read / 2, read - 1] {
                        let largest = (query / side * side + side - 1).min(read - 1) as f32;
                        assert_eq!(maps.at((1, 1), query, 0).map(|cell| cell.logit), Some(largest), "{case}");
                    }
                    assert_eq!(maps.at((1, 1), read.next_multiple_of(side), 0), None, "{case}");
                }
            }
        }
    }

    #[test]
    fn statistics_go_to_their_head_and_side_of_the_training_length() {
        let mut collector = Collector::new(&tiny_config(2), 4);
        let buckets = collector.measurements.plan.mass_distances.len();
        let statistics = HeadStatistics {
            first_position: 1,
            heads: 2,
            queries: 2,
            buckets,
            entropy: vec![1.0, 2.0, 3.0, 4.0],
            start_mass: vec![0.1, 0.2, 0.3, 0.4],
            bucket_mass: (0..2 * 2 * buckets).map(|i| i as f32).collect(),
            ..HeadStatistics::default()
        };
        collector.head_statistics(1, &statistics);
        let seen = collector.finish().expect("fits");
        let entropy = seen.entropy.entropy.means();
        assert_eq!((entropy[[1, 0, 1]], entropy[[1, 1, 2]]), (1.0, 4.0));
        assert_eq!(seen.mass_inside.means()[[1, 1, 0]], (2 * buckets) as f64);
        assert_eq!(seen.mass_beyond.means()[[1, 0, 0]], buckets as f64);
        assert!(seen.mass_inside.means()[[0, 0, 0]].is_nan());
    }

    #[test]
    fn rows_go_to_start_tokens_others_and_the_last_query() {
        let mut collector = Collector::new(&tiny_config(2), 16);
        for position in [14, 15] {
            // Keys 8 and 9 are start tokens, 10 and 11 are not.
            let logits = vec![5.0, 4.0, 3.0 - position as f32, 1.0 - position as f32];
            let runs = [KeyRun { first_key: 8, region: Region::Recent { distance: position - 8 }, logits }];
            collector.attention_row(&AttentionRow { layer: 0, head: 1, position, runs: &runs, sink: None });
        }
        let seen = collector.finish().expect("fits");
        let largest = |logits: &LogitsByDistance| logits.prefix_maxima()[[0, 1, logits.bins().len() - 1]];
        assert_eq!([&seen.logits, &seen.logits_start, &seen.logits_last].map(largest), [-11.0, 5.0, 5.0]);
        assert_eq!(seen.logits_last.over_heads().x.last(), Some(&7.0));
        assert_eq!(seen.logits_last.maxima()[[0, 1, 5]], -12.0);
    }

    #[test]
    fn a_report_that_does_not_fit_the_model_is_an_error_at_the_end() {
        let mut collector = Collector::new(&tiny_config(2), 4);
        let statistics = HeadStatistics {
            heads: 3,
            queries: 1,
            entropy: vec![0.0; 3],
            start_mass: vec![0.0; 3],
            ..Default::default()
        };
        collector.head_statistics(0, &statistics);
        assert!(collector.finish().expect_err("third head").to_string().contains("head 2"));
    }
}
