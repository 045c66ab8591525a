//! StableLM (arXiv 2402.17834): Llama with LayerNorm, RoPE over a part of each head, and where the file says so biases of queries, keys
//! and values, attention and MLP side by side behind one norm, and a norm of each head of queries and keys (StableLM 2 12B).

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::hf_rope;
use crate::checkpoint::reader_llama::{self, Biases, HUGGING_FACE_NAMES, HeadNorms, Names};
use crate::checkpoint::taken::Bias;
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{ModelConfig, Residual};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["stablelm"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| HUGGING_FACE_NAMES.stored_in(tensors, &[]).embedding_and_head(),
    weights,
};

const ROPE: hf_rope::Names = hf_rope::Names { part: Some(("partial_rotary_factor", 0.25)), ..hf_rope::NAMES };

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    llama_like::require_silu(json)?;
    let defaults = Defaults {
        vocabulary: 50_304,
        hidden: 2560,
        intermediate: 6912,
        kv_heads: Some(32),
        positions: 4096,
        epsilon: 1e-5,
        layer_norm: true,
        ..Defaults::LLAMA
    };
    let mut config = llama_like::config(fields, "stablelm", &defaults)?;
    if config.head_dim.checked_mul(config.heads) != Some(config.hidden) {
        // transformers takes no other.
        let expected = format!("hidden_size / num_attention_heads = {}/{}", config.hidden, config.heads);
        return Err(json.malformed("head_dim", expected, config.head_dim));
    }
    if fields.flag("use_parallel_residual", false)? {
        config.residual = Residual::Parallel;
    }
    config.query_key_norm = fields.flag("qk_layernorm", false)?;
    config.position = hf_rope::read(json, ROPE, config.head_dim, config.trained_length, notes)?;
    llama_like::check(json, &config)?;
    Ok(config)
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let names = HUGGING_FACE_NAMES.stored_in(tensors, &[]);
    let names = Names {
        mlp_norm: names.mlp_norm.filter(|_| config.residual == Residual::Sequential),
        query_norm: "self_attn.q_layernorm",
        key_norm: "self_attn.k_layernorm",
        head_norms: HeadNorms::OfEachHeadApart,
        norm_bias: Bias::Required,
        ..names
    };
    let of_queries = if json.boolean("use_qkv_bias")? == Some(true) { Bias::Required } else { Bias::None };
    let biases = Biases { attention_input: of_queries, attention_output: Bias::None, mlp: Bias::None };
    reader_llama::weights(tensors, config, names, biases, &[])
}
