//! Activations of MLPs without a gate.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::{backward, elementwise};

use super::{gradient, result, values, with_values};

/// [rows, width] → the same, value by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)`.
    Gelu,
    /// The same by tanh.
    GeluTanh,
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = values(x, layout)?.to_vec();
        match self {
            Self::Gelu => elementwise::gelu(&mut y),
            Self::GeluTanh => elementwise::gelu_tanh(&mut y),
        }
        Ok(result(y, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let mut dx = vec![0.0; x.elem_count()];
        with_values(x, |x| {
            with_values(g, |g| match self {
                Self::Gelu => backward::gelu_backward(x, g, &mut dx),
                Self::GeluTanh => backward::gelu_tanh_backward(x, g, &mut dx),
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
        for activation in [Activation::Gelu, Activation::GeluTanh] {
            check::gradients(&[(vec![3, 42], check::random(1, 126, 4.0))], |a| a[0].apply_op1(activation))?;
        }
        Ok(())
    }
}
