//! Safetensors: one file, or the shards that `model.safetensors.index.json` names, over mappings.
//!
//! Layout of a file: header length (u64, little-endian), header (JSON: name → dtype, shape, offsets), data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::folder::{WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
use super::mapped;
use super::tensors::{Element, StoredTensor, TensorTable};
use crate::error::{Error, Result};
use crate::model::weights::WeightType;

/// Longest header that is parsed; the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// One entry of a header.
#[derive(Deserialize)]
struct Header {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The file that names the shards.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Files that hold the weights of the folder, in the order of their names.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join(WEIGHTS_FILE);
    let index = folder.join(WEIGHTS_INDEX_FILE);
    if mapped::exists(&single) {
        return Ok(vec![single]);
    }
    if !mapped::exists(&index) {
        return Err(Error::malformed(
            folder,
            "weights",
            format!("{WEIGHTS_FILE} or {WEIGHTS_INDEX_FILE}"),
            "neither",
        ));
    }
    let shards: BTreeSet<String> = read_index(&index)?.into_values().collect();
    Ok(shards.into_iter().map(|shard| folder.join(shard)).collect())
}

/// Which shard holds each tensor. Names of shards are names of files in the same folder, nothing else.
fn read_index(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = mapped::read_small(path)?;
    let index: Index = serde_json::from_str(&text).map_err(|e| {
        Error::malformed(path, "index", "an object with `weight_map`: tensor name → file name", e)
    })?;
    match index.weight_map.iter().find(|(_, shard)| !is_plain_file_name(shard)) {
        Some((tensor, shard)) => Err(Error::malformed(
            path,
            format!("weight_map of `{tensor}`"),
            "the name of a .safetensors file in the same folder",
            format!("`{shard}`"),
        )),
        None if index.weight_map.is_empty() => Err(Error::malformed(path, "weight_map", "tensors", "none")),
        None => Ok(index.weight_map),
    }
}

/// Shard names of an index in text form, for whoever has to fetch them.
#[cfg_attr(not(feature = "hf"), expect(dead_code, reason = "only downloads ask for it"))]
pub(crate) fn shards_of_index(path: &Path) -> Result<BTreeSet<String>> {
    Ok(read_index(path)?.into_values().collect())
}

fn is_plain_file_name(name: &str) -> bool {
    name.ends_with(".safetensors")
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// All tensors of the folder.
pub(crate) fn open(folder: &Path) -> Result<TensorTable> {
    let mut tensors = TensorTable::new(folder);
    for file in weight_files(folder)? {
        read_file(&file, &mut tensors)?;
    }
    let index = folder.join(WEIGHTS_INDEX_FILE);
    if !mapped::exists(&folder.join(WEIGHTS_FILE)) {
        for (name, shard) in read_index(&index)? {
            let held_by =
                tensors.get(&name)?.path.file_name().map(|name| name.to_string_lossy().into_owned());
            if held_by.as_deref() != Some(shard.as_str()) {
                let got = held_by.unwrap_or_default();
                return Err(Error::malformed(&index, format!("weight_map of `{name}`"), got, shard));
            }
        }
    }
    Ok(tensors)
}

fn read_file(path: &Path, tensors: &mut TensorTable) -> Result<()> {
    let bytes = mapped::map(path)?;
    let all = (*bytes).as_ref();
    let Some((length, rest)) = all.split_first_chunk::<8>() else {
        return Err(Error::malformed(path, "header length", "8 bytes", format!("{} bytes", all.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > LONGEST_HEADER || length > rest.len() as u64 {
        let limit = LONGEST_HEADER.min(rest.len() as u64);
        return Err(Error::malformed(path, "header length", format!("at most {limit}"), length));
    }
    let (header, data) = rest.split_at(length as usize);
    let header: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|e| Error::malformed(path, "header", "a JSON object", e))?;

    let data_start = all.len() - data.len();
    let file: Arc<Path> = path.into();
    let mut spans = Vec::new();
    for (name, value) in header {
        if name == "__metadata__" {
            continue;
        }
        let field = format!("tensor `{name}`");
        let entry = Header::deserialize(value)
            .map_err(|e| Error::malformed(path, &field, "dtype, shape and data_offsets", e))?;
        let (begin, end) = entry.data_offsets;
        if begin > end || end > data.len() as u64 {
            let expected = format!("data offsets in order and at most {}", data.len());
            return Err(Error::malformed(path, &field, expected, format!("{begin}..{end}")));
        }
        // Both are at most the length of a slice, so they fit.
        let (begin, end) = (begin as usize, end as usize);
        let (element, element_bytes) = element(&entry.dtype);
        let elements = entry.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let expected = elements.and_then(|n| n.checked_mul(element_bytes.unwrap_or(0)));
        if elements.is_none() || element_bytes.is_some() && expected != Some((end - begin) as u64) {
            let expected = format!(
                "{} bytes of data for shape {:?}",
                expected.map_or("∞".into(), |n| n.to_string()),
                entry.shape
            );
            return Err(Error::malformed(path, &field, expected, end - begin));
        }
        let shape =
            entry.shape.iter().map(|&size| usize::try_from(size)).collect::<std::result::Result<_, _>>();
        let shape = shape.map_err(|e| Error::malformed(path, &field, "sizes that fit this machine", e))?;
        spans.push((begin, end, name.clone()));
        let range = data_start + begin..data_start + end;
        tensors
            .insert(name, StoredTensor { path: file.clone(), bytes: bytes.clone(), range, element, shape })?;
    }
    spans.retain(|(begin, end, _)| begin < end);
    spans.sort();
    match spans.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        None => Ok(()),
        Some(pair) => {
            let got = format!("data that overlaps tensor `{}`", pair[0].2);
            Err(Error::malformed(path, format!("tensor `{}`", pair[1].2), "data of its own", got))
        }
    }
}

/// Type and bytes per element, where this program knows them.
fn element(dtype: &str) -> (Element, Option<u64>) {
    match dtype {
        "F32" => (Element::Weight(WeightType::F32), Some(4)),
        "F16" => (Element::Weight(WeightType::F16), Some(2)),
        "BF16" => (Element::Weight(WeightType::Bf16), Some(2)),
        other => (Element::Other(other.to_owned()), None),
    }
}
