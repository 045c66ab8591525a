//! GPT-2 (Radford et al. 2019): an embedding of each position, LayerNorm, GELU by tanh, biases everywhere, matrices stored as their
//! transposes.

use super::family::{Family, prefix};
use super::fields::Fields;
use crate::checkpoint::check::{self, FieldNames};
use crate::checkpoint::taken::{Bias, FusedRows, TakenTensors};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::KvType;
use crate::model::config::{ModelConfig, Multipliers, Norm, PositionConfig, Residual, SoftCaps};
use crate::model::weights::{FeedForward, LayerWeights, MlpWeights, ModelWeights};
use crate::note::Note;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["gpt2"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| [format!("{}wte", prefix(tensors, BASE, "wte")), HEAD.into()],
    weights,
};

const BASE: &str = "transformer.";
const HEAD: &str = "lm_head";

fn config(fields: &mut Fields<'_>, _: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let hidden = fields.width_of(["n_embd", "hidden_size"], 768)?;
    let heads = fields.width_of(["n_head", "num_attention_heads"], 12)?;
    let head_dim = check::derived_head_dim(json.path(), "n_head", hidden, heads)?;
    fields.refuse_unless("scale_attn_weights", true, true)?;
    fields.refuse_unless("scale_attn_by_inverse_layer_idx", false, false)?;
    fields.refuse_unless("add_cross_attention", false, false)?;
    let count = fields.length_of(["n_positions", "max_position_embeddings"], 1024)?;
    let config = ModelConfig {
        architecture: "gpt2".into(),
        vocabulary: fields.width("vocab_size", 50_257)?,
        hidden,
        layers: fields.layers_of(["n_layer", "num_hidden_layers"], 12)?,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate: match json.integer("n_inner")? {
            Some(given) => check::size(json.path(), "n_inner", given, check::WIDTHS)?,
            None => 4 * hidden,
        },
        norm: Norm::Layer { epsilon: fields.number("layer_norm_epsilon", 1e-5)? as f32 },
        mlp: fields.activation("activation_function", "gelu_new")?,
        residual: Residual::Sequential,
        clip_qkv: None,
        query_key_norm: false,
        layer_positions: Vec::new(),
        multipliers: Multipliers::default(),
        learned_sinks: false,
        experts: None,
        soft_caps: SoftCaps::default(),
        position: PositionConfig::Learned { count },
        tied_embeddings: fields.flag("tie_word_embeddings", true)?,
        trained_length: count,
        kv: KvType::F32,
        sliding_windows: Vec::new(),
    };
    let names = FieldNames {
        heads: "n_head",
        kv_heads: "n_head",
        head_dim: "n_embd",
        epsilon: "layer_norm_epsilon",
        rope_theta: None,
        rope_dim: None,
    };
    check::check(json.path(), &config, &names)?;
    Ok(config)
}

fn weights(_: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let &ModelConfig { hidden, vocabulary, intermediate, .. } = config;
    let mut taken = TakenTensors::new(tensors);
    let base = prefix(tensors, BASE, "wte");
    let embedding = taken.linear(&format!("{base}wte"), vocabulary, hidden, Bias::None)?.weight;
    let positions = config.most_tokens().map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let position_embedding = taken.linear(&format!("{base}wpe"), positions, hidden, Bias::None)?.weight;
    let mut layers = Vec::new();
    for layer in 0..config.layers {
        let name = |role: &str| format!("{base}h.{layer}.{role}");
        let fused = name("attn.c_attn");
        let whole = taken.transposed(&fused, 3 * hidden, hidden)?;
        let [query, key, value] = TakenTensors::split(&whole, &fused, config, FusedRows::Blocks)?;
        layers.push(LayerWeights {
            attention_norm: Some(taken.norm(&name("ln_1"), hidden, Bias::Required)?),
            query,
            key,
            value,
            attention_post_norm: None,
            query_key_norm: None,
            output: taken.transposed(&name("attn.c_proj"), hidden, hidden)?,
            sinks: None,
            mlp_norm: Some(taken.norm(&name("ln_2"), hidden, Bias::Required)?),
            feed_forward: FeedForward::Dense(MlpWeights {
                gate: None,
                up: taken.transposed(&name("mlp.c_fc"), intermediate, hidden)?,
                down: taken.transposed(&name("mlp.c_proj"), hidden, intermediate)?,
            }),
            mlp_post_norm: None,
        });
    }
    let final_norm = taken.norm(&format!("{base}ln_f"), hidden, Bias::Required)?;
    let head = taken.head(HEAD, config, &embedding)?;
    // Old files hold the causal mask.
    taken.finish(&[".attn.bias", ".attn.masked_bias"], &[], &config.architecture)?;
    Ok(ModelWeights {
        embedding,
        position_embedding: Some(position_embedding),
        embedding_norm: None,
        layers,
        final_norm,
        head,
        head_bias: None,
    })
}
