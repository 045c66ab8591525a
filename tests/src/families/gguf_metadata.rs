//! What llama.cpp's converter writes beside the tensors of Phi, StableLM, Cohere and GLM-4.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Stored;
use crate::fixtures::{GgufFile, GgufTensor, Value, float_bytes};

/// Fields of a configuration.
pub(super) struct Fields<'a>(pub &'a Json);

impl Fields<'_> {
    pub(super) fn number(&self, names: &[&str]) -> usize {
        names.iter().find_map(|name| self.0[name].as_u64()).expect("one of the names") as usize
    }
}

/// Metadata of these families; nothing for others.
pub(super) fn write(file: &mut GgufFile, architecture: &str, stored: &Stored) {
    let config = &stored.config;
    let fields = Fields(config);
    let key = |name: &str| format!("{architecture}.{name}");
    let float = |value: &Json| Value::F32(value.as_f64().expect("a number") as f32);
    if !["phi3", "phi2", "stablelm", "command-r", "cohere2", "glm4", "chatglm"].contains(&architecture) {
        return;
    }
    let heads = fields.number(&["num_attention_heads"]);
    let head_dim =
        config["head_dim"].as_u64().map_or(fields.number(&["hidden_size"]) / heads, |dim| dim as usize);
    file.set(&key("attention.key_length"), head_dim);
    file.set(&key("attention.value_length"), head_dim);
    let rope = &config["rope_parameters"];
    let part = rope["partial_rotary_factor"].as_f64().unwrap_or(1.0);
    file.set(&key("rope.dimension_count"), (head_dim as f64 * part) as usize);
    file.set(&key("rope.freq_base"), float(&rope["rope_theta"]));
    match architecture {
        "phi3" => {
            let window = config["sliding_window"].as_u64().map_or(0, |window| window as usize);
            file.set(&key("attention.sliding_window"), window);
            long_rope(file, config);
        }
        // Whatever it says, the tensors decide.
        "stablelm" => file.set(&key("use_parallel_residual"), Value::Bool(true)),
        "command-r" | "cohere2" => {
            file.set(&key("logit_scale"), float(&config["logit_scale"]));
            file.set(&key("rope.scaling.type"), "none");
        }
        _ => {}
    }
    if architecture == "cohere2" {
        file.set(&key("attention.sliding_window"), fields.number(&["sliding_window"]));
    }
}

/// LongRoPE, of which Phi-3's converter writes the factors, and not that it is applied.
fn long_rope(file: &mut GgufFile, config: &Json) {
    let original = config["original_max_position_embeddings"].as_u64().expect("a length") as usize;
    file.set("phi3.rope.scaling.original_context_length", original);
    let rope = &config["rope_parameters"];
    if rope["rope_type"] == "default" {
        return;
    }
    let positions = config["max_position_embeddings"].as_f64().expect("a length");
    let scale = positions / original as f64;
    let magnitude = (1.0 + scale.ln() / (original as f64).ln()).sqrt();
    file.set("phi3.rope.scaling.attn_factor", Value::F32(magnitude as f32));
    for (tensor, field) in
        [("rope_factors_long.weight", "long_factor"), ("rope_factors_short.weight", "short_factor")]
    {
        let numbers = rope[field].as_array().expect("numbers");
        let values: Vec<f32> = numbers.iter().map(|one| one.as_f64().expect("a number") as f32).collect();
        file.tensors.push(GgufTensor {
            name: tensor.to_owned(),
            dimensions: vec![values.len() as u64],
            type_id: 0,
            data: float_bytes(&values, "F32"),
            offset: None,
        });
    }
}

/// The tensors, with StableLM's norms of each head, which transformers stores apart, in one.
pub(super) fn with_head_norms_together(stored: &Stored) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut together: BTreeMap<String, (Vec<usize>, Vec<f32>)> = BTreeMap::new();
    for (name, (shape, values)) in &stored.tensors {
        let Some((of_heads, _)) = name.split_once("_layernorm.norms.") else {
            together.insert(name.clone(), (shape.clone(), values.clone()));
            continue;
        };
        // In the order of their names, as there are fewer than ten heads.
        let all =
            together.entry(format!("{of_heads}_norm.weight")).or_insert((vec![0, shape[0]], Vec::new()));
        all.0[0] += 1;
        all.1.extend(values);
    }
    together
}
