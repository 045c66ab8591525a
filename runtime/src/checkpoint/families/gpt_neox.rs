//! GPT-NeoX and Pythia: attention and MLP side by side behind two norms, RoPE over a part of each head, one matrix for each
//! head's query, key and value.

use super::family::{Family, prefix};
use super::fields::Fields;
use crate::checkpoint::check::{self, FieldNames};
use crate::checkpoint::hf_rope;
use crate::checkpoint::taken::{Bias, FusedRows, TakenTensors};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::KvType;
use crate::model::config::{ModelConfig, Multipliers, Norm, Residual, SoftCaps};
use crate::model::weights::{FeedForward, LayerWeights, MlpWeights, ModelWeights};
use crate::note::Note;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["gpt_neox"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| [format!("{}embed_in", prefix(tensors, BASE, "embed_in")), HEAD.into()],
    weights,
};

const BASE: &str = "gpt_neox.";
const HEAD: &str = "embed_out";
const ROPE: hf_rope::Names =
    hf_rope::Names { theta: "rotary_emb_base", part: Some(("rotary_pct", 0.25)), ..hf_rope::NAMES };

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let hidden = fields.width("hidden_size", 6144)?;
    let heads = fields.width("num_attention_heads", 64)?;
    let head_dim = check::derived_head_dim(json.path(), "num_attention_heads", hidden, heads)?;
    const POSITIONS: &str = "max_position_embeddings";
    let trained_length = fields.length_of([POSITIONS, POSITIONS], 2048)?;
    const LAYERS: &str = "num_hidden_layers";
    let config = ModelConfig {
        architecture: "gpt_neox".into(),
        vocabulary: fields.width("vocab_size", 50_432)?,
        hidden,
        layers: fields.layers_of([LAYERS, LAYERS], 44)?,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate: fields.width("intermediate_size", 24_576)?,
        norm: Norm::Layer { epsilon: fields.number("layer_norm_eps", 1e-5)? as f32 },
        mlp: fields.activation("hidden_act", "gelu")?,
        residual: match fields.flag("use_parallel_residual", true)? {
            true => Residual::Parallel,
            false => Residual::Sequential,
        },
        clip_qkv: None,
        query_key_norm: false,
        layer_positions: Vec::new(),
        multipliers: Multipliers::default(),
        learned_sinks: false,
        experts: None,
        soft_caps: SoftCaps::default(),
        position: hf_rope::read(json, ROPE, head_dim, trained_length, notes)?,
        tied_embeddings: fields.flag("tie_word_embeddings", false)?,
        trained_length,
        sliding_windows: Vec::new(),
        kv: KvType::F32,
    };
    let names = FieldNames {
        heads: "num_attention_heads",
        kv_heads: "num_attention_heads",
        head_dim: "hidden_size",
        epsilon: "layer_norm_eps",
        rope_theta: Some(ROPE.theta),
        rope_dim: Some("rotary_pct"),
    };
    check::check(json.path(), &config, &names)?;
    Ok(config)
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let &ModelConfig { hidden, vocabulary, intermediate, .. } = config;
    let bias = if json.boolean("attention_bias")? == Some(false) { Bias::None } else { Bias::Required };
    let mut taken = TakenTensors::new(tensors);
    let base = prefix(tensors, BASE, "embed_in");
    let embedding = taken.linear(&format!("{base}embed_in"), vocabulary, hidden, Bias::None)?.weight;
    let mut layers = Vec::new();
    for layer in 0..config.layers {
        let name = |role: &str| format!("{base}layers.{layer}.{role}");
        let fused = name("attention.query_key_value");
        let [query, key, value] = taken.fused(&fused, config, FusedRows::Groups, bias)?;
        layers.push(LayerWeights {
            attention_norm: Some(taken.norm(&name("input_layernorm"), hidden, Bias::Required)?),
            query,
            key,
            value,
            attention_post_norm: None,
            query_key_norm: None,
            output: taken.linear(&name("attention.dense"), hidden, hidden, bias)?,
            sinks: None,
            mlp_norm: Some(taken.norm(&name("post_attention_layernorm"), hidden, Bias::Required)?),
            feed_forward: FeedForward::Dense(MlpWeights {
                gate: None,
                up: taken.linear(&name("mlp.dense_h_to_4h"), intermediate, hidden, Bias::Required)?,
                down: taken.linear(&name("mlp.dense_4h_to_h"), hidden, intermediate, Bias::Required)?,
            }),
            mlp_post_norm: None,
        });
    }
    let final_norm = taken.norm(&format!("{base}final_layer_norm"), hidden, Bias::Required)?;
    let head = taken.head(HEAD, config, &embedding)?;
    // Old files hold the causal mask and RoPE's frequencies.
    let ignored = ["attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"];
    taken.finish(&ignored, &[], &config.architecture)?;
    Ok(ModelWeights {
        embedding,
        position_embedding: None,
        embedding_norm: None,
        layers,
        final_norm,
        head,
        head_bias: None,
    })
}
