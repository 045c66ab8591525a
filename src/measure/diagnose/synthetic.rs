//! A made-up diagnosis of realistic size, for tests of figures and result folders.

use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::policy::{AttentionPolicy, PolicySpec, Spans};
use lm_infinite_runtime::probe::{AttentionRow, CounterfactualLogits, HeadStatistics, KeyRun, Probe};

use crate::diagnose::{Collector, Diagnosis, DiagnosisBuilder, RunInput};

/// Numbers without a generator: equal for equal arguments, evenly spread over −1..1.
fn noise(a: u64, b: u64) -> f64 {
    let mixed = (a.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_mul(0xC2B2_AE3D_27D4_EB4F))
        .wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

struct Fake<'a> {
    config: &'a ModelConfig,
    policy: &'a AttentionPolicy,
}

/// Loss of a text that has hard and easy segments, where nothing is strained.
fn unstrained_nll(position: u64) -> f64 {
    let warm = 1.5 / (1.0 + position as f64 / 20.0);
    let text = 0.9 * (position as f64 / 300.0).sin() + 1.8 * noise(position, 7);
    (2.9 + warm + text).max(0.01)
}

impl Fake<'_> {
    /// How far a query is beyond what training showed, in training lengths.
    fn strain(&self, position: u64) -> f64 {
        if self.policy.window.is_some() && self.policy.ceiling.is_none() && self.policy.start == 0 {
            return 1.5 * f64::from(u8::from(position >= self.policy.window.unwrap_or(0)));
        }
        let spans = self.policy.spans(position);
        let far = if self.policy.ceiling.is_some() || spans.start_end > 0 && spans.recent_begin > 0 {
            self.policy.ceiling.unwrap_or(position)
        } else {
            position
        };
        (far as f64 / self.config.trained_length as f64 - 1.0).max(0.0)
    }

    fn nll(&self, position: u64) -> f32 {
        (unstrained_nll(position) + 4.0 * (self.strain(position) * 1.5).tanh()) as f32
    }

    fn logit(&self, layer: usize, head: usize, position: u64, key: u64) -> f32 {
        let region = lm_infinite_runtime::policy::region(position, key, self.policy);
        self.logit_at(layer, head, (position, key), region.distance().unwrap_or(0))
    }

    /// The logit if the key stood at `distance`.
    fn logit_at(&self, layer: usize, head: usize, (position, key): (u64, u64), distance: u64) -> f32 {
        let (trained, distance) = (self.config.trained_length as f64, distance as f64);
        let level = 2.0 + 0.4 * layer as f64 + 1.5 * noise(head as u64, layer as u64);
        let sink = if key == 0 { 4.0 } else { 0.0 };
        let rise = (distance / trained - 1.0).max(0.0) * (4.0 + 3.0 * noise(layer as u64, head as u64 + 90));
        (level - 3.0 * (distance / trained).min(1.0)
            + sink
            + rise
            + 2.0 * noise(position * 31 + key, (layer * 64 + head) as u64)) as f32
    }

    fn hidden(&self, layer: usize, position: u64) -> Vec<f32> {
        let depth = layer as f64 / self.config.layers as f64;
        let strain = self.strain(position).min(2.0);
        (0..self.config.hidden as u64)
            .map(|i| {
                let spread = (1.0 + depth)
                    * noise(position + 1, i + 1000 * layer as u64)
                    * (1.0 + 3.0 / (1.0 + i as f64));
                let sink = if position == 0 && layer > 0 { 60.0 * depth * noise(i, 5) } else { 0.0 };
                let early = if position < 12 && layer > 0 {
                    6.0 * noise(i, 6) / (1.0 + position as f64)
                } else {
                    0.0
                };
                (spread + sink + early + 3.0 * strain * noise(i, 77) * depth) as f32
            })
            .collect()
    }

    fn report(&self, collector: &mut Collector, tokens: u64) {
        let plan = collector.plan().clone();
        let edges = plan.statistics.as_ref().map_or(0, |statistics| statistics.distance_edges.len());
        let block = 256;
        for first in (0..tokens).step_by(block) {
            let queries = (tokens - first).min(block as u64);
            for layer in 0..self.config.layers {
                let mut seen = HeadStatistics {
                    first_position: first,
                    heads: self.config.heads,
                    buckets: edges,
                    ..Default::default()
                };
                seen.queries = queries as usize;
                for head in 0..self.config.heads as u64 {
                    for position in first..first + queries {
                        let Spans { start_end, recent_begin, .. } = self.policy.spans(position);
                        let keys = (position + 1 - recent_begin + start_end) as f64;
                        let sharpness = 0.55 + 0.4 * noise(head, layer as u64 + 40);
                        let wobble = 0.1 * noise(position, head + 64 * layer as u64);
                        seen.max_logit
                            .push(self.logit(layer, head as usize, position, recent_begin).max(0.0));
                        seen.entropy.push((keys.ln() * sharpness + wobble).max(0.0) as f32);
                        let sink =
                            0.4 + 0.3 * noise(head, layer as u64) - 0.25 * self.strain(position).min(1.0);
                        let dropped = self.policy.start == 0 && recent_begin > 10;
                        let kept = if dropped {
                            0.0
                        } else {
                            sink + (1.0 - sink) * (10.0 / (1.0 + position as f64)).min(1.0)
                        };
                        seen.start_mass.push(kept as f32);
                        seen.bucket_mass.extend((0..edges).map(|_| 1.0 / edges as f32));
                    }
                }
                collector.head_statistics(layer, &seen);
            }
        }
        for &position in &plan.rows.at {
            let spans = self.policy.spans(position);
            for (layer, head) in
                (0..self.config.layers).flat_map(|l| (0..self.config.heads).map(move |h| (l, h)))
            {
                let run = |from: u64, to: u64| KeyRun {
                    first_key: from,
                    region: lm_infinite_runtime::policy::region(position, from, self.policy),
                    logits: (from..to).map(|key| self.logit(layer, head, position, key)).collect(),
                };
                let runs = [run(0, spans.start_end), run(spans.recent_begin, position + 1)];
                collector.attention_row(&AttentionRow { layer, head, position, runs: &runs, sink: None });
            }
        }
        self.report_counterfactual(collector);
        for position in (0..tokens).filter(|&position| plan.hidden_positions.contains(position)) {
            for &site in &plan.hidden_sites {
                let layer = match site {
                    lm_infinite_runtime::probe::HiddenSite::Embedding => 0,
                    lm_infinite_runtime::probe::HiddenSite::AfterBlock(block) => block + 1,
                };
                collector.hidden_state(site, position, &self.hidden(layer, position));
            }
        }
    }
}

impl Fake<'_> {
    /// The first 40 keys at unseen distances, each at 8 distances of training.
    fn report_counterfactual(&self, collector: &mut Collector) {
        let trained = self.config.trained_length;
        let queries =
            collector.plan().counterfactual.as_ref().map_or(Vec::new(), |plan| plan.queries.at.clone());
        let distances: Vec<u64> =
            std::iter::once(trained).chain((0..8).map(|part| part * trained / 8)).collect();
        for position in queries {
            let unseen = |&key: &u64| {
                lm_infinite_runtime::policy::region(position, key, self.policy)
                    .distance()
                    .is_some_and(|d| d > trained)
            };
            let keys: Vec<u64> = (0..=position).filter(unseen).take(40).collect();
            if keys.is_empty() {
                continue;
            }
            for (layer, head) in
                (0..self.config.layers).flat_map(|l| (0..self.config.heads).map(move |h| (l, h)))
            {
                let at = |&key: &u64| {
                    distances
                        .iter()
                        .map(move |&distance| self.logit_at(layer, head, (position, key), distance))
                };
                let actual: Vec<f32> =
                    keys.iter().map(|&key| self.logit(layer, head, position, key)).collect();
                let logits: Vec<f32> = keys.iter().flat_map(at).collect();
                collector.counterfactual_logits(&CounterfactualLogits {
                    layer,
                    head,
                    position,
                    keys: &keys,
                    actual: &actual,
                    distances: &distances,
                    logits: &logits,
                });
            }
        }
    }
}

/// A diagnosis of a made-up model under `policies`.
pub fn diagnosis(trained_length: u64, tokens: u64, policies: &[&str]) -> Diagnosis {
    let mut config = super::collector::tests::tiny_config(trained_length);
    (config.layers, config.heads, config.hidden) = (8, 4, 24);
    let reference = (1..tokens).map(|position| unstrained_nll(position) as f32).collect();
    let mut builder = DiagnosisBuilder::new("made-up-8x4", &config, tokens, reference, None);
    for text in policies {
        let spec = PolicySpec::parse(text, trained_length).expect("a policy");
        let fake = Fake { config: &config, policy: &spec.policy };
        let mut collector = Collector::new(&config, tokens);
        fake.report(&mut collector, tokens);
        let run = RunInput {
            policy: spec.label.clone(),
            attention: spec.policy.clone(),
            nll: (1..tokens).map(|position| fake.nll(position)).collect(),
            prefill_tokens_per_second: 100.0,
            peak_rss_bytes: Some(1 << 28),
            kv_cache_bytes: 1 << 20,
        };
        builder.push(run, collector.finish().expect("fits")).expect("same text");
    }
    builder.finish()
}

#[test]
fn each_policy_is_found_to_break_where_it_was_made_to() {
    let diagnosis = diagnosis(512, 2048, &["vanilla", "lm-infinite", "window:window=256"]);
    let [vanilla, infinite, window] = diagnosis.runs.as_slice() else { panic!("three runs") };
    let at = vanilla.breaks.expect("vanilla breaks").position;
    assert!((512..700).contains(&at), "{at}");
    assert_eq!(infinite.breaks, None);
    let at = window.breaks.expect("the window breaks").position;
    assert!((256..300).contains(&at), "{at}");

    assert!(vanilla.factors.logits.verdict.broke && vanilla.factors.entropy.verdict.broke);
    assert!(infinite.order.factors.is_empty(), "{}", diagnosis.summary());
    assert_eq!(window.factors.drift.start_dropped_at, Some(256));
    assert!(window.factors.drift.verdict.broke && !window.factors.logits.verdict.broke);
    assert!(vanilla.factors.drift.start_distance.is_some_and(|distance| distance > 3.0));
}

#[test]
fn a_text_within_the_training_length_breaks_nothing() {
    let diagnosis = diagnosis(512, 200, &["vanilla"]);
    let run = &diagnosis.runs[0];
    assert!(run.breaks.is_none() && run.order.factors.is_empty(), "{}", diagnosis.summary());
    assert!(run.factors.entropy.verdict.words.starts_with("undecided"));
}

#[test]
fn one_token_is_a_diagnosis() {
    let diagnosis = diagnosis(512, 1, &["vanilla"]);
    assert_eq!((diagnosis.runs[0].nll, diagnosis.runs[0].perplexity), (None, None));
    assert!(diagnosis.runs[0].drift.is_empty());
    let summary = diagnosis.summary();
    assert!(summary.contains("no loss\n") && !summary.contains("not finite"), "{summary}");
}

#[test]
fn the_json_has_the_promised_fields() {
    let json = diagnosis(128, 256, &["vanilla"]).to_json(Some(std::path::Path::new("out")));
    assert_eq!(
        (json["model"].as_str(), json["tokens"].as_u64(), json["out"].as_str()),
        (Some("made-up-8x4"), Some(256), Some("out"))
    );
    let run = &json["runs"][0];
    for field in ["nll", "perplexity", "prefill_tokens_per_second", "peak_rss_bytes", "kv_cache_bytes"] {
        assert!(run[field].is_number(), "{field}");
    }
    assert!(
        run["buckets"][0]["from"].is_u64()
            && run["buckets"][0]["to"].is_u64()
            && run["buckets"][0]["nll"].is_number()
    );
    for factor in ["logits", "entropy", "drift"] {
        assert!(run["factors"][factor]["verdict"].is_string(), "{factor}");
    }
}
