//! The state of a training on disk: one safetensors file with weights, moments, and what they belong to. A run that is
//! resumed from it goes on bit for bit.

use std::collections::HashMap;
use std::path::Path;

use lm_infinite_runtime::Error;
use lm_infinite_runtime::files::write_whole;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::log::LogLine;
use super::optimizer::AdamW;
use super::options::TrainOptions;
use super::parameters::{self, Parameter};
use crate::error::Result;

/// Name of the file in the model's folder.
pub const FILE: &str = "training.safetensors";

const FORMAT: &str = "lm-infinite training 1";
const META: &str = "training";

/// A text that is trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// File.
    pub path: String,
    /// Digest of its contents.
    pub sha256: String,
}

/// Everything but arrays. Stored as JSON in the file's metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    format: String,
    /// What is trained, and how.
    pub options: TrainOptions,
    /// On what.
    pub sources: Vec<Source>,
    /// Steps done.
    pub step: u64,
    /// Seconds spent on them.
    pub seconds: f64,
    /// Losses so far.
    pub log: Vec<LogLine>,
}

impl Header {
    /// What belongs to the arrays of a state.
    pub fn new(
        options: TrainOptions,
        sources: Vec<Source>,
        step: u64,
        seconds: f64,
        log: Vec<LogLine>,
    ) -> Self {
        Self { format: FORMAT.into(), options, sources, step, seconds, log }
    }
}

/// Writes the state to `path`, whole or not at all.
///
/// # Errors
/// Where the file cannot be written.
pub fn save(path: &Path, header: &Header, parameters: &[Parameter], adam: &AdamW) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| Error::input("checkpoint", e);
    let json = serde_json::to_string(header).map_err(|e| failed(&e))?;
    let mut arrays: Vec<(String, &[usize], Vec<u8>)> = Vec::new();
    for (index, p) in parameters.iter().enumerate() {
        for (kind, values) in
            [("value", &p.values), ("first", &adam.first[index]), ("second", &adam.second[index])]
        {
            arrays.push((format!("{kind}.{}", p.name), &p.shape, to_bytes(values)));
        }
    }
    let views = arrays.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::F32, shape.to_vec(), bytes).map(|view| (name.as_str(), view))
    });
    let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
    let bytes = safetensors::serialize(views, Some(HashMap::from([(META.to_owned(), json)])))
        .map_err(|e| failed(&e))?;
    Ok(write_whole(path, &bytes)?)
}

/// Reads a state that [`save`] wrote.
///
/// # Errors
/// Where the file is none, or its arrays do not fit its options.
pub fn load(path: &Path) -> Result<(Header, Vec<Parameter>, AdamW)> {
    let malformed = |field: &str, got: &dyn std::fmt::Display| {
        Error::malformed(path, field, "a state that `train` wrote", got)
    };
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| malformed("header", &e))?;
    let json = metadata.metadata().as_ref().and_then(|meta| meta.get(META)).map_or("", String::as_str);
    let header: Header = serde_json::from_str(json).map_err(|e| malformed(META, &e))?;
    if header.format != FORMAT {
        return Err(malformed("format", &header.format).into());
    }
    header.options.validate()?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| malformed("tensors", &e))?;
    let mut parameters = parameters::initial(&header.options.shape.layout(), header.options.seed);
    let mut adam = AdamW::new(&parameters);
    adam.steps = header.step;
    for (index, p) in parameters.iter_mut().enumerate() {
        let arrays = [
            ("value", &mut p.values),
            ("first", &mut adam.first[index]),
            ("second", &mut adam.second[index]),
        ];
        for (kind, values) in arrays {
            let name = format!("{kind}.{}", p.name);
            let view = tensors.tensor(&name).map_err(|e| malformed(&name, &e))?;
            if view.dtype() != Dtype::F32 || view.shape() != p.shape {
                return Err(malformed(&name, &format!("{:?} {:?}", view.dtype(), view.shape())).into());
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            *values = chunks.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        }
    }
    Ok((header, parameters, adam))
}

/// Little-endian bytes, as safetensors has them.
pub(super) fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
