//! A session on disk. A session resumed from it goes on bit for bit.
//!
//! A snapshot is a safetensors file with what changes (start tokens, window, the last hidden state) and what it belongs to:
//! the digest of the model, the policy, the positions. Where the policy reads every earlier key (`vanilla`, retrieved keys),
//! whole pages of old keys lie in a second file beside it, see [`super::pages`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use safetensors::View;
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::pages::{PagesFile, Reference};
use super::{PagesOf, Session};
use crate::cache::{Import, KvCache, Layout, Side};
use crate::error::{Error, Result};
use crate::files::write_whole_with;
use crate::formats::mapped;
use crate::model::ModelDigest;
use crate::offload::Storage;
use crate::policy::PolicyMap;
use crate::session::decoder::Decoder;

const FORMAT: &str = "lm-infinite session 2";
const META: &str = "session";
const LAST_HIDDEN: &str = "last_hidden";

/// What a snapshot belongs to. Stored as JSON in the file's metadata.
#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    model: ModelDigest,
    policy: PolicyMap,
    /// One per layer.
    layers: Vec<Layout>,
    /// Old keys that lie beside.
    pages: Option<Reference>,
}

impl Session {
    /// Writes the state to `path`, whole or not at all; an older snapshot there is replaced in one step. Under a policy
    /// that reads every earlier key, whole pages of them are written to a file beside it, `NAME.DIGEST.pages`, which the
    /// snapshot names and needs. Memory does not grow with what is written.
    ///
    /// The first snapshot of a model computes its digest, which reads all weights. For snapshots of a session again and
    /// again, [`Session::checkpoint`] writes each page once.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let before = pages_of(path);
        let pages = if self.caches.iter().any(|cache| cache.whole_pages() > 0) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let temporary = path.with_file_name(format!("{name}.{}.pages.part", std::process::id()));
            // What a killed process of the same number left.
            let _ = std::fs::remove_file(&temporary);
            let written = PagesFile::create(&temporary, self.caches.len()).and_then(|mut pages| {
                pages.append(&self.caches)?;
                let mut reference = pages.reference();
                reference.file = format!("{name}.{}.pages", &reference.sha256[..16]);
                let target = path.with_file_name(&reference.file);
                std::fs::rename(&temporary, &target).map_err(Error::io(&target))?;
                Ok(reference)
            });
            Some(written.inspect_err(|_| {
                // Nothing to lose: no snapshot names it.
                let _ = std::fs::remove_file(&temporary);
            })?)
        } else {
            None
        };
        let kept = pages.as_ref().map(|pages| pages.file.clone());
        self.write(path, pages)?;
        // The pages of the snapshot that was replaced.
        match before.filter(|name| name.ends_with(".pages") && Some(name) != kept.as_ref()) {
            Some(name) => {
                let old = path.with_file_name(name);
                std::fs::remove_file(&old).map_err(Error::io(&old))
            }
            None => Ok(()),
        }
    }

    /// Writes the state to `path`, whole or not at all, as one of a series of snapshots whose old keys lie in one file,
    /// `pages` in the same folder: each page is written there once, when it is full, so that a series writes as many bytes
    /// as the session has keys. The file is begun by the first checkpoint that has pages; it must not exist then. Every
    /// snapshot of the series that is still there can be restored, whenever the process is killed.
    ///
    /// # Errors
    /// Where a file cannot be written; a `pages` that exists and is not that of this session.
    pub fn checkpoint(&mut self, path: &Path, pages: &str) -> Result<()> {
        let file = path.with_file_name(pages);
        let ours = self.pages.0.as_ref().is_some_and(|known| known.path() == file);
        if !ours && self.caches.iter().all(|cache| cache.whole_pages() == 0) {
            return self.write(path, None);
        }
        if !ours {
            self.pages = PagesOf(Some(PagesFile::create(&file, self.caches.len())?));
        }
        let reference = match &mut self.pages.0 {
            Some(pages) => {
                pages.append(&self.caches)?;
                Some(pages.reference())
            }
            None => None,
        };
        self.write(path, reference)
    }

    /// The file that holds this session's old keys since its last checkpoint, or since it was restored.
    pub fn pages_file(&self) -> Option<&Path> {
        self.pages.0.as_ref().map(PagesFile::path)
    }

    fn write(&self, path: &Path, pages: Option<Reference>) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::input(format!("snapshot `{}`", path.display()), e);
        let header = Header {
            format: FORMAT.into(),
            model: self.decoder.digest(),
            policy: self.policies.clone(),
            layers: self.caches.iter().map(KvCache::layout).collect(),
            pages,
        };
        let header = serde_json::to_string(&header).map_err(|e| failed(&e))?;
        let mut tensors = Vec::new();
        for (layer, cache) in self.caches.iter().enumerate() {
            for (name, side) in [("keys", Side::Keys), ("values", Side::Values)] {
                tensors.push((format!("{name}.{layer}"), Tensor::new(Source::Rest(cache, side))));
            }
        }
        if let Some(hidden) = &self.last_hidden {
            tensors.push((LAST_HIDDEN.to_owned(), Tensor::new(Source::Values(hidden))));
        }
        let metadata = HashMap::from([(META.to_owned(), header)]);
        write_whole_with(path, |temporary| {
            safetensors::serialize_to_file(tensors, Some(metadata), temporary).map_err(|e| failed(&e))
        })
    }

    /// Goes on from a snapshot.
    ///
    /// # Errors
    /// As [`Session::restore_with_storage`].
    pub fn restore(decoder: Arc<Decoder>, policy: impl Into<PolicyMap>, path: &Path) -> Result<Self> {
        Self::restore_with_storage(decoder, policy, path, &Storage::default())
    }

    /// Goes on from a snapshot, with old keys in `storage`. The files are not believed: what they say is held against the
    /// model, the policy and their own sizes before anything is allocated.
    ///
    /// # Errors
    /// A file that is no snapshot, is damaged, or belongs to another policy or another model (weights, configuration or
    /// tokenizer: the message says which).
    pub fn restore_with_storage(
        decoder: Arc<Decoder>,
        policy: impl Into<PolicyMap>,
        path: &Path,
        storage: &Storage,
    ) -> Result<Self> {
        let malformed =
            |field: &str, expected: &str, got: String| Error::malformed(path, field, expected, got);
        let policy = policy.into();
        let mapped = mapped::map(path)?;
        let bytes = (*mapped).as_ref();
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|e| malformed("header", "a session snapshot", e.to_string()))?;
        let header = header(path, bytes)?;
        let ours = decoder.digest();
        if let Some(part) = ours.difference(&header.model) {
            let field = format!("model ({part})");
            return Err(malformed(&field, &ours.whole(), header.model.whole()));
        }
        if header.policy != policy {
            return Err(malformed("policy", &header.policy.to_string(), policy.to_string()));
        }
        let mut session = Self::with_storage(decoder, policy, storage)?;
        let layers = session.caches.len();
        if header.layers.len() != layers {
            return Err(malformed("layers", &layers.to_string(), header.layers.len().to_string()));
        }
        // Without a gap the window begins behind the start tokens, of which layers may keep more or fewer.
        let starts = session.reading.layers.iter().map(|policies| policies.kept().start);
        let places: Vec<_> = header
            .layers
            .iter()
            .zip(starts)
            .map(|(layout, start)| (layout.recent.end, Some(layout.origin).filter(|&origin| origin != start)))
            .collect();
        if places.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(malformed(
                "positions",
                "the same end and gap in every layer",
                "different ones".into(),
            ));
        }
        let mut imports = Vec::new();
        for (layer, (cache, layout)) in session.caches.iter_mut().zip(header.layers).enumerate() {
            let place =
                |e: Error| malformed(&format!("layer {layer}"), "a cache of this policy", e.to_string());
            imports.push(cache.import(layout).map_err(place)?);
        }
        // All sizes first, then the numbers.
        let tensor = |name: &str, values: Option<u64>| -> Result<&[u8]> {
            let view = tensors.tensor(name).map_err(|e| malformed(name, "a tensor", e.to_string()))?;
            if view.dtype() != Dtype::F32 {
                return Err(malformed(name, "F32", format!("{:?}", view.dtype())));
            }
            let held = view.data().len() as u64 / 4;
            let expected = values.map_or("fewer positions".into(), |values| format!("{values} values"));
            if values != Some(held) {
                Err(malformed(name, &expected, format!("{held}")))
            } else {
                Ok(view.data())
            }
        };
        let mut rest = Vec::new();
        for (layer, import) in imports.iter().enumerate() {
            let side = |name: &str| tensor(&format!("{name}.{layer}"), import.rest_values());
            rest.push((side("keys")?, side("values")?));
        }
        let hidden = match tensors.names().contains(&LAST_HIDDEN) {
            true => Some(to_values(tensor(LAST_HIDDEN, Some(session.decoder.config().hidden as u64))?)),
            false => None,
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        session.pages = PagesOf(match &header.pages {
            Some(reference) => Some(PagesFile::read(folder, reference, &mut imports)?),
            None if imports.iter().any(|import| import.pages() > 0) => {
                return Err(malformed(
                    "pages",
                    "the file of old keys that its positions ask for",
                    "none".into(),
                ));
            }
            None => None,
        });
        for (import, (keys, values)) in imports.into_iter().zip(rest) {
            Import::finish(import, &to_values(keys), &to_values(values))?;
        }
        session.last_hidden = hidden;
        Ok(session)
    }
}

/// What the snapshot `bytes` says of itself.
fn header(path: &Path, bytes: &[u8]) -> Result<Header> {
    let malformed = |field: &str, expected: &str, got: String| Error::malformed(path, field, expected, got);
    let (_, metadata) = SafeTensors::read_metadata(bytes)
        .map_err(|e| malformed("header", "a session snapshot", e.to_string()))?;
    let header = metadata.metadata().as_ref().and_then(|meta| meta.get(META));
    let header = header.ok_or_else(|| malformed("metadata", "a session header", "none".into()))?;
    /// The part that every version has.
    #[derive(Deserialize)]
    struct Version {
        format: String,
    }
    let unreadable = |e: serde_json::Error| malformed("metadata", "a session header", e.to_string());
    let Version { format } = serde_json::from_str(header).map_err(unreadable)?;
    if format != FORMAT {
        return Err(malformed("format", FORMAT, format));
    }
    serde_json::from_str(header).map_err(unreadable)
}

/// Name of the file of pages of the snapshot at `path`, if there is one.
fn pages_of(path: &Path) -> Option<String> {
    let bytes = mapped::map(path).ok()?;
    header(path, (*bytes).as_ref()).ok()?.pages.map(|pages| pages.file)
}

/// What is made into bytes when it is written, one tensor at a time.
struct Tensor<'a> {
    source: Source<'a>,
    shape: [usize; 1],
}

enum Source<'a> {
    Rest(&'a KvCache, Side),
    Values(&'a [f32]),
}

impl<'a> Tensor<'a> {
    fn new(source: Source<'a>) -> Self {
        let values = match source {
            Source::Rest(cache, _) => cache.rest_values(),
            Source::Values(values) => values.len(),
        };
        Self { source, shape: [values] }
    }
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.source {
            Source::Rest(cache, side) => to_bytes(&cache.export_rest(side)).into(),
            Source::Values(values) => to_bytes(values).into(),
        }
    }

    fn data_len(&self) -> usize {
        4 * self.shape[0]
    }
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn to_values(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}
