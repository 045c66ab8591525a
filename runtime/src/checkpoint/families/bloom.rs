//! BLOOM: ALiBi, a norm behind the embedding, one matrix for each head's query, key and value, biases everywhere.

use super::family::{Family, prefix};
use super::fields::Fields;
use crate::checkpoint::check::{self, FieldNames};
use crate::checkpoint::taken::{Bias, FusedRows, TakenTensors};
use crate::error::Result;
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::KvType;
use crate::model::config::{Mlp, ModelConfig, Multipliers, Norm, PositionConfig, Residual, SoftCaps};
use crate::model::weights::{FeedForward, LayerWeights, MlpWeights, ModelWeights};
use crate::note::Note;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["bloom"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| [format!("{}{TABLE}", prefix(tensors, BASE, TABLE)), HEAD.into()],
    weights,
};

const BASE: &str = "transformer.";
const TABLE: &str = "word_embeddings";
const HEAD: &str = "lm_head";

/// What the models of the paper (arXiv 2211.05100) were trained on, in tokens; their `config.json` has it as `seq_length`, and
/// transformers reads no length.
const TRAINED_LENGTH: u64 = 2048;

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let hidden = fields.width_of(["hidden_size", "n_embed"], 64)?;
    let heads = fields.width_of(["n_head", "num_attention_heads"], 8)?;
    fields.refuse_unless("apply_residual_connection_post_layernorm", false, false)?;
    let trained_length = match json.integer("seq_length")? {
        Some(given) => check::size(json.path(), "seq_length", given, check::LENGTHS)? as u64,
        None => {
            let said = format!(
                "the file does not say how long training texts were; {TRAINED_LENGTH} tokens are taken, as for the published \
                 models (--trained-length changes it)"
            );
            notes.push(Note::warning("seq_length", said));
            TRAINED_LENGTH
        }
    };
    let config = ModelConfig {
        architecture: "bloom".into(),
        vocabulary: fields.width("vocab_size", 250_880)?,
        hidden,
        layers: fields.layers_of(["n_layer", "num_hidden_layers"], 2)?,
        heads,
        kv_heads: heads,
        head_dim: check::derived_head_dim(json.path(), "n_head", hidden, heads)?,
        intermediate: 4 * hidden,
        norm: Norm::Layer { epsilon: fields.number("layer_norm_epsilon", 1e-5)? as f32 },
        mlp: Mlp::GeluTanh,
        residual: Residual::Sequential,
        clip_qkv: None,
        query_key_norm: false,
        layer_positions: Vec::new(),
        multipliers: Multipliers::default(),
        learned_sinks: false,
        experts: None,
        soft_caps: SoftCaps::default(),
        position: PositionConfig::ALIBI,
        tied_embeddings: fields.flag("tie_word_embeddings", true)?,
        trained_length,
        sliding_windows: Vec::new(),
        kv: KvType::F32,
    };
    let names = FieldNames {
        heads: "n_head",
        kv_heads: "n_head",
        head_dim: "hidden_size",
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
    let base = prefix(tensors, BASE, TABLE);
    let embedding = taken.linear(&format!("{base}{TABLE}"), vocabulary, hidden, Bias::None)?.weight;
    let embedding_norm = taken.norm(&format!("{base}{TABLE}_layernorm"), hidden, Bias::Required)?;
    let mut layers = Vec::new();
    for layer in 0..config.layers {
        let name = |role: &str| format!("{base}h.{layer}.{role}");
        let fused = name("self_attention.query_key_value");
        let [query, key, value] = taken.fused(&fused, config, FusedRows::Groups, Bias::Required)?;
        layers.push(LayerWeights {
            attention_norm: Some(taken.norm(&name("input_layernorm"), hidden, Bias::Required)?),
            query,
            key,
            value,
            attention_post_norm: None,
            query_key_norm: None,
            output: taken.linear(&name("self_attention.dense"), hidden, hidden, Bias::Required)?,
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
    let final_norm = taken.norm(&format!("{base}ln_f"), hidden, Bias::Required)?;
    let head = taken.head(HEAD, config, &embedding)?;
    taken.finish(&[], &[], &config.architecture)?;
    let embedding_norm = Some(embedding_norm);
    Ok(ModelWeights {
        embedding,
        position_embedding: None,
        embedding_norm,
        layers,
        final_norm,
        head,
        head_bias: None,
    })
}
