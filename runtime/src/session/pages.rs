//! The file beside a snapshot with what never changes again: whole pages of old keys and values, one record after the other.
//!
//! A record is the layer and the number of the page in that layer (u64 each), then the page's keys and its values (f32,
//! [`PAGE_KEYS`](crate::offload::PAGE_KEYS) × kv_heads × head_dim each), everything little-endian. The file only grows, and
//! a snapshot names how many of its bytes it needs, with their SHA-256. So several snapshots of one session share the file;
//! what lies behind the bytes that a snapshot names is none of its business, and is overwritten by a session that goes on
//! from there.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::{Import, KvCache};
use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::files;

/// What a snapshot says about its pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    /// Name of the file, in the folder of the snapshot.
    pub file: String,
    /// Bytes of it that belong to the snapshot.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: String,
}

/// A file of pages that one session appends to.
#[derive(Debug)]
pub(super) struct PagesFile {
    path: PathBuf,
    /// Pages written, by layer.
    written: Vec<u64>,
    bytes: u64,
    /// Of the bytes written.
    hasher: Hasher,
}

impl PagesFile {
    /// A new file; one that exists is an error.
    pub fn create(path: &Path, layers: usize) -> Result<Self> {
        OpenOptions::new().write(true).create_new(true).open(path).map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), written: vec![0; layers], bytes: 0, hasher: Hasher::default() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a snapshot has to say about the pages written so far.
    pub fn reference(&self) -> Reference {
        Reference {
            file: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            bytes: self.bytes,
            sha256: self.hasher.clone().finish(),
        }
    }

    /// Writes the whole pages of `caches` (one per layer) that are not there yet, and waits until the disk has them. After
    /// an error the file counts as it was before.
    pub fn append(&mut self, caches: &[KvCache]) -> Result<()> {
        let failed = || Error::io(&self.path);
        let mut file = OpenOptions::new().write(true).open(&self.path).map_err(failed())?;
        let length = file.metadata().map_err(failed())?.len();
        if length < self.bytes {
            return Err(Error::malformed(
                &self.path,
                "length",
                format!("at least {} bytes", self.bytes),
                length,
            ));
        }
        file.seek(SeekFrom::Start(self.bytes)).map_err(failed())?;
        let (mut written, mut bytes, mut hasher) = (self.written.clone(), self.bytes, self.hasher.clone());
        let (mut values, mut record) = (Vec::new(), Vec::new());
        for (layer, (cache, written)) in caches.iter().zip(&mut written).enumerate() {
            for page in *written..cache.whole_pages() {
                cache.export_page(page, &mut values);
                record.clear();
                record.extend_from_slice(&(layer as u64).to_le_bytes());
                record.extend_from_slice(&page.to_le_bytes());
                record.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                file.write_all(&record).map_err(failed())?;
                hasher.update(&record);
                bytes += record.len() as u64;
                *written = page + 1;
            }
        }
        if bytes > self.bytes {
            file.sync_all().and_then(|()| files::sync_folder_of(&self.path)).map_err(failed())?;
        }
        (self.written, self.bytes, self.hasher) = (written, bytes, hasher);
        Ok(())
    }

    /// Fills `imports` (one per layer) with the pages that they expect, from the file in `folder` that `reference` names.
    /// Nothing of it is believed: the length is what the expected pages take, and no longer than the file; each record says
    /// which page it is; and the digest is checked.
    pub fn read(folder: &Path, reference: &Reference, imports: &mut [Import<'_>]) -> Result<Self> {
        let Reference { file: name, bytes, sha256 } = reference;
        let mut parts = Path::new(name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(Error::malformed(folder, "file of pages", "the name of a file in this folder", name));
        }
        let path = folder.join(name);
        let failed = || Error::io(&path);
        let metadata = std::fs::metadata(&path).map_err(failed())?;
        if !metadata.is_file() {
            return Err(Error::malformed(&path, "file", "a regular file", "a folder, device or pipe"));
        }
        let expected = imports.iter().try_fold(0u64, |sum, import| {
            sum.checked_add(import.pages().checked_mul(16 + 4 * import.page_values() as u64)?)
        });
        if expected != Some(*bytes) {
            let expected =
                expected.map_or("fewer positions".into(), |bytes| format!("{bytes} bytes of pages"));
            return Err(Error::malformed(
                &path,
                "length",
                expected,
                format!("{bytes} bytes in the snapshot"),
            ));
        }
        if metadata.len() < *bytes {
            return Err(Error::malformed(&path, "length", format!("at least {bytes} bytes"), metadata.len()));
        }
        let mut input = BufReader::new(File::open(&path).map_err(failed())?.take(*bytes));
        let (mut hasher, mut record, mut values) = (Hasher::default(), Vec::new(), Vec::new());
        let total: u64 = imports.iter().map(Import::pages).sum();
        for index in 0..total {
            let mut head = [0; 16];
            input.read_exact(&mut head).map_err(failed())?;
            hasher.update(&head);
            let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte));
            let (layer, page) = (number(&head[..8]), number(&head[8..]));
            let import = usize::try_from(layer).ok().and_then(|layer| imports.get_mut(layer));
            let import = import.filter(|import| page == import.pages_done() && page < import.pages());
            let Some(import) = import else {
                let got = format!("page {page} of layer {layer}");
                return Err(Error::malformed(
                    &path,
                    format!("record {index}"),
                    "the next page of a layer",
                    got,
                ));
            };
            record.resize(4 * import.page_values(), 0);
            input.read_exact(&mut record).map_err(failed())?;
            hasher.update(&record);
            values.clear();
            values.extend(record.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            import.page(&values)?;
        }
        let got = hasher.clone().finish();
        if got != *sha256 {
            return Err(Error::malformed(&path, "SHA-256", sha256, got));
        }
        let written = imports.iter().map(Import::pages).collect();
        Ok(Self { path: path.clone(), written, bytes: *bytes, hasher })
    }
}
