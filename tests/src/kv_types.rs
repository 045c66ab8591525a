//! Keys and values that are held in 16 bits.

use std::sync::Arc;

use lm_infinite::checkpoint;
use lm_infinite::model::KvType;
use lm_infinite::session::{Decoder, Session};

use crate::support::{cache, decoder, made_up_tokens, mean, program, score, session, tiny};

const POLICIES: [&str; 6] = [
    "vanilla",
    "window:window=5",
    "lm-infinite:start=2,window=5",
    "no-start:start=2,beyond=5",
    "streaming-llm:start=2,window=5",
    "lm-infinite-topk:start=2,window=5,k=3,from_layer=1",
];
const HALVES: [KvType; 2] = [KvType::F16, KvType::Bf16];

fn held_as(decoder: &Decoder, kv: KvType) -> Arc<Decoder> {
    let mut config = decoder.config().clone();
    config.kv = kv;
    Arc::new(Decoder::new(config, decoder.weights().clone()).expect("whole"))
}

/// A number that lies between two of the type may round to the other one where sums come in another order.
#[test]
fn how_a_text_is_cut_matters_no_more_than_rounding() {
    let tokens = made_up_tokens(700);
    for (kv, most) in HALVES.into_iter().zip([5e-3, 4e-2]) {
        let model = held_as(&decoder(&tiny("tied")), kv);
        for policy in POLICIES {
            let whole = score(&mut session(&model, policy), &tokens, tokens.len());
            for cut in [1, 7, 100] {
                let got = score(&mut session(&model, policy), &tokens, cut);
                for (got, want) in got.iter().zip(&whole) {
                    assert!((got - want).abs() < most, "{kv} {policy} {cut}: {got} {want}");
                }
            }
        }
    }
}

#[test]
fn half_the_bytes_are_held_and_losses_move_by_rounding() {
    let tokens = made_up_tokens(700);
    let plain = decoder(&tiny("tied"));
    for policy in ["vanilla", "lm-infinite:start=2,window=5"] {
        let read = |decoder: &Arc<Decoder>| {
            let mut session = session(decoder, policy);
            let losses = score(&mut session, &tokens, 97);
            (session.kv_cache_bytes(), losses)
        };
        let (bytes, losses) = read(&plain);
        for (kv, most) in HALVES.into_iter().zip([0.02, 0.2]) {
            let (half, rounded) = read(&held_as(&plain, kv));
            assert_eq!(2 * half, bytes, "{kv} {policy}");
            assert_ne!(rounded, losses, "{kv} {policy}: nothing is rounded");
            let apart = losses.iter().zip(&rounded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < most, "{kv} {policy}: {apart}");
        }
    }
}

#[test]
fn snapshots_and_passages_go_on_bit_for_bit() {
    let tokens = made_up_tokens(700);
    let folder = tempfile::tempdir().expect("a folder");
    for kv in HALVES {
        let model = held_as(&decoder(&tiny("tied")), kv);
        for policy in POLICIES {
            let whole = score(&mut session(&model, policy), &tokens, 350);
            let mut first = session(&model, policy);
            let mut losses = score(&mut first, &tokens[..350], 350);
            let path = folder.path().join(format!("{kv}-{}", policy.replace([':', ',', '='], "-")));
            first.save(&path).expect("saved");
            let policy_of = lm_infinite::policy::PolicySpec::parse(policy, 16).expect("a policy").policy;
            let mut again = Session::restore(model.clone(), policy_of.clone(), &path).expect("restored");
            losses.extend(score(&mut again, &tokens[350..], 350));
            assert_eq!(losses, whole, "{kv} {policy}");
            // Of another type it is another model's.
            for other in [KvType::F32, KvType::F16, KvType::Bf16].into_iter().filter(|other| *other != kv) {
                let error =
                    Session::restore(held_as(&model, other), policy_of.clone(), &path).expect_err("refused");
                assert!(error.to_string().contains("configuration"), "{error}");
            }
        }
        let mut read = session(&model, "vanilla");
        read.feed(&tokens[..350], None).expect("known tokens");
        let mut composed = session(&model, "vanilla");
        composed.append(&read.passage(0..350).expect("held"), 0..350).expect("the same model");
        let losses = |session: &mut Session| session.score(&tokens[350..], None).expect("known tokens").nll;
        assert_eq!(losses(&mut composed), losses(&mut read)[1..], "{kv}");
    }
}

/// The loss of a trained model, within and beyond its training length.
#[test]
fn a_trained_model_loses_next_to_nothing() {
    let loaded = checkpoint::load("tiny-rope", &cache()).expect("built in");
    let text = include_str!("../../runtime/assets/text/sample.txt");
    let tokens = loaded.tokenizer.encode(&text[..8000]).expect("encodes");
    let plain = Decoder::new(loaded.config, loaded.weights).expect("whole");
    for (policy, lengths) in [("vanilla", 250), ("lm-infinite", 1500)] {
        let losses = |kv| score(&mut session(&held_as(&plain, kv), policy), &tokens[..lengths], 512);
        let want = mean(&losses(KvType::F32));
        for (kv, most) in HALVES.into_iter().zip([2e-4, 2e-3]) {
            let apart = (mean(&losses(kv)) - want).abs();
            assert!(apart < most, "{kv} {policy}: {apart}");
        }
    }
}

#[test]
fn the_command_holds_what_it_is_told_to() {
    let run = |arguments: &[&str]| program().args(arguments).output().expect("runs");
    let read = |kv: &[&str]| -> serde_json::Value {
        let fixed = ["perplexity", "--tokens", "300", "--policy", "vanilla", "--json"];
        let output = run(&[&fixed[..], kv].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let said = |data: &serde_json::Value| data["notes"].to_string();
    let (plain, stated, half) = (read(&[]), read(&["--kv", "f32"]), read(&["--kv", "f16"]));
    assert_eq!(plain["runs"][0]["nll"], stated["runs"][0]["nll"]);
    assert!(!said(&plain).contains("--kv") && said(&half).contains("held as f16"), "{half}");
    let bytes = |data: &serde_json::Value| data["runs"][0]["kv_cache_bytes"].as_u64();
    if let (Some(plain), Some(half)) = (bytes(&plain), bytes(&half)) {
        assert_eq!(plain, 2 * half);
    }
    let refused = run(&["perplexity", "--kv", "f8"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("f32, f16 or bf16"));
}
