//! Causal self-attention over whole segments, with RoPE, ALiBi or no position encoding, within a window or not.
//!
//! Softmax over blocks of query rows against the keys up to the block's end; backwards the probabilities are computed
//! again (as in FlashAttention, Dao et al. 2022, algorithm 4), so that nothing of size length² is kept.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use lm_infinite_runtime::kernels::matmul::{View, multiply};
use lm_infinite_runtime::kernels::{backward, elementwise, matvec};
use lm_infinite_runtime::model::config::ModelConfig;

use super::{TrainPositions, gradient, result, values, with_values};

/// Query rows that are multiplied at once.
const BLOCK: usize = 64;

/// [segments · length, (heads + 2 · kv_heads) · head_dim], each row query heads, key heads, value heads
/// → [segments · length, heads · head_dim].
#[derive(Clone)]
pub struct Attention {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) length: usize,
    pub(super) positions: Arc<TrainPositions>,
    /// Keys at distances below this are seen.
    pub(super) window: Option<usize>,
    /// A logit `w` becomes `cap · tanh(w / cap)`.
    pub(super) soft_cap: Option<f32>,
    /// What queries are multiplied by, beside 1/√head_dim.
    pub(super) query_multiplier: f32,
}

/// One query head of one segment: queries and keys with their positions applied, contiguous; queries multiplied by what
/// their logits are.
struct Head<'a> {
    query: Vec<f32>,
    key: Vec<f32>,
    /// [length, head_dim] in rows of the whole width.
    value: View<'a>,
    slope: Option<f32>,
    sink: Option<f32>,
}

/// What the softmax of a block of rows leaves beside its probabilities, for the way back.
struct Beside {
    /// `1 − (w / cap)²` of each capped logit w; empty where none is capped. [rows, end]
    cap_slopes: Vec<f32>,
    /// What goes to the sink. `[rows]`
    sink_mass: Vec<f32>,
}

impl Attention {
    /// Attention of each layer of `config`, over segments of `length` tokens.
    ///
    /// # Errors
    /// Where its positions are none that can be trained.
    pub fn of_layers(config: &ModelConfig, length: usize) -> crate::Result<Vec<Self>> {
        let positions = Arc::new(TrainPositions::new(&config.position, config.heads, length)?);
        let of = |layer: usize| Self {
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            length,
            positions: positions.clone(),
            window: config.own_window(layer).map(|window| usize::try_from(window).unwrap_or(usize::MAX)),
            soft_cap: config.soft_caps.attention,
            query_multiplier: config.multipliers.queries,
        };
        Ok((0..config.layers).map(of).collect())
    }

    /// Values in a row of the argument.
    pub(super) fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Values in a row of the result.
    pub(super) fn out_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Rows of an argument that is whole segments.
    pub(super) fn rows(&self, layout: &Layout) -> Result<usize> {
        let (rows, width) = layout.shape().dims2()?;
        if width != self.width() || !rows.is_multiple_of(self.length) {
            candle_core::bail!("attention: {rows} rows of {width}, not whole segments of {}", self.width());
        }
        Ok(rows)
    }

    /// First column of the key and of the value of query head `head`.
    fn key_columns(&self, head: usize) -> (usize, usize) {
        let kv_head = head / (self.heads / self.kv_heads);
        let key = (self.heads + kv_head) * self.head_dim;
        (key, key + self.kv_heads * self.head_dim)
    }

    fn query_factor(&self) -> f32 {
        self.query_multiplier / (self.head_dim as f32).sqrt()
    }

    fn head<'a>(&self, segment: &'a [f32], head: usize, sinks: Option<&[f32]>) -> Head<'a> {
        let (key, value) = self.key_columns(head);
        let mut spare = vec![0.0; 2 * self.head_dim];
        let mut gather = |first: usize, factor: f32| {
            let mut out = vec![0.0; self.length * self.head_dim];
            let rows = segment.chunks_exact(self.width()).zip(out.chunks_exact_mut(self.head_dim));
            for (position, (row, out)) in rows.enumerate() {
                self.positions.turn(position, &row[first..first + self.head_dim], &mut spare, out);
                elementwise::scale(out, factor);
            }
            out
        };
        Head {
            query: gather(head * self.head_dim, self.query_factor()),
            key: gather(key, 1.0),
            value: View::new(&segment[value..], self.length, self.head_dim, self.width()),
            slope: self.positions.slope(head),
            sink: sinks.map(|sinks| sinks[head]),
        }
    }

    /// Probabilities of the query rows `first..end` over the keys `0..end` into `out` [end − first, end].
    fn probabilities(
        &self,
        head: &Head<'_>,
        (first, end): (usize, usize),
        out: &mut [f32],
        mut beside: Option<&mut Beside>,
    ) {
        let dim = self.head_dim;
        let query = View::new(&head.query[first * dim..], end - first, dim, dim);
        let key = View::new(&head.key, end, dim, dim);
        multiply(query, key.transposed(), out, end, false);
        for (index, row) in out.chunks_exact_mut(end).enumerate() {
            let position = first + index;
            let begin = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
            let (seen, unseen) = row.split_at_mut(position + 1);
            let (passed, seen) = seen.split_at_mut(begin);
            passed.fill(0.0);
            unseen.fill(0.0);
            if let Some(slope) = head.slope {
                for (key, logit) in (begin..).zip(seen.iter_mut()) {
                    *logit -= slope * (position - key) as f32;
                }
            }
            if let Some(cap) = self.soft_cap {
                elementwise::soft_cap(seen, cap);
                if let Some(beside) = &mut beside {
                    let slopes = &mut beside.cap_slopes[index * end + begin..][..seen.len()];
                    slopes.iter_mut().zip(&*seen).for_each(|(slope, w)| *slope = 1.0 - (w / cap) * (w / cap));
                }
            }
            let keys_maximum = elementwise::maximum(seen);
            let maximum = head.sink.map_or(keys_maximum, |sink| elementwise::larger(keys_maximum, sink));
            let of_keys = elementwise::exp_shifted(seen, maximum);
            let of_sink = head.sink.map_or(0.0, |sink| elementwise::exp_nonpositive(sink - maximum));
            let total = of_keys + of_sink;
            elementwise::scale(seen, 1.0 / total);
            if let Some(beside) = &mut beside {
                beside.sink_mass[index] = of_sink / total;
            }
        }
    }

    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        let length = self.length;
        (0..length).step_by(BLOCK).map(move |first| (first, (first + BLOCK).min(length)))
    }

    fn forward(&self, segment: &[f32], sinks: Option<&[f32]>, out: &mut [f32]) {
        let out_width = self.out_width();
        let mut weights = vec![0.0; BLOCK * self.length];
        for index in 0..self.heads {
            let head = self.head(segment, index, sinks);
            for (first, end) in self.blocks() {
                let weights = &mut weights[..(end - first) * end];
                self.probabilities(&head, (first, end), weights, None);
                let weights = View::new(weights, end - first, end, end);
                let out = &mut out[first * out_width + index * self.head_dim..];
                multiply(weights, head.value.rows(end), out, out_width, false);
            }
        }
    }

    /// Adds the gradient of one segment to `grad`, and that of the sinks to `dsinks`; `o` is the result, `g` its gradient.
    ///
    /// With P the probabilities of a row and D = g·o: `∂logit = P ∘ (g·vᵀ − D)`, and of a sink, which has no value,
    /// `−P_sink · D`.
    fn backward(
        &self,
        (segment, sinks): (&[f32], Option<&[f32]>),
        (o, g): (&[f32], &[f32]),
        grad: &mut [f32],
        dsinks: &mut [f32],
    ) {
        let (dim, width, out_width) = (self.head_dim, self.width(), self.out_width());
        let mut weights = vec![0.0; BLOCK * self.length];
        let mut dlogits = vec![0.0; BLOCK * self.length];
        let cap_slopes = if self.soft_cap.is_some() { BLOCK * self.length } else { 0 };
        let mut beside = Beside { cap_slopes: vec![0.0; cap_slopes], sink_mass: vec![0.0; BLOCK] };
        let (mut dquery, mut dkey) = (vec![0.0; self.length * dim], vec![0.0; self.length * dim]);
        let (mut turned, mut spare) = (vec![0.0; dim], vec![0.0; 2 * dim]);
        for index in 0..self.heads {
            let head = self.head(segment, index, sinks);
            let (key_column, value_column) = self.key_columns(index);
            dkey.fill(0.0);
            for (first, end) in self.blocks() {
                let size = (end - first) * end;
                let (weights, dlogits) = (&mut weights[..size], &mut dlogits[..size]);
                self.probabilities(&head, (first, end), weights, Some(&mut beside));
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
                    if let Some(dsink) = dsinks.get_mut(index) {
                        *dsink -= beside.sink_mass[row] * d;
                    }
                }
                // What is not seen has no gradient, whatever stands in its place.
                dlogits.iter_mut().zip(&beside.cap_slopes).for_each(|(dlogit, slope)| *dlogit *= slope);
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
            let scale = self.query_factor();
            for (position, row) in grad.chunks_exact_mut(width).enumerate() {
                let at = position * dim;
                self.positions.turn_back(position, &dquery[at..at + dim], &mut spare, &mut turned);
                elementwise::scale(&mut turned, scale);
                row[index * dim..(index + 1) * dim].copy_from_slice(&turned);
                self.positions.turn_back(position, &dkey[at..at + dim], &mut spare, &mut turned);
                elementwise::add(&mut row[key_column..key_column + dim], &turned);
            }
        }
    }

    /// The result of all segments.
    pub(super) fn all_forward(&self, x: &[f32], sinks: Option<&[f32]>) -> Vec<f32> {
        let (size, out_size) = (self.length * self.width(), self.length * self.out_width());
        let mut out = vec![0.0; x.len() / size * out_size];
        for (segment, out) in x.chunks_exact(size).zip(out.chunks_exact_mut(out_size)) {
            self.forward(segment, sinks, out);
        }
        out
    }

    /// The gradients of the argument and of the sinks.
    pub(super) fn all_backward(
        &self,
        x: &Tensor,
        sinks: Option<&Tensor>,
        o: &Tensor,
        g: &Tensor,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let (size, out_size) = (self.length * self.width(), self.length * self.out_width());
        let sinks = sinks.map(|sinks| with_values(sinks, <[f32]>::to_vec)).transpose()?;
        let mut grad = vec![0.0; x.elem_count()];
        let mut dsinks = vec![0.0; sinks.as_ref().map_or(0, Vec::len)];
        with_values(x, |x| {
            with_values(o, |o| {
                with_values(g, |g| {
                    let segments = x.chunks_exact(size).zip(grad.chunks_exact_mut(size));
                    let results = o.chunks_exact(out_size).zip(g.chunks_exact(out_size));
                    for ((segment, grad), result) in segments.zip(results) {
                        self.backward((segment, sinks.as_deref()), result, grad, &mut dsinks);
                    }
                })
            })
        })???;
        Ok((grad, dsinks))
    }
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let rows = self.rows(layout)?;
        Ok(result(self.all_forward(values(x, layout)?, None), (rows, self.out_width())))
    }

    fn bwd(&self, x: &Tensor, o: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        gradient(self.all_backward(x, None, o, g)?.0, x)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use lm_infinite_runtime::model::config::{PositionConfig, RopeLayout};
    use lm_infinite_runtime::policy::PositionScaling;

    use super::super::check;
    use super::*;

    /// A length that blocks do not divide.
    pub const BLOCK_AND_MORE: usize = BLOCK + 5;

    /// Attention with heads of 8 over segments of [`BLOCK_AND_MORE`].
    pub fn of(positions: &PositionConfig, heads: usize, kv_heads: usize) -> Attention {
        let length = BLOCK_AND_MORE;
        let positions = Arc::new(TrainPositions::new(positions, heads, length).unwrap());
        Attention {
            heads,
            kv_heads,
            head_dim: 8,
            length,
            positions,
            window: None,
            soft_cap: None,
            query_multiplier: 1.0,
        }
    }

    fn rope(dim: usize, layout: RopeLayout) -> PositionConfig {
        let (theta, scaling, long_rope) = (100.0, PositionScaling::None, None);
        PositionConfig::Rope { theta, dim, layout, scaling, long_rope }
    }

    fn gradients_hold(op: &Attention) {
        let shape = vec![2 * op.length, op.width()];
        let x = check::random(3, shape[0] * shape[1], 1.0);
        check::gradients(&[(shape, x)], |a| a[0].apply_op1(op.clone())).unwrap();
    }

    #[test]
    fn gradients_are_differences_with_rope_and_grouped_heads() {
        gradients_hold(&of(&rope(8, RopeLayout::HalfSplit), 4, 2));
    }

    #[test]
    fn gradients_are_differences_where_a_part_is_turned_in_either_order() {
        for layout in [RopeLayout::HalfSplit, RopeLayout::Interleaved] {
            gradients_hold(&of(&rope(4, layout), 2, 2));
        }
    }

    #[test]
    fn turning_back_undoes_turning() {
        for (dim, layout) in
            [(8, RopeLayout::Interleaved), (4, RopeLayout::Interleaved), (4, RopeLayout::HalfSplit)]
        {
            let positions = TrainPositions::new(&rope(dim, layout), 1, 20).unwrap();
            let x = check::random(5, 8, 1.0);
            let (mut turned, mut back, mut spare) = (vec![0.0; 8], vec![0.0; 8], vec![0.0; 16]);
            positions.turn(17, &x, &mut spare, &mut turned);
            assert!(
                turned.iter().zip(&x).any(|(a, b)| (a - b).abs() > 0.1),
                "{layout:?}: nothing was turned"
            );
            positions.turn_back(17, &turned, &mut spare, &mut back);
            assert!(back.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6), "{layout:?}: {back:?} {x:?}");
        }
    }

    #[test]
    fn gradients_are_differences_with_alibi() {
        gradients_hold(&of(&PositionConfig::ALIBI, 2, 2));
    }

    #[test]
    fn gradients_are_differences_without_positions() {
        gradients_hold(&of(&PositionConfig::None, 3, 1));
    }

    #[test]
    fn gradients_are_differences_within_windows_and_caps() {
        for window in [None, Some(1), Some(9), Some(BLOCK), Some(BLOCK_AND_MORE), Some(1000)] {
            let plain = of(&rope(8, RopeLayout::HalfSplit), 2, 1);
            gradients_hold(&Attention { window, ..plain.clone() });
            gradients_hold(&Attention { window, soft_cap: Some(0.3), query_multiplier: 2.0, ..plain });
        }
    }

    #[test]
    fn a_window_sees_its_keys_alone() {
        let op = Attention { window: Some(3), ..of(&PositionConfig::None, 1, 1) };
        let mut x = check::random(3, op.length * op.width(), 1.0);
        let before = op.all_forward(&x, None);
        // Key and value of token 10 become others: tokens 10, 11 and 12 attend to it.
        x[10 * 24 + 8..11 * 24].iter_mut().for_each(|value| *value += 1.0);
        let after = op.all_forward(&x, None);
        let rows = before.chunks_exact(8).zip(after.chunks_exact(8)).enumerate();
        let changed: Vec<usize> = rows.filter(|(_, (a, b))| a != b).map(|(row, _)| row).collect();
        assert_eq!(changed, [10, 11, 12]);
    }
}
