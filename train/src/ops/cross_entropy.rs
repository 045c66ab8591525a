//! Cross-entropy of logits with the tokens that came.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::elementwise;

use super::{gradient, result, values, with_values};

/// [rows, vocabulary] → the sum of `scale · (log Σ exp(row) − row[target])` in nats, a scalar.
pub struct CrossEntropy {
    /// The token of each row.
    pub targets: Vec<u32>,
    /// Factor of the sum: 1 / predicted tokens of a step, so that micro-batches add up to a mean.
    pub scale: f32,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, vocabulary) = layout.shape().dims2()?;
        if rows != self.targets.len() || self.targets.iter().any(|&t| t as usize >= vocabulary) {
            candle_core::bail!("cross-entropy: one target below {vocabulary} for each of {rows} rows");
        }
        let logits = values(logits, layout)?;
        let mut spare = vec![0.0; vocabulary];
        let mut sum = 0.0f64;
        for (row, &target) in logits.chunks_exact(vocabulary).zip(&self.targets) {
            let maximum = elementwise::maximum(row);
            spare.copy_from_slice(row);
            let total = elementwise::exp_shifted(&mut spare, maximum);
            sum += f64::from(maximum + total.ln() - row[target as usize]);
        }
        Ok(result(vec![(sum * f64::from(self.scale)) as f32], ()))
    }

    /// `∂logits = g · scale · (softmax(row) − onehot(target))`.
    fn bwd(&self, logits: &Tensor, _loss: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let factor = g.to_scalar::<f32>()? * self.scale;
        let vocabulary = logits.dim(1)?;
        let mut out = with_values(logits, <[f32]>::to_vec)?;
        for (row, &target) in out.chunks_exact_mut(vocabulary).zip(&self.targets) {
            let maximum = elementwise::maximum(row);
            let total = elementwise::exp_shifted(row, maximum);
            elementwise::scale(row, factor / total);
            row[target as usize] -= factor;
        }
        gradient(out, logits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    fn op() -> CrossEntropy {
        CrossEntropy { targets: vec![0, 5, 2, 5], scale: 0.25 }
    }

    #[test]
    fn gradients_are_differences() -> Result<()> {
        check::gradients(&[(vec![4, 6], check::random(1, 24, 2.0))], |a| a[0].apply_op1(op()))
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_vocabulary() -> Result<()> {
        let logits = Tensor::zeros((4, 6), candle_core::DType::F32, &candle_core::Device::Cpu)?;
        let loss = logits.apply_op1(op())?.to_scalar::<f32>()?;
        assert!((loss - 6f32.ln()).abs() < 1e-6);
        Ok(())
    }
}
