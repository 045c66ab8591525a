//! Causal self-attention over whole segments, with RoPE, ALiBi or no position encoding.
//!
//! Softmax over blocks of query rows against the keys up to the block's end; backwards the probabilities are computed
//! again (as in FlashAttention, Dao et al. 2022, algorithm 4), so that nothing of size length² is kept.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::matmul::{View, multiply};
use lm_infinite_runtime::kernels::{backward, elementwise, matvec};
use lm_infinite_runtime::model::config::ModelConfig;
use lm_infinite_runtime::position::{PositionEncoding, RotaryTable};

use super::{gradient, result, values, with_values};

/// Query rows that are multiplied at once.
const BLOCK: usize = 64;

/// What a segment's positions do to the logits.
#[derive(Clone, Debug)]
pub enum TrainPositions {
    /// Angles of the positions of a segment.
    Rope(RotaryTable),
    /// One slope per query head.
    Alibi(Vec<f32>),
    /// Nothing.
    None,
}

impl TrainPositions {
    /// For segments of `length` tokens.
    pub fn new(encoding: &PositionEncoding, length: usize) -> Self {
        match encoding {
            PositionEncoding::Rope(rope) => {
                let mut table = RotaryTable::new(rope);
                table.grow(length);
                Self::Rope(table)
            }
            PositionEncoding::Alibi { slopes } => Self::Alibi(slopes.iter().map(|&s| s as f32).collect()),
            PositionEncoding::None => Self::None,
        }
    }
}

/// [segments · length, (heads + 2 · kv_heads) · head_dim], each row query heads, key heads, value heads
/// → [segments · length, heads · head_dim].
#[derive(Clone)]
pub struct Attention {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    length: usize,
    positions: Arc<TrainPositions>,
}

/// One query head of one segment: queries and keys with their positions applied, contiguous; queries divided by
/// √head_dim.
struct Head<'a> {
    query: Vec<f32>,
    key: Vec<f32>,
    /// [length, head_dim] in rows of the whole width.
    value: View<'a>,
    slope: Option<f32>,
}

impl Attention {
    /// Attention of `config` over segments of `length` tokens.
    pub fn new(config: &ModelConfig, length: usize, positions: Arc<TrainPositions>) -> Self {
        let (heads, kv_heads, head_dim) = (config.heads, config.kv_heads, config.head_dim);
        Self { heads, kv_heads, head_dim, length, positions }
    }

    /// Values in a row of the argument.
    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// First column of the key and of the value of query head `head`.
    fn key_columns(&self, head: usize) -> (usize, usize) {
        let kv_head = head / (self.heads / self.kv_heads);
        let key = (self.heads + kv_head) * self.head_dim;
        (key, key + self.kv_heads * self.head_dim)
    }

    fn head<'a>(&self, segment: &'a [f32], head: usize) -> Head<'a> {
        let (key, value) = self.key_columns(head);
        let gather = |first: usize, factor: f32| {
            let mut out = vec![0.0; self.length * self.head_dim];
            let rows = segment.chunks_exact(self.width()).zip(out.chunks_exact_mut(self.head_dim));
            for (position, (row, out)) in rows.enumerate() {
                self.turn(position, &row[first..first + self.head_dim], false, out);
                elementwise::scale(out, factor);
            }
            out
        };
        Head {
            query: gather(head * self.head_dim, 1.0 / (self.head_dim as f32).sqrt()),
            key: gather(key, 1.0),
            value: View::new(&segment[value..], self.length, self.head_dim, self.width()),
            slope: match &*self.positions {
                TrainPositions::Alibi(slopes) => Some(slopes[head]),
                TrainPositions::Rope(_) | TrainPositions::None => None,
            },
        }
    }

    /// A head's vector turned to its position, or back.
    fn turn(&self, position: usize, x: &[f32], backwards: bool, out: &mut [f32]) {
        match &*self.positions {
            TrainPositions::Rope(table) => {
                elementwise::rotate(x, table.row(position as u64, &mut []), backwards, out);
            }
            TrainPositions::Alibi(_) | TrainPositions::None => out.copy_from_slice(x),
        }
    }

    /// Probabilities of the query rows `first..end` over the keys `0..end` into `out` [end − first, end].
    fn probabilities(&self, head: &Head<'_>, first: usize, end: usize, out: &mut [f32]) {
        let dim = self.head_dim;
        let query = View::new(&head.query[first * dim..], end - first, dim, dim);
        let key = View::new(&head.key, end, dim, dim);
        multiply(query, key.transposed(), out, end, false);
        for (position, row) in (first..end).zip(out.chunks_exact_mut(end)) {
            let (seen, unseen) = row.split_at_mut(position + 1);
            if let Some(slope) = head.slope {
                for (key, logit) in seen.iter_mut().enumerate() {
                    *logit -= slope * (position - key) as f32;
                }
            }
            let maximum = elementwise::maximum(seen);
            let total = elementwise::exp_shifted(seen, maximum);
            elementwise::scale(seen, 1.0 / total);
            unseen.fill(0.0);
        }
    }

    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        let length = self.length;
        (0..length).step_by(BLOCK).map(move |first| (first, (first + BLOCK).min(length)))
    }

    fn forward(&self, segment: &[f32], out: &mut [f32]) {
        let out_width = self.heads * self.head_dim;
        let mut weights = vec![0.0; BLOCK * self.length];
        for index in 0..self.heads {
            let head = self.head(segment, index);
            for (first, end) in self.blocks() {
                let weights = &mut weights[..(end - first) * end];
                self.probabilities(&head, first, end, weights);
                let weights = View::new(weights, end - first, end, end);
                let out = &mut out[first * out_width + index * self.head_dim..];
                multiply(weights, head.value.rows(end), out, out_width, false);
            }
        }
    }

    /// Adds the gradient of one segment to `grad`; `o` is the result, `g` its gradient.
    ///
    /// With P the probabilities of a row and D = g·o: `∂logit = P ∘ (g·vᵀ − D)`.
    fn backward(&self, segment: &[f32], o: &[f32], g: &[f32], grad: &mut [f32]) {
        let (dim, width, out_width) = (self.head_dim, self.width(), self.heads * self.head_dim);
        let mut weights = vec![0.0; BLOCK * self.length];
        let mut dlogits = vec![0.0; BLOCK * self.length];
        let (mut dquery, mut dkey) = (vec![0.0; self.length * dim], vec![0.0; self.length * dim]);
        let mut turned = vec![0.0; dim];
        for index in 0..self.heads {
            let head = self.head(segment, index);
            let (key_column, value_column) = self.key_columns(index);
            dkey.fill(0.0);
            for (first, end) in self.blocks() {
                let size = (end - first) * end;
                let (weights, dlogits) = (&mut weights[..size], &mut dlogits[..size]);
                self.probabilities(&head, first, end, weights);
                let start = first * out_width + index * dim;
                let g_block = View::new(&g[start..], end - first, dim, out_width);
                multiply(g_block, head.value.rows(end).transposed(), dlogits, end, false);
                let p = View::new(weights, end - first, end, end);
                multiply(p.transposed(), g_block, &mut grad[value_column..], width, true);
                let rows = weights.chunks_exact(end).zip(dlogits.chunks_exact_mut(end));
                for (row, (p, dlogit)) in rows.enumerate() {
                    let at = start + row * out_width;
                    let d = matvec::dot(&g[at..at + dim], &o[at..at + dim]);
                    backward::softmax_backward(p, d, dlogit);
                }
                let dlogits = View::new(dlogits, end - first, end, end);
                multiply(
                    dlogits,
                    View::new(&head.key, end, dim, dim),
                    &mut dquery[first * dim..],
                    dim,
                    false,
                );
                let query = View::new(&head.query[first * dim..], end - first, dim, dim);
                multiply(dlogits.transposed(), query, &mut dkey, dim, true);
            }
            let scale = 1.0 / (dim as f32).sqrt();
            for (position, row) in grad.chunks_exact_mut(width).enumerate() {
                let at = position * dim;
                self.turn(position, &dquery[at..at + dim], true, &mut turned);
                elementwise::scale(&mut turned, scale);
                row[index * dim..(index + 1) * dim].copy_from_slice(&turned);
                self.turn(position, &dkey[at..at + dim], true, &mut turned);
                elementwise::add(&mut row[key_column..key_column + dim], &turned);
            }
        }
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        if width != self.width() || !rows.is_multiple_of(self.length) {
            candle_core::bail!("attention: {rows} rows of {width}, not whole segments of {}", self.width());
        }
        let out_width = self.heads * self.head_dim;
        let mut out = vec![0.0; rows * out_width];
        let segments = values(x, layout)?.chunks_exact(self.length * width);
        for (segment, out) in segments.zip(out.chunks_exact_mut(self.length * out_width)) {
            self.forward(segment, out);
        }
        Ok(result(out, (rows, out_width)))
    }

    fn bwd(&self, x: &Tensor, o: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let (size, out_size) = (self.length * self.width(), self.length * self.heads * self.head_dim);
        let mut grad = vec![0.0; x.elem_count()];
        with_values(x, |x| {
            with_values(o, |o| {
                with_values(g, |g| {
                    let segments = x.chunks_exact(size).zip(grad.chunks_exact_mut(size));
                    let results = o.chunks_exact(out_size).zip(g.chunks_exact(out_size));
                    for ((segment, grad), (o, g)) in segments.zip(results) {
                        self.backward(segment, o, g, grad);
                    }
                })
            })
        })???;
        gradient(grad, x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use lm_infinite_runtime::policy::PositionScaling;
    use lm_infinite_runtime::position::Rope;

    fn gradients_hold(encoding: &PositionEncoding, heads: usize, kv_heads: usize) {
        let (head_dim, length, segments) = (8, BLOCK + 5, 2);
        let positions = Arc::new(TrainPositions::new(encoding, length));
        let op = Attention { heads, kv_heads, head_dim, length, positions };
        let shape = vec![segments * length, op.width()];
        let x = check::random(3, shape[0] * shape[1], 1.0);
        check::gradients(&[(shape, x)], |a| a[0].apply_op1(op.clone())).unwrap();
    }

    #[test]
    fn gradients_are_differences_with_rope_and_grouped_heads() {
        gradients_hold(&PositionEncoding::Rope(Rope::new(100.0, 8, PositionScaling::None)), 4, 2);
    }

    #[test]
    fn gradients_are_differences_with_alibi() {
        gradients_hold(&PositionEncoding::Alibi { slopes: vec![0.25, 0.0625] }, 2, 2);
    }

    #[test]
    fn gradients_are_differences_without_positions() {
        gradients_hold(&PositionEncoding::None, 3, 1);
    }
}
