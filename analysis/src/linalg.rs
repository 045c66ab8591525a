//! The one file that calls LAPACK.

use ndarray::{Array1, Array2};
use ndarray_linalg::{JobSvd, SVDDCInto};

use crate::error::{Error, Result};

/// Singular values (descending) and right singular vectors, of shapes `[r]` and [r, columns], r = min(rows, columns).
///
/// Every vector has the sign that makes its largest coordinate positive (the first one of equals): LAPACK leaves the
/// sign open, and golden files would flip with it. `matrix` must be finite and have no dimension of length 0.
pub fn right_singular(matrix: Array2<f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let operation = "singular value decomposition";
    let (_, values, vectors) =
        matrix.svddc_into(JobSvd::Some).map_err(|source| Error::Linalg { operation, source })?;
    let mut vectors = vectors.ok_or(Error::NoData { operation })?;
    for mut vector in vectors.rows_mut() {
        let largest = vector
            .iter()
            .copied()
            .fold(0.0_f64, |best, value| if value.abs() > best.abs() { value } else { best });
        if largest < 0.0 {
            vector.mapv_inplace(|value| -value);
        }
    }
    Ok((values, vectors))
}
