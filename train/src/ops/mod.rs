//! Operations of the training graph with a backward pass of their own, for candle's autograd.
//!
//! Plain candle keeps every intermediate of a softmax or a norm and walks over it on one thread. Here each operation is one
//! node: it keeps its inputs only and recomputes the rest backwards. All run on one thread; micro-batches run side by side
//! (see [`super::gradients`]).

mod activation;
mod attention;
mod bias;
mod cross_entropy;
mod gate;
mod layer_norm;
mod linear;
mod positions;
mod rms_norm;
mod sinks;

pub use activation::Activation;
pub use attention::Attention;
pub use bias::AddBias;
pub use cross_entropy::CrossEntropy;
pub use gate::Gate;
pub use layer_norm::LayerNorm;
pub use linear::LinearOp;
pub use positions::TrainPositions;
pub use rms_norm::RmsNorm;
pub use sinks::SinkAttention;

use candle_core::{CpuStorage, DType, Layout, Result, Shape, Storage, Tensor};

/// Values of a contiguous f32 argument.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all: &[f32] = storage.as_slice()?;
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&all[from..to]),
        None => candle_core::bail!("the operation needs a contiguous argument"),
    }
}

/// Runs `f` on the values of `tensor`.
fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(values(storage, layout)?)),
        _ => candle_core::bail!("training runs on the CPU"),
    }
}

/// A result of `shape`.
fn result(values: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    debug_assert_eq!(DType::F32.size_in_bytes(), 4);
    (CpuStorage::F32(values), shape.into())
}

/// A gradient in the shape of `like`.
fn gradient(values: Vec<f32>, like: &Tensor) -> Result<Option<Tensor>> {
    Ok(Some(Tensor::from_vec(values, like.shape(), like.device())?))
}

#[cfg(test)]
mod check {
    //! Gradients against differences of the loss, in the direction of random vectors.

    use candle_core::{Device, Result, Tensor, Var};
    use rand::Rng;

    /// Values in ±`scale`.
    pub fn random(seed: u64, len: usize, scale: f32) -> Vec<f32> {
        let mut random = lm_infinite_runtime::random::expanded(seed);
        (0..len).map(|_| random.random_range(-scale..scale)).collect()
    }

    /// Holds the gradients of `Σ r·f(arguments)`, with a random `r`, against central differences along random
    /// directions of every argument.
    pub fn gradients(
        arguments: &[(Vec<usize>, Vec<f32>)],
        f: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) -> Result<()> {
        let device = Device::Cpu;
        let make = |values: &[Vec<f32>]| -> Result<Vec<Var>> {
            arguments
                .iter()
                .zip(values)
                .map(|((shape, _), values)| {
                    Var::from_tensor(&Tensor::from_vec(values.clone(), shape.as_slice(), &device)?)
                })
                .collect()
        };
        let tensors = |vars: &[Var]| vars.iter().map(|v| v.as_tensor().clone()).collect::<Vec<_>>();
        let start: Vec<Vec<f32>> = arguments.iter().map(|(_, values)| values.clone()).collect();
        let vars = make(&start)?;
        let out = f(&tensors(&vars))?;
        let weights = random(99, out.elem_count(), 1.0);
        // In f64, so that the difference of two sums keeps its digits.
        let loss = |values: &[Vec<f32>]| -> Result<f64> {
            let out: Vec<f32> = f(&tensors(&make(values)?))?.flatten_all()?.to_vec1()?;
            Ok(out.iter().zip(&weights).map(|(&o, &w)| f64::from(o) * f64::from(w)).sum())
        };
        let weighted = (out.flatten_all()? * Tensor::new(weights.as_slice(), &device)?)?.sum_all()?;
        let store = weighted.backward()?;
        for (index, var) in vars.iter().enumerate() {
            let gradient: Vec<f32> = store.get(var).expect("a gradient").flatten_all()?.to_vec1()?;
            for trial in 0..3 {
                let direction = random(1000 + trial, gradient.len(), 1.0);
                let along: f64 =
                    gradient.iter().zip(&direction).map(|(&g, &d)| f64::from(g) * f64::from(d)).sum();
                let step = 1e-2;
                let moved = |sign: f32| {
                    let mut values = start.clone();
                    values[index].iter_mut().zip(&direction).for_each(|(v, d)| *v += sign * step * d);
                    loss(&values)
                };
                let measured = (moved(1.0)? - moved(-1.0)?) / (2.0 * f64::from(step));
                let length: f64 = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
                assert!(
                    (along - measured).abs() <= 5e-3 * (length + along.abs()),
                    "argument {index}: gradient {along}, difference {measured}"
                );
            }
        }
        Ok(())
    }
}
