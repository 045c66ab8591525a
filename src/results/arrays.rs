//! Arrays of a result folder, one `.npz` that numpy opens: `np.load("arrays.npz")["run0_nll"]`.
//!
//! | name | shape | what |
//! |---|---|---|
//! | `position_bins`, `logit_distance_bins`, `mass_distance_bins` | \[bins\], u64 | lower edges; the last bin is open |
//! | `reference_nll` | \[tokens − 1\], f32 | loss of tokens 1..n, read in windows of the training length, nats |
//! | `run{i}_nll` | \[tokens − 1\], f32 | loss of tokens 1..n, nats |
//! | `run{i}_max_logit` | \[layers, heads, distances\], f32 | largest logit, keys after the first 10; −inf: none attended |
//! | `run{i}_max_logit_start` | the same | on the first 10 tokens |
//! | `run{i}_max_logit_last` | the same | of the last sampled query, on all keys |
//! | `run{i}_max_logit_by_length` | \[layers, heads, positions\], f32 | largest logit of any query, on all keys |
//! | `run{i}_entropy`, `run{i}_start_mass` | \[layers, heads, positions\], f32 | means; NaN: nothing seen |
//! | `run{i}_mass_inside`, `run{i}_mass_beyond` | \[layers, heads, distances\], f32 | mean mass, queries within / beyond training |
//! | `map_queries`, `map_key_bins` | \[queries\], \[bins\], u64 | query positions and lower edges of key positions of the maps |
//! | `run{i}_map_logit`, `run{i}_map_mass` | \[layers, heads, queries, bins\], f32 | largest logit, and probability, on the keys of a bin |
//!
//! Runs are numbered in the order of `runs` in `diagnosis.json`. Entries are stored without compression, so that none
//! can claim to be larger than the file.

use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::Path;

use ndarray::{Array3, Array4, ArrayBase, ArrayView, Data, Dimension};
use ndarray_npy::{ViewNpyExt, WritableElement, WriteNpyExt};
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, ZipArchive};

use crate::diagnose::{Diagnosis, RunArrays, RunMeasurement};
use crate::error::{Error, Result};

/// The arrays with three dimensions: name, and where it lies.
type Field = (&'static str, fn(&RunArrays) -> &Array3<f32>, fn(&mut RunArrays) -> &mut Array3<f32>);

const FIELDS: [Field; 8] = [
    ("max_logit", |a| &a.max_logit, |a| &mut a.max_logit),
    ("max_logit_start", |a| &a.max_logit_start, |a| &mut a.max_logit_start),
    ("max_logit_last", |a| &a.max_logit_last, |a| &mut a.max_logit_last),
    ("max_logit_by_length", |a| &a.max_logit_by_length, |a| &mut a.max_logit_by_length),
    ("entropy", |a| &a.entropy, |a| &mut a.entropy),
    ("start_mass", |a| &a.start_mass, |a| &mut a.start_mass),
    ("mass_inside", |a| &a.mass_inside, |a| &mut a.mass_inside),
    ("mass_beyond", |a| &a.mass_beyond, |a| &mut a.mass_beyond),
];

/// The attention maps.
type Map = (&'static str, fn(&RunArrays) -> &Array4<f32>, fn(&mut RunArrays) -> &mut Array4<f32>);

const MAPS: [Map; 2] = [
    ("map_logit", |a| &a.map_logit, |a| &mut a.map_logit),
    ("map_mass", |a| &a.map_mass, |a| &mut a.map_mass),
];

/// Writes the arrays of all runs.
pub fn write(path: &Path, diagnosis: &Diagnosis) -> Result<()> {
    let file = File::create(path).map_err(Error::io(path))?;
    let mut npz = Writer { path, zip: ZipWriter::new(BufWriter::new(file)) };
    let bins = &diagnosis.bins;
    for (name, bins) in [
        ("position_bins", &bins.positions),
        ("logit_distance_bins", &bins.logit_distances),
        ("mass_distance_bins", &bins.mass_distances),
        ("map_key_bins", &bins.map_keys),
    ] {
        npz.add(name, &ArrayView::from(bins.lower()))?;
    }
    npz.add("map_queries", &ArrayView::from(&bins.map_queries))?;
    npz.add("reference_nll", &ArrayView::from(&diagnosis.reference_per_token))?;
    for (index, RunMeasurement { arrays, .. }) in diagnosis.runs.iter().enumerate() {
        npz.add(&format!("run{index}_nll"), &ArrayView::from(&arrays.nll))?;
        for (name, field, _) in FIELDS {
            npz.add(&format!("run{index}_{name}"), field(arrays))?;
        }
        for (name, map, _) in MAPS {
            npz.add(&format!("run{index}_{name}"), map(arrays))?;
        }
    }
    let file = npz.zip.finish().map_err(|e| Error::io(path)(std::io::Error::other(e)))?;
    file.into_inner().map_err(|e| Error::io(path)(e.into_error()))?.sync_all().map_err(Error::io(path))
}

/// A `.npz` file being written: a zip archive of `.npy` files.
struct Writer<'a> {
    path: &'a Path,
    zip: ZipWriter<BufWriter<File>>,
}

impl Writer<'_> {
    fn add<T, S, D>(&mut self, name: &str, array: &ArrayBase<S, D>) -> Result<()>
    where
        T: WritableElement,
        S: Data<Elem = T>,
        D: Dimension,
    {
        let failed = |e: &dyn std::fmt::Display| Error::io(self.path)(std::io::Error::other(e.to_string()));
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        self.zip.start_file(format!("{name}.npy"), options).map_err(|e| failed(&e))?;
        array.write_npy(&mut self.zip).map_err(|e| failed(&e))
    }
}

/// Reads the arrays into a diagnosis that has everything else.
pub fn read(path: &Path, diagnosis: &mut Diagnosis) -> Result<()> {
    let file = File::open(path).map_err(Error::io(path))?;
    let size = file.metadata().map_err(Error::io(path))?.len();
    let zip = ZipArchive::new(file).map_err(|e| Error::malformed(path, "archive", "a .npz file", e))?;
    let mut reader = Reader { path, size, zip };
    diagnosis.reference_per_token = reader.array("reference_nll")?.to_vec();
    let heads = (diagnosis.config.layers, diagnosis.config.heads);
    for (index, RunMeasurement { arrays, heads: reports, .. }) in diagnosis.runs.iter_mut().enumerate() {
        if heads.0.checked_mul(heads.1) != Some(reports.len()) {
            let expected = format!("{} × {} of them, as the model has", heads.0, heads.1);
            return Err(Error::malformed(path, format!("heads of run {index}"), expected, reports.len()));
        }
        arrays.nll = reader.array(&format!("run{index}_nll"))?.to_vec();
        for (name, _, field) in FIELDS {
            *field(arrays) = reader.of_heads(&format!("run{index}_{name}"), heads)?;
        }
        for (name, _, map) in MAPS {
            *map(arrays) = reader.of_heads(&format!("run{index}_{name}"), heads)?;
        }
    }
    Ok(())
}

struct Reader<'a> {
    path: &'a Path,
    size: u64,
    zip: ZipArchive<File>,
}

impl Reader<'_> {
    /// An array whose first dimensions are these layers and heads.
    fn of_heads<D: Dimension>(
        &mut self,
        name: &str,
        (layers, heads): (usize, usize),
    ) -> Result<ndarray::Array<f32, D>> {
        let array = self.array::<D>(name)?;
        if array.shape()[..2] == [layers, heads] {
            return Ok(array);
        }
        let expected = format!("{layers} layers of {heads} heads");
        Err(Error::malformed(self.path, name, expected, format!("{:?}", array.shape())))
    }

    fn array<D: Dimension>(&mut self, name: &str) -> Result<ndarray::Array<f32, D>> {
        let (path, limit) = (self.path, self.size);
        let entry = self.zip.by_name(&format!("{name}.npy"));
        let entry = entry.map_err(|e| Error::malformed(path, name, "an array of this name", e))?;
        if entry.size() > limit {
            let expected = format!("at most the {limit} bytes of the file");
            return Err(Error::malformed(path, name, expected, entry.size()));
        }
        let mut bytes = Vec::new();
        entry.take(limit).read_to_end(&mut bytes).map_err(Error::io(path))?;
        if !header_fits(&bytes) {
            return Err(Error::malformed(path, name, "a header that ends within the array", "a longer one"));
        }
        let view = ArrayView::<f32, D>::view_npy(&bytes);
        let view =
            view.map_err(|e| Error::malformed(path, name, "an f32 array of the right dimensions", e))?;
        Ok(view.to_owned())
    }
}

/// Whether the header of a `.npy` file is as long as it says: who reads it takes that much memory before looking.
fn header_fits(bytes: &[u8]) -> bool {
    let length = match *bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => 10 + usize::from(u16::from_le_bytes([a, b])),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => {
            (u32::from_le_bytes([a, b, c, d]) as usize).saturating_add(12)
        }
        _ => return false,
    };
    length <= bytes.len()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_header_longer_than_its_array_is_refused() {
        let mut bytes = Vec::new();
        array![1.0_f32, 2.0].write_npy(&mut bytes).expect("in memory");
        assert!(header_fits(&bytes));
        for version in [1, 2, 3] {
            let mut broken = bytes.clone();
            broken[6] = version;
            broken[8..12].fill(0xff);
            assert!(!header_fits(&broken), "{version}");
        }
        assert!(!header_fits(&bytes[..9]) && !header_fits(b""));
    }
}
