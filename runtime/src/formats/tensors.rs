//! The tensors of a checkpoint, whichever format they came in: names, shapes, types, and checked views of the mapping.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};

use super::finite;
use super::float8::Scales;
use crate::error::{Error, Result};
use crate::model::weights::{Bytes, Matrix, WeightType};

/// Element type of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// One that matrices can have.
    Weight(WeightType),
    /// F64, which is rounded to F32 when it is read.
    Double,
    /// F8_E4M3, which a matrix can have beside its scales.
    Float8,
    /// Any other, by the name the format gives it: listed, never read.
    Other(String),
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Weight(WeightType::F32) => f.write_str("F32"),
            Self::Weight(WeightType::F16) => f.write_str("F16"),
            Self::Weight(WeightType::Bf16) => f.write_str("BF16"),
            Self::Weight(WeightType::Quantized(t)) => write!(f, "{t:?}"),
            Self::Weight(WeightType::Block(format)) => write!(f, "{format}"),
            Self::Double => f.write_str("F64"),
            Self::Float8 => f.write_str("F8_E4M3"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// One tensor as its file describes it; `range` has been checked against the file.
#[derive(Clone)]
pub struct StoredTensor {
    /// File that holds it.
    pub path: Arc<Path>,
    /// That file, mapped.
    pub bytes: Bytes,
    /// Where the tensor lies in it. Empty where the type, and so the length, is unknown.
    pub range: Range<usize>,
    /// Element type.
    pub element: Element,
    /// Row-major: the last dimension is contiguous.
    pub shape: Vec<usize>,
}

impl StoredTensor {
    fn malformed(&self, name: &str, expected: impl ToString, got: impl ToString) -> Error {
        Error::malformed(&*self.path, format!("tensor `{name}`"), expected, got)
    }

    /// Its bytes as they are stored, with their type and shape.
    pub(crate) fn stored(&self) -> (&Element, &[usize], &[u8]) {
        (&self.element, &self.shape, &(*self.bytes).as_ref()[self.range.clone()])
    }

    /// Values of an F64 tensor, rounded; those beyond F32 become infinite.
    fn doubles(&self) -> impl Iterator<Item = f32> {
        let stored = &(*self.bytes).as_ref()[self.range.clone()];
        stored
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
    }

    fn check_shape(&self, name: &str, shape: &[usize]) -> Result<()> {
        if self.shape == shape {
            return Ok(());
        }
        Err(self.malformed(name, format!("shape {shape:?}"), format!("{:?}", self.shape)))
    }
}

/// All tensors of a checkpoint, which may be spread over several files.
pub struct TensorTable {
    /// File or folder that errors about missing tensors name.
    path: PathBuf,
    tensors: BTreeMap<String, StoredTensor>,
    /// Scales of the matrices that are stored as F8_E4M3, by the matrices' names, and which weights share one.
    scales: Option<(BTreeMap<String, StoredTensor>, Scales)>,
    /// Are weights of matrices looked at?
    reads_weights: bool,
}

impl TensorTable {
    /// An empty table of the checkpoint at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), tensors: BTreeMap::new(), scales: None, reads_weights: true }
    }

    /// The same table, whose matrices are checked in all but their weights: for whoever asks whether a checkpoint can be
    /// loaded, and does not load it.
    #[must_use]
    pub fn without_weights(self) -> Self {
        Self { reads_weights: false, ..self }
    }

    /// Adds all tensors of `other`, another file of the same checkpoint.
    pub fn extend(&mut self, other: Self) -> Result<()> {
        other.tensors.into_iter().try_for_each(|(name, tensor)| self.insert(name, tensor))
    }

    /// Number of tensors.
    pub fn count(&self) -> usize {
        self.tensors.len()
    }

    /// Adds a tensor; a name may appear once.
    pub fn insert(&mut self, name: String, tensor: StoredTensor) -> Result<()> {
        if self.tensors.contains_key(&name) {
            return Err(tensor.malformed(&name, "one tensor of this name", "a second one"));
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// Is there a tensor of this name?
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// All tensors, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &StoredTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor of this name, or an error that says it is missing.
    pub fn get(&self, name: &str) -> Result<&StoredTensor> {
        self.tensors.get(name).ok_or_else(|| {
            Error::malformed(&self.path, format!("tensor `{name}`"), "a tensor", "none of this name")
        })
    }

    /// A matrix of shape [rows, columns], as a view of the mapping. Errors: missing, misshaped, of a type that is no
    /// weight, or holding a value (or a block scale) that is not finite.
    pub fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
        self.matrix_of(name, &[rows, columns], rows, columns)
    }

    /// Matrices of shape [rows, columns] that are stored as one tensor [count, rows, columns], one below the other:
    /// [count · rows, columns]. Errors as [`Self::matrix`].
    pub fn stacked(&self, name: &str, count: usize, rows: usize, columns: usize) -> Result<Matrix> {
        self.matrix_of(name, &[count, rows, columns], count * rows, columns)
    }

    /// A matrix of shape [rows, columns] that is stored as its transpose, copied. Errors as [`Self::matrix`]; block types are
    /// refused.
    pub fn transposed(&self, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
        let stored = self.matrix(name, columns, rows)?;
        let size = match stored.weight_type() {
            WeightType::F32 => 4,
            WeightType::F16 | WeightType::Bf16 => 2,
            WeightType::Quantized(_) | WeightType::Block(_) => {
                let tensor = self.get(name)?;
                return Err(tensor.malformed(name, "F64, F32, F16 or BF16", &tensor.element));
            }
        };
        let mut bytes = Vec::with_capacity(stored.bytes().len());
        for column in 0..rows {
            for row in stored.bytes().chunks_exact(rows * size) {
                bytes.extend_from_slice(&row[column * size..(column + 1) * size]);
            }
        }
        let range = 0..bytes.len();
        Matrix::new(Arc::new(bytes), range, stored.weight_type(), rows, columns)
            .ok_or_else(|| Error::input(format!("tensor {name}"), "it cannot be transposed"))
    }

    /// The bytes of a tensor of bytes of this shape.
    pub fn bytes(&self, name: &str, shape: &[usize]) -> Result<&[u8]> {
        let tensor = self.get(name)?;
        tensor.check_shape(name, shape)?;
        match &tensor.element {
            Element::Other(element) if element == "U8" => Ok(tensor.stored().2),
            other => Err(tensor.malformed(name, "U8", other)),
        }
    }

    /// From now on matrices may be stored as F8_E4M3: `NAME.weight` with its scales in `NAME.END`, of which weights share
    /// one as `scales` says. What else of the matrix's tensors ends in one of `left` is not needed. How many such matrices there are.
    ///
    /// # Errors
    /// A matrix without its scales.
    pub fn read_float8(&mut self, end: &str, scales: Scales, left: &[&str]) -> Result<usize> {
        let stored = self.tensors.iter().filter(|(_, tensor)| tensor.element == Element::Float8);
        let names: Vec<String> = stored.map(|(name, _)| name.clone()).collect();
        let mut found = BTreeMap::new();
        for name in &names {
            let module = name.strip_suffix("weight").unwrap_or(name);
            let of = format!("{module}{end}");
            let Some(tensor) = self.tensors.remove(&of) else {
                let expected = format!("`{of}` beside it, as the `quantization_config` has it");
                return Err(self.get(name)?.malformed(name, expected, "no such tensor"));
            };
            found.insert(name.clone(), tensor);
            for other in left {
                self.tensors.remove(&format!("{module}{other}"));
            }
        }
        self.scales = Some((found, scales));
        Ok(names.len())
    }

    /// The weights of a matrix that is stored as F8_E4M3.
    fn multiplied(
        &self,
        name: &str,
        tensor: &StoredTensor,
        rows: usize,
        columns: usize,
    ) -> Result<(Vec<u8>, WeightType)> {
        let unscaled = || tensor.malformed(name, "scales of this matrix", "none");
        let (found, scales) = self.scales.as_ref().ok_or_else(unscaled)?;
        let of = found.get(name).ok_or_else(unscaled)?;
        if tensor.shape != [rows, columns] {
            return Err(tensor.malformed(name, "FP8 in matrices alone", format!("{:?}", tensor.shape)));
        }
        let shapes = scales.shapes(rows, columns);
        if !shapes.contains(&of.shape) {
            let expected = format!("scales of shape {:?} ({scales})", shapes[0]);
            return Err(of.malformed(name, expected, format!("{:?}", of.shape)));
        }
        let weight_type = scales.weight_type(rows, columns);
        if !self.reads_weights {
            // Never looked at.
            let (block, bytes) = weight_type.block();
            return Ok((vec![0; columns / block * bytes * rows], weight_type));
        }
        let values = Self::finite_values(&format!("scales of {name}"), of)?;
        Ok((scales.multiplied(tensor.stored().2, &values, rows, columns), weight_type))
    }

    fn matrix_of(&self, name: &str, shape: &[usize], rows: usize, columns: usize) -> Result<Matrix> {
        let tensor = self.get(name)?;
        tensor.check_shape(name, shape)?;
        let (bytes, range, weight_type): (Bytes, _, _) = match &tensor.element {
            Element::Weight(weight_type) => (tensor.bytes.clone(), tensor.range.clone(), *weight_type),
            Element::Double => {
                let rounded: Vec<u8> = tensor.doubles().flat_map(f32::to_le_bytes).collect();
                let range = 0..rounded.len();
                (Arc::new(rounded), range, WeightType::F32)
            }
            Element::Float8 if self.scales.is_some() => {
                let (stored, weight_type) = self.multiplied(name, tensor, rows, columns)?;
                let range = 0..stored.len();
                (Arc::new(stored), range, weight_type)
            }
            Element::Float8 => {
                let expected =
                    "F64, F32, F16 or BF16; FP8 with a `quantization_config` that says where its scales are";
                return Err(tensor.malformed(name, expected, &tensor.element));
            }
            Element::Other(_) => {
                let expected = "F64, F32, F16, BF16, or a GGML block type (Q4_0 to Q8_K, IQ1_S to IQ4_XS, TQ1_0, TQ2_0, MXFP4)";
                return Err(tensor.malformed(name, expected, &tensor.element));
            }
        };
        let (block, _) = weight_type.block();
        let matrix = Matrix::new(bytes, range, weight_type, rows, columns)
            .ok_or_else(|| tensor.malformed(name, format!("columns in blocks of {block}"), columns))?;
        if !self.reads_weights {
            return Ok(matrix);
        }
        if let Some(index) = finite::first_non_finite(matrix.bytes(), weight_type) {
            let (row, column) = (index / columns, index % columns);
            return Err(tensor.malformed(
                name,
                "finite weights",
                format!("NaN or infinity at row {row}, column {column}"),
            ));
        }
        Ok(matrix)
    }

    /// A vector of shape `[length]` as `f32` (norm weights, biases). Errors as [`TensorTable::matrix`]; block types are
    /// refused.
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        self.values(name, &[length])
    }

    /// The values of a tensor of this shape, row after row.
    ///
    /// # Errors
    /// As [`Self::vector`].
    pub(crate) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.get(name)?;
        tensor.check_shape(name, shape)?;
        Self::finite_values(name, tensor)
    }

    fn finite_values(name: &str, tensor: &StoredTensor) -> Result<Vec<f32>> {
        let stored = &(*tensor.bytes).as_ref()[tensor.range.clone()];
        let halves = || stored.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let values: Vec<f32> = match tensor.element {
            Element::Weight(WeightType::F32) => {
                stored.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            Element::Weight(WeightType::F16) => halves().map(|bits| f16::from_bits(bits).to_f32()).collect(),
            Element::Weight(WeightType::Bf16) => {
                halves().map(|bits| bf16::from_bits(bits).to_f32()).collect()
            }
            Element::Double => tensor.doubles().collect(),
            Element::Weight(WeightType::Quantized(_) | WeightType::Block(_))
            | Element::Float8
            | Element::Other(_) => {
                return Err(tensor.malformed(name, "F64, F32, F16 or BF16", &tensor.element));
            }
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => {
                Err(tensor.malformed(name, "finite values", format!("{} at {index}", values[index])))
            }
            None => Ok(values),
        }
    }
}
