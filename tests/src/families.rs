//! Every family of models against transformers: `tests/goldens/families`, whose script says how they were made.

mod experts;
pub(crate) mod gguf;
mod gguf_metadata;
mod gguf_variants;
mod hostile;
mod inventory;
mod learned_positions;
mod refused;
mod unknown;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lm_infinite::model::config::PositionConfig;
use lm_infinite::policy::PositionScaling;
use lm_infinite::session::Session;
use ndarray::ArrayD;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::compare::{Tolerance, assert_close, line};
use crate::fixtures::{SafetensorsFile, float_bytes, write_json};
use crate::support::{
    decoder, golden, load, made_up_tokens, nll, program, read_npy, score, session, tiny, tiny_tokens,
};

pub(crate) const CASES: [&str; 39] = [
    "llama",
    "mistral",
    "qwen2",
    "gptj",
    "mpt",
    "mpt_other_slopes",
    "gpt_neox",
    "gpt_neox_sequential",
    "falcon_7b",
    "falcon_40b",
    "falcon_one_norm",
    "falcon_sequential",
    "falcon_rw",
    "gpt2",
    "gpt2_untied",
    "bloom",
    "qwen3",
    "qwen3_tied_bias",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gemma3",
    "gpt_oss",
    "mixtral",
    "qwen3_moe",
    "qwen3_moe_normed",
    "granite",
    "olmo2",
    "smollm3",
    "phi3",
    "phi3_longrope",
    "phi",
    "stablelm",
    "stablelm_parallel",
    "cohere",
    "cohere_norms",
    "cohere2",
    "glm",
    "glm4",
];

/// f32 against f64 over two layers; logits reach 10.
const LOGITS: Tolerance = Tolerance { absolute: 2e-4, relative: 1e-5 };

/// Largest error as a part of the largest logit.
const RELATIVE: f32 = 1e-4;

/// A checkpoint in memory: configuration, and shape and values of the tensors.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) config: Value,
    pub(crate) tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Stored {
    pub(crate) fn read(name: &str) -> Self {
        let folder = golden(&format!("families/{name}"));
        let bytes = fs::read(folder.join("model.safetensors")).expect("weights");
        let file = SafeTensors::deserialize(&bytes).expect("weights");
        let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            let values = view.data().chunks_exact(4);
            let values = values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            (name, (view.shape().to_vec(), values))
        };
        let text = fs::read_to_string(folder.join("config.json")).expect("a configuration");
        Self {
            config: serde_json::from_str(&text).expect("JSON"),
            tensors: file.tensors().into_iter().map(tensor).collect(),
        }
    }

    pub(crate) fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        write_json(&folder.path().join("config.json"), &self.config);
        fs::copy(tiny("tied").join("tokenizer.json"), folder.path().join("tokenizer.json")).expect("copied");
        let mut file = SafetensorsFile::default();
        for (name, (shape, values)) in &self.tensors {
            file.push(name, "F32", shape, &float_bytes(values, "F32"));
        }
        file.write(&folder.path().join("model.safetensors"));
        folder
    }
}

pub(crate) fn logits(path: &Path, tokens: &[u32]) -> Vec<f32> {
    let mut session = session(&decoder(path), "vanilla");
    tokens
        .iter()
        .flat_map(|&token| {
            session.feed(&[token], None).expect("a known token");
            session.logits().expect("logits after a token")
        })
        .collect()
}

#[test]
fn every_family_computes_what_transformers_computes() {
    let tokens = tiny_tokens();
    let folders = fs::read_dir(golden("families")).expect("a folder").filter_map(|entry| entry.ok());
    let stored = folders.filter(|entry| entry.path().join("config.json").exists()).count();
    assert_eq!(stored, CASES.len(), "every case is tried");
    for name in CASES {
        let folder = Stored::read(name).write();
        let loaded = load(folder.path());
        // transformers passes a field of MPT over; windows are told, and that a model reads images, too.
        let notes = match name {
            "mpt_other_slopes" | "gemma2" | "gemma3_text" | "gpt_oss" | "mixtral" | "smollm3" | "phi3"
            | "cohere2" | "mistral" => 1,
            // That biases are not rounded.
            "falcon_rw" => 1,
            "gemma3" => 3,
            _ => 0,
        };
        assert_eq!(loaded.notes.len(), notes, "{name}: {:?}", loaded.notes);
        let want = read_npy::<f32>(&format!("families/{name}/logits.npy"));
        let got =
            ArrayD::from_shape_vec(want.raw_dim(), logits(folder.path(), &tokens)).expect("one row a token");
        assert_close(name, &got, &want, LOGITS);
        let largest = |values: &ArrayD<f32>| values.iter().fold(0f32, |most, value| most.max(value.abs()));
        let (off, of) = (largest(&(&got - &want)), largest(&want));
        eprintln!("{name}: {:.1e} of the largest logit", off / of);
        assert!(off <= RELATIVE * of, "{name}: {off} of {of}");
        let decoder = decoder(folder.path());
        let losses = nll(&want, &tokens[1..]);
        for cut in [1, 3, 7, 40] {
            let got = score(&mut session(&decoder, "vanilla"), &tokens, cut);
            assert_close(&format!("{name}, cut {cut}"), line(&got), line(&losses), LOGITS);
        }
    }
}

#[test]
fn the_likeliest_text_is_that_of_transformers() {
    let tokens = tiny_tokens();
    for name in CASES {
        let folder = Stored::read(name).write();
        let want: Vec<u32> = read_npy::<u32>(&format!("families/{name}/greedy.npy")).into_iter().collect();
        let mut session = session(&decoder(folder.path()), "vanilla");
        session.feed(&tokens[..8], None).expect("known tokens");
        let mut got = Vec::new();
        for _ in &want {
            let logits = session.logits().expect("logits");
            let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("a token");
            got.push(best as u32);
            session.feed(&got[got.len() - 1..], None).expect("a known token");
        }
        assert_eq!(got, want, "{name}");
    }
}

/// Attention does not know families, so its policies are held against the dense specification without them
/// (`attention::agreement`); here, that whole models go through them in any cut.
#[test]
fn policies_run_on_every_family_in_any_cut() {
    // No passage comes twice: its clamped keys would be equal, and top-k's choice among them a matter of rounding.
    let tokens = made_up_tokens(90);
    // Learned positions bound a text, and know no distances: `learned_positions` has their tests.
    for name in CASES.into_iter().filter(|name| !name.starts_with("gpt2")) {
        let folder = Stored::read(name).write();
        let decoder = decoder(folder.path());
        let position = &decoder.config().position;
        let rotary = matches!(position, PositionConfig::Rope { .. });
        // They are defined for a checkpoint without a scaling of its own; linear scaling composes with linear scaling.
        let scaling = match position {
            PositionConfig::Rope { scaling, .. } => *scaling,
            _ => PositionScaling::None,
        };
        let unscaled = rotary && scaling == PositionScaling::None;
        let mut policies = vec!["window:window=8", "lambda:start=2,window=7", "lm-infinite:start=3,window=8"];
        policies.extend(["lm-infinite-topk:start=2,window=8,k=3,from_layer=1", "ceiling:ceiling=9"]);
        if matches!(scaling, PositionScaling::None | PositionScaling::Linear { .. }) {
            policies.push("pi:factor=4");
        }
        if rotary {
            if unscaled {
                policies.extend(["ntk:factor=4", "yarn:factor=4"]);
            }
            policies.extend(["self-extend:group=3,window=4", "dca:chunk=8,local=4"]);
        }
        for policy in policies {
            let whole = score(&mut session(&decoder, policy), &tokens, tokens.len());
            assert!(whole.iter().all(|loss| loss.is_finite()), "{name} under {policy}");
            for cut in [1, 5, 16] {
                let got = score(&mut session(&decoder, policy), &tokens, cut);
                let tolerance = Tolerance { absolute: 1e-3, relative: 1e-4 };
                assert_close(&format!("{name}, {policy}, cut {cut}"), line(&got), line(&whole), tolerance);
            }
        }
        // A window that holds everything is none.
        let vanilla = score(&mut session(&decoder, "vanilla"), &tokens, 16);
        let all = ["window:window=90", "lm-infinite:start=4,window=90"];
        // Start tokens are kept outside of the model's own windows, too.
        let with_start = if decoder.config().sliding_windows.is_empty() { 2 } else { 1 };
        for policy in &all[..with_start] {
            let got = score(&mut session(&decoder, policy), &tokens, 16);
            assert_close(&format!("{name}, {policy}"), line(&got), line(&vanilla), LOGITS);
        }
    }
}

#[test]
fn a_decoder_stored_without_its_head_is_read_where_both_are_one() {
    let tokens = tiny_tokens();
    for name in ["mpt", "falcon_40b", "bloom", "gpt2"] {
        let base = "transformer.";
        let mut stored = Stored::read(name);
        let whole = logits(stored.write().path(), &tokens);
        let rename = |(name, tensor): (String, _)| (name.trim_start_matches(base).to_owned(), tensor);
        stored.tensors = stored.tensors.into_iter().map(rename).collect();
        assert_eq!(logits(stored.write().path(), &tokens), whole, "{name}");
    }
}

#[test]
fn a_head_that_differs_from_a_tied_embedding_is_used_and_told() {
    let mut stored = Stored::read("bloom");
    let embedding = stored.tensors["transformer.word_embeddings.weight"].clone();
    let tokens = tiny_tokens();
    let tied = logits(stored.write().path(), &tokens);
    stored.tensors.insert("lm_head.weight".into(), embedding.clone());
    assert_eq!(logits(stored.write().path(), &tokens), tied, "the same, stored twice");
    let half = embedding.1.iter().map(|value| value / 2.0).collect();
    stored.tensors.insert("lm_head.weight".into(), (embedding.0, half));
    let folder = stored.write();
    let halves: Vec<f32> = tied.iter().map(|logit| logit / 2.0).collect();
    assert_close("half a head", line(&logits(folder.path(), &tokens)), line(&halves), LOGITS);
    assert!(load(folder.path()).notes.iter().any(|note| note.field == "tie_word_embeddings"));
}

#[test]
fn inspection_says_what_a_block_is_made_of() {
    for (name, words) in [
        ("gptj", "LayerNorm, GELU (tanh), attention and MLP side by side"),
        ("gpt2", "LayerNorm, GELU (tanh)"),
        ("mpt", "LayerNorm, GELU, queries, keys and values within ±0.7"),
        ("qwen3", "RMSNorm, SwiGLU, queries and keys normalized"),
        (
            "gemma2",
            "RMSNorm, GeGLU (tanh), embedding × 4.8989797, queries × 0.6324555, attention logits within ±2, output logits \
             within ±4",
        ),
        ("gpt_oss", "RMSNorm, SwiGLU (bounded), 2 of 5 experts 32 wide, a learned sink in every head"),
        (
            "granite",
            "RMSNorm, SwiGLU, embedding × 3, queries × 0.48989794, residual × 0.7, logits × 0.5882353",
        ),
        (
            "cohere_norms",
            "LayerNorm, SwiGLU, attention and MLP side by side, queries and keys normalized, logits × 1.3",
        ),
    ] {
        let folder = Stored::read(name).write();
        let told = program().args(["models", "inspect"]).arg(folder.path()).output().expect("it starts");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let block = told.lines().find_map(|line| line.strip_prefix("block")).map(str::trim);
        assert_eq!(block, Some(words), "{told}");
    }
}

#[test]
fn fields_that_change_nothing_are_told_and_defaults_are_those_of_transformers() {
    let notes = |stored: &Stored| -> Vec<String> {
        load(stored.write().path()).notes.iter().map(ToString::to_string).collect()
    };
    let mut stored = Stored::read("mpt");
    stored.config["attn_config"]["attn_impl"] = json!("triton");
    assert!(notes(&stored).iter().any(|note| note.contains("triton")), "{:?}", notes(&stored));
    // Files of older versions have other names for the same.
    let mut stored = Stored::read("gpt_neox");
    let want = logits(stored.write().path(), &tiny_tokens());
    stored.config.as_object_mut().expect("an object").remove("rope_parameters");
    let fields = [
        ("rotary_pct", json!(0.25)),
        ("rotary_emb_base", json!(10_000)),
        ("tie_word_embeddings", json!(false)),
    ];
    fields.into_iter().for_each(|(field, value)| stored.config[field] = value);
    assert_eq!(logits(stored.write().path(), &tiny_tokens()), want);
    stored.config["rotary_pct"] = json!(0.5);
    assert_ne!(logits(stored.write().path(), &tiny_tokens()), want);
    // BLOOM's own field of the length is not known to transformers.
    let mut stored = Stored::read("bloom");
    assert_eq!(load(stored.write().path()).config.trained_length, 16);
    stored.config.as_object_mut().expect("an object").remove("seq_length");
    assert!(notes(&stored).iter().any(|note| note.contains("2048")), "{:?}", notes(&stored));
    // Files of transformers 4 have Gemma 3's two bases at the top, and the period of its layers.
    let mut stored = Stored::read("gemma3_text");
    let want = logits(stored.write().path(), &tiny_tokens());
    stored.config.as_object_mut().expect("an object").remove("rope_parameters");
    stored.config["rope_theta"] = json!(50_000.0);
    stored.config["rope_local_base_freq"] = json!(100.0);
    stored.config["rope_scaling"] = json!({"rope_type": "linear", "factor": 4.0});
    assert_eq!(logits(stored.write().path(), &tiny_tokens()), want);
    stored.config["rope_local_base_freq"] = json!(101.0);
    assert_ne!(logits(stored.write().path(), &tiny_tokens()), want);
    stored.config.as_object_mut().expect("an object").remove("layer_types");
    stored.config["sliding_window_pattern"] = json!(3);
    let windows = load(stored.write().path()).config.sliding_windows;
    assert_eq!(windows, [Some(7), Some(7), None, Some(7)]);
    // Phi-3's first files call LongRoPE `su`, and a length within its fields counts for nothing.
    let mut stored = Stored::read("phi3_longrope");
    let want = logits(stored.write().path(), &tiny_tokens());
    stored.config["rope_parameters"]["rope_type"] = json!("su");
    stored.config["rope_parameters"]["original_max_position_embeddings"] = json!(8);
    assert_eq!(logits(stored.write().path(), &tiny_tokens()), want);
    stored.config.as_object_mut().expect("an object").remove("original_max_position_embeddings");
    let PositionConfig::Rope { long_rope: Some(long_rope), .. } = load(stored.write().path()).config.position
    else {
        panic!("LongRoPE")
    };
    assert_eq!((long_rope.original_length, long_rope.magnitude), (4096, 1.0));
    assert!(notes(&stored).iter().any(|note| note.contains("4096")), "{:?}", notes(&stored));
    // Part of a head, where the field is at the top, and where there is none.
    for (name, part) in [("phi", 0.5), ("stablelm", 0.25), ("glm", 0.5)] {
        let mut stored = Stored::read(name);
        let want = logits(stored.write().path(), &tiny_tokens());
        stored.config.as_object_mut().expect("an object").remove("rope_parameters");
        assert_eq!(logits(stored.write().path(), &tiny_tokens()), want, "{name}");
        stored.config["partial_rotary_factor"] = json!(part);
        assert_eq!(logits(stored.write().path(), &tiny_tokens()), want, "{name}");
        stored.config["partial_rotary_factor"] = json!(1.0);
        assert_ne!(logits(stored.write().path(), &tiny_tokens()), want, "{name}");
    }
    // Files of Cohere 2 that state the period of its layers, or nothing.
    let mut stored = Stored::read("cohere2");
    stored.config.as_object_mut().expect("an object").remove("layer_types");
    let windows = [Some(7), Some(7), Some(7), None, Some(7)];
    assert_eq!(load(stored.write().path()).config.sliding_windows, windows);
    stored.config["sliding_window_pattern"] = json!(2);
    let config = load(stored.write().path()).config;
    assert_eq!(config.sliding_windows, [Some(7), None, Some(7), None, Some(7)]);
    assert_eq!(config.layer_positions[1], Some(PositionConfig::None));
    // The causal mask of old files is no weight.
    let mut stored = Stored::read("gptj");
    stored.tensors.insert("transformer.h.0.attn.bias".into(), (vec![1, 1, 2, 2], vec![1.0; 4]));
    stored.tensors.insert("transformer.h.0.attn.masked_bias".into(), (vec![1], vec![-1e9]));
    load(stored.write().path());
}

/// The whole program on one of them.
#[test]
fn a_diagnosis_and_a_text_come_out_of_the_program() {
    for name in [
        "gptj",
        "mpt",
        "qwen3",
        "gemma2",
        "gemma3",
        "smollm3",
        "phi3_longrope",
        "cohere2",
        "glm4",
        "gpt_oss",
        "qwen3_moe",
    ] {
        let folder = Stored::read(name).write();
        let out = folder.path().join("out");
        let text = folder.path().join("text.txt");
        fs::write(&text, "some words of a text, and some more of them. ".repeat(30)).expect("written");
        let path: PathBuf = folder.path().to_owned();
        let run = program()
            .arg("diagnose")
            .arg("--model")
            .arg(&path)
            .arg("--text")
            .arg(&text)
            .args([
                "--tokens",
                "200",
                "--policy",
                "vanilla",
                "--policy",
                "lm-infinite:start=2,window=10",
                "--out",
            ])
            .arg(&out)
            .output()
            .expect("it starts");
        assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
        assert!(out.join("report.html").is_file());
        let run = program()
            .arg("generate")
            .arg("--model")
            .arg(&path)
            .args(["--prompt", "some words", "--tokens", "5", "--temperature", "0"])
            .output()
            .expect("it starts");
        assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
    }
}

/// A session of each kind goes on from its snapshot.
#[test]
fn sessions_of_every_family_go_on_from_a_snapshot() {
    let tokens = tiny_tokens();
    for name in CASES {
        let folder = Stored::read(name).write();
        let decoder = decoder(folder.path());
        // Learned positions know no distances, and so no ceiling.
        let policy = match decoder.config().most_tokens() {
            Some(_) => "lambda:start=2,window=8",
            None => "lm-infinite:start=2,window=8",
        };
        let mut whole = session(&decoder, policy);
        let expected = score(&mut whole, &tokens, 10);
        let mut first = session(&decoder, policy);
        first.score(&tokens[..20], None).expect("known tokens");
        let path = folder.path().join("snapshot");
        first.save(&path).expect("written");
        let spec = lm_infinite::policy::PolicySpec::parse(policy, 16).expect("a policy");
        let mut second = Session::restore(decoder.clone(), spec.policy, &path).expect("the same model");
        let rest = second.score(&tokens[20..], None).expect("known tokens").nll;
        assert_close(name, line(&rest), line(&expected[20 - 1..][..rest.len()]), LOGITS);
    }
}
