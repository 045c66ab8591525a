//! Configuration of GGUF files: metadata under the names of llama.cpp, for the architectures of [`gguf_families`].

use super::check::{self, FieldNames};
use super::gguf_families::{self, Architecture, Parallel, Position};
use super::gguf_keys::Keys;
use super::reader_llama::{self, Biases};
use super::taken::Bias;
use super::{gguf_fused, gguf_rope, own_attention};
use crate::error::{Error, Result};
use crate::formats::gguf::Gguf;
use crate::model::config::{ModelConfig, Norm, PositionConfig, Residual};
use crate::model::weights::ModelWeights;
use crate::note::Note;

/// Weights of the decoder that `config` describes.
pub(super) fn weights(gguf: &Gguf, config: &ModelConfig) -> Result<ModelWeights> {
    let architecture = architecture(gguf)?;
    if architecture.fused {
        return gguf_fused::weights(&gguf.tensors, config, architecture);
    }
    let biases = Biases {
        attention_input: if architecture.biased { Bias::Required } else { Bias::IfPresent },
        attention_output: Bias::IfPresent,
        mlp: Bias::IfPresent,
    };
    reader_llama::weights(&gguf.tensors, config, &reader_llama::GGUF_NAMES, biases)
}

/// Which architecture the file names.
fn architecture(gguf: &Gguf) -> Result<&'static Architecture> {
    const KEY: &str = "general.architecture";
    let metadata = &gguf.metadata;
    let name = metadata.require(KEY, metadata.text(KEY)?)?;
    gguf_families::of(name).ok_or_else(|| {
        let detail = format!("{}: supported are {}", metadata.path().display(), gguf_families::names());
        Error::unsupported(format!("GGUF architecture `{name}`"), detail)
    })
}

/// Configuration, and what is to be said of it; refuses a model of which parts are missing.
pub(super) fn config(gguf: &Gguf) -> Result<(ModelConfig, Vec<Note>)> {
    gguf.check_whole()?;
    let metadata = &gguf.metadata;
    let architecture = architecture(gguf)?;
    let keys = Keys { metadata, architecture: architecture.name };
    if keys.integer("expert_count")?.is_some_and(|experts| experts > 0) {
        let detail = format!("{}: {} is not 0", metadata.path().display(), keys.name("expert_count"));
        return Err(Error::unsupported("a mixture of experts", detail));
    }

    refuse_scales(&keys, architecture)?;

    let hidden = keys.width("embedding_length")?;
    let heads = keys.width("attention.head_count")?;
    let kv_heads = match keys.integer("attention.head_count_kv")? {
        Some(_) => keys.width("attention.head_count_kv")?,
        None => heads,
    };
    let head_dim = match keys.integer("attention.key_length")? {
        Some(_) => keys.width("attention.key_length")?,
        None => check::derived_head_dim(metadata.path(), &keys.name("attention.head_count"), hidden, heads)?,
    };
    check_attention_scale(&keys, head_dim)?;
    if let Some(value_dim) = keys.integer("attention.value_length")?.filter(|&dim| dim != head_dim as u64) {
        return Err(keys.malformed("attention.value_length", format!("{head_dim}, as for keys"), value_dim));
    }
    let layer_count = keys.require_integer("block_count")?;
    let trained_length = keys.require_integer("context_length")?;
    let mut notes = Vec::new();
    let position = match architecture.position {
        Position::Rope(layout) => {
            gguf_rope::read(gguf, &keys, (head_dim, layout), trained_length, &mut notes)?
        }
        Position::Alibi => PositionConfig::ALIBI,
        Position::AlibiOfMetadata => alibi(&keys)?,
    };
    let epsilon_key = keys.name(match architecture.layer_norm {
        true => "attention.layer_norm_epsilon",
        false => "attention.layer_norm_rms_epsilon",
    });
    let epsilon = metadata.require(&epsilon_key, metadata.number(&epsilon_key)?)?;

    let mut config = ModelConfig {
        vocabulary: vocabulary(gguf, &keys)?,
        hidden,
        layers: check::size(metadata.path(), &keys.name("block_count"), layer_count, check::LAYERS)?,
        heads,
        kv_heads,
        head_dim,
        intermediate: keys.width("feed_forward_length")?,
        norm: match architecture.layer_norm {
            true => Norm::Layer { epsilon: epsilon as f32 },
            false => Norm::Rms { epsilon: epsilon as f32 },
        },
        mlp: architecture.mlp,
        residual: residual(&keys, architecture)?,
        clip_qkv: clip_qkv(&keys)?,
        query_key_norm: architecture.query_key_norm,
        position,
        tied_embeddings: !gguf.tensors.contains("output.weight"),
        sliding_windows: Vec::new(),
        trained_length: check::size(
            metadata.path(),
            &keys.name("context_length"),
            trained_length,
            check::LENGTHS,
        )? as u64,
        architecture: architecture.name.to_owned(),
    };
    let names = FieldNames {
        heads: &keys.name("attention.head_count"),
        kv_heads: &keys.name("attention.head_count_kv"),
        head_dim: &keys.name("attention.key_length"),
        epsilon: &epsilon_key,
        rope_theta: &keys.name("rope.freq_base"),
        rope_dim: &keys.name("rope.dimension_count"),
    };
    check::check(metadata.path(), &config, &names)?;
    let window_key = keys.name("attention.sliding_window");
    // 0 stands for none.
    let window = metadata.integer(&window_key)?.filter(|&window| window > 0);
    if let Some(window) = window {
        check::size(metadata.path(), &window_key, window, check::LENGTHS)?;
    }
    let windows = vec![window; config.layers];
    notes.extend(own_attention::set_windows(&mut config, &window_key, windows));
    Ok((config, notes))
}

/// Rows of the embedding; held against what the metadata say.
fn vocabulary(gguf: &Gguf, keys: &Keys<'_>) -> Result<usize> {
    let rows = gguf.tensors.get("token_embd.weight")?.shape[0];
    match keys.integer("vocab_size")? {
        Some(stated) if stated != rows as u64 => {
            Err(keys.malformed("vocab_size", format!("{rows}, the rows of token_embd.weight"), stated))
        }
        _ => check::size(keys.metadata.path(), "rows of token_embd.weight", rows as u64, check::WIDTHS),
    }
}

/// ALiBi with the end of its slopes; files of models without it say 0.
fn alibi(keys: &Keys<'_>) -> Result<PositionConfig> {
    const KEY: &str = "attention.max_alibi_bias";
    match keys.number(KEY)? {
        Some(max) if max.is_finite() && max > 0.0 => Ok(PositionConfig::Alibi { max }),
        Some(max) => Err(keys.unsupported(KEY, max)),
        None => Err(keys.malformed(KEY, "a positive number", "no such key")),
    }
}

fn residual(keys: &Keys<'_>, architecture: &Architecture) -> Result<Residual> {
    let parallel = match architecture.parallel {
        Parallel::Never => false,
        Parallel::Always => true,
        // llama.cpp's default.
        Parallel::OfMetadata => keys.boolean("use_parallel_residual")?.unwrap_or(true),
    };
    Ok(if parallel { Residual::Parallel } else { Residual::Sequential })
}

/// What queries, keys and values are clamped to; 0 stands for nothing. Other architectures than MPT were refused before.
fn clip_qkv(keys: &Keys<'_>) -> Result<Option<f32>> {
    const KEY: &str = "attention.clamp_kqv";
    match keys.number(KEY)?.filter(|&most| most != 0.0) {
        Some(most) if most.is_finite() && most > 0.0 => Ok(Some(most as f32)),
        Some(most) => Err(keys.malformed(KEY, "a positive number", most)),
        None => Ok(None),
    }
}

/// Refuses numbers by which other families multiply, or bound, what this decoder leaves alone.
fn refuse_scales(keys: &Keys<'_>, architecture: &Architecture) -> Result<()> {
    let of_mpt = ["attention.clamp_kqv", "attention.max_alibi_bias"];
    let is_read = |key: &str| {
        of_mpt.contains(&key) && architecture.position == Position::AlibiOfMetadata
            || key == "use_parallel_residual" && architecture.parallel == Parallel::OfMetadata
    };
    // With the value, beside 0, that changes nothing.
    for (key, neutral) in [
        ("logit_scale", 1.0),
        ("embedding_scale", 1.0),
        ("residual_scale", 1.0),
        ("attention.output_scale", 1.0),
        ("attention.value_scale", 1.0),
        ("attention.clamp_kqv", 0.0),
        ("attention.max_alibi_bias", 0.0),
        ("attention.temperature_scale", 0.0),
        ("attn_logit_softcapping", 0.0),
        ("final_logit_softcapping", 0.0),
    ] {
        let value = keys.number(key)?.filter(|_| !is_read(key));
        if let Some(value) = value.filter(|&value| value != 0.0 && value != neutral) {
            return Err(keys.unsupported(key, value));
        }
    }
    for (key, neutral) in [("attention.causal", true), ("use_parallel_residual", false)] {
        if let Some(value) = keys.boolean(key)?.filter(|&value| value != neutral && !is_read(key)) {
            return Err(keys.unsupported(key, value));
        }
    }
    Ok(())
}

/// Refuses a scale of attention logits other than `1/sqrt(head_dim)`.
fn check_attention_scale(keys: &Keys<'_>, head_dim: usize) -> Result<()> {
    let usual = 1.0 / (head_dim as f64).sqrt();
    let other = |&scale: &f64| scale != 0.0 && (scale - usual).abs() > 1e-6 * usual;
    match keys.number("attention.scale")?.filter(other) {
        None => Ok(()),
        Some(scale) => Err(keys.unsupported("attention.scale", scale)),
    }
}
