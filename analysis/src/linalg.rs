//! The one file that calls LAPACK.

use ndarray::{Array1, Array2, s};
use ndarray_linalg::{EighInto, FactorizeCInto, JobSvd, SVDDCInto, SolveC, UPLO};

use crate::error::{Error, Result};

/// From now on OpenBLAS computes on the thread that calls it, in this whole process.
///
/// For programs that run their own threads: those of OpenBLAS wait for work by yielding in a loop, which costs more processor
/// time than the small matrices here are worth.
pub fn lapack_on_calling_thread() {
    unsafe extern "C" {
        fn openblas_set_num_threads(threads: std::ffi::c_int);
    }
    // SAFETY: the declaration is that of OpenBLAS's `cblas.h`, and OpenBLAS is what is linked (`ndarray-linalg`'s feature
    // `openblas-system`). It may be called at any time.
    unsafe { openblas_set_num_threads(1) }
}

/// Singular values (descending) and right singular vectors, of shapes `[r]` and [r, columns], r = min(rows, columns).
///
/// Every vector has the sign that makes its largest coordinate positive (the first one of equals): LAPACK leaves the
/// sign open, and golden files would flip with it. `matrix` must be finite and have no dimension of length 0. Costs
/// O(r²·max(rows, columns)).
pub fn right_singular(matrix: Array2<f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let operation = "singular value decomposition";
    let (_, values, vectors) =
        matrix.svddc_into(JobSvd::Some).map_err(|source| Error::Linalg { operation, source })?;
    let mut vectors = vectors.ok_or(Error::NoData { operation })?;
    fix_signs(&mut vectors);
    Ok((values, vectors))
}

/// Eigenvalues (descending) and eigenvectors (as rows, with signs as above) of a symmetric matrix, which must be finite
/// and square. A matrix of size 0 has none. Costs O(size³), with a large factor: minutes at size 4096.
pub fn symmetric_eigen(matrix: Array2<f64>, operation: &'static str) -> Result<(Array1<f64>, Array2<f64>)> {
    if matrix.is_empty() {
        return Ok((Array1::zeros(0), matrix));
    }
    if let Some(&value) = matrix.first().filter(|_| matrix.len() == 1) {
        // A single number may have any strides, not all of which LAPACK's wrapper takes.
        return Ok((Array1::from_elem(1, value), Array2::ones((1, 1))));
    }
    let (values, vectors) =
        matrix.eigh_into(UPLO::Lower).map_err(|source| Error::Linalg { operation, source })?;
    let mut vectors = vectors.slice(s![.., ..;-1]).t().to_owned();
    fix_signs(&mut vectors);
    Ok((values.slice(s![..;-1]).to_owned(), vectors))
}

/// The `x` of `matrix·x = right`, by Cholesky: `matrix` must be finite, symmetric and positive definite beyond rounding.
/// Costs size³/3.
pub fn solve_positive(
    matrix: Array2<f64>,
    right: &Array1<f64>,
    operation: &'static str,
) -> Result<Array1<f64>> {
    if matrix.is_empty() {
        return Ok(Array1::zeros(0));
    }
    let factor = matrix.factorizec_into(UPLO::Lower).and_then(|factor| factor.solvec(right));
    factor.map_err(|source| Error::Linalg { operation, source })
}

fn fix_signs(vectors: &mut Array2<f64>) {
    for mut vector in vectors.rows_mut() {
        let largest = vector
            .iter()
            .copied()
            .fold(0.0_f64, |best, value| if value.abs() > best.abs() { value } else { best });
        if largest < 0.0 {
            vector.mapv_inplace(|value| -value);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn eigenvectors_of_a_known_matrix() {
        let (values, vectors) = symmetric_eigen(array![[2.0, 1.0], [1.0, 2.0]], "test").expect("symmetric");
        assert!((values[0] - 3.0).abs() < 1e-12 && (values[1] - 1.0).abs() < 1e-12);
        assert!((vectors[[0, 0]] - vectors[[0, 1]]).abs() < 1e-12 && vectors[[0, 0]] > 0.7);
        assert!((vectors[[1, 0]] + vectors[[1, 1]]).abs() < 1e-12);
        assert_eq!(symmetric_eigen(Array2::zeros((0, 0)), "test").expect("empty").0.len(), 0);
        let one = array![[3.0, 1.0], [1.0, 2.0]].slice(s![..1, ..1]).to_owned();
        assert_eq!(symmetric_eigen(one, "test").expect("a number"), (array![3.0], array![[1.0]]));
    }

    #[test]
    fn a_positive_matrix_is_solved_and_another_is_an_error() {
        let solved = solve_positive(array![[2.0, 1.0], [1.0, 3.0]], &array![4.0, 7.0], "test");
        let solved = solved.expect("positive");
        assert!((solved[0] - 1.0).abs() < 1e-12 && (solved[1] - 2.0).abs() < 1e-12, "{solved}");
        assert!(solve_positive(array![[1.0, 2.0], [2.0, 1.0]], &array![1.0, 1.0], "test").is_err());
        assert_eq!(solve_positive(Array2::zeros((0, 0)), &Array1::zeros(0), "test").expect("empty").len(), 0);
    }
}
