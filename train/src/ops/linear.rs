//! `y = x · wᵀ`.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::matmul::{View, multiply};

use super::{gradient, result, values, with_values};

/// `x` [rows, inputs], `w` [outputs, inputs] → [rows, outputs].
pub struct LinearOp;

impl CustomOp2 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = x_layout.shape().dims2()?;
        let (outputs, columns) = w_layout.shape().dims2()?;
        if inputs != columns {
            candle_core::bail!("linear: {inputs} inputs, weights for {columns}");
        }
        let x = View::new(values(x, x_layout)?, rows, inputs, inputs);
        let w = View::new(values(w, w_layout)?, outputs, inputs, inputs);
        let mut y = vec![0.0; rows * outputs];
        multiply(x, w.transposed(), &mut y, outputs, false);
        Ok(result(y, (rows, outputs)))
    }

    /// `∂x = g · w`, `∂w = gᵀ · x`.
    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (rows, inputs) = x.dims2()?;
        let outputs = w.dim(0)?;
        let (mut dx, mut dw) = (vec![0.0; rows * inputs], vec![0.0; outputs * inputs]);
        with_values(g, |g| {
            let g = View::new(g, rows, outputs, outputs);
            with_values(w, |w| multiply(g, View::new(w, outputs, inputs, inputs), &mut dx, inputs, false))?;
            with_values(x, |x| {
                multiply(g.transposed(), View::new(x, rows, inputs, inputs), &mut dw, inputs, false)
            })
        })??;
        Ok((gradient(dx, x)?, gradient(dw, w)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn gradients_are_differences() -> Result<()> {
        let arguments = [(vec![5, 7], check::random(1, 35, 1.0)), (vec![3, 7], check::random(2, 21, 1.0))];
        check::gradients(&arguments, |a| a[0].apply_op2(&a[1], LinearOp))
    }
}
