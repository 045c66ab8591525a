//! Configuration of GGUF files: metadata under the names of llama.cpp, for the architectures of [`gguf_families`].

use std::cell::RefCell;

use super::check::{self, FieldNames};
use super::families::unread;
use super::gguf_families::{self, Architecture, Norms, Parallel, Position, QueryKeyNorm};
use super::gguf_keys::Keys;
use super::reader_llama::{self, Biases, HeadNorms, Names};
use super::taken::Bias;
use super::{gguf_fused, gguf_rope, gguf_scales, own_attention};
use crate::error::{Error, Result};
use crate::formats::gguf::Gguf;
use crate::model::KvType;
use crate::model::config::{Experts, ModelConfig, Multipliers, Norm, PositionConfig, Residual, Routing};
use crate::model::weights::ModelWeights;
use crate::note::Note;
use crate::policy::PositionScaling;

/// What is to be said of the keys that nobody has asked for; to be called after [`config`].
///
/// # Errors
/// Such keys of the architecture that are not `ignored`.
pub(super) fn check_unread(gguf: &Gguf, ignored: &[String]) -> Result<Option<Note>> {
    unread::check_keys(&gguf.metadata, architecture(gguf)?.name, ignored)
}

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
    reader_llama::weights(&gguf.tensors, config, names(gguf, architecture, config), biases, &[])
}

/// What the matrices and norms of a block are called.
fn names(gguf: &Gguf, architecture: &Architecture, config: &ModelConfig) -> Names {
    let is_fused = gguf.tensors.contains("blk.0.attn_qkv.weight");
    let names = Names {
        query_key_value: is_fused.then_some("attn_qkv"),
        gate_up: architecture.gate_up.then_some("ffn_up"),
        norm_bias: if architecture.layer_norm { Bias::IfPresent } else { Bias::None },
        head_bias: architecture.head_bias,
        head_norms: match architecture.query_key_norm {
            QueryKeyNorm::OfTensors => HeadNorms::OfEachHead,
            QueryKeyNorm::Always | QueryKeyNorm::Never => HeadNorms::Shared,
        },
        ..reader_llama::GGUF_NAMES
    };
    let names = match config.residual {
        Residual::Sequential => names,
        Residual::Parallel => Names { mlp_norm: None, ..names },
    };
    let behind = Names {
        attention_post_norm: Some("post_attention_norm"),
        mlp_post_norm: Some("post_ffw_norm"),
        ..names
    };
    match architecture.norms {
        Norms::Before => names,
        Norms::Around => behind,
        Norms::NamedBehind => Names { mlp_norm: Some("post_attention_norm"), ..names },
        Norms::Behind => {
            Names { attention_norm: None, mlp_norm: None, head_norms: HeadNorms::OfAllHeads, ..behind }
        }
    }
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
    let keys = Keys { metadata, architecture: architecture.name, absent: RefCell::default() };
    gguf_scales::refuse_others(&keys, architecture)?;

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
    if let Some(value_dim) = keys.integer("attention.value_length")?.filter(|&dim| dim != head_dim as u64) {
        return Err(keys.malformed("attention.value_length", format!("{head_dim}, as for keys"), value_dim));
    }
    let layer_count = keys.require_integer("block_count")?;
    let trained_length = keys.require_integer("context_length")?;
    let mut notes = Vec::new();
    let position = match architecture.position {
        Position::Rope(layout) => {
            let of_heads = (head_dim, layout, architecture.long_rope_unsaid);
            gguf_rope::read(gguf, &keys, of_heads, trained_length, &mut notes)?
        }
        Position::Alibi => PositionConfig::ALIBI,
        Position::AlibiOfMetadata => alibi(&keys)?,
        Position::Learned => PositionConfig::Learned { count: trained_length },
    };
    let position = exact_yarn(architecture, position);
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
        intermediate: match architecture
            .experts
            .filter(|_| keys.integer("feed_forward_length").is_ok_and(|n| n.is_none()))
        {
            // Where no layer has an MLP, its width need not be there.
            Some(inner) => keys.width(inner)?,
            None => keys.width("feed_forward_length")?,
        },
        norm: match architecture.layer_norm {
            true => Norm::Layer { epsilon: epsilon as f32 },
            false => Norm::Rms { epsilon: epsilon as f32 },
        },
        mlp: architecture.mlp,
        residual: residual(gguf, &keys, architecture)?,
        clip_qkv: clip_qkv(&keys)?,
        query_key_norm: match architecture.query_key_norm {
            QueryKeyNorm::Never => false,
            QueryKeyNorm::Always => true,
            QueryKeyNorm::OfTensors => gguf.tensors.contains("blk.0.attn_q_norm.weight"),
        },
        layer_positions: Vec::new(),
        multipliers: Multipliers::default(),
        learned_sinks: architecture.learned_sinks,
        experts: experts(&keys, architecture)?,
        soft_caps: gguf_scales::soft_caps(&keys, architecture)?,
        position,
        tied_embeddings: !gguf.tensors.contains("output.weight"),
        sliding_windows: Vec::new(),
        kv: KvType::F32,
        trained_length: check::size(
            metadata.path(),
            &keys.name("context_length"),
            trained_length,
            check::LENGTHS,
        )? as u64,
        architecture: architecture.name.to_owned(),
    };
    config.multipliers = gguf_scales::multipliers(&keys, architecture, &config)?;
    let window_key = keys.name("attention.sliding_window");
    // 0 stands for none.
    let stated = metadata.integer(&window_key)?.or(architecture.default_window);
    let window = stated.filter(|&window| window > 0);
    if let Some(window) = window {
        // Layers of OLMo 3, which has this name too, differ in more than their window.
        if architecture.norms == Norms::Behind {
            return Err(keys.unsupported("attention.sliding_window", window));
        }
        check::size(metadata.path(), &window_key, window, check::LENGTHS)?;
    }
    let windowed = windowed(&keys, architecture, config.layers)?;
    if architecture.learned_sinks && stated.is_none() {
        return Err(keys.malformed("attention.sliding_window", "this key", "no such key"));
    }
    if architecture.rope_in_windows && window.is_none() && windowed.contains(&true) {
        return Err(keys.malformed("attention.sliding_window", "a number of tokens", stated.unwrap_or(0)));
    }
    if architecture.window_unsaid && stated.is_none() {
        let said = "the file does not say whether there is a window, as those of old converters do not: every key is \
                    attended; Phi-3-mini-4k was trained with one of 2047 tokens";
        notes.push(Note::warning(&window_key, said));
    }
    let windows: Vec<Option<u64>> = windowed.iter().map(|&own| window.filter(|_| own)).collect();
    config.layer_positions = layer_positions(&keys, architecture, &config, &windows)?;
    let (theta, rotated) = (keys.name("rope.freq_base"), keys.name("rope.dimension_count"));
    let names = FieldNames {
        heads: &keys.name("attention.head_count"),
        kv_heads: &keys.name("attention.head_count_kv"),
        head_dim: &keys.name("attention.key_length"),
        epsilon: &epsilon_key,
        rope_theta: Some(&theta),
        rope_dim: Some(&rotated),
    };
    check::check(metadata.path(), &config, &names)?;
    notes.extend(own_attention::set_windows(&mut config, &window_key, windows));
    let absent = keys.absent.take();
    if !absent.is_empty() {
        let said = format!("absent keys have the defaults of llama.cpp: {}", absent.join(", "));
        notes.push(Note::new("metadata", said));
    }
    Ok((config, notes))
}

/// Which layers have the window that the file states.
fn windowed(keys: &Keys<'_>, architecture: &Architecture, layers: usize) -> Result<Vec<bool>> {
    const KEY: &str = "attention.sliding_window_pattern";
    let Some(default) = architecture.window_period else { return Ok(vec![true; layers]) };
    if !keys.metadata.is_array(&keys.name(KEY)) {
        // llama.cpp takes 0 for a window in every layer.
        let period = keys.integer(KEY)?.unwrap_or(default as u64);
        return Ok((1..=layers as u64).map(|layer| period == 0 || !layer.is_multiple_of(period)).collect());
    }
    let listed = keys.metadata.booleans(&keys.name(KEY))?.unwrap_or_default();
    match listed.len() == layers {
        true => Ok(listed),
        false => Err(keys.malformed(KEY, format!("{layers} booleans"), listed.len())),
    }
}

/// Layers whose positions enter otherwise than in the others.
fn layer_positions(
    keys: &Keys<'_>,
    architecture: &Architecture,
    config: &ModelConfig,
    windows: &[Option<u64>],
) -> Result<Vec<Option<PositionConfig>>> {
    if let Some(period) = architecture.no_rope_period {
        let own = |layer: usize| layer.is_multiple_of(period).then_some(PositionConfig::None);
        return Ok((1..=config.layers).map(own).collect());
    }
    if architecture.rope_in_windows {
        let own = |window: &Option<u64>| window.is_none().then_some(PositionConfig::None);
        return Ok(windows.iter().map(own).collect());
    }
    let (Some(default), PositionConfig::Rope { dim, layout, .. }) =
        (architecture.local_theta, &config.position)
    else {
        return Ok(Vec::new());
    };
    if windows.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let local = PositionConfig::Rope {
        theta: keys.number_or("rope.freq_base_swa", default)?,
        dim: *dim,
        layout: *layout,
        scaling: PositionScaling::None,
        long_rope: None,
    };
    Ok(windows.iter().map(|window| window.map(|_| local.clone())).collect())
}

/// YaRN with bounds that are not rounded, where the checkpoints of the architecture are trained so.
fn exact_yarn(architecture: &Architecture, mut position: PositionConfig) -> PositionConfig {
    if let PositionConfig::Rope { scaling: PositionScaling::Yarn { exact_bounds, .. }, .. } = &mut position {
        *exact_bounds |= architecture.exact_yarn;
    }
    position
}

/// The mixture of experts, of architectures that may have one.
fn experts(keys: &Keys<'_>, architecture: &Architecture) -> Result<Option<Experts>> {
    let Some(count) = keys.integer("expert_count")?.filter(|&count| count > 0) else { return Ok(None) };
    let Some(inner) = architecture.experts else {
        return Err(keys.unsupported("expert_count", count));
    };
    for key in ["expert_shared_count", "expert_shared_feed_forward_length", "expert_group_count"] {
        if let Some(value) = keys.integer(key)?.filter(|&value| value > 0) {
            return Err(keys.unsupported(key, value));
        }
    }
    // Mixtral's files have both names, or one.
    const OWN: &str = "expert_feed_forward_length";
    let inner = if keys.integer(OWN)?.is_some_and(|width| width > 0) { OWN } else { inner };
    let experts = Experts {
        count: keys.width("expert_count")?,
        per_token: keys.width("expert_used_count")?,
        intermediate: keys.width(inner)?,
        routing: Routing::OfChosen,
    };
    if experts.per_token > experts.count {
        let expected = format!("a number from 1 to {count}, that of the experts");
        return Err(keys.malformed("expert_used_count", expected, experts.per_token));
    }
    Ok(Some(experts))
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
        Some(max) if max.is_finite() && max > 0.0 => Ok(PositionConfig::Alibi { max, factor: 1.0 }),
        Some(max) => Err(keys.unsupported(KEY, max)),
        None => Err(keys.malformed(KEY, "a positive number", "no such key")),
    }
}

fn residual(gguf: &Gguf, keys: &Keys<'_>, architecture: &Architecture) -> Result<Residual> {
    let parallel = match architecture.parallel {
        Parallel::Never => false,
        Parallel::Always => true,
        // llama.cpp's default.
        Parallel::OfMetadata => keys.boolean("use_parallel_residual")?.unwrap_or(true),
        Parallel::OfTensors => !gguf.tensors.contains("blk.0.ffn_norm.weight"),
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
