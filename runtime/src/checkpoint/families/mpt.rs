//! MPT: ALiBi, one matrix for queries, keys and values, which may be clamped, and no bias anywhere.

use super::family::{Family, prefix};
use super::fields::Fields;
use crate::checkpoint::check::{self, FieldNames};
use crate::checkpoint::taken::{Bias, FusedRows, TakenTensors};
use crate::error::{Error, Result};
use crate::formats::json::Json;
use crate::formats::tensors::TensorTable;
use crate::model::KvType;
use crate::model::config::{Mlp, ModelConfig, Multipliers, Norm, PositionConfig, Residual, SoftCaps};
use crate::model::weights::{FeedForward, LayerWeights, MlpWeights, ModelWeights};
use crate::note::Note;

/// How it is read.
pub(super) const FAMILY: Family = Family {
    model_types: &["mpt"],
    quantizations: &[],
    config,
    embedding_and_head: |tensors| [format!("{}wte", prefix(tensors, BASE, "wte")), HEAD.into()],
    weights,
};

const BASE: &str = "transformer.";
const HEAD: &str = "lm_head";
/// LayerNorm, however it is computed.
const NORMS: [&str; 2] = ["low_precision_layernorm", "layernorm"];

fn config(fields: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ModelConfig> {
    let json = fields.json;
    let hidden = fields.width_of(["d_model", "hidden_size"], 2048)?;
    let heads = fields.width_of(["n_heads", "num_attention_heads"], 16)?;
    let head_dim = check::derived_head_dim(json.path(), "n_heads", hidden, heads)?;
    fields.refuse_unless("no_bias", true, true)?;
    if let Some(scale) = json.value("logit_scale") {
        return Err(json.malformed("logit_scale", "none", scale));
    }
    let attention = json.object("attn_config")?;
    let (max, clip_qkv) = match &attention {
        Some(attention) => of_attention(attention, head_dim, notes)?,
        None => (8.0, None),
    };
    // llm-foundry has others; transformers passes the field over and builds this one.
    if let Some(other) = json.text("norm_type")?.filter(|norm| !NORMS.contains(norm)) {
        return Err(json.malformed("norm_type", NORMS.join(" or "), other));
    }
    if let Some(mlp) = json.object("ffn_config")?
        && let Some(other) = mlp.text("ffn_type")?.filter(|&kind| kind != "mptmlp")
    {
        return Err(mlp.malformed("ffn_type", "mptmlp", other));
    }
    // transformers builds 4 times the width, whatever the field says.
    let ratio = fields.json.integer("expansion_ratio")?.unwrap_or(4);
    if ratio != 4 {
        return Err(json.malformed("expansion_ratio", 4, ratio));
    }
    let config = ModelConfig {
        architecture: "mpt".into(),
        vocabulary: fields.width("vocab_size", 50_368)?,
        hidden,
        layers: fields.layers_of(["n_layers", "num_hidden_layers"], 24)?,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate: 4 * hidden,
        norm: Norm::Layer { epsilon: fields.number("layer_norm_epsilon", 1e-5)? as f32 },
        mlp: Mlp::Gelu,
        residual: Residual::Sequential,
        clip_qkv,
        query_key_norm: false,
        layer_positions: Vec::new(),
        multipliers: Multipliers::default(),
        learned_sinks: false,
        experts: None,
        soft_caps: SoftCaps::default(),
        position: PositionConfig::Alibi { max, factor: 1.0 },
        tied_embeddings: fields.flag("tie_word_embeddings", true)?,
        trained_length: fields.length_of(["max_seq_len", "max_position_embeddings"], 2048)?,
        sliding_windows: Vec::new(),
        kv: KvType::F32,
    };
    let names = FieldNames {
        heads: "n_heads",
        kv_heads: "n_heads",
        head_dim: "d_model",
        epsilon: "layer_norm_epsilon",
        rope_theta: None,
        rope_dim: None,
    };
    check::check(json.path(), &config, &names)?;
    Ok(config)
}

/// End of ALiBi's slopes, and the bound of queries, keys and values. What would be computed differently is refused.
fn of_attention(attention: &Json, head_dim: usize, notes: &mut Vec<Note>) -> Result<(f64, Option<f32>)> {
    let fields = Fields { json: attention, absent: Vec::new() };
    // Without ALiBi positions are learned, which transformers' MPT does not know either.
    fields.refuse_unless("alibi", true, true)?;
    fields.refuse_unless("prefix_lm", false, false)?;
    fields.refuse_unless("qk_ln", false, false)?;
    fields.refuse_unless("rope", false, false)?;
    // What llm-foundry writes of a RoPE that is switched off.
    for name in ["rope_dail_config", "rope_hf_config"] {
        attention.object(name)?.iter().for_each(Json::ask_for_all);
    }
    for name in ["rope_impl", "rope_theta"] {
        attention.states(name);
    }
    if let Some(kind) = attention.text("attn_type")?.filter(|&kind| kind != "multihead_attention") {
        let detail = format!("{}: attn_config.attn_type = {kind}", attention.path().display());
        return Err(Error::unsupported("MPT with other heads than `multihead_attention`", detail));
    }
    let default = 1.0 / (head_dim as f64).sqrt();
    if let Some(scale) =
        attention.number("softmax_scale")?.filter(|scale| (scale - default).abs() > 1e-6 * default)
    {
        return Err(attention.malformed("softmax_scale", format!("none, or {default}"), scale));
    }
    if let Some(way) = attention.text("attn_impl")?.filter(|&way| way != "torch") {
        let said = format!("`{way}` is a way to compute the same; it makes no difference here");
        notes.push(Note::new("attn_config.attn_impl", said));
    }
    if fields.flag("attn_uses_sequence_id", false)? {
        let said = "passed over, as transformers does: a text is one sequence";
        notes.push(Note::new("attn_config.attn_uses_sequence_id", said));
    }
    let max = attention.number("alibi_bias_max")?.unwrap_or(8.0);
    if !(max.is_finite() && max > 0.0) {
        return Err(attention.malformed("alibi_bias_max", "a positive number", max));
    }
    if max != 8.0 {
        let said = format!(
            "the slopes of ALiBi end at 2^−{max}, as in the code that MPT was trained with (llm-foundry) and in llama.cpp; transformers \
             passes the field over and ends them at 2^−8"
        );
        notes.push(Note::warning("attn_config.alibi_bias_max", said));
    }
    // 0 stands for none, as it does there.
    let clip = attention.number("clip_qkv")?.filter(|&clip| clip != 0.0);
    let narrow = |clip| check::positive(attention.path(), attention.name("clip_qkv"), clip);
    Ok((max, clip.map(narrow).transpose()?))
}

fn weights(_: &Json, tensors: &TensorTable, config: &ModelConfig) -> Result<ModelWeights> {
    let &ModelConfig { hidden, vocabulary, intermediate, .. } = config;
    let mut taken = TakenTensors::new(tensors);
    let base = prefix(tensors, BASE, "wte");
    let embedding = taken.linear(&format!("{base}wte"), vocabulary, hidden, Bias::None)?.weight;
    let mut layers = Vec::new();
    for layer in 0..config.layers {
        let name = |role: &str| format!("{base}blocks.{layer}.{role}");
        let [query, key, value] = taken.fused(&name("attn.Wqkv"), config, FusedRows::Blocks, Bias::None)?;
        layers.push(LayerWeights {
            attention_norm: Some(taken.norm(&name("norm_1"), hidden, Bias::None)?),
            query,
            key,
            value,
            attention_post_norm: None,
            query_key_norm: None,
            output: taken.linear(&name("attn.out_proj"), hidden, hidden, Bias::None)?,
            sinks: None,
            mlp_norm: Some(taken.norm(&name("norm_2"), hidden, Bias::None)?),
            feed_forward: FeedForward::Dense(MlpWeights {
                gate: None,
                up: taken.linear(&name("ffn.up_proj"), intermediate, hidden, Bias::None)?,
                down: taken.linear(&name("ffn.down_proj"), hidden, intermediate, Bias::None)?,
            }),
            mlp_post_norm: None,
        });
    }
    let final_norm = taken.norm(&format!("{base}norm_f"), hidden, Bias::None)?;
    let head = taken.head(HEAD, config, &embedding)?;
    taken.finish(&[], &[], &config.architecture)?;
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
