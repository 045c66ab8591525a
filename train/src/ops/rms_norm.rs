//! RMSNorm.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::{backward, elementwise};

use super::{gradient, result, values, with_values};

/// `x` [rows, hidden], `w` `[hidden]` → `x / sqrt(mean(x²) + epsilon) · w`.
pub struct RmsNorm {
    /// Added to the mean square.
    pub epsilon: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (values(x, x_layout)?, values(w, w_layout)?);
        let mut y = vec![0.0; x.len()];
        elementwise::rms_norm(x, w, self.epsilon, &mut y);
        Ok(result(y, x_layout.shape().clone()))
    }

    /// With `r = 1 / sqrt(mean(x²) + epsilon)` and `a = g ∘ w`: `∂x = r · (a − x · r² · mean(a ∘ x))`,
    /// `∂w = Σ_rows g ∘ x · r`.
    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let hidden = w.dim(0)?;
        let (mut dx, mut dw) = (vec![0.0; x.elem_count()], vec![0.0; hidden]);
        with_values(x, |x| {
            with_values(w, |w| {
                with_values(g, |g| backward::rms_norm_backward(x, w, g, self.epsilon, &mut dx, &mut dw))
            })
        })???;
        Ok((gradient(dx, x)?, gradient(dw, w)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn gradients_are_differences() -> Result<()> {
        let arguments = [(vec![4, 37], check::random(1, 148, 2.0)), (vec![37], check::random(2, 37, 1.0))];
        check::gradients(&arguments, |a| a[0].apply_op2(&a[1], RmsNorm { epsilon: 1e-5 }))
    }
}
