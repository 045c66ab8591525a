//! One GGUF file, version 2 or 3, little-endian: header, metadata and tensor directory over a mapping.
//!
//! Layout: magic, version, tensor count, metadata count, metadata pairs, tensor directory, padding to the alignment, data.
//! Nothing is allocated by a number from the file that has not been checked against the file's length.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::cursor::Cursor;
use super::element;
use super::metadata::Metadata;
use crate::error::{Error, Result};
use crate::formats::mapped;
use crate::formats::tensors::{Element, StoredTensor, TensorTable};
use crate::note::Note;

/// The first four bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";

/// Alignment of tensor data where the file does not give one.
const DEFAULT_ALIGNMENT: u64 = 32;

/// Alignments above a huge page serve no purpose; the limit keeps sums of offsets far from overflow.
const LARGEST_ALIGNMENT: u64 = 1 << 30;

/// A file that has been opened and whose directory has been checked.
pub(super) struct GgufFile {
    /// Key/value pairs.
    pub metadata: Metadata,
    /// The tensors, by name.
    pub tensors: TensorTable,
    /// What is odd about the file and was passed over.
    pub notes: Vec<Note>,
}

/// A line of the tensor directory.
struct Entry {
    name: String,
    shape: Vec<usize>,
    element: Element,
    /// Length in bytes; 0 where the type is unknown.
    length: u64,
    /// From the start of the data.
    offset: u64,
}

impl GgufFile {
    /// Maps and checks the file at `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let bytes = mapped::map(path)?;
        let all = (*bytes).as_ref();
        let mut cursor = Cursor::new(path, all);
        if !all.starts_with(&MAGIC) {
            let got = format!("{:?}", String::from_utf8_lossy(&all[..all.len().min(4)]));
            return Err(Error::malformed(path, "magic", "\"GGUF\"", got));
        }
        cursor.skip(4, "magic")?;
        let version = cursor.u32("version")?;
        if !(2..=3).contains(&version) {
            let got = match version.swap_bytes() {
                2 | 3 => "a big-endian file".to_owned(),
                _ => version.to_string(),
            };
            return Err(Error::malformed(path, "version", "2 or 3, little-endian", got));
        }
        let tensor_count = cursor.u64("tensor count")?;
        let pair_count = cursor.u64("metadata count")?;
        let metadata = Metadata::read(path, &bytes, &mut cursor, pair_count)?;

        // The shortest entry: an empty name (8 bytes), no dimensions (4), type (4), offset (8).
        let tensor_count = cursor.check_count(tensor_count, 24, "tensor count")?;
        let mut entries = Vec::new();
        for index in 0..tensor_count {
            entries.push(read_entry(&mut cursor, index)?);
        }

        let alignment = metadata.integer("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
        if !alignment.is_power_of_two() || !(8..=LARGEST_ALIGNMENT).contains(&alignment) {
            let expected = format!("a power of two from 8 to {LARGEST_ALIGNMENT}");
            return Err(metadata.malformed("general.alignment", expected, alignment));
        }
        let data_start = (cursor.position() as u64).next_multiple_of(alignment);
        let ranges = entries
            .iter()
            .map(|entry| tensor_range(path, entry, alignment, data_start, all.len()))
            .collect::<Result<Vec<_>>>()?;
        check_overlap(path, &entries, &ranges)?;

        let file: Arc<Path> = path.into();
        let mut tensors = TensorTable::new(path);
        for (Entry { name, shape, element, .. }, range) in entries.into_iter().zip(ranges) {
            let tensor = StoredTensor { path: file.clone(), bytes: bytes.clone(), range, element, shape };
            tensors.insert(name, tensor)?;
        }
        let notes = metadata.notes();
        Ok(Self { metadata, tensors, notes })
    }
}

fn read_entry(cursor: &mut Cursor<'_>, index: usize) -> Result<Entry> {
    let name = cursor.text(&format!("name of tensor {index}"))?.to_owned();
    let field = format!("tensor `{name}`");
    let dimensions = cursor.u32(&field)?;
    if !(1..=4).contains(&dimensions) {
        return Err(cursor.malformed(&field, "1 to 4 dimensions", dimensions));
    }
    // GGUF lists the contiguous dimension first.
    let mut shape = Vec::with_capacity(4);
    let mut elements = 1u64;
    for _ in 0..dimensions {
        let size = cursor.u64(&field)?;
        elements = (size > 0)
            .then(|| elements.checked_mul(size))
            .flatten()
            .filter(|&n| usize::try_from(n).is_ok())
            .ok_or_else(|| {
                cursor.malformed(&field, "a shape without zeros whose product fits 64 bits", size)
            })?;
        shape.insert(0, size as usize);
    }
    let type_id = cursor.u32(&field)?;
    let offset = cursor.u64(&field)?;
    let (element, length) = match element::weight_type(type_id) {
        None => (Element::Other(element::name(type_id)), 0),
        Some(weight_type) => {
            let (block, block_bytes) = weight_type.block();
            let columns = shape[shape.len() - 1];
            if !columns.is_multiple_of(block) {
                return Err(cursor.malformed(&field, format!("rows in blocks of {block} elements"), columns));
            }
            let length = (elements / block as u64).checked_mul(block_bytes as u64).ok_or_else(|| {
                cursor.malformed(&field, "a length that fits 64 bits", format!("shape {shape:?}"))
            })?;
            (Element::Weight(weight_type), length)
        }
    };
    Ok(Entry { name, shape, element, length, offset })
}

fn tensor_range(
    path: &Path,
    entry: &Entry,
    alignment: u64,
    data_start: u64,
    file: usize,
) -> Result<Range<usize>> {
    let field = || format!("tensor `{}`", entry.name);
    if !entry.offset.is_multiple_of(alignment) {
        return Err(Error::malformed(
            path,
            field(),
            format!("an offset aligned to {alignment}"),
            entry.offset,
        ));
    }
    let start = data_start.checked_add(entry.offset);
    let end = start.and_then(|start| start.checked_add(entry.length));
    match (start, end) {
        // Both ends are at most the length of the file, so they fit.
        (Some(start), Some(end)) if end <= file as u64 => Ok(start as usize..end as usize),
        _ => Err(Error::malformed(
            path,
            field(),
            format!("{} bytes of data at offset {} + {data_start}", entry.length, entry.offset),
            format!("a file of {file} bytes"),
        )),
    }
}

fn check_overlap(path: &Path, entries: &[Entry], ranges: &[Range<usize>]) -> Result<()> {
    let mut order: Vec<usize> = (0..entries.len()).filter(|&i| !ranges[i].is_empty()).collect();
    order.sort_unstable_by_key(|&i| ranges[i].start);
    for pair in order.windows(2) {
        if ranges[pair[1]].start < ranges[pair[0]].end {
            return Err(Error::malformed(
                path,
                format!("tensor `{}`", entries[pair[1]].name),
                "data of its own",
                format!("data that overlaps tensor `{}`", entries[pair[0]].name),
            ));
        }
    }
    Ok(())
}
