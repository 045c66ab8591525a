//! Attention with a learned sink in every head: one more logit of the softmax, with no value.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::attention::Attention;
use super::{gradient, result, values};

/// As [`Attention`], with a second argument: the sinks' logits, `[heads]`.
#[derive(Clone)]
pub struct SinkAttention(pub Attention);

impl CustomOp2 for SinkAttention {
    fn name(&self) -> &'static str {
        "attention-with-sinks"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        sinks: &CpuStorage,
        sinks_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let rows = self.0.rows(layout)?;
        let sinks = values(sinks, sinks_layout)?;
        Ok(result(self.0.all_forward(values(x, layout)?, Some(sinks)), (rows, self.0.out_width())))
    }

    fn bwd(
        &self,
        x: &Tensor,
        sinks: &Tensor,
        o: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dsinks) = self.0.all_backward(x, Some(sinks), o, g)?;
        Ok((gradient(dx, x)?, gradient(dsinks, sinks)?))
    }
}

#[cfg(test)]
mod tests {
    use lm_infinite_runtime::model::config::PositionConfig;

    use super::super::attention::tests::{BLOCK_AND_MORE, of};
    use super::super::check;
    use super::*;

    #[test]
    fn gradients_are_differences_with_and_without_a_window() {
        for window in [None, Some(1), Some(9), Some(BLOCK_AND_MORE)] {
            let op = SinkAttention(Attention { window, ..of(&PositionConfig::ALIBI, 2, 1) });
            let shape = vec![2 * BLOCK_AND_MORE, op.0.width()];
            let x = check::random(3, shape[0] * shape[1], 1.0);
            let sinks = (vec![2], vec![0.7, -2.0]);
            check::gradients(&[(shape, x), sinks], |a| a[0].apply_op2(&a[1], op.clone())).unwrap();
        }
    }

    #[test]
    fn a_closed_sink_is_none_and_has_no_gradient() -> Result<()> {
        let attention = of(&PositionConfig::None, 2, 2);
        let shape = (BLOCK_AND_MORE, attention.width());
        let device = candle_core::Device::Cpu;
        let x = Tensor::from_vec(check::random(3, shape.0 * shape.1, 1.0), shape, &device)?;
        let sinks = candle_core::Var::from_vec(vec![crate::layout::CLOSED_SINK; 2], 2, &device)?;
        let with = x.apply_op2(&sinks, SinkAttention(attention.clone()))?;
        assert_eq!(with.to_vec2::<f32>()?, x.apply_op1(attention)?.to_vec2::<f32>()?);
        let store = with.sqr()?.sum_all()?.backward()?;
        assert_eq!(store.get(&sinks).expect("a gradient").to_vec1::<f32>()?, [0.0, 0.0]);
        Ok(())
    }
}
