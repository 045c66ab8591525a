//! GPT-J: attention and MLP side by side behind one norm, RoPE in neighbouring pairs over a part of each head, a bias at the head.

use super::family::{Family, prefix};
use super::fields::Fields;
use crate::checkpoint::check::{self, FieldNames};
use crate::checkpoint::taken::{Bias, TakenTensors};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::KvType;
use crate::model::config::{ModelConfig, Multipliers, Norm, PositionConfig, Residual, RopeLayout, SoftCaps};
use crate::model::weights::{FeedForward, LayerWeights, MlpWeights, ModelWeights};
use crate::note::Note;
use crate::policy::PositionScaling;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["gptj"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| [format!("{}wte", prefix(tensors, BASE, "wte")), HEAD.into()],
    weights,
};

const BASE: &str = "transformer.";
const HEAD: &str = "lm_head";

fn config(fields: &mut Fields<'_>, _: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let hidden = fields.width_of(["n_embd", "hidden_size"], 4096)?;
    let heads = fields.width_of(["n_head", "num_attention_heads"], 16)?;
    let head_dim = check::derived_head_dim(json.path(), "n_head", hidden, heads)?;
    let dim = if json.states("rotary_dim") {
        json.require("rotary_dim", json.integer("rotary_dim")?)?
    } else {
        fields.integer("rotary_dim", 64)?
    };
    let config = ModelConfig {
        architecture: "gptj".into(),
        vocabulary: fields.width("vocab_size", 50_400)?,
        hidden,
        layers: fields.layers_of(["n_layer", "num_hidden_layers"], 28)?,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate: match json.integer("n_inner")? {
            Some(given) => check::size(json.path(), "n_inner", given, check::WIDTHS)?,
            None => 4 * hidden,
        },
        norm: Norm::Layer { epsilon: fields.number("layer_norm_epsilon", 1e-5)? as f32 },
        mlp: fields.activation("activation_function", "gelu_new")?,
        residual: Residual::Parallel,
        clip_qkv: None,
        query_key_norm: false,
        layer_positions: Vec::new(),
        multipliers: Multipliers::default(),
        learned_sinks: false,
        experts: None,
        soft_caps: SoftCaps::default(),
        position: PositionConfig::Rope {
            theta: 10_000.0,
            dim: check::size(json.path(), "rotary_dim", dim, check::WIDTHS)?,
            layout: RopeLayout::Interleaved,
            scaling: PositionScaling::None,
            long_rope: None,
        },
        tied_embeddings: fields.flag("tie_word_embeddings", false)?,
        trained_length: fields.length_of(["n_positions", "max_position_embeddings"], 2048)?,
        sliding_windows: Vec::new(),
        kv: KvType::F32,
    };
    let names = FieldNames {
        heads: "n_head",
        kv_heads: "n_head",
        head_dim: "n_embd",
        epsilon: "layer_norm_epsilon",
        rope_theta: None,
        rope_dim: Some("rotary_dim"),
    };
    check::check(json.path(), &config, &names)?;
    Ok(config)
}

fn weights(_: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let &ModelConfig { hidden, vocabulary, intermediate, .. } = config;
    let mut taken = TakenTensors::new(tensors);
    let base = prefix(tensors, BASE, "wte");
    let embedding = taken.linear(&format!("{base}wte"), vocabulary, hidden, Bias::None)?.weight;
    let mut layers = Vec::new();
    for layer in 0..config.layers {
        let name = |role: &str| format!("{base}h.{layer}.{role}");
        let mut attention =
            |role: &str| taken.linear(&name(&format!("attn.{role}")), hidden, hidden, Bias::None);
        let [query, key, value, output] =
            [attention("q_proj")?, attention("k_proj")?, attention("v_proj")?, attention("out_proj")?];
        layers.push(LayerWeights {
            attention_norm: Some(taken.norm(&name("ln_1"), hidden, Bias::Required)?),
            query,
            key,
            value,
            attention_post_norm: None,
            query_key_norm: None,
            output,
            sinks: None,
            mlp_norm: None,
            feed_forward: FeedForward::Dense(MlpWeights {
                gate: None,
                up: taken.linear(&name("mlp.fc_in"), intermediate, hidden, Bias::Required)?,
                down: taken.linear(&name("mlp.fc_out"), hidden, intermediate, Bias::Required)?,
            }),
            mlp_post_norm: None,
        });
    }
    let final_norm = taken.norm(&format!("{base}ln_f"), hidden, Bias::Required)?;
    let head = taken.head(HEAD, config, &embedding)?;
    let head_bias = Some(taken.vector(&format!("{HEAD}.bias"), vocabulary)?);
    // Old files hold the causal mask.
    taken.finish(&["attn.bias", "attn.masked_bias"], &[], &config.architecture)?;
    Ok(ModelWeights {
        embedding,
        position_embedding: None,
        embedding_norm: None,
        layers,
        final_norm,
        head,
        head_bias,
    })
}
