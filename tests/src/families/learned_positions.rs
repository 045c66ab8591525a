//! GPT-2, whose positions are learned one by one: what can be read, what is refused, and in which words.

use lm_infinite::model::config::PositionConfig;
use lm_infinite::model::weights::WeightType;
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::{LayerStates, Session};
use serde_json::json;

use super::{LOGITS, Stored};
use crate::compare::{Tolerance, assert_close, line};
use crate::support::{decoder, load, made_up_tokens, program, score, session};

const POSITIONS: u64 = 64;

fn refused(path: &std::path::Path, policy: &str) -> String {
    let policy = PolicySpec::parse(policy, POSITIONS).expect("a policy").policy;
    Session::new(decoder(path), policy).expect_err("refused").to_string()
}

#[test]
fn a_text_ends_with_the_last_position() {
    let folder = Stored::read("gpt2").write();
    let decoder = decoder(folder.path());
    assert_eq!(decoder.config().position, PositionConfig::Learned { count: POSITIONS });
    assert_eq!(decoder.config().trained_length, POSITIONS);
    let tokens = made_up_tokens(POSITIONS as u32 + 1);
    for cut in [1, 7, 64] {
        let mut whole = session(&decoder, "vanilla");
        assert_eq!(score(&mut whole, &tokens[..64], cut).len(), 63);
        let error = whole.feed(&tokens[64..], None).expect_err("no 65th").to_string();
        assert!(
            error.contains("position 64") && error.contains("no position embedding beyond 64"),
            "{error}"
        );
    }
    // Refused before anything is read.
    let mut session = session(&decoder, "vanilla");
    assert!(session.score(&tokens, None).is_err());
    assert_eq!(session.position(), 0);
    assert!(LayerStates::new(decoder.clone(), tokens.into(), 0).is_err());
}

#[test]
fn windows_are_followed_and_changed_distances_refused() {
    let folder = Stored::read("gpt2").write();
    let tokens = made_up_tokens(POSITIONS as u32);
    let decoder = decoder(folder.path());
    let vanilla = score(&mut session(&decoder, "vanilla"), &tokens, 16);
    for policy in ["window:window=8", "lambda:start=2,window=7"] {
        let whole = score(&mut session(&decoder, policy), &tokens, tokens.len());
        assert!(whole != vanilla, "{policy}");
        for cut in [1, 5, 16] {
            let got = score(&mut session(&decoder, policy), &tokens, cut);
            let tolerance = Tolerance { absolute: 1e-3, relative: 1e-4 };
            assert_close(policy, line(&got), line(&whole), tolerance);
        }
        // Within the window nothing is left out.
        assert_close(policy, line(&whole[..6]), line(&vanilla[..6]), LOGITS);
    }
    for policy in ["window:window=64", "lambda:start=4,window=64"] {
        assert_close(
            policy,
            line(&score(&mut session(&decoder, policy), &tokens, 16)),
            line(&vanilla),
            LOGITS,
        );
    }
    for (policy, what) in [
        ("ceiling:ceiling=9", "a ceiling of distances"),
        ("lm-infinite:start=3,window=8", "a ceiling of distances"),
        ("streaming-llm:window=8", "positions counted in the cache"),
        ("self-extend:group=3,window=4", "grouped or chunked positions"),
        ("dca:chunk=8,local=4", "grouped or chunked positions"),
    ] {
        let error = refused(folder.path(), policy);
        assert!(error.contains(what) && error.contains("is given none"), "{policy}: {error}");
    }
    for policy in ["pi:factor=4", "ntk:factor=4", "yarn:factor=4"] {
        let error = refused(folder.path(), policy);
        assert!(error.contains("embedding of each position"), "{policy}: {error}");
    }
}

#[test]
fn positions_are_read_where_a_session_stands() {
    let folder = Stored::read("gpt2").write();
    let decoder = decoder(folder.path());
    let tokens = made_up_tokens(40);
    // A window of one token sees the token itself alone: its logits depend on token and position.
    let of = |skip: u64| {
        let mut session = session(&decoder, "window:window=1");
        session.feed(&tokens[..1], None).expect("a token");
        session.skip_to(skip).expect("a later position");
        session.feed(&tokens[5..6], None).expect("a token");
        session.logits().expect("logits")
    };
    let mut whole = session(&decoder, "window:window=1");
    whole.feed(&tokens[..6], None).expect("tokens");
    let there = of(5);
    assert_close("position 5", line(&there), line(&whole.logits().expect("logits")), LOGITS);
    let farthest = there.iter().zip(of(6)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(farthest > 0.1, "another position gives other logits: {farthest}");
    // Keys stay what they were where they were read.
    let passage = whole.passage(5..6).expect("it is held");
    let error = session(&decoder, "vanilla").append(&passage, 0..1).expect_err("refused").to_string();
    assert!(error.contains("embedding of each position"), "{error}");
}

#[test]
fn matrices_stored_as_their_transposes_keep_their_type() {
    let stored = Stored::read("gpt2");
    let weights = load(stored.write().path()).weights;
    let up = &weights.layers[1].feed_forward.dense().expect("an MLP").up.weight;
    assert_eq!((up.rows(), up.columns(), up.weight_type()), (192, 48, WeightType::F32));
    let (shape, values) = &stored.tensors["transformer.h.1.mlp.c_fc.weight"];
    assert_eq!(shape, &[48, 192]);
    let rows: Vec<f32> =
        up.bytes().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    for (row, column) in [(0, 0), (191, 47), (3, 40), (100, 1)] {
        assert_eq!(rows[row * 48 + column], values[column * 192 + row]);
    }
}

#[test]
fn inspection_and_diagnosis_say_what_there_is() {
    let folder = Stored::read("gpt2").write();
    let run = |arguments: &[&str]| {
        let output = program().args(arguments).arg(folder.path()).output().expect("it starts");
        let [out, error] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        (output.status.success(), out, error)
    };
    let (_, told, _) = run(&["models", "inspect"]);
    assert!(told.contains("learned, an embedding of each of 64"), "{told}");
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("out").to_str().expect("UTF-8").to_owned();
    let (done, _, said) = run(&["diagnose", "--out", &out, "--model"]);
    assert!(done && said.contains("learned, one embedding for each of 64"), "{said}");
    let run_json = std::fs::read_to_string(place.path().join("out/run.json")).expect("a run");
    let told: serde_json::Value = serde_json::from_str(&run_json).expect("JSON");
    assert_eq!(told["tokens"], json!(64));
    for (arguments, words) in [
        (vec!["--tokens", "65"], "no position embedding beyond 64"),
        (vec!["--policy", "lm-infinite"], "a ceiling of distances"),
        (vec!["--causes"], "an embedding of its own"),
        (vec!["--predict", "256"], "embedding of each position"),
    ] {
        let other = place.path().join("other").to_str().expect("UTF-8").to_owned();
        let all: Vec<&str> =
            ["diagnose", "--out", &other].into_iter().chain(arguments).chain(["--model"]).collect();
        let (done, out, said) = run(&all);
        assert!(!done && said.contains(words), "{all:?}: {out}{said}");
    }
}

/// What is read without `--policy` is the model's own attention, and that is said where the user looks.
#[test]
fn without_a_policy_the_models_own_attention_is_read() {
    let folder = Stored::read("gpt2").write();
    let run = |arguments: &[&str]| {
        let output = program().args(arguments).arg(folder.path()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        let data: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (data, said)
    };
    let words = "the model's own attention is read (vanilla)";
    let noted = |data: &serde_json::Value| data["notes"].to_string().contains(words);
    let (data, said) = run(&["generate", "--prompt", "ab", "--tokens", "2", "--json", "--model"]);
    assert_eq!((&data["policy"], data["tokens"].as_u64()), (&json!("vanilla"), Some(2)));
    assert!(noted(&data) && said.contains(words), "{data} {said}");
    let (data, said) = run(&["perplexity", "--tokens", "20", "--json", "--model"]);
    assert_eq!(data["runs"][0]["policy"], "vanilla");
    assert!(noted(&data) && said.contains(words), "{data} {said}");
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("long").to_str().expect("UTF-8").to_owned();
    let (data, _) = run(&["perplexity", "--tokens", "20", "--out", &out, "--json", "--model"]);
    assert!(data["runs"][0]["policy"] == "vanilla" && noted(&data), "{data}");
    let (data, said) = run(&[
        "generation-quality",
        "--lengths",
        "8",
        "--tokens",
        "4",
        "--samples",
        "1",
        "--json",
        "--model",
    ]);
    let policies: Vec<_> = data["runs"].as_array().expect("runs").iter().map(|run| &run["policy"]).collect();
    assert_eq!(policies, ["vanilla"]);
    assert!(said.contains("positions are learned"), "{said}");
    // A policy that is asked for is refused, not replaced.
    let asked = ["generate", "--prompt", "ab", "--policy", "lm-infinite", "--model"];
    let output = program().args(asked).arg(folder.path()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
}
