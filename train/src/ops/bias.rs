//! Biases.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::elementwise;

use super::{gradient, result, values, with_values};

/// `x` [rows, width], `b` `[width]` → `x + b` in each row.
pub struct AddBias;

impl CustomOp2 for AddBias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = x_layout.shape().dims2()?;
        let b = values(b, b_layout)?;
        if b.len() != width {
            candle_core::bail!("bias: {} values for rows of {width}", b.len());
        }
        let mut y = values(x, x_layout)?.to_vec();
        y.chunks_exact_mut(width).for_each(|row| elementwise::add(row, b));
        Ok(result(y, x_layout.shape().clone()))
    }

    /// `∂x = g`, `∂b = Σ_rows g`.
    fn bwd(
        &self,
        _x: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let width = b.elem_count();
        let mut db = vec![0.0; width];
        with_values(g, |g| g.chunks_exact(width).for_each(|row| elementwise::add(&mut db, row)))?;
        Ok((Some(g.clone()), gradient(db, b)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn gradients_are_differences() -> Result<()> {
        let arguments = [(vec![5, 7], check::random(1, 35, 1.0)), (vec![7], check::random(2, 7, 1.0))];
        check::gradients(&arguments, |a| a[0].apply_op2(&a[1], AddBias))
    }
}
