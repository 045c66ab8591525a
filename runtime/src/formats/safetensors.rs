//! Safetensors: one file, or the shards that `model.safetensors.index.json` names, over mappings.
//!
//! Layout of a file: header length (u64, little-endian), header (JSON: name → dtype, shape, offsets), data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorInfo};
use serde::Deserialize;
use serde_json::Value;

use super::folder::{WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
use super::mapped;
use super::tensors::{Element, StoredTensor, TensorTable};
use crate::error::{Error, Result};
use crate::model::weights::WeightType;
use crate::note::Note;

/// The length of the header comes first, in so many bytes.
const LENGTH_BYTES: usize = 8;

/// The file that names the shards.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Files that hold the weights of the folder, in the order of their names. Of one file and several with an index, the one
/// file is taken, as transformers does.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join(WEIGHTS_FILE);
    let index = folder.join(WEIGHTS_INDEX_FILE);
    if mapped::exists(&single) {
        return Ok(vec![single]);
    }
    if !mapped::exists(&index) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        return Err(Error::malformed(
            folder,
            "weights",
            format!("{WEIGHTS_FILE} or {WEIGHTS_INDEX_FILE}"),
            without_weights(names.iter().map(String::as_str)),
        ));
    }
    let shards: BTreeSet<String> = read_index(&index)?.into_values().collect();
    Ok(shards.into_iter().map(|shard| folder.join(shard)).collect())
}

/// What there is instead, where no file of `names` holds weights that are read, and what to do about it.
pub(crate) fn without_weights<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut others: Vec<&str> = names
        .filter(|name| {
            let extension = name.rsplit_once('.').map(|(_, extension)| extension);
            matches!(extension, Some("bin" | "pt" | "pth" | "safetensors" | "gguf"))
        })
        .collect();
    others.sort_unstable();
    let listed = match others.as_slice() {
        [] => return "neither".to_owned(),
        [first, second, third, .., last] => format!("{first}, {second}, {third}, … {last}"),
        few => few.join(", "),
    };
    let pickled = |name: &&&str| !name.ends_with(".safetensors") && !name.ends_with(".gguf");
    match others.iter().find(pickled) {
        Some(_) => format!(
            "{listed}: weights as PyTorch pickles them are not read, since opening them can run code; convert them, with \
             transformers: `AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)`"
        ),
        None => format!("neither, but {listed}"),
    }
}

/// What there is to say of the weights of `folder`, whose tensors are `tensors`.
pub(crate) fn notes(folder: &Path, tensors: &TensorTable) -> Vec<Note> {
    let mut notes = Vec::new();
    if mapped::exists(&folder.join(WEIGHTS_FILE)) && mapped::exists(&folder.join(WEIGHTS_INDEX_FILE)) {
        let said = format!(
            "{WEIGHTS_FILE} is read; {WEIGHTS_INDEX_FILE}, which names others, is not, as in transformers"
        );
        notes.push(Note::warning("weights", said));
    }
    let is_gguf = |entry: &std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().to_lowercase();
        name.ends_with(".gguf") && !name.starts_with('.')
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    if let Some(gguf) = entries.filter(is_gguf).map(|entry| entry.file_name()).min() {
        let said = format!(
            "the folder also holds `{}`, which is not read; give the file itself to read it",
            gguf.to_string_lossy()
        );
        notes.push(Note::new("weights", said));
    }
    let doubles = tensors.iter().filter(|(_, tensor)| tensor.element == Element::Double).count();
    if doubles > 0 {
        let said =
            format!("{doubles} tensors are stored as F64; they are rounded to F32, in which is computed");
        notes.push(Note::new("weights", said));
    }
    notes
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

/// All tensors of one file.
pub(crate) fn open_file(path: &Path) -> Result<TensorTable> {
    let mut tensors = TensorTable::new(path);
    read_file(path, &mut tensors)?;
    Ok(tensors)
}

fn read_file(path: &Path, tensors: &mut TensorTable) -> Result<()> {
    let bytes = mapped::map(path)?;
    let all = (*bytes).as_ref();
    let (header_length, metadata) =
        SafeTensors::read_metadata(all).map_err(|error| in_words(path, all, &error))?;
    let data_start = LENGTH_BYTES + header_length;
    let file: Arc<Path> = path.into();
    for (name, TensorInfo { dtype, shape, data_offsets: (begin, end) }) in metadata.tensors() {
        tensors.insert(
            name,
            StoredTensor {
                path: file.clone(),
                bytes: bytes.clone(),
                range: data_start + begin..data_start + end,
                element: element(*dtype),
                shape: shape.clone(),
            },
        )?;
    }
    Ok(())
}

/// Why `all`, the bytes of `path`, is not a safetensors file: the field, what was expected, and what is there.
fn in_words(path: &Path, all: &[u8], error: &SafeTensorError) -> Error {
    let Some((length, rest)) = all.split_first_chunk::<LENGTH_BYTES>() else {
        return Error::malformed(path, "header length", "8 bytes", format!("{} bytes", all.len()));
    };
    let length = u64::from_le_bytes(*length);
    let Some(header) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        return Error::malformed(path, "header length", format!("at most {}", rest.len()), length);
    };
    if matches!(error, SafeTensorError::HeaderTooLarge) {
        return Error::malformed(path, "header length", "at most 100000000", length);
    }
    let entries: BTreeMap<String, Value> = match serde_json::from_slice(header) {
        Ok(entries) => entries,
        Err(e) => return Error::malformed(path, "header", "a JSON object", e),
    };
    let data = rest.len() - header.len();
    let mut spans = Vec::new();
    for (name, value) in entries.into_iter().filter(|(name, _)| name != "__metadata__") {
        let field = format!("tensor `{name}`");
        let info: TensorInfo = match serde_json::from_value(value) {
            Ok(info) => info,
            Err(e) => return Error::malformed(path, field, "dtype, shape and data_offsets", e),
        };
        let (begin, end) = info.data_offsets;
        let bits =
            info.shape.iter().try_fold(info.dtype.bitsize(), |product, &size| product.checked_mul(size));
        if begin > end || bits.is_none_or(|bits| !bits.is_multiple_of(8) || bits / 8 != end - begin) {
            let shape = format!("{:?} of {:?}", info.shape, info.dtype);
            return Error::malformed(
                path,
                field,
                format!("the bytes of shape {shape}"),
                format!("{begin}..{end}"),
            );
        }
        spans.push((begin, end, field));
    }
    spans.sort();
    let mut covered = 0;
    for (begin, end, field) in spans {
        if begin != covered {
            let expected =
                "data offsets that begin where those of the tensor before end, without overlap or gap";
            return Error::malformed(path, field, format!("{expected}: at {covered}"), begin);
        }
        covered = end;
    }
    Error::malformed(
        path,
        "data",
        format!("the {covered} bytes that the header names"),
        format!("{data} bytes"),
    )
}

/// The type, where matrices can have it.
fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F32 => Element::Weight(WeightType::F32),
        Dtype::F16 => Element::Weight(WeightType::F16),
        Dtype::BF16 => Element::Weight(WeightType::Bf16),
        Dtype::F64 => Element::Double,
        Dtype::F8_E4M3 => Element::Float8,
        other => Element::Other(format!("{other:?}")),
    }
}
