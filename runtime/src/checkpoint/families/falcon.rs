//! Falcon: attention and MLP side by side behind one norm (7B) or two (40B, 180B, 11B), few key/value heads, one matrix for queries,
//! keys and values, RoPE; or (falcon-rw) ALiBi whose biases are divided with the logits by the root of the head's width.

use super::family::{Family, prefix};
use super::fields::Fields;
use crate::checkpoint::check::{self, FieldNames};
use crate::checkpoint::hf_rope;
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
    model_types: &["falcon"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| [format!("{}{TABLE}", prefix(tensors, BASE, TABLE)), HEAD.into()],
    weights,
};

const BASE: &str = "transformer.";
const TABLE: &str = "word_embeddings";
const HEAD: &str = "lm_head";

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let hidden = fields.width("hidden_size", 4544)?;
    let heads = fields.width("num_attention_heads", 71)?;
    let head_dim = check::derived_head_dim(json.path(), "num_attention_heads", hidden, heads)?;
    let new = fields.flag("new_decoder_architecture", false)?;
    // As transformers decides: the field counts in the newer architecture alone.
    let stated = json.integer("num_kv_heads")?;
    let stated =
        stated.map(|given| check::size(json.path(), "num_kv_heads", given, check::WIDTHS)).transpose()?;
    let kv_heads = match (new, fields.flag("multi_query", true)?) {
        (true, _) => stated.unwrap_or(heads),
        (false, true) => 1,
        (false, false) => heads,
    };
    let alibi = fields.flag("alibi", false)?;
    const POSITIONS: &str = "max_position_embeddings";
    let trained_length = fields.length_of([POSITIONS, POSITIONS], 2048)?;
    const LAYERS: &str = "num_hidden_layers";
    let config = ModelConfig {
        architecture: "falcon".into(),
        vocabulary: fields.width("vocab_size", 65_024)?,
        hidden,
        layers: fields.layers_of([LAYERS, LAYERS], 32)?,
        heads,
        kv_heads,
        head_dim,
        intermediate: match json.integer("ffn_hidden_size")? {
            Some(given) => check::size(json.path(), "ffn_hidden_size", given, check::WIDTHS)?,
            None => 4 * hidden,
        },
        norm: Norm::Layer { epsilon: fields.number("layer_norm_epsilon", 1e-5)? as f32 },
        mlp: fields.activation("activation", "gelu")?,
        residual: match new || fields.flag("parallel_attn", true)? {
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
        position: match alibi {
            true => {
                hf_rope::pass_over(json, "ALiBi", notes)?;
                of_alibi(head_dim, heads, notes)
            }
            false => hf_rope::read(json, hf_rope::NAMES, head_dim, trained_length, notes)?,
        },
        tied_embeddings: fields.flag("tie_word_embeddings", true)?,
        trained_length,
        sliding_windows: Vec::new(),
        kv: KvType::F32,
    };
    let names = FieldNames {
        heads: "num_attention_heads",
        kv_heads: "num_kv_heads",
        head_dim: "hidden_size",
        epsilon: "layer_norm_epsilon",
        rope_theta: Some("rope_theta"),
        rope_dim: Some("hidden_size"),
    };
    check::check(json.path(), &config, &names)?;
    Ok(config)
}

/// ALiBi with slopes divided by the root of the head's width: transformers adds the biases before it divides the logits.
///
/// Its default path (`sdpa`) is meant; its `eager` one adds the biases a second time behind the division (5.24).
fn of_alibi(head_dim: usize, heads: usize, notes: &mut Vec<Note>) -> PositionConfig {
    let position = PositionConfig::Alibi { max: 8.0, factor: 1.0 / (head_dim as f64).sqrt() };
    let said = "transformers rounds the biases of ALiBi to bfloat16, each by its position in the text: from 257 tokens on, and where \
                slopes are no powers of two at once. Here they are not rounded, so that a bias depends on the distance alone";
    let power = heads.is_power_of_two() && heads <= 8;
    notes.push(if power { Note::new("alibi", said) } else { Note::warning("alibi", said) });
    position
}

/// Names of the norms of attention and MLP; one where both read the same.
fn norms(json: &Json) -> Result<(&'static str, Option<&'static str>)> {
    let flag = |key, default| json.boolean(key).map(|given| given.unwrap_or(default));
    let new = flag("new_decoder_architecture", false)?;
    if !flag("parallel_attn", true)? {
        if new {
            let expected = "true with new_decoder_architecture";
            return Err(json.malformed("parallel_attn", expected, false));
        }
        return Ok(("input_layernorm", Some("post_attention_layernorm")));
    }
    match json.integer("num_ln_in_parallel_attn")?.unwrap_or(if new { 2 } else { 1 }) {
        2 if new => Ok(("ln_attn", Some("ln_mlp"))),
        1 => Ok(("input_layernorm", None)),
        other => {
            Err(json.malformed("num_ln_in_parallel_attn", "1, or 2 with new_decoder_architecture", other))
        }
    }
}

fn weights(json: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let &ModelConfig { hidden, vocabulary, intermediate, .. } = config;
    let bias = if json.boolean("bias")? == Some(true) { Bias::Required } else { Bias::None };
    let (attention_norm, mlp_norm) = norms(json)?;
    let mut taken = TakenTensors::new(tensors);
    let base = prefix(tensors, BASE, TABLE);
    let embedding = taken.linear(&format!("{base}{TABLE}"), vocabulary, hidden, Bias::None)?.weight;
    let mut layers = Vec::new();
    for layer in 0..config.layers {
        let name = |role: &str| format!("{base}h.{layer}.{role}");
        let fused = name("self_attention.query_key_value");
        let [query, key, value] = taken.fused(&fused, config, FusedRows::Groups, bias)?;
        layers.push(LayerWeights {
            attention_norm: Some(taken.norm(&name(attention_norm), hidden, Bias::Required)?),
            query,
            key,
            value,
            attention_post_norm: None,
            query_key_norm: None,
            sinks: None,
            output: taken.linear(&name("self_attention.dense"), hidden, hidden, bias)?,
            mlp_norm: mlp_norm
                .map(|mlp_norm| taken.norm(&name(mlp_norm), hidden, Bias::Required))
                .transpose()?,
            feed_forward: FeedForward::Dense(MlpWeights {
                gate: None,
                up: taken.linear(&name("mlp.dense_h_to_4h"), intermediate, hidden, bias)?,
                down: taken.linear(&name("mlp.dense_4h_to_h"), hidden, intermediate, bias)?,
            }),
            mlp_post_norm: None,
        });
    }
    let final_norm = taken.norm(&format!("{base}ln_f"), hidden, Bias::Required)?;
    let head = taken.head(HEAD, config, &embedding)?;
    taken.finish(
        &["rotary_emb.inv_freq", "self_attention.maybe_rotary.inv_freq"],
        &[],
        &config.architecture,
    )?;
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
