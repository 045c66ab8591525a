//! The same weights as GGUF, under the names and in the order of rows that llama.cpp's converter gives them.

use std::collections::BTreeMap;
use std::path::Path;

use lm_infinite::model::config::{LongRope, PositionConfig, RopeLayout};
use serde_json::json;

use super::gguf_metadata::{self, Fields};
use super::{CASES, LOGITS, Stored, logits};
use crate::compare::{assert_close, line};
use crate::fixtures::{GgufFile, GgufTensor, Value, Vocabulary, float_bytes};
use crate::support::{load, tiny_tokens};

/// llama.cpp writes no GPT-J.
pub(super) fn architecture(name: &str) -> Option<&'static str> {
    [
        ("llama", "llama"),
        ("mistral", "llama"),
        ("qwen2", "qwen2"),
        ("gpt_neox", "gptneox"),
        ("gpt2", "gpt2"),
        ("falcon", "falcon"),
        ("mpt", "mpt"),
        ("bloom", "bloom"),
        ("qwen3_moe", "qwen3moe"),
        ("qwen3", "qwen3"),
        ("gpt_oss", "gpt-oss"),
        // Mixtral is a Llama with experts.
        ("mixtral", "llama"),
        ("gemma2", "gemma2"),
        ("gemma3", "gemma3"),
        ("gemma", "gemma"),
        ("granite", "granite"),
        ("olmo2", "olmo2"),
        ("smollm3", "smollm3"),
        ("phi3", "phi3"),
        ("phi", "phi2"),
        ("stablelm", "stablelm"),
        ("cohere2", "cohere2"),
        ("cohere", "command-r"),
        ("glm4", "glm4"),
        ("glm", "chatglm"),
    ]
    .into_iter()
    .find_map(|(family, architecture)| name.starts_with(family).then_some(architecture))
}

/// Names without what stands before them all, in the order in which they are replaced.
const NAMES: [(&str, &str); 48] = [
    ("transformer.wpe", "position_embd"),
    ("attn.c_attn", "attn_qkv"),
    ("attn.c_proj", "attn_output"),
    ("mlp.c_fc", "ffn_up"),
    ("mlp.c_proj", "ffn_down"),
    (".ln_1", ".attn_norm"),
    (".ln_2", ".ffn_norm"),
    ("transformer.word_embeddings_layernorm", "token_embd_norm"),
    ("transformer.word_embeddings", "token_embd"),
    ("transformer.wte", "token_embd"),
    ("gpt_neox.embed_in", "token_embd"),
    ("model.embed_tokens", "token_embd"),
    ("transformer.ln_f", "output_norm"),
    ("transformer.norm_f", "output_norm"),
    ("gpt_neox.final_layer_norm", "output_norm"),
    ("model.norm", "output_norm"),
    ("model.final_layernorm", "output_norm"),
    ("embed_out", "output"),
    ("lm_head", "output"),
    ("transformer.blocks", "blk"),
    ("transformer.h", "blk"),
    ("gpt_neox.layers", "blk"),
    ("model.layers", "blk"),
    ("attn.Wqkv", "attn_qkv"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attention.query_key_value", "attn_qkv"),
    ("attention.query_key_value", "attn_qkv"),
    ("attn.out_proj", "attn_output"),
    ("self_attention.dense", "attn_output"),
    ("attention.dense", "attn_output"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.dense", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("input_layernorm", "attn_norm"),
    ("post_self_attn_layernorm", "post_attention_norm"),
    ("post_mlp_layernorm", "post_ffw_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    // Of Falcon's two norms the MLP's is the first.
    ("ln_attn", "attn_norm_2"),
    ("ln_mlp", "attn_norm"),
    (".norm_1", ".attn_norm"),
    (".norm_2", ".ffn_norm"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("mlp.dense_4h_to_h", "ffn_down"),
    ("mlp.fc1", "ffn_up"),
    ("mlp.fc2", "ffn_down"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("ffn.", "mlp."),
];

const PROJECTIONS: [(&str, &str); 6] = [
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// Norms of blocks that have some behind attention and MLP.
const POST_NORMS: [(&str, &str); 3] = [
    ("post_attention_layernorm", "post_attention_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
];

/// Shape and values.
type Tensor = (Vec<usize>, Vec<f32>);

/// Experts as llama.cpp's converter writes them: gate, up and down of all of them below each other.
fn with_stacked_experts(stored: &BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let mut tensors = BTreeMap::new();
    let mut stacks: BTreeMap<String, BTreeMap<usize, &Tensor>> = BTreeMap::new();
    for (name, tensor) in stored {
        let (shape, values) = tensor;
        if let Some((before, rest)) = name.split_once(".experts.")
            && let Some((number, role)) = rest.split_once('.')
        {
            let block = before.rsplit_once('.').expect("a block").0;
            let role = match role.trim_end_matches(".weight") {
                "w1" | "gate_proj" => "ffn_gate_exps",
                "w3" | "up_proj" => "ffn_up_exps",
                _ => "ffn_down_exps",
            };
            let number = number.parse().expect("a number");
            stacks.entry(format!("{block}.{role}.weight")).or_default().insert(number, tensor);
            continue;
        }
        let Some((before, role)) = name.split_once(".mlp.experts.") else {
            let renamed = name.replace("block_sparse_moe.gate", "ffn_gate_inp");
            let renamed = renamed.replace("mlp.router", "ffn_gate_inp").replace("mlp.gate.", "ffn_gate_inp.");
            let renamed = renamed.replace("self_attn.sinks", "attn_sinks.weight");
            tensors.insert(renamed, tensor.clone());
            continue;
        };
        // gpt-oss: [experts, inputs, outputs], or a bias [experts, outputs].
        let (experts, outputs) = (shape[0], shape[shape.len() - 1]);
        let inputs = if shape.len() == 3 { shape[1] } else { 1 };
        let of = |rows: &[usize]| {
            let at = |expert: usize, row: usize| {
                (0..inputs).map(move |input| values[(expert * inputs + input) * outputs + row])
            };
            let all = (0..experts).flat_map(|expert| rows.iter().flat_map(move |&row| at(expert, row)));
            let mut shape = vec![experts, rows.len()];
            if inputs > 1 {
                shape.push(inputs);
            }
            (shape, all.collect::<Vec<f32>>())
        };
        let kind = if role.ends_with("_bias") { "bias" } else { "weight" };
        let every = |from: usize, step: usize| (from..outputs).step_by(step).collect::<Vec<usize>>();
        let parts: &[(&str, Vec<usize>)] = if role.starts_with("gate_up") {
            &[("ffn_gate_exps", every(0, 2)), ("ffn_up_exps", every(1, 2))]
        } else {
            &[("ffn_down_exps", every(0, 1))]
        };
        for (part, rows) in parts {
            tensors.insert(format!("{before}.{part}.{kind}"), of(rows));
        }
    }
    for (name, experts) in stacks {
        let mut shape = vec![experts.len()];
        shape.extend(&experts[&0].0);
        let values = experts.values().flat_map(|(_, values)| values.iter().copied()).collect();
        tensors.insert(name, (shape, values));
    }
    tensors
}

fn has_post_norms(architecture: &str) -> bool {
    ["gemma2", "gemma3", "olmo2", "gpt-oss"].contains(&architecture)
}

fn gguf_name(name: &str, architecture: &str) -> String {
    let post_norms = if has_post_norms(architecture) { &POST_NORMS[..] } else { &[] };
    let name = post_norms.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to));
    NAMES.iter().chain(&PROJECTIONS).fold(name, |name, (from, to)| name.replace(from, to))
}

/// Rows of a head from pairs half-split to neighbouring ones, as converters of `llama` and its like write queries and keys.
fn interleaved(shape: &[usize], values: &[f32], heads: usize) -> Vec<f32> {
    let row = values.len() / shape[0];
    let head_dim = shape[0] / heads;
    let of_head = |head: usize| {
        (0..head_dim / 2).flat_map(move |pair| [pair, pair + head_dim / 2].map(|at| head * head_dim + at))
    };
    let order = (0..heads).flat_map(of_head);
    order.flat_map(|at| values[at * row..(at + 1) * row].iter().copied()).collect()
}

/// Rows from groups (each key/value head's queries, its key, its value) to blocks.
fn blocks(shape: &[usize], values: &[f32], heads: usize, kv_heads: usize) -> Vec<f32> {
    let group = heads / kv_heads;
    let row = values.len() / shape[0];
    let head = shape[0] / (heads + 2 * kv_heads) * row;
    let of = |first: usize, count: usize| {
        (0..kv_heads).flat_map(move |g| (0..count).map(move |h| g * (group + 2) + first + h))
    };
    let order = of(0, group).chain(of(group, 1)).chain(of(group + 1, 1));
    order.flat_map(|at| values[at * head..(at + 1) * head].iter().copied()).collect()
}

pub(crate) fn gguf(name: &str, stored: &Stored) -> Option<GgufFile> {
    let architecture = architecture(name)?;
    let fields = Fields(&stored.config);
    let heads = fields.number(&["num_attention_heads", "n_head", "n_heads"]);
    let hidden = fields.number(&["hidden_size", "d_model", "n_embd"]);
    let kv_heads = match architecture {
        "falcon" if stored.config["new_decoder_architecture"] == true => fields.number(&["num_kv_heads"]),
        "falcon" if stored.config["multi_query"] == true => 1,
        "qwen2" | "qwen3" | "gemma" | "gemma2" | "gemma3" | "granite" | "olmo2" | "smollm3" | "gpt-oss"
        | "llama" | "qwen3moe" | "phi3" | "phi2" | "stablelm" | "command-r" | "cohere2" | "glm4"
        | "chatglm" => fields.number(&["num_key_value_heads"]),
        _ => heads,
    };
    let mut file = GgufFile::new();
    file.set("general.architecture", architecture);
    let key = |name: &str| format!("{architecture}.{name}");
    let intermediate = ["intermediate_size", "n_inner"].iter().find_map(|name| stored.config[name].as_u64());
    let intermediate = intermediate.map_or(4 * hidden, |width| width as usize);
    let positions = ["max_position_embeddings", "max_seq_len", "seq_length", "n_positions"];
    file.set(&key("block_count"), fields.number(&["num_hidden_layers", "n_layers", "n_layer"]));
    file.set(&key("context_length"), fields.number(&positions));
    file.set(&key("embedding_length"), hidden);
    file.set(&key("feed_forward_length"), intermediate);
    file.set(&key("attention.head_count"), heads);
    file.set(&key("attention.head_count_kv"), kv_heads);
    match architecture {
        "granite" | "olmo2" | "smollm3" | "gpt-oss" | "llama" | "qwen2" | "qwen3moe" | "phi3" | "glm4"
        | "chatglm" => {
            let of_llama = architecture == "llama" && stored.config["head_dim"].is_u64();
            if architecture == "gpt-oss" || architecture == "qwen3moe" || of_llama {
                file.set(&key("attention.key_length"), fields.number(&["head_dim"]));
            }
            let epsilon = stored.config["rms_norm_eps"].as_f64().expect("a number");
            file.set(&key("attention.layer_norm_rms_epsilon"), Value::F32(epsilon as f32));
        }
        "qwen3" | "gemma" | "gemma2" | "gemma3" => {
            file.set(&key("attention.layer_norm_rms_epsilon"), Value::F32(1e-6));
            file.set(&key("attention.key_length"), fields.number(&["head_dim"]));
            file.set(&key("attention.value_length"), fields.number(&["head_dim"]));
        }
        _ => {
            let epsilon = stored.config["layer_norm_eps"].as_f64().unwrap_or(1e-5);
            file.set(&key("attention.layer_norm_epsilon"), Value::F32(epsilon as f32));
        }
    }
    if architecture == "gptneox" {
        let rope = &stored.config["rope_parameters"];
        let part = rope["partial_rotary_factor"].as_f64().expect("a part");
        file.set(&key("rope.dimension_count"), ((hidden / heads) as f64 * part) as usize);
        file.set(&key("rope.freq_base"), Value::F32(rope["rope_theta"].as_f64().expect("a base") as f32));
        let parallel = stored.config["use_parallel_residual"].as_bool().expect("a flag");
        file.set(&key("use_parallel_residual"), Value::Bool(parallel));
    }
    if architecture == "mpt" {
        let attention = &stored.config["attn_config"];
        let max = attention["alibi_bias_max"].as_f64().expect("a number");
        file.set(&key("attention.max_alibi_bias"), Value::F32(max as f32));
        if let Some(clip) = attention["clip_qkv"].as_f64() {
            file.set(&key("attention.clamp_kqv"), Value::F32(clip as f32));
        }
    }
    let number = |name: &str| Value::F32(stored.config[name].as_f64().expect("a number") as f32);
    if architecture == "gemma2" {
        file.set(&key("attention.sliding_window"), fields.number(&["sliding_window"]));
        file.set(&key("attn_logit_softcapping"), number("attn_logit_softcapping"));
        file.set(&key("final_logit_softcapping"), number("final_logit_softcapping"));
    }
    if architecture == "gemma3" {
        file.set(&key("attention.sliding_window"), fields.number(&["sliding_window"]));
        file.set(&key("rope.freq_base"), Value::F32(50_000.0));
        file.set(&key("rope.freq_base_swa"), Value::F32(100.0));
        file.set(&key("rope.scaling.type"), "linear");
        file.set(&key("rope.scaling.factor"), Value::F32(4.0));
    }
    if ["gpt-oss", "llama", "qwen3moe"].contains(&architecture) {
        if stored.config["num_experts_per_tok"].is_u64() {
            file.set(&key("expert_count"), fields.number(&["num_local_experts", "num_experts"]));
            file.set(&key("expert_used_count"), fields.number(&["num_experts_per_tok"]));
            let inner = fields.number(&["moe_intermediate_size", "intermediate_size"]);
            file.set(&key("expert_feed_forward_length"), inner);
        }
        let base = stored.config["rope_parameters"]["rope_theta"].as_f64().expect("a base");
        file.set(&key("rope.freq_base"), Value::F32(base as f32));
        if let Some(window) = stored.config["sliding_window"].as_u64() {
            file.set(&key("attention.sliding_window"), window as usize);
        }
    }
    if architecture == "gpt-oss" {
        file.set(&key("rope.scaling.type"), "yarn");
        file.set(&key("rope.scaling.factor"), Value::F32(16.0));
        file.set(&key("rope.scaling.original_context_length"), 32);
    }
    if architecture == "granite" {
        file.set(&key("embedding_scale"), number("embedding_multiplier"));
        file.set(&key("residual_scale"), number("residual_multiplier"));
        file.set(&key("logit_scale"), number("logits_scaling"));
        file.set(&key("attention.scale"), number("attention_multiplier"));
    }
    if architecture == "smollm3" {
        file.set(&key("rope.freq_base"), Value::F32(2_000_000.0));
    }
    gguf_metadata::write(&mut file, architecture, stored);
    let words = (0..fields.number(&["vocab_size"])).map(|id| id.to_string()).collect();
    Vocabulary { tokens: words, merges: Vec::new() }.write_gguf(&mut file);
    let together = gguf_metadata::with_head_norms_together(stored);
    for (tensor, (shape, values)) in &with_stacked_experts(&together) {
        let grouped = tensor.contains("query_key_value");
        let mut values = if grouped { blocks(shape, values, heads, kv_heads) } else { values.clone() };
        if ["granite", "smollm3", "llama"].contains(&architecture) {
            if tensor.contains("q_proj") {
                values = interleaved(shape, &values, heads);
            } else if tensor.contains("k_proj") {
                values = interleaved(shape, &values, kv_heads);
            }
        }
        // Converters turn what Conv1D has as its transpose.
        let mut shape = shape.clone();
        if architecture == "gpt2" && tensor.contains(".h.") && shape.len() == 2 {
            let (rows, columns) = (shape[1], shape[0]);
            values = (0..rows * columns).map(|at| values[at % columns * rows + at / columns]).collect();
            shape = vec![rows, columns];
        }
        // Converters add the 1.
        if architecture.starts_with("gemma") && shape.len() == 1 {
            values.iter_mut().for_each(|value| *value += 1.0);
        }
        file.tensors.push(GgufTensor {
            name: gguf_name(tensor, architecture),
            dimensions: shape.iter().rev().map(|&size| size as u64).collect(),
            type_id: 0,
            data: float_bytes(&values, "F32"),
            offset: None,
        });
    }
    Some(file)
}

/// What llama.cpp does not compute as transformers does, or what it does not write.
pub(super) fn is_written(name: &str) -> bool {
    // Its Falcon is always parallel, and rotates; its GPT-NeoX has one activation; what reads images is a file of its own; which layers have
    // windows or positions, by what Gemma's logits are divided, and that Qwen's weights of experts are not normed, it does not
    // write: cases of their own follow.
    let never = [
        "falcon_sequential",
        "falcon_rw",
        // One activation.
        "gpt2_untied",
        "gpt_neox_sequential",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "smollm3",
        "qwen3_moe",
    ];
    architecture(name).is_some() && !never.contains(&name)
}

#[test]
fn the_same_weights_as_gguf_give_the_same_logits() {
    let tokens = tiny_tokens();
    let mut tried = 0;
    for name in CASES.into_iter().filter(|name| is_written(name)) {
        let stored = Stored::read(name);
        let file = gguf(name, &stored).expect("an architecture");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.gguf");
        file.write(&path);
        let (ours, theirs) = (load(&path).config, load(stored.write().path()).config);
        assert_eq!((ours.mlp, ours.norm), (theirs.mlp, theirs.norm), "{name}");
        // Rows of queries and keys lie otherwise in GGUF.
        let of_pairs = |mut position: PositionConfig| {
            if let PositionConfig::Rope { layout, long_rope, .. } = &mut position {
                *layout = RopeLayout::HalfSplit;
                if let Some(LongRope { magnitude, short, long, .. }) = long_rope {
                    let numbers = short.iter_mut().chain(long).chain([magnitude]);
                    numbers.for_each(|number| *number = f64::from(*number as f32));
                }
            }
            position
        };
        assert_eq!(of_pairs(ours.position), of_pairs(theirs.position), "{name}");
        assert_eq!((ours.residual, ours.clip_qkv), (theirs.residual, theirs.clip_qkv), "{name}");
        let want = logits(stored.write().path(), &tokens);
        assert_close(name, line(&logits(&path, &tokens)), line(&want), LOGITS);
        tried += 1;
    }
    assert_eq!(tried, 29);
}

/// What llama.cpp takes for granted, said in a configuration that is equal to it: the number by which logits are divided, and which
/// layers have a window or no positions.
#[test]
fn what_gguf_takes_for_granted_is_the_configuration_that_says_so() {
    let tokens = tiny_tokens();
    for (name, changes) in [
        ("gemma2", vec![("query_pre_attn_scalar", json!(8)), ("layer_types", json!(null))]),
        (
            "gemma3_text",
            vec![("query_pre_attn_scalar", json!(8)), ("layer_types", json!(vec!["sliding_attention"; 4]))],
        ),
        (
            "smollm3",
            vec![
                ("no_rope_layers", json!([1, 1, 1, 0])),
                ("use_sliding_window", json!(false)),
                ("layer_types", json!(null)),
            ],
        ),
    ] {
        let mut stored = Stored::read(name);
        let file = gguf(name, &stored).expect("an architecture");
        changes.into_iter().for_each(|(field, value)| stored.config[field] = value);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.gguf");
        file.write(&path);
        let (ours, theirs) = (load(&path).config, load(stored.write().path()).config);
        assert_eq!(ours.sliding_windows, theirs.sliding_windows, "{name}");
        assert_eq!(
            (ours.soft_caps, ours.trained_length),
            (theirs.soft_caps, theirs.trained_length),
            "{name}"
        );
        let want = logits(stored.write().path(), &tokens);
        assert_close(name, line(&logits(&path, &tokens)), line(&want), LOGITS);
    }
}

fn refusal(path: &Path) -> String {
    let loaded = lm_infinite::checkpoint::load(path.to_str().expect("UTF-8"), &crate::support::cache());
    loaded.expect_err("refused").to_string()
}

#[test]
fn what_a_gguf_file_lacks_or_has_too_much_of_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    for name in CASES.into_iter().filter(|name| is_written(name)) {
        let whole = gguf(name, &Stored::read(name)).expect("an architecture");
        for index in 0..whole.tensors.len() {
            let tensor = whole.tensors[index].name.clone();
            // A bias that is missing is none, and of Falcon's two norms the first alone is one.
            if tensor.ends_with(".bias") || tensor.contains("attn_norm_2") || tensor == "output.weight" {
                continue;
            }
            let mut file = whole.clone();
            file.tensors.remove(index);
            file.write(&path);
            let error = refusal(&path);
            assert!(
                error.contains("tensor") || error.contains("token_embd"),
                "{name} without {tensor}: {error}"
            );
        }
        let mut more = whole.clone();
        let mut surprise = whole.tensors[0].clone();
        surprise.name = "blk.0.surprise.weight".into();
        more.tensors.push(surprise);
        more.write(&path);
        assert!(refusal(&path).contains("surprise"), "{name}");
        let takes_experts = ["gpt_oss", "mixtral", "qwen3_moe_normed"].contains(&name);
        let of_experts = match architecture(name) {
            _ if takes_experts => ("expert_shared_feed_forward_length", "expert_shared_feed_forward_length"),
            // As many as it has, of which nothing says how many a token takes.
            Some("llama") => ("expert_count", "expert_used_count"),
            _ => ("expert_count", "expert_count"),
        };
        for ((key, said), value) in [
            (("attention.temperature_scale", "attention.temperature_scale"), Value::F32(0.5)),
            (of_experts, Value::U32(4)),
        ] {
            let mut other = whole.clone();
            other.set(&format!("{}.{key}", architecture(name).expect("one")), value);
            other.write(&path);
            assert!(refusal(&path).contains(said), "{name} {key}");
        }
    }
    let mut mpt = gguf("mpt", &Stored::read("mpt")).expect("an architecture");
    mpt.set("mpt.attention.max_alibi_bias", Value::F32(0.0));
    mpt.write(&path);
    assert!(refusal(&path).contains("max_alibi_bias"));
}
