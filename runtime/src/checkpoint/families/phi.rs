//! Phi-1, Phi-1.5 and Phi-2 (Microsoft 2023): attention and MLP side by side behind one norm, RoPE over a part of each head, biases
//! everywhere, at the head too.

use super::family::Family;
use super::fields::Fields;
use super::llama_like::{self, Defaults};
use crate::checkpoint::hf_rope;
use crate::checkpoint::reader_llama::{self, Biases, HUGGING_FACE_NAMES, Names};
use crate::checkpoint::taken::Bias;
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::config::{ModelConfig, Residual};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["phi"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| names(tensors).embedding_and_head(),
    weights,
};

const ROPE: hf_rope::Names = hf_rope::Names { part: Some(("partial_rotary_factor", 0.5)), ..hf_rope::NAMES };

fn names(tensors: &TensorTable) -> Names {
    let names = Names {
        final_norm: "final_layernorm",
        mlp_norm: None,
        output: "self_attn.dense",
        up: "mlp.fc1",
        down: "mlp.fc2",
        norm_bias: Bias::Required,
        head_bias: true,
        ..HUGGING_FACE_NAMES
    };
    names.stored_in(tensors, &[])
}

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    // LayerNorms with biases, of which no published model has any.
    fields.refuse_unless("qk_layernorm", false, false)?;
    let defaults = Defaults {
        vocabulary: 51_200,
        hidden: 2048,
        intermediate: 8192,
        layers: 24,
        epsilon: 1e-5,
        layer_norm: true,
        ..Defaults::LLAMA
    };
    let mut config = llama_like::config(fields, "phi", &defaults)?;
    config.mlp = fields.activation("hidden_act", "gelu_new")?;
    config.residual = Residual::Parallel;
    config.position = hf_rope::read(json, ROPE, config.head_dim, config.trained_length, notes)?;
    llama_like::check(json, &config)?;
    Ok(config)
}

fn weights(_: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let all = Bias::Required;
    let biases = Biases { attention_input: all, attention_output: all, mlp: all };
    reader_llama::weights(tensors, config, names(tensors), biases, &[])
}
