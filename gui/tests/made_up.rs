//! A diagnosis of a made-up model of any shape, through the probe that a real run feeds.

use std::sync::Arc;

use lm_infinite::checkpoint::load;
use lm_infinite::diagnose::{Collector, Diagnosis, DiagnosisBuilder, HeadReport, RunInput};
use lm_infinite::model::ModelConfig;
use lm_infinite::policy::{PolicySpec, Region};
use lm_infinite::probe::{AttentionRow, CounterfactualLogits, HeadStatistics, KeyRun, Probe};

/// Tokens of the made-up text: four training lengths.
pub const TOKENS: u64 = 1024;

/// Whose logits rise beyond the training length: by less with every head in the order of the model, so that the first
/// head is the strongest under A; the last one under B.
fn rise(side: usize, at: usize, count: usize) -> f64 {
    let rank = if side == 0 { count - at } else { at + 1 };
    rank as f64 / count as f64
}

/// Two runs of a model with `layers` × `heads`.
pub fn diagnosis(layers: usize, heads: usize) -> Arc<Diagnosis> {
    let loaded = load("tiny-rope", &lm_infinite::hub::Cache::open().expect("a folder")).expect("embedded");
    let config = ModelConfig { layers, heads, kv_heads: heads, ..loaded.config };
    let trained = config.trained_length;
    let nll = |side: usize| (1..TOKENS).map(|at| if side == 0 && at > trained { 6.0 } else { 2.0 }).collect();
    let mut builder = DiagnosisBuilder::new("made-up", &config, TOKENS, vec![2.0; TOKENS as usize - 1], None);
    for side in 0..2 {
        let spec = PolicySpec::parse("vanilla", trained).expect("a policy");
        let mut collector = Collector::new(&config, TOKENS);
        report(&mut collector, &config, side);
        let input = RunInput {
            policy: format!("{} made-up", spec.label),
            attention: spec.policy,
            nll: nll(side),
            prefill_tokens_per_second: 1.0,
            peak_rss_bytes: None,
            kv_cache_bytes: 0,
        };
        builder.push(input, collector.finish().expect("fits")).expect("the same text");
    }
    Arc::new(builder.finish())
}

fn report(collector: &mut Collector, config: &ModelConfig, side: usize) {
    let plan = collector.plan().clone();
    let buckets = plan.statistics.as_ref().map_or(0, |statistics| statistics.distance_edges.len());
    let (heads, queries) = (config.heads, TOKENS as usize);
    let each = |value: &dyn Fn(u64) -> f32| -> Vec<f32> {
        (0..heads).flat_map(|_| (0..TOKENS).map(value)).collect()
    };
    for layer in 0..config.layers {
        let seen = HeadStatistics {
            first_position: 0,
            heads,
            queries,
            buckets,
            max_logit: each(&|_| 1.0),
            log_sum_exp: each(&|position| (position as f32 + 1.0).ln()),
            entropy: each(&|position| (position as f32 + 1.0).ln() / 2.0),
            start_mass: each(&|_| 0.25),
            sink_mass: Vec::new(),
            bucket_mass: vec![1.0 / buckets as f32; heads * queries * buckets],
            tiles: Vec::new(),
        };
        collector.head_statistics(layer, &seen);
    }
    for &position in &plan.rows.at {
        for (layer, head) in (0..config.layers).flat_map(|l| (0..heads).map(move |h| (l, h))) {
            let most = 8.0 * rise(side, layer * heads + head, config.layers * heads);
            let logit = |key: u64| {
                let beyond = (position - key).saturating_sub(config.trained_length) as f64;
                (most * beyond / TOKENS as f64) as f32
            };
            let logits = (0..=position).map(logit).collect();
            let runs = [KeyRun { first_key: 0, region: Region::Recent { distance: position }, logits }];
            collector.attention_row(&AttentionRow { layer, head, position, runs: &runs, sink: None });
        }
    }
    // The logits of keys 0 to 3 at unseen distances, and the same at two distances of training.
    let trained = config.trained_length;
    let queries = plan.counterfactual.as_ref().map_or(Vec::new(), |plan| plan.queries.at.clone());
    for position in queries.into_iter().filter(|&position| position > trained + 3) {
        for (layer, head) in (0..config.layers).flat_map(|l| (0..heads).map(move |h| (l, h))) {
            let most = 8.0 * rise(side, layer * heads + head, config.layers * heads);
            let actual =
                [0, 1, 2, 3].map(|key| (most * (position - key - trained) as f64 / TOKENS as f64) as f32);
            collector.counterfactual_logits(&CounterfactualLogits {
                layer,
                head,
                position,
                keys: &[0, 1, 2, 3],
                actual: &actual,
                distances: &[trained, 0, trained / 2],
                logits: &[0.0; 12],
            });
        }
    }
}

/// The same with many heads, which repeat those of a small model: a probe of thousands would take a gigabyte.
pub fn enlarged(layers: usize, heads: usize) -> Arc<Diagnosis> {
    let mut diagnosis = Diagnosis::clone(&diagnosis(3, 4));
    (diagnosis.config.layers, diagnosis.config.heads) = (layers, heads);
    for run in &mut diagnosis.runs {
        let few = std::mem::take(&mut run.heads);
        let head =
            |at: usize| HeadReport { layer: at / heads, head: at % heads, ..few[at % few.len()].clone() };
        run.heads = (0..layers * heads).map(head).collect();
    }
    Arc::new(diagnosis)
}
