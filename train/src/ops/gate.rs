//! MLPs with a gate: SwiGLU, gpt-oss's bounded one, GeGLU.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::{backward, elementwise};

use super::{gradient, result, values, with_values};

/// [rows, 2 · width], a gate and then a value in each row → [rows, width].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `silu(gate) · value`.
    SwiGlu,
    /// `(v + 1) · g · sigmoid(1.702 g)` with `g = min(gate, 7)`, and v the value within ±7.
    SwiGluBounded,
    /// `gelu(gate) · value` with GELU by tanh.
    GeGluTanh,
}

impl CustomOp1 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, both) = layout.shape().dims2()?;
        let x = values(x, layout)?;
        let mut y = vec![0.0; rows * both / 2];
        for (row, out) in x.chunks_exact(both).zip(y.chunks_exact_mut(both / 2)) {
            let (gate, value) = row.split_at(both / 2);
            out.copy_from_slice(gate);
            match self {
                Self::SwiGlu => elementwise::silu_multiply(out, value),
                Self::SwiGluBounded => elementwise::swiglu_bounded(out, value),
                Self::GeGluTanh => elementwise::gelu_tanh_multiply(out, value),
            }
        }
        Ok(result(y, (rows, both / 2)))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let both = x.dim(1)?;
        let mut dx = vec![0.0; x.elem_count()];
        with_values(x, |x| {
            with_values(g, |g| {
                let rows = x.chunks_exact(both).zip(g.chunks_exact(both / 2));
                for ((row, g), out) in rows.zip(dx.chunks_exact_mut(both)) {
                    let (gate, value) = row.split_at(both / 2);
                    let (dgate, dvalue) = out.split_at_mut(both / 2);
                    match self {
                        Self::SwiGlu => backward::silu_multiply_backward(gate, value, g, dgate, dvalue),
                        Self::SwiGluBounded => {
                            backward::swiglu_bounded_backward(gate, value, g, dgate, dvalue);
                        }
                        Self::GeGluTanh => {
                            backward::gelu_tanh_multiply_backward(gate, value, g, dgate, dvalue);
                        }
                    }
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
        for gate in [Gate::SwiGlu, Gate::SwiGluBounded, Gate::GeGluTanh] {
            check::gradients(&[(vec![3, 42], check::random(1, 126, 3.0))], |a| a[0].apply_op1(gate))?;
        }
        Ok(())
    }

    #[test]
    fn beyond_its_bounds_the_bounded_one_has_no_slope() -> Result<()> {
        // None of these comes within a step of a difference of ±7.
        let values = vec![9.0, -9.0, 3.0, 8.0, -8.0, 8.0, -9.0, 2.0, 30.0, -30.0];
        check::gradients(&[(vec![1, 10], values.clone())], |a| a[0].apply_op1(Gate::SwiGluBounded))?;
        let x = candle_core::Var::from_vec(values, (1, 10), &candle_core::Device::Cpu)?;
        let store = x.apply_op1(Gate::SwiGluBounded)?.sum_all()?.backward()?;
        let gradient: Vec<f32> = store.get(&x).expect("a gradient").flatten_all()?.to_vec1()?;
        assert_eq!([gradient[0], gradient[3], gradient[5], gradient[6], gradient[8], gradient[9]], [0.0; 6]);
        assert!(gradient[1] != 0.0 && gradient[2] != 0.0 && gradient[7] != 0.0, "{gradient:?}");
        Ok(())
    }
}
