//! Keys and values that have left the window, for policies that go on reading them: in memory up to a limit, then in a
//! file that is mapped. Every 16 keys have a block around them, so that a search can pass over most of them unread.
//!
//! A page that is full never changes again. It stays in memory or is written to a file without a name, which vanishes with
//! the program; a full disk is an error of the write and no fault of a later read.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::{Error, Result};
use crate::kernels::elementwise::larger;

/// Keys per page.
pub const PAGE_KEYS: usize = 256;
/// Keys per block, which has bounds of its own (page bounds in Quest, arXiv 2406.10774).
pub const BLOCK_KEYS: usize = 16;
const BLOCKS: usize = PAGE_KEYS / BLOCK_KEYS;

/// Where old keys are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Bytes of old keys and values in memory, of all layers together. What a page is being filled with comes on top.
    pub memory_bytes: u64,
    /// Folder of the files for the rest.
    pub folder: PathBuf,
}

impl Default for Storage {
    /// 1 GiB in memory, the rest in the system's folder for temporary files.
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, folder: std::env::temp_dir() }
    }
}

/// Old keys and values of one layer, of consecutive positions.
#[derive(Debug)]
pub struct OffloadedKeys {
    kv_heads: usize,
    head_dim: usize,
    first: u64,
    len: u64,
    /// In order: full pages in memory, full pages in files, and the page that is being filled.
    memory: Vec<Box<[f32]>>,
    segments: Vec<Segment>,
    tail: Box<[f32]>,
    /// The file that grows: what the last segment maps.
    file: Option<Arc<File>>,
    memory_pages: usize,
    folder: PathBuf,
}

/// A mapped file.
#[derive(Clone, Debug)]
struct Segment {
    map: Arc<Mmap>,
    pages: usize,
    /// Open as long as it is mapped, and closed behind the map: a system that deletes temporary files as they are closed
    /// (Windows) does not delete mapped ones.
    _file: Arc<File>,
}

/// One key/value head of a page.
#[derive(Clone, Copy, Debug)]
pub struct OffloadedPage<'a> {
    /// Position of the first key.
    pub first: u64,
    /// Keys before the position encoding. [keys, head_dim]
    pub keys: &'a [f32],
    /// [keys, head_dim]
    pub values: &'a [f32],
    /// Smallest value by dimension of every whole block. [keys / BLOCK_KEYS, head_dim]
    pub low: &'a [f32],
    /// Largest value by dimension. [keys / BLOCK_KEYS, head_dim]
    pub high: &'a [f32],
    /// Euclidean norm of the bounds' farthest corner: no key of the block is longer. [keys / BLOCK_KEYS]
    pub norms: &'a [f32],
}

impl OffloadedKeys {
    /// An empty offloaded whose first key will have position `first`. `layers` offloads share the memory of `storage`.
    pub fn new(kv_heads: usize, head_dim: usize, first: u64, layers: usize, storage: &Storage) -> Self {
        let page_bytes = (kv_heads * head_values(head_dim) * size_of::<f32>()).max(1) as u64;
        let memory_pages = storage.memory_bytes / layers.max(1) as u64 / page_bytes;
        Self {
            kv_heads,
            head_dim,
            first,
            len: 0,
            memory: Vec::new(),
            segments: Vec::new(),
            tail: Box::default(),
            file: None,
            memory_pages: usize::try_from(memory_pages).unwrap_or(usize::MAX),
            folder: storage.folder.clone(),
        }
    }

    /// Position that the next key gets.
    pub fn end(&self) -> u64 {
        self.first + self.len
    }

    /// Keys held.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> usize {
        (self.memory.len() * self.page_values() + self.tail.len()) * size_of::<f32>()
    }

    /// Bytes in files.
    pub fn file_bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.pages).sum::<usize>()
            * self.page_values()
            * size_of::<f32>()
    }

    /// Appends one position; `rows(h)` are key and value of head `h`, each `[head_dim]`.
    ///
    /// # Errors
    /// Where a full page cannot be written to its file.
    pub fn push<'a>(&mut self, rows: impl Fn(usize) -> (&'a [f32], &'a [f32])) -> Result<()> {
        let within = (self.len % PAGE_KEYS as u64) as usize;
        if within == 0 {
            if self.len > 0 {
                self.settle()?;
            }
            self.tail = vec![0.0; self.page_values()].into_boxed_slice();
        }
        let dim = self.head_dim;
        for head in 0..self.kv_heads {
            let (key, value) = rows(head);
            let page = &mut self.tail[head * head_values(dim)..][..head_values(dim)];
            let (keys, rest) = page.split_at_mut(PAGE_KEYS * dim);
            let (values, blocks) = rest.split_at_mut(PAGE_KEYS * dim);
            keys[within * dim..][..dim].copy_from_slice(key);
            values[within * dim..][..dim].copy_from_slice(value);
            if (within + 1).is_multiple_of(BLOCK_KEYS) {
                let block = within / BLOCK_KEYS;
                let (low, rest) = blocks.split_at_mut(BLOCKS * dim);
                let (high, norms) = rest.split_at_mut(BLOCKS * dim);
                let (low, high) = (&mut low[block * dim..][..dim], &mut high[block * dim..][..dim]);
                norms[block] = enclose(&keys[block * BLOCK_KEYS * dim..][..BLOCK_KEYS * dim], low, high);
            }
        }
        self.len += 1;
        Ok(())
    }

    /// Pages of one key/value head, in order of position.
    pub fn pages(&self, kv_head: usize) -> impl Iterator<Item = OffloadedPage<'_>> {
        let values = self.page_values();
        let mapped = self.segments.iter().flat_map(move |segment| floats(&segment.map).chunks_exact(values));
        let pages =
            self.memory.iter().map(|page| &page[..]).chain(mapped).chain(std::iter::once(&self.tail[..]));
        (0..self.len).step_by(PAGE_KEYS).zip(pages).map(move |(at, page)| {
            let dim = self.head_dim;
            let len = ((self.len - at) as usize).min(PAGE_KEYS);
            let [keys, values, low, high, norms] = parts(page, kv_head, dim);
            let blocks = len / BLOCK_KEYS;
            OffloadedPage {
                first: self.first + at,
                keys: &keys[..len * dim],
                values: &values[..len * dim],
                low: &low[..blocks * dim],
                high: &high[..blocks * dim],
                norms: &norms[..blocks],
            }
        })
    }

    /// Key and value of one head at `position`, each `[head_dim]`; `None` for a position that is not here.
    pub fn row(&self, position: u64, kv_head: usize) -> Option<(&[f32], &[f32])> {
        let at = position.checked_sub(self.first).filter(|&at| at < self.len && kv_head < self.kv_heads)?;
        let (page, within) = (self.page(at as usize / PAGE_KEYS)?, at as usize % PAGE_KEYS);
        let [keys, values, ..] = parts(page, kv_head, self.head_dim);
        let row = within * self.head_dim..(within + 1) * self.head_dim;
        Some((&keys[row.clone()], &values[row]))
    }

    /// All heads of the `index`-th page.
    fn page(&self, index: usize) -> Option<&[f32]> {
        if let Some(page) = self.memory.get(index) {
            return Some(page);
        }
        let mut index = index - self.memory.len();
        for segment in &self.segments {
            if index < segment.pages {
                return floats(&segment.map).chunks_exact(self.page_values()).nth(index);
            }
            index -= segment.pages;
        }
        (index == 0).then_some(&self.tail[..])
    }

    fn page_values(&self) -> usize {
        self.kv_heads * head_values(self.head_dim)
    }

    /// Puts the full tail where it stays.
    fn settle(&mut self) -> Result<()> {
        let page = std::mem::take(&mut self.tail);
        if self.segments.is_empty() && self.memory.len() < self.memory_pages {
            self.memory.push(page);
            return Ok(());
        }
        let settled = self.write(&page);
        if settled.is_err() {
            // Nothing is lost: the page can be settled again.
            self.tail = page;
        }
        settled
    }

    fn write(&mut self, page: &[f32]) -> Result<()> {
        let failed = || Error::io(self.folder.join("(file of old keys)"));
        let fresh = self.file.is_none();
        let file = match self.file.take() {
            Some(file) => file,
            None => Arc::new(tempfile::tempfile_in(&self.folder).map_err(Error::io(&self.folder))?),
        };
        let pages = if fresh { 0 } else { self.segments.last().map_or(0, |segment| segment.pages) };
        let bytes: Vec<u8> = page.iter().flat_map(|x| x.to_ne_bytes()).collect();
        let mut end = &*file;
        end.seek(SeekFrom::Start((pages * bytes.len()) as u64)).map_err(failed())?;
        end.write_all(&bytes).map_err(failed())?;
        // SAFETY: the file has no name and is only ever grown, by this offloaded alone.
        let map = unsafe { memmap2::MmapOptions::new().len((pages + 1) * bytes.len()).map(&*file) }
            .map_err(failed())?;
        if !fresh {
            self.segments.pop();
        }
        self.segments.push(Segment { map: Arc::new(map), pages: pages + 1, _file: file.clone() });
        self.file = Some(file);
        Ok(())
    }
}

impl Clone for OffloadedKeys {
    /// Files are shared as they are; what the copy appends goes to a file of its own.
    fn clone(&self) -> Self {
        Self {
            memory: self.memory.clone(),
            segments: self.segments.clone(),
            tail: self.tail.clone(),
            file: None,
            folder: self.folder.clone(),
            ..*self
        }
    }
}

/// Values of one head in a page: keys, values, and per block low, high and norm.
fn head_values(head_dim: usize) -> usize {
    2 * PAGE_KEYS * head_dim + BLOCKS * (2 * head_dim + 1)
}

/// Keys, values, and per block low, high and norm, of one head of a page. [PAGE_KEYS, head_dim] twice, [BLOCKS, head_dim]
/// twice, [BLOCKS]
fn parts(page: &[f32], kv_head: usize, head_dim: usize) -> [&[f32]; 5] {
    let page = &page[kv_head * head_values(head_dim)..][..head_values(head_dim)];
    let (keys, rest) = page.split_at(PAGE_KEYS * head_dim);
    let (values, rest) = rest.split_at(PAGE_KEYS * head_dim);
    let (low, rest) = rest.split_at(BLOCKS * head_dim);
    let (high, norms) = rest.split_at(BLOCKS * head_dim);
    [keys, values, low, high, norms]
}

/// Writes the bounds of `keys` and returns the norm of its farthest corner. A side is NaN where a key is: no bound of
/// such a block rules it out.
fn enclose(keys: &[f32], low: &mut [f32], high: &mut [f32]) -> f32 {
    low.fill(f32::INFINITY);
    high.fill(f32::NEG_INFINITY);
    for key in keys.chunks_exact(low.len()) {
        for ((low, high), &x) in low.iter_mut().zip(high.iter_mut()).zip(key) {
            *low = if x.is_nan() || x < *low { x } else { *low };
            *high = larger(*high, x);
        }
    }
    low.iter().zip(high).map(|(low, high)| larger(low.abs(), high.abs()).powi(2)).sum::<f32>().sqrt()
}

fn floats(bytes: &[u8]) -> &[f32] {
    // SAFETY: every bit pattern is an f32; `align_to` keeps to alignment and bounds.
    let (before, values, after) = unsafe { bytes.align_to::<f32>() };
    assert!(
        before.is_empty() && after.is_empty(),
        "maps begin at a page of the machine and hold whole values"
    );
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two heads of two dimensions; the key of head h at position p is (p + h, −p), its value (2p, h).
    fn filled(n: u64, memory_bytes: u64) -> OffloadedKeys {
        let storage = Storage { memory_bytes, ..Storage::default() };
        let mut offloaded = OffloadedKeys::new(2, 2, 3, 1, &storage);
        fill(&mut offloaded, n);
        offloaded
    }

    fn fill(offloaded: &mut OffloadedKeys, n: u64) {
        for _ in 0..n {
            let p = offloaded.end() as f32;
            let rows = [([p, -p], [2.0 * p, 0.0]), ([p + 1.0, -p], [2.0 * p, 1.0])];
            offloaded.push(|head| (&rows[head].0, &rows[head].1)).expect("room on the disk");
        }
    }

    fn check(offloaded: &OffloadedKeys, n: u64) {
        for head in 0..2 {
            let mut position = 3;
            for page in offloaded.pages(head) {
                assert_eq!(page.first, position);
                let len = page.keys.len() / 2;
                for (r, (key, value)) in
                    page.keys.chunks_exact(2).zip(page.values.chunks_exact(2)).enumerate()
                {
                    let p = (page.first + r as u64) as f32;
                    assert_eq!((key, value), (&[p + head as f32, -p][..], &[2.0 * p, head as f32][..]));
                }
                assert_eq!(page.norms.len(), len / BLOCK_KEYS);
                for (block, norm) in page.norms.iter().enumerate() {
                    let first = (page.first + (block * BLOCK_KEYS) as u64) as f32;
                    let last = first + (BLOCK_KEYS - 1) as f32;
                    assert_eq!(page.low[2 * block..][..2], [first + head as f32, -last]);
                    assert_eq!(page.high[2 * block..][..2], [last + head as f32, -first]);
                    assert_eq!(*norm, ((last + head as f32).powi(2) + last.powi(2)).sqrt());
                }
                position += len as u64;
            }
            assert_eq!(position, 3 + n);
        }
    }

    #[test]
    fn what_is_pushed_is_read_from_memory_and_from_files() {
        for n in [0, 1, 15, 16, 255, 256, 257, 512, 1000] {
            for memory in [0, 9000, 1 << 20] {
                let offloaded = filled(n, memory);
                check(&offloaded, n);
                // The last page is not written before it is full and another begins.
                assert_eq!(offloaded.file_bytes() > 0, memory < 1 << 20 && n > 256 + 256 * (memory / 9000));
            }
        }
    }

    #[test]
    fn memory_stays_within_its_limit_and_a_page() {
        let page = 2 * head_values(2) * 4;
        let offloaded = filled(10_000, 3 * page as u64);
        assert_eq!(offloaded.memory_bytes(), 4 * page);
        assert_eq!(offloaded.file_bytes(), 36 * page);
    }

    #[test]
    fn a_copy_and_its_original_go_on_apart() {
        let mut original = filled(700, 0);
        let mut copy = original.clone();
        fill(&mut original, 900);
        check(&copy, 700);
        fill(&mut copy, 300);
        check(&copy, 1000);
        check(&original, 1600);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_and_loses_nothing() {
        let storage = Storage { memory_bytes: 0, folder: "/nowhere/at/all".into() };
        let mut offloaded = OffloadedKeys::new(1, 1, 0, 1, &storage);
        for p in 0..256 {
            let value = [p as f32];
            offloaded.push(|_| (&[1.0], &value)).expect("still in memory");
        }
        for _ in 0..2 {
            let message = offloaded.push(|_| (&[1.0], &[0.0])).expect_err("no folder").to_string();
            assert!(message.contains("/nowhere/at/all"), "{message}");
            assert_eq!(offloaded.pages(0).next().map(|page| page.values[255]), Some(255.0));
        }
    }
}
