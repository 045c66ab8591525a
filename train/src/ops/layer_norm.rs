//! LayerNorm.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::{backward, elementwise};

use super::{gradient, result, values, with_values};

/// `x` [rows, hidden], `w` `[hidden]` → `(x − mean(x)) / sqrt(var(x) + epsilon) · w`; its bias is [`super::AddBias`].
pub struct LayerNorm {
    /// Added to the variance.
    pub epsilon: f32,
}

impl CustomOp2 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
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
        elementwise::layer_norm(x, w, None, self.epsilon, &mut y);
        Ok(result(y, x_layout.shape().clone()))
    }

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
                with_values(g, |g| backward::layer_norm_backward(x, w, g, self.epsilon, &mut dx, &mut dw))
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
        for width in [1, 16, 37] {
            // Far from 0, so that a mean that is not taken off shows.
            let x = check::random(1, 4 * width, 2.0).iter().map(|x| x + 3.0).collect();
            let arguments = [(vec![4, width], x), (vec![width], check::random(2, width, 1.0))];
            check::gradients(&arguments, |a| a[0].apply_op2(&a[1], LayerNorm { epsilon: 1e-2 }))?;
        }
        Ok(())
    }
}
