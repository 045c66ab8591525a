//! Matrix products on f32, single-threaded per call: callers split the work.

/// A view of a strided matrix. Element (r, c) is `data[r · row_stride + c · column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major view.
    ///
    /// # Panics
    /// If `data` is too short for the shape.
    pub fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let view = Self { data, rows, columns, row_stride, column_stride: 1 };
        assert!(
            view.fits(data.len()),
            "a {rows} × {columns} view of stride {row_stride} on {} values",
            data.len()
        );
        view
    }

    /// The first `count` rows (all, where there are fewer).
    pub fn rows(self, count: usize) -> Self {
        Self { rows: count.min(self.rows), ..self }
    }

    /// The same values with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn fits(&self, len: usize) -> bool {
        if self.rows == 0 || self.columns == 0 {
            return true;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride < len
    }
}

/// Destination of a product: columns `first..first + columns` of a row-major matrix shared with other threads.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    data: *mut f32,
    len: usize,
    row_stride: usize,
}

// SAFETY: the pointer is only written through `multiply_into`, whose callers promise disjoint columns.
unsafe impl Send for Columns {}
// SAFETY: as above.
unsafe impl Sync for Columns {}

impl Columns {
    /// Shares `data`, a row-major matrix of rows of `row_stride` values, for writing disjoint columns.
    pub fn new(data: &mut [f32], row_stride: usize) -> Self {
        Self { data: data.as_mut_ptr(), len: data.len(), row_stride }
    }

    /// Values of row `row`, columns `first..first + count`.
    ///
    /// # Safety
    /// No other thread may touch these columns meanwhile, and the matrix must still be alive.
    pub unsafe fn row<'a>(self, row: usize, first: usize, count: usize) -> &'a mut [f32] {
        let start = row * self.row_stride + first;
        assert!(first + count <= self.row_stride && start + count <= self.len, "columns inside the matrix");
        // SAFETY: inside the allocation by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), count) }
    }
}

/// `out[:, first..first + b.columns] = a · b`.
///
/// # Safety
/// No other thread may touch these columns of `out` meanwhile, and the matrix must still be alive.
pub unsafe fn multiply_into(a: View<'_>, b: View<'_>, out: Columns, first: usize) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert!(first + b.columns <= out.row_stride, "columns inside the matrix");
    assert!(
        a.rows == 0 || (a.rows - 1) * out.row_stride + first + b.columns <= out.len,
        "rows inside the matrix"
    );
    // SAFETY: bounds asserted; exclusive by the caller's promise.
    unsafe { call(a, b, out.data.add(first), out.row_stride, false) }
}

/// `out = a · b`, or `out += a · b` with `accumulate`; `out` is row-major with rows of `row_stride` values.
///
/// # Panics
/// If shapes do not fit.
pub fn multiply(a: View<'_>, b: View<'_>, out: &mut [f32], row_stride: usize, accumulate: bool) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert!(b.columns <= row_stride, "columns inside a row");
    assert!(a.rows == 0 || (a.rows - 1) * row_stride + b.columns <= out.len(), "rows inside the matrix");
    // SAFETY: bounds asserted; `out` is borrowed exclusively.
    unsafe { call(a, b, out.as_mut_ptr(), row_stride, accumulate) }
}

/// # Safety
/// `out` must be valid for `a.rows` rows of `b.columns` values at `row_stride`.
unsafe fn call(a: View<'_>, b: View<'_>, out: *mut f32, row_stride: usize, accumulate: bool) {
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    // SAFETY: views were checked when made, the destination by the caller.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_products_match_the_triple_loop() {
        let (m, n, k) = (5, 7, 3);
        let a: Vec<f32> = (0..m * (k + 2)).map(|x| (x as f32 * 0.7).sin()).collect();
        let b: Vec<f32> = (0..n * (k + 1)).map(|x| (x as f32 * 0.3).cos()).collect();
        let mut out = vec![1.0; m * (n + 4)];
        multiply(View::new(&a, m, k, k + 2), View::new(&b, n, k, k + 1).transposed(), &mut out, n + 4, true);
        for r in 0..m {
            for c in 0..n {
                let expected = 1.0 + (0..k).map(|i| a[r * (k + 2) + i] * b[c * (k + 1) + i]).sum::<f32>();
                assert!((out[r * (n + 4) + c] - expected).abs() < 1e-5);
            }
            assert!(out[r * (n + 4) + n..(r + 1) * (n + 4)].iter().all(|&x| x == 1.0), "gaps stay untouched");
        }
    }
}
