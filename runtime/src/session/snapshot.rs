//! A session on disk: one safetensors file with the caches, the last hidden state, and what they belong to. A session
//! resumed from it goes on bit for bit.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::Session;
use crate::error::{Error, Result};
use crate::model::config::ModelConfig;
use crate::policy::AttentionPolicy;
use crate::session::decoder::Decoder;

const FORMAT: &str = "lm-infinite session 1";
const META: &str = "session";

/// What a snapshot belongs to. Stored as JSON in the file's metadata.
#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    config: ModelConfig,
    policy: AttentionPolicy,
    /// Per layer: start tokens held, and the other positions held.
    positions: Vec<[Range<u64>; 2]>,
}

impl Session {
    /// Writes the state to `path`, whole or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let header = Header {
            format: FORMAT.into(),
            config: self.decoder.config().clone(),
            policy: self.policy.clone(),
            positions: self.caches.iter().map(|cache| cache.positions()).collect(),
        };
        let header = serde_json::to_string(&header).map_err(|e| Error::input("snapshot", e))?;
        let mut arrays: Vec<(String, Vec<u8>)> = Vec::new();
        for (layer, cache) in self.caches.iter().enumerate() {
            let (keys, values) = cache.export();
            arrays.push((format!("keys.{layer}"), to_bytes(&keys)));
            arrays.push((format!("values.{layer}"), to_bytes(&values)));
        }
        if let Some(hidden) = &self.last_hidden {
            arrays.push(("last_hidden".into(), to_bytes(hidden)));
        }
        let views = arrays.iter().map(|(name, bytes)| {
            TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).map(|view| (name.clone(), view))
        });
        let views =
            views.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| Error::input("snapshot", e))?;
        let metadata = HashMap::from([(META.to_owned(), header)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| Error::input("snapshot", e))?;
        crate::files::write_whole(path, &bytes)
    }

    /// Goes on from a snapshot.
    ///
    /// # Errors
    /// A file that is no snapshot, is damaged, or belongs to another model or policy.
    pub fn restore(decoder: Arc<Decoder>, policy: AttentionPolicy, path: &Path) -> Result<Self> {
        let malformed =
            |field: &str, expected: &str, got: String| Error::malformed(path, field, expected, got);
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let read = |e: safetensors::SafeTensorError| malformed("header", "a session snapshot", e.to_string());
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(read)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(read)?;
        let header = metadata.metadata().as_ref().and_then(|meta| meta.get(META));
        let header = header.ok_or_else(|| malformed("metadata", "a session header", "none".into()))?;
        let header: Header = serde_json::from_str(header)
            .map_err(|e| malformed("metadata", "a session header", e.to_string()))?;
        if header.format != FORMAT {
            return Err(malformed("format", FORMAT, header.format));
        }
        if header.config != *decoder.config() {
            return Err(malformed(
                "model",
                "the model that wrote the snapshot",
                "another configuration".into(),
            ));
        }
        if header.policy != policy {
            return Err(malformed("policy", &header.policy.to_string(), policy.to_string()));
        }
        let mut session = Self::new(decoder, policy)?;
        if header.positions.len() != session.caches.len() {
            return Err(malformed(
                "layers",
                &session.caches.len().to_string(),
                header.positions.len().to_string(),
            ));
        }
        if header.positions.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(malformed("positions", "the same in every layer", "different ones".into()));
        }
        let tensor = |name: &str| -> Result<Vec<f32>> {
            let view = tensors.tensor(name).map_err(|e| malformed(name, "a tensor", e.to_string()))?;
            if view.dtype() != Dtype::F32 {
                return Err(malformed(name, "F32", format!("{:?}", view.dtype())));
            }
            Ok(view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
        };
        for (layer, (cache, positions)) in session.caches.iter_mut().zip(header.positions).enumerate() {
            let (keys, values) = (tensor(&format!("keys.{layer}"))?, tensor(&format!("values.{layer}"))?);
            cache.import(positions, &keys, &values)?;
        }
        if tensors.names().contains(&"last_hidden") {
            let hidden = tensor("last_hidden")?;
            if hidden.len() != session.decoder.config().hidden {
                return Err(malformed("last_hidden", "one hidden state", format!("{} values", hidden.len())));
            }
            session.last_hidden = Some(hidden);
        }
        Ok(session)
    }
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
