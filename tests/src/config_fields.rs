//! What `config.json` of a Hugging Face folder may say, against transformers: `tests/goldens/config_fields`.

use std::fs;
use std::path::Path;

use lm_infinite::note::Severity;
use lm_infinite::policy::AttentionPolicy;
use lm_infinite::session::Session;
use ndarray::ArrayD;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::compare::{Tolerance, assert_close};
use crate::support::{
    decoder, golden, load, made_up_tokens, program, read_npy, score, session, tiny, tiny_tokens,
};

/// f32 against f64 over two layers; logits reach 10.
const LOGITS: Tolerance = Tolerance { absolute: 2e-4, relative: 1e-5 };

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Under `tests/goldens`.
    weights: String,
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(golden("config_fields/cases.json")).expect("a list");
    serde_json::from_str(&text).expect("a list of cases")
}

/// A model folder of `config`, with the weights at `weights`.
fn folder(config: &Path, weights: &Path) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (from, to) in [
        (config, "config.json"),
        (weights, "model.safetensors"),
        (&tiny("tied").join("tokenizer.json"), "tokenizer.json"),
    ] {
        fs::copy(from, folder.path().join(to)).expect("copied");
    }
    folder
}

fn folder_of(name: &str) -> TempDir {
    let case = cases().into_iter().find(|case| case.name == name).expect("a case of this name");
    folder(&golden(&format!("config_fields/{name}.config.json")), &golden(&case.weights))
}

/// The model of `tied`, whose configuration `change` has changed.
fn tied_with(change: impl FnOnce(&mut Value)) -> TempDir {
    let text = fs::read_to_string(tiny("tied").join("config.json")).expect("a configuration");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    change(&mut config);
    let folder = folder(&tiny("tied").join("config.json"), &tiny("tied").join("model.safetensors"));
    fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    folder
}

#[test]
fn every_field_is_read_as_transformers_reads_it() {
    let tokens = tiny_tokens();
    let cases = cases();
    assert!(cases.len() >= 25, "{} cases", cases.len());
    for Case { name, .. } in cases {
        let folder = folder_of(&name);
        let decoder = decoder(folder.path());
        let want = read_npy::<f32>(&format!("config_fields/{name}.logits.npy"));
        for cut in [1, 3, 40] {
            let mut session = session(&decoder, "vanilla");
            let mut got = Vec::new();
            for chunk in tokens.chunks(cut) {
                session.feed(chunk, None).expect("known tokens");
                if cut == 1 {
                    got.extend(session.logits().expect("logits after a token"));
                }
            }
            if cut == 1 {
                let got = ArrayD::from_shape_vec(want.raw_dim(), got).expect("one row a token");
                assert_close(&name, &got, &want, LOGITS);
            } else {
                let last = want.index_axis(ndarray::Axis(0), tokens.len() - 1).to_owned();
                let got = ArrayD::from_shape_vec(last.raw_dim(), session.logits().expect("logits"));
                assert_close(&format!("{name}, {cut} at a time"), &got.expect("one row"), &last, LOGITS);
            }
        }
    }
}

/// Policies on a model with a window of its own are policies with the smaller window on the same model without one.
#[test]
fn a_policy_composes_with_the_models_own_window() {
    let windowed = folder_of("mistral_window");
    let (windowed, plain) = (decoder(windowed.path()), decoder(&tiny("tied")));
    let own = 8;
    let tokens = made_up_tokens(60);
    for (policy, same) in [
        ("vanilla", format!("window:window={own}")),
        ("ceiling:ceiling=4", format!("lm-infinite:start=0,window={own},ceiling=4")),
        ("window:window=5", "window:window=5".into()),
        ("window:window=12", format!("window:window={own}")),
        ("lambda:start=2,window=5", "lambda:start=2,window=5".into()),
        ("lambda:start=2,window=12", format!("lambda:start=2,window={own}")),
        ("lm-infinite:start=2,window=12,ceiling=6", format!("lm-infinite:start=2,window={own},ceiling=6")),
        ("streaming-llm:start=2,window=12", format!("streaming-llm:start=2,window={own}")),
        (
            "lm-infinite-topk:start=2,window=12,k=2,from_layer=1,distance=3",
            format!("lm-infinite-topk:start=2,window={own},k=2,from_layer=1,distance=3,ceiling=12"),
        ),
        ("pi:factor=2", format!("pi:factor=2+window:window={own}")),
    ] {
        for cut in [1, 7, 60] {
            let got = score(&mut session(&windowed, policy), &tokens, cut);
            let want = score(&mut session(&plain, &same), &tokens, cut);
            assert_eq!(got, want, "{policy} within {own}, {cut} at a time");
        }
    }
    let mut bounded = session(&windowed, "vanilla");
    score(&mut bounded, &made_up_tokens(4000), 512);
    assert!(bounded.kv_cache_entries() <= own + 512, "{} keys are held", bounded.kv_cache_entries());
}

/// Layers differ; what each holds follows its own window.
#[test]
fn layers_with_and_without_a_window_stand_side_by_side() {
    let folder = folder_of("qwen2_window_in_layer_0");
    let model = load(folder.path());
    assert_eq!(model.config.sliding_windows, [Some(6), None]);
    assert_eq!(model.config.trained_length, 16);
    assert_eq!(model.config.policy_at(&AttentionPolicy::default(), 0).window, Some(6));
    assert_eq!(model.config.policy_at(&AttentionPolicy::default(), 1), AttentionPolicy::default());

    let (tokens, decoder) = (made_up_tokens(50), decoder(folder.path()));
    let whole = score(&mut session(&decoder, "vanilla"), &tokens, 50);
    let mut first = session(&decoder, "vanilla");
    let mut resumed = score(&mut first, &tokens[..20], 7);
    let snapshot = folder.path().join("snapshot");
    first.save(&snapshot).expect("written");
    let mut second =
        Session::restore(decoder.clone(), AttentionPolicy::default(), &snapshot).expect("restored");
    resumed.extend(score(&mut second, &tokens[20..], 11));
    assert_eq!(resumed.len(), whole.len());
    for (at, (a, b)) in resumed.iter().zip(&whole).enumerate() {
        assert!((a - b).abs() < 1e-5, "token {at}: {a} {b}");
    }
}

#[test]
fn the_training_length_follows_the_window_and_both_are_said() {
    let of = |change: &dyn Fn(&mut Value)| load(tied_with(change).path());
    let mistral = of(&|config| config["model_type"] = json!("mistral"));
    assert_eq!((mistral.config.trained_length, mistral.config.own_window(0)), (16, Some(4096)));
    let said = |model: &lm_infinite::checkpoint::LoadedModel, field: &str| {
        let note = model.notes.iter().find(|note| note.field == field).expect("a note");
        note.said.clone()
    };
    assert!(said(&mistral, "config.json").contains("sliding_window = 4096"), "{:?}", mistral.notes);
    assert!(said(&mistral, "sliding_window").contains("in every layer"), "{:?}", mistral.notes);
    let windowed = load(folder_of("mistral_window").path());
    assert_eq!(windowed.config.trained_length, 8);
    let words = said(&windowed, "sliding_window");
    assert!(words.contains("reaches 8 tokens back") && words.contains("16 positions"), "{words}");
    assert!(load(&tiny("tied")).notes.is_empty());
}

#[test]
fn defaults_and_assumptions_are_told() {
    let note = |change: &dyn Fn(&mut Value)| {
        let notes = load(tied_with(change).path()).notes;
        assert_eq!(notes.len(), 1, "{notes:?}");
        notes[0].clone()
    };
    let remove = |field: &'static str| {
        move |config: &mut Value| drop(config.as_object_mut().expect("an object").remove(field))
    };
    assert!(note(&remove("rms_norm_eps")).said.contains("rms_norm_eps = 1e-6"));
    assert!(note(&remove("max_position_embeddings")).said.contains("max_position_embeddings = 2048"));
    let partial = note(&|config| config["partial_rotary_factor"] = json!(0.5));
    assert!(partial.severity == Severity::Warning && partial.said.contains("whole heads"), "{partial}");
    let ignored = note(&|config| config["sliding_window"] = json!(8));
    assert!(
        ignored.severity == Severity::Note && ignored.said.contains("every key is attended"),
        "{ignored}"
    );
    let two = load(folder_of("head_that_differs").path());
    assert!(!two.config.tied_embeddings && two.notes[0].said.contains("both are used"), "{:?}", two.notes);
    assert!(load(folder_of("head_stored_twice").path()).config.tied_embeddings);

    let folder = tied_with(|_| ());
    fs::write(folder.path().join("adapter_config.json"), "{}").expect("written");
    assert_eq!(load(folder.path()).notes[0].field, "adapter_config.json");
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    let refused = |change: &dyn Fn(&mut Value), part: &str| {
        let folder = tied_with(change);
        let reference = folder.path().to_str().expect("UTF-8");
        let error = lm_infinite::checkpoint::load(reference, &crate::support::cache()).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    };
    let mistral = |window: Value| {
        move |config: &mut Value| {
            config["model_type"] = json!("mistral");
            config["sliding_window"] = window.clone();
        }
    };
    refused(&mistral(json!(0)), "sliding_window");
    refused(&mistral(json!(-1)), "sliding_window");
    refused(&mistral(json!("8")), "sliding_window");
    for types in [
        json!(["sliding_attention"]),
        json!("full_attention"),
        json!(["full_attention", "chunked_attention"]),
    ] {
        let change = |config: &mut Value| {
            config["model_type"] = json!("qwen2");
            config["use_sliding_window"] = json!(true);
            config["layer_types"] = types.clone();
        };
        refused(&change, "layer_types");
    }
}

/// What the loader has to say reaches the reader of every command.
#[test]
fn notes_reach_every_command() {
    let model = folder_of("mistral_window");
    let desk = tempfile::tempdir().expect("a temporary folder");
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(40);
    fs::write(desk.path().join("text.txt"), text).expect("written");
    let at = model.path().to_str().expect("UTF-8");
    let part = "own attention reaches 8 tokens back";
    let commands: [&[&str]; 10] = [
        &["perplexity", "--text", "text.txt", "--tokens", "60"],
        &["perplexity", "--text", "text.txt", "--tokens", "60", "--out", "long"],
        &["generate", "--prompt", "The quick", "--tokens", "3"],
        &["diagnose", "--text", "text.txt", "--tokens", "60", "--out", "diagnosis"],
        &["ablation", "--text", "text.txt", "--tokens", "40", "--segments", "2", "--out", "ablation"],
        &[
            "sweep",
            "--measure",
            "nll",
            "--policy",
            "lm-infinite",
            "--key",
            "window",
            "--values",
            "4,8",
            "--text",
            "text.txt",
            "--samples",
            "2",
            "--out",
            "sweep",
        ],
        &["passkey", "--lengths", "300", "--samples", "1", "--out", "passkey"],
        &["needle", "--lengths", "900", "--samples", "1", "--task", "multi-key", "--out", "needle"],
        &["bench", "--lengths", "64", "--decode", "2", "--rounds", "1", "--out", "bench"],
        &[
            "compare",
            "--trained-length",
            "300",
            "--text",
            "text.txt",
            "--tokens",
            "600",
            "--policy",
            "vanilla",
            "--policy",
            "window",
            "--out",
            "compare",
        ],
    ];
    for command in commands {
        let output = program()
            .args(command)
            .args(["--json", "--model", at])
            .current_dir(desk.path())
            .output()
            .expect("the program starts");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?}: {out} {err}");
        assert!(err.contains(part), "{command:?}, standard error: {err}");
        let data: Value = serde_json::from_str(&out).expect("one JSON object");
        let notes = data["notes"].as_array().expect("a list of notes");
        let said = notes.iter().any(|note| note["said"].as_str().is_some_and(|said| said.contains(part)));
        assert!(said, "{command:?}, JSON: {notes:?}");
        if let Some(folder) = command.iter().position(|word| *word == "--out").map(|at| command[at + 1]) {
            let folder = desk.path().join(folder);
            for file in ["run.json", "summary.txt"] {
                // Speeds have a table and no summary.
                let Ok(text) = fs::read_to_string(folder.join(file)) else { continue };
                assert!(text.contains(part), "{command:?}, {file}: {text}");
            }
        }
    }
    let report = fs::read_to_string(desk.path().join("diagnosis/report.html")).expect("a report");
    assert!(report.contains(part));
}
