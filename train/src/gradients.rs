//! Loss and gradients of one step, from micro-batches that run side by side.

use candle_core::Var;
use rayon::prelude::*;

use super::graph::Graph;
use crate::error::Result;

/// Tokens of a micro-batch, about: its activations stay in a core's cache.
const MICRO_TOKENS: usize = 512;

/// Mean loss in nats per predicted token over `segments` (each of `length + 1` tokens), and its gradient for each
/// variable.
///
/// Micro-batches have a size that depends on the segments alone, and their gradients are added in order: the result is the
/// same for any number of threads, bit for bit.
///
/// # Errors
/// Where a token lies outside the vocabulary.
pub fn gradients(graph: &Graph, variables: &[Var], segments: &[Vec<u32>]) -> Result<(f64, Vec<Vec<f32>>)> {
    let micro = micro_batch(segments);
    let predictions: usize = segments.iter().map(|s| s.len() - 1).sum();
    let scale = 1.0 / predictions as f32;
    let parts: Vec<(f64, Vec<Vec<f32>>)> = segments
        .par_chunks(micro)
        .with_max_len(1)
        .map(|part| {
            let loss = graph.loss(variables, part, scale)?;
            let store = loss.backward()?;
            let gradients = variables
                .iter()
                .map(|variable| match store.get(variable) {
                    Some(gradient) => Ok(gradient.flatten_all()?.to_vec1()?),
                    None => Ok(vec![0.0; variable.elem_count()]),
                })
                .collect::<Result<_>>()?;
            Ok((f64::from(loss.to_scalar::<f32>()?), gradients))
        })
        .collect::<Result<_>>()?;
    let mut parts = parts.into_iter();
    let (mut loss, mut sum) = parts.next().unwrap_or_default();
    for (part, gradients) in parts {
        loss += part;
        sum.par_iter_mut().zip(gradients).for_each(|(sum, gradient)| {
            lm_infinite_runtime::kernels::elementwise::add(sum, &gradient);
        });
    }
    Ok((loss, sum))
}

/// Mean loss in nats per predicted token over `segments`, without gradients.
///
/// # Errors
/// Where a token lies outside the vocabulary.
pub fn loss(graph: &Graph, variables: &[Var], segments: &[Vec<u32>]) -> Result<f64> {
    let predictions: usize = segments.iter().map(|s| s.len() - 1).sum();
    let sums: Vec<f64> = segments
        .par_chunks(micro_batch(segments))
        .with_max_len(1)
        .map(|part| Ok(f64::from(graph.loss(variables, part, 1.0)?.to_scalar::<f32>()?)))
        .collect::<Result<_>>()?;
    Ok(sums.iter().sum::<f64>() / predictions as f64)
}

fn micro_batch(segments: &[Vec<u32>]) -> usize {
    let length = segments.first().map_or(1, |s| s.len().max(2) - 1);
    (MICRO_TOKENS / length).max(1)
}
