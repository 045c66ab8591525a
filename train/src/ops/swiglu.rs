//! SwiGLU.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::{backward, elementwise};

use super::{gradient, result, values, with_values};

/// [rows, 2 · width], a gate and then a value in each row → `silu(gate) · value` [rows, width].
pub struct SwiGlu;

impl CustomOp1 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, both) = layout.shape().dims2()?;
        let x = values(x, layout)?;
        let mut y = vec![0.0; rows * both / 2];
        for (row, out) in x.chunks_exact(both).zip(y.chunks_exact_mut(both / 2)) {
            let (gate, value) = row.split_at(both / 2);
            out.copy_from_slice(gate);
            elementwise::silu_multiply(out, value);
        }
        Ok(result(y, (rows, both / 2)))
    }

    /// With σ of the gate: `∂gate = g · value · σ · (1 + gate · (1 − σ))`, `∂value = g · gate · σ`.
    fn bwd(&self, x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let both = x.dim(1)?;
        let mut dx = vec![0.0; x.elem_count()];
        with_values(x, |x| {
            with_values(g, |g| {
                let rows = x.chunks_exact(both).zip(g.chunks_exact(both / 2));
                for ((row, g), out) in rows.zip(dx.chunks_exact_mut(both)) {
                    let (gate, value) = row.split_at(both / 2);
                    let (dgate, dvalue) = out.split_at_mut(both / 2);
                    backward::silu_multiply_backward(gate, value, g, dgate, dvalue);
                }
            })
        })??;
        gradient(dx, x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn gradients_are_differences() -> Result<()> {
        check::gradients(&[(vec![3, 42], check::random(1, 126, 3.0))], |a| a[0].apply_op1(SwiGlu))
    }
}
