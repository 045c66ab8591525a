//! Checkpoints beside the plain ones: matrices of FP8 and MXFP4, adapters, and normalizers with tables of their own.

use std::path::{Path, PathBuf};

use lm_infinite::checkpoint;
use lm_infinite::hub::Cache;
use safetensors::SafeTensors;
use serde_json::{Value as Json, json};

use super::uses::{MODEL, check_model, check_tokenizer, own_folder, used};
use super::{Outcome, Target, file, seeds};
use crate::fixtures::SafetensorsFile;

/// All of them.
///
/// # Errors
/// Where `folder` cannot be written.
pub fn targets(folder: &Path) -> std::io::Result<Vec<Target>> {
    let mut targets = Vec::new();
    for (name, of, mutated) in [
        ("config-gpt2", "families/gpt2", "config.json"),
        ("config-gpt-oss", "families/gpt_oss", "config.json"),
        ("config-mixtral", "families/mixtral", "config.json"),
        ("config-qwen3-moe", "families/qwen3_moe", "config.json"),
        ("config-fp8", "float8/blocks", "config.json"),
        ("config-fp8-whole", "float8/whole", "config.json"),
        ("config-compressed", "float8/compressed_channel", "config.json"),
        ("config-compressed-block", "float8/compressed_block", "config.json"),
        ("fp8", "float8/whole", "model.safetensors"),
        ("fp8-blocks", "float8/blocks", "model.safetensors"),
        ("compressed", "float8/compressed_block", "model.safetensors"),
    ] {
        let folder = copied(folder, name, of)?;
        let files = vec![std::fs::read(folder.join(mutated))?];
        let whole = folder.clone();
        targets.push(file(name, folder.join(mutated), files, MODEL, move |_| check_model(&whole)));
    }
    for (name, mutated) in [("mxfp4", "model.safetensors"), ("config-mxfp4", "config.json")] {
        let folder = copied(folder, name, "families/gpt_oss")?;
        pack_experts(&folder)?;
        let files = vec![std::fs::read(folder.join(mutated))?];
        let whole = folder.clone();
        targets.push(file(name, folder.join(mutated), files, MODEL, move |_| check_model(&whole)));
    }
    for (name, model, adapter, mutated) in [
        ("adapter", "tiny_llama/tied", "config_fields/adapter", "adapter_model.safetensors"),
        ("adapter-config", "tiny_llama/tied", "config_fields/adapter_rslora", "adapter_config.json"),
        ("adapter-fused", "families/phi3", "adapters/phi3", "adapter_model.safetensors"),
        ("adapter-transposed", "families/gptj", "adapters/gptj", "adapter_config.json"),
    ] {
        targets.push(of_adapter(folder, name, (model, adapter, mutated))?);
    }
    targets.extend(of_normalizers(folder)?);
    Ok(targets)
}

/// A folder for one target, with the model of the goldens `of`.
fn copied(folder: &Path, name: &str, of: &str) -> std::io::Result<PathBuf> {
    let (folder, goldens) = (own_folder(folder, name)?, seeds::goldens());
    std::fs::copy(goldens.join("tiny_llama/tied/tokenizer.json"), folder.join("tokenizer.json"))?;
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(goldens.join(of).join(file), folder.join(file))?;
    }
    Ok(folder)
}

/// Stores the experts of the gpt-oss in `folder` in MXFP4, as it is published: blocks of 32 values of four bits under a power of two.
fn pack_experts(folder: &Path) -> std::io::Result<()> {
    let path = folder.join("model.safetensors");
    let bytes = std::fs::read(&path)?;
    let stored = SafeTensors::deserialize(&bytes).map_err(std::io::Error::other)?;
    let mut packed = SafetensorsFile::default();
    for (name, view) in stored.tensors() {
        match *view.shape() {
            [experts, inputs, outputs] if name.ends_with("_proj") => {
                let blocks: Vec<u8> = (0..experts * outputs * inputs / 2).map(|at| (at * 7) as u8).collect();
                let scales = vec![124; experts * outputs * inputs / 32];
                let shape = [experts, outputs, inputs / 32, 16];
                packed.push(&format!("{name}_blocks"), "U8", &shape, &blocks);
                packed.push(&format!("{name}_scales"), "U8", &shape[..3], &scales);
            }
            _ => packed.push(&name, "F32", view.shape(), view.data()),
        }
    }
    packed.write(&path);
    let path = folder.join("config.json");
    let mut config: Json = serde_json::from_slice(&std::fs::read(&path)?)?;
    config["quantization_config"] = json!({"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]});
    std::fs::write(path, config.to_string())
}

/// A model with an adapter of which one file is broken.
fn of_adapter(
    folder: &Path,
    name: &'static str,
    (model, adapter, mutated): (&str, &str, &str),
) -> std::io::Result<Target> {
    let folder = copied(folder, name, model)?;
    let place = folder.join("adapter");
    std::fs::create_dir_all(&place)?;
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        std::fs::copy(seeds::goldens().join(adapter).join(file), place.join(file))?;
    }
    let files = vec![std::fs::read(place.join(mutated))?];
    let adapter = place.clone();
    let check = move |_: &Path| {
        let reference = folder.to_str().expect("the folder of the harness is UTF-8");
        let loaded = checkpoint::load(reference, &Cache::at("no-cache"));
        let loaded =
            loaded.and_then(|loaded| loaded.with_adapter(&adapter)).map_err(lm_infinite::Error::from);
        loaded.and_then(used).map_or_else(Outcome::refused, Outcome::Accepted)
    };
    Ok(file(name, place.join(mutated), files, MODEL, check))
}

/// SentencePiece's tables of replacements: a large one, and one in a `tokenizer.json`.
fn of_normalizers(folder: &Path) -> std::io::Result<Vec<Target>> {
    let own = own_folder(folder, "sentencepiece-tables")?;
    let whole = own.clone();
    let files = vec![seeds::golden_model("folded")];
    let large = file("sentencepiece-tables", own.join("tokenizer.model"), files, MODEL, move |_| {
        check_tokenizer(&whole)
    });
    let own = own_folder(folder, "tokenizer-table")?;
    let model = seeds::golden_model("rules");
    let table = field(field(&model, 3).expect("a normalizer"), 2).expect("a table of replacements");
    let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": base64(table)},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "post_processor": null,
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [
            ["<unk>", 0.0], ["▁", -1.0], ["t", -2.0], ["h", -2.0], ["e", -2.0], ["▁the", -3.0]]}});
    let files = vec![tokenizer.to_string().into_bytes()];
    let whole = own.clone();
    let small =
        file("tokenizer-table", own.join("tokenizer.json"), files, MODEL, move |_| check_tokenizer(&whole));
    Ok(vec![large, small])
}

/// The first field `number` of a Protocol Buffers message, if it is one of bytes.
fn field(message: &[u8], number: u64) -> Option<&[u8]> {
    let mut rest = message;
    let varint = |rest: &mut &[u8]| {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, more) = rest.split_first()?;
            *rest = more;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    };
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let length = match key & 7 {
            0 => {
                varint(&mut rest)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (value, more) = rest.split_at_checked(length)?;
        if key >> 3 == number && key & 7 == 2 {
            return Some(value);
        }
        rest = more;
    }
    None
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .enumerate()
            .fold(0_usize, |group, (at, &byte)| group | usize::from(byte) << (16 - 8 * at));
        for digit in 0..4 {
            let is_there = digit <= chunk.len();
            text.push(if is_there { char::from(DIGITS[group >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    text
}
