//! Keys and values that are held in 16 bits.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use lm_infinite::checkpoint;
use lm_infinite::model::KvType;
use lm_infinite::session::{Decoder, Session};

use crate::fixtures::{TinyConfig, TinyLlama};
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

/// What a note of `command` says that keys and values are held as.
fn held(command: &str, model: &Path, more: &[&str]) -> Option<String> {
    let text = model.with_extension("txt");
    std::fs::write(&text, "the house of the sea and the house of the hill ".repeat(20)).expect("written");
    let task: &[&str] = if command == "generate" {
        &["--prompt", "the sea"]
    } else {
        &["--policy", "vanilla", "--text", text.to_str().expect("UTF-8")]
    };
    let model = model.to_str().expect("UTF-8");
    let output = program()
        .args([command, "--model", model, "--tokens", "40", "--json"])
        .args(task)
        .args(more)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let data: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let notes = data["notes"].as_array().expect("notes").iter();
    let note = notes.filter(|note| note["field"] == "--kv").map(|note| note["said"].to_string()).next()?;
    Some(note.split("held as ").nth(1)?.split(':').next()?.to_owned())
}

#[test]
fn a_checkpoint_of_16_bits_has_them_in_16_bits() {
    let tiny = TinyLlama::random(TinyConfig::default(), 3);
    let folder = tempfile::tempdir().expect("a folder");
    for (dtype, measured) in [("F32", None), ("F16", Some("f16")), ("BF16", Some("f16"))] {
        let model = folder.path().join(dtype);
        std::fs::create_dir(&model).expect("a folder");
        tiny.write_folder(&model, dtype);
        for command in ["perplexity", "generate"] {
            assert_eq!(held(command, &model, &[]).as_deref(), measured, "{command} {dtype}");
        }
        assert_eq!(held("perplexity", &model, &["--kv", "f32"]), None, "{dtype}");
        assert_eq!(held("perplexity", &model, &["--kv", "bf16"]).as_deref(), Some("bf16"), "{dtype}");
    }
    let quantized = TinyConfig { intermediate: 128, ..TinyConfig::default() };
    let path = folder.path().join("quantized.gguf");
    TinyLlama::random(quantized, 3).gguf(GgmlDType::Q4_0).write(&path);
    assert_eq!(held("perplexity", &path, &[]), None);
    assert_eq!(held("generate", &path, &[]).as_deref(), Some("f16"));
}

/// A finite number that the type cannot hold would become infinite, and the verdict of it "not finite".
#[test]
fn what_the_type_cannot_hold_is_refused() {
    for (name, role) in [("key", "k_proj"), ("value", "v_proj")] {
        let mut tiny = TinyLlama::random(TinyConfig::default(), 3);
        let matrix = tiny.tensors.get_mut(&format!("model.layers.1.self_attn.{role}.weight")).expect("it");
        matrix.1.iter_mut().for_each(|weight| *weight *= 1e7);
        let folder = tempfile::tempdir().expect("a folder");
        tiny.write_folder(folder.path(), "BF16");
        let loaded = checkpoint::load(folder.path().to_str().expect("UTF-8"), &cache()).expect("loads");
        let plain = Decoder::new(loaded.config, loaded.weights).expect("whole");
        let read = |kv| session(&held_as(&plain, kv), "vanilla").score(&[1, 2, 3, 4], None);
        for kv in [KvType::F32, KvType::Bf16] {
            assert!(read(kv).expect("read").nll.iter().all(|loss| loss.is_finite()), "{name} {kv}");
        }
        let error = read(KvType::F16).map(drop).expect_err("refused").to_string();
        assert!(error.contains(&format!("in a {name} of block 1, held as f16")), "{error}");
        assert!(error.contains("as bf16 or f32"), "{error}");
    }
}
