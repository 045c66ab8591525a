//! Our sessions against `transformers` and the dense reference, on tiny decoders. See `tests/goldens/README.md`.

use std::path::Path;

use lm_infinite::policy::{AttentionPolicy, LongRopeFactors, PositionScaling};
use lm_infinite::probe::{HeadStatistics, Probe, ProbePlan, StatisticsPlan};
use ndarray::{Array4, ArrayD, Axis};
use serde::Deserialize;

use crate::compare::{Tolerance, assert_close, line};
use crate::support::{decoder, golden, nll, read_npy, session, session_with, tiny, tiny_tokens};

/// f32 against f64 over two layers; logits reach 5.7.
const LOGITS: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-5 };
/// Statistics of the second layer inherit the first one's rounding; logits of attention reach about 12.
const STATISTICS: Tolerance = Tolerance { absolute: 2e-4, relative: 1e-5 };
/// The window of most goldens is 5: cuts inside, at and beyond it.
const CHUNKS: [usize; 4] = [1, 5, 7, 40];

/// Holds the logits after every token, and the NLL in one pass, against the folder's `logits.npy`.
fn check_logits(name: &str, folder: &Path, policy: AttentionPolicy) {
    let (tokens, want) = (tiny_tokens(), read_npy::<f32>(&format!("tiny_llama/{name}/logits.npy")));
    let decoder = decoder(folder);
    let mut steps = session_with(&decoder, policy.clone());
    let got: Vec<f32> = tokens
        .iter()
        .flat_map(|&token| {
            steps.feed(&[token], None).expect("a token of the vocabulary");
            steps.logits().expect("logits after a token")
        })
        .collect();
    let got = ArrayD::from_shape_vec(want.raw_dim(), got).expect("one row a token");
    assert_close(&format!("{name}: logits token by token"), &got, &want, LOGITS);

    let scored = session_with(&decoder, policy).score(&tokens, None).expect("tokens of the vocabulary").nll;
    assert_close(&format!("{name}: NLL"), line(&scored), line(&nll(&want, &tokens[1..])), LOGITS);
}

#[test]
fn every_layout_and_type_gives_the_logits_of_transformers() {
    for name in ["tied", "untied_sharded", "bf16", "f16", "qwen2"] {
        check_logits(name, &tiny(name), AttentionPolicy::default());
    }
}

#[test]
fn rope_scaling_of_the_checkpoint_is_followed() {
    for name in ["linear", "llama3", "yarn"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in ["model.safetensors", "tokenizer.json"] {
            std::fs::copy(tiny("tied").join(file), folder.path().join(file)).expect("copied");
        }
        std::fs::copy(tiny(name).join("config.json"), folder.path().join("config.json")).expect("copied");
        check_logits(name, folder.path(), AttentionPolicy::default());
    }
}

#[test]
fn scaling_by_policy_equals_scaling_by_checkpoint() {
    let cases =
        [("linear", PositionScaling::Linear { factor: 4.0 }), ("yarn", PositionScaling::yarn(4.0, 16))];
    for (name, scaling) in cases {
        check_logits(name, &tiny("tied"), AttentionPolicy { scaling, ..Default::default() });
    }
}

/// transformers reads a text with the long factors throughout if it is longer than the trained length, and with the short ones
/// if it is not; we take the long ones for queries beyond it.
#[test]
fn long_rope_follows_the_checkpoints_factors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(tiny("tied").join(file), folder.path().join(file)).expect("copied");
    }
    std::fs::copy(tiny("longrope").join("config.json"), folder.path().join("config.json")).expect("copied");
    let long = PositionScaling::LongRope { factors: LongRopeFactors::Long };
    check_logits("longrope", folder.path(), AttentionPolicy { scaling: long, ..Default::default() });

    let within = read_npy::<f32>("tiny_llama/longrope/logits_within.npy");
    let (tokens, decoder) = (tiny_tokens(), decoder(folder.path()));
    let score = |scaling, tokens: &[u32]| {
        let policy = AttentionPolicy { scaling, ..Default::default() };
        session_with(&decoder, policy).score(tokens, None).expect("tokens of the vocabulary").nll
    };
    let own = score(PositionScaling::None, &tokens);
    assert_close("longrope: NLL", line(&own[..15]), line(&nll(&within, &tokens[1..16])), LOGITS);
    // Beyond, queries are turned by the long factors, over hidden states of the short ones.
    let (short, long) =
        (score(PositionScaling::LongRope { factors: LongRopeFactors::Short }, &tokens), score(long, &tokens));
    assert!((16..39).all(|at| own[at] != short[at] && own[at] != long[at]), "{own:?}");
}

/// One entry of `policies/index.json`.
#[derive(Deserialize)]
struct Golden {
    policy: String,
    file: String,
}

fn policy_goldens() -> Vec<Golden> {
    let index = std::fs::read_to_string(golden("tiny_llama/policies/index.json")).expect("index.json");
    serde_json::from_str(&index).expect("index.json")
}

/// The attention statistics of a whole run, as the goldens lay them out.
struct Recorder {
    plan: ProbePlan,
    /// [statistic, layer, head, query]
    statistics: Array4<f32>,
    /// [layer, head, query, bucket]
    buckets: Array4<f32>,
}

impl Recorder {
    /// A recorder for goldens of these shapes.
    fn new(statistics: &ArrayD<f32>, buckets: &ArrayD<f32>) -> Self {
        let shape4 = |array: &ArrayD<f32>| <[usize; 4]>::try_from(array.shape()).expect("four dimensions");
        let plan = StatisticsPlan { start_tokens: 2, distance_edges: vec![0, 1, 4, 16], tile: None };
        Self {
            plan: ProbePlan { statistics: Some(plan), ..Default::default() },
            statistics: Array4::from_elem(shape4(statistics), f32::NAN),
            buckets: Array4::from_elem(shape4(buckets), f32::NAN),
        }
    }
}

impl Probe for Recorder {
    fn plan(&self) -> &ProbePlan {
        &self.plan
    }

    fn head_statistics(&mut self, layer: usize, seen: &HeadStatistics) {
        let all = [&seen.max_logit, &seen.log_sum_exp, &seen.entropy, &seen.start_mass];
        for head in 0..seen.heads {
            for query in 0..seen.queries {
                let at = seen.first_position as usize + query;
                let from = head * seen.queries + query;
                for (statistic, values) in all.iter().enumerate() {
                    self.statistics[[statistic, layer, head, at]] = values[from];
                }
                for bucket in 0..seen.buckets {
                    self.buckets[[layer, head, at, bucket]] = seen.bucket_mass[from * seen.buckets + bucket];
                }
            }
        }
    }
}

#[test]
fn every_policy_gives_the_reference_loss_and_statistics_however_it_is_cut() {
    let goldens = policy_goldens();
    assert_eq!(goldens.len(), 22);
    let (decoder, tokens) = (decoder(&tiny("tied")), tiny_tokens());
    for Golden { policy, file } in &goldens {
        let read = |kind: &str| read_npy::<f32>(&format!("tiny_llama/policies/{file}.{kind}.npy"));
        let (nll, statistics, buckets) = (read("nll"), read("statistics"), read("buckets"));
        for chunk in CHUNKS {
            let what = |subject: &str| format!("{policy}, chunks of {chunk}: {subject}");
            let mut recorder = Recorder::new(&statistics, &buckets);
            let mut session = session(&decoder, policy);
            let scored: Vec<f32> = tokens
                .chunks(chunk)
                .flat_map(|part| {
                    session.score(part, Some(&mut recorder)).expect("tokens of the vocabulary").nll
                })
                .collect();
            assert_close(&what("NLL"), line(&scored), &nll, LOGITS);
            let got = recorder.statistics.into_dyn();
            assert_close(&what("[max logit, lse, entropy, start mass]"), &got, &statistics, STATISTICS);
            let got = recorder.buckets.into_dyn();
            assert_close(&what("mass by distance"), &got, &buckets, STATISTICS);
        }
    }
}

#[test]
fn goldens_tell_the_policies_apart() {
    // Otherwise a decoder that ignores its policy could pass.
    let goldens = policy_goldens();
    let losses: Vec<_> = goldens
        .iter()
        .map(|golden| read_npy::<f32>(&format!("tiny_llama/policies/{}.nll.npy", golden.file)))
        .collect();
    for (i, a) in losses.iter().enumerate() {
        for (j, b) in losses.iter().enumerate().skip(i + 1) {
            let largest = (a - b).iter().fold(0f32, |largest, d| largest.max(d.abs()));
            assert!(largest > 0.1, "{} and {}: {largest}", goldens[i].policy, goldens[j].policy);
        }
    }
}

#[test]
fn masses_of_the_goldens_add_up_to_one() {
    for Golden { policy, file } in policy_goldens() {
        let buckets = read_npy::<f32>(&format!("tiny_llama/policies/{file}.buckets.npy"));
        let total = buckets.sum_axis(Axis(3));
        let ones = ArrayD::from_elem(total.shape(), 1f32);
        assert_close(&policy, &total, &ones, Tolerance::absolute(1e-6));
    }
}
