//! Linear layers on stored weights: for a few tokens row by row without unpacking, for many by unpacking a tile of rows
//! once and multiplying it with all tokens.

use std::cell::RefCell;

use rayon::prelude::*;

use super::activations::Activations;
use super::dequantize::rows_to_f32;
use super::elementwise::{larger, soft_cap as cap_all};
use super::matmul::{Columns, View, multiply_into};
use super::matvec::rows_times_vector;
use super::packed::Rounded;
use crate::model::weights::{Linear, Matrix};

/// Up to this many tokens are multiplied one by one.
const VECTOR_TOKENS: usize = 4;

thread_local! {
    static UNPACKED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `len` values of a buffer that the thread keeps.
fn with_buffer<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    UNPACKED.with_borrow_mut(|buffer| {
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        f(&mut buffer[..len])
    })
}

/// Rows per task: about an eighth of the matrix, in whole vector registers, and small enough for the cache.
fn tile_rows(rows: usize) -> usize {
    (rows.div_ceil(8)).next_multiple_of(16).clamp(32, 384)
}

/// `outputs[l] = x · layers[l]ᵀ + bias`, all layers in one parallel pass. `x`: [tokens, columns]; outputs: [tokens, rows].
pub fn forward(layers: &[&Linear], x: &[f32], outputs: &mut [&mut [f32]]) {
    let columns = layers.first().map_or(1, |layer| layer.weight.columns());
    let tokens = x.len() / columns;
    let targets: Vec<Columns> = outputs
        .iter_mut()
        .zip(layers)
        .map(|(out, layer)| {
            assert_eq!(out.len(), tokens * layer.weight.rows(), "output shape");
            assert_eq!(layer.weight.columns(), columns, "input shape");
            Columns::new(out, layer.weight.rows())
        })
        .collect();
    let x = Prepared::new(layers, x, columns);
    let tasks: Vec<_> =
        layers.iter().zip(&targets).flat_map(|(layer, target)| tiles(layer, *target)).collect();
    // SAFETY: tiles are disjoint ranges of columns of outputs that are borrowed until the end of this function.
    tasks.into_par_iter().for_each(|tile| unsafe { tile.multiply(&x) });
}

/// `out = activation(gate(x)) · up(x)`; `multiply` does both to rows of the two products, into the first. `x`: [tokens, columns];
/// `out`: [tokens, intermediate].
pub fn gated(
    gate: &Linear,
    up: &Linear,
    multiply: fn(&mut [f32], &[f32]),
    x: &[f32],
    out: &mut [f32],
    spare: &mut [f32],
) {
    let columns = gate.weight.columns();
    let tokens = x.len() / columns;
    let rows = gate.weight.rows();
    assert!(
        out.len() == tokens * rows && spare.len() == out.len() && up.weight.rows() == rows,
        "output shape"
    );
    let x = Prepared::new(&[gate, up], x, columns);
    let (out, spare) = (Columns::new(out, rows), Columns::new(spare, rows));
    let pairs: Vec<_> = tiles(gate, out).zip(tiles(up, spare)).collect();
    pairs.into_par_iter().for_each(|(gate, up)| {
        // SAFETY: as in `forward`.
        unsafe {
            gate.multiply(&x);
            up.multiply(&x);
            for token in 0..tokens {
                multiply(out.row(token, gate.first, gate.count), spare.row(token, gate.first, gate.count));
            }
        }
    });
}

/// `out = activation(up(x))`; the activation works in place. `x`: [tokens, columns]; `out`: [tokens, intermediate].
pub fn activated(up: &Linear, activation: fn(&mut [f32]), x: &[f32], out: &mut [f32]) {
    let (columns, rows) = (up.weight.columns(), up.weight.rows());
    let tokens = x.len() / columns;
    assert_eq!(out.len(), tokens * rows, "output shape");
    let x = Prepared::new(&[up], x, columns);
    let out = Columns::new(out, rows);
    let tiles: Vec<_> = tiles(up, out).collect();
    tiles.into_par_iter().for_each(|tile| {
        // SAFETY: as in `forward`.
        unsafe {
            tile.multiply(&x);
            (0..tokens).for_each(|token| activation(out.row(token, tile.first, tile.count)));
        }
    });
}

/// Activations of some tokens, as the products of a layer need them.
struct Prepared<'a> {
    /// [tokens, columns]
    x: &'a [f32],
    tokens: usize,
    /// Each token by itself, where they are few.
    few: Vec<Activations<'a>>,
    /// As packed weights need them.
    rounded: Rounded,
}

impl<'a> Prepared<'a> {
    fn new(layers: &[&Linear], x: &'a [f32], columns: usize) -> Self {
        let tokens = x.len() / columns;
        let few = if tokens <= VECTOR_TOKENS {
            x.chunks_exact(columns).map(Activations::new).collect()
        } else {
            Vec::new()
        };
        Self { x, tokens, few, rounded: Rounded::new(layers.iter().map(|layer| &layer.weight), x, columns) }
    }
}

struct Tile<'a> {
    layer: &'a Linear,
    out: Columns,
    first: usize,
    count: usize,
}

fn tiles(layer: &Linear, out: Columns) -> impl Iterator<Item = Tile<'_>> {
    let rows = layer.weight.rows();
    let step = tile_rows(rows);
    (0..rows).step_by(step).map(move |first| Tile { layer, out, first, count: step.min(rows - first) })
}

impl Tile<'_> {
    /// # Safety
    /// No other thread may touch these columns of the output, which must still be alive.
    unsafe fn multiply(&self, x: &Prepared<'_>) {
        let (weight, tokens) = (&self.layer.weight, x.tokens);
        let take = |token: usize, row: usize, values: &[f32]| {
            // SAFETY: passed on.
            let out = unsafe { self.out.row(token, row, values.len()) };
            // A whole panel is one store.
            match (out.as_chunks_mut::<16>(), values.first_chunk()) {
                (([whole], []), Some(values)) => *whole = *values,
                ((_, rest), _) => rest.copy_from_slice(values),
            }
        };
        if x.rounded.times(weight, self.first, self.count, take) {
            // Done.
        } else if x.few.is_empty() {
            // SAFETY: passed on.
            with_tile(weight, self.first, self.count, |tile| unsafe {
                let x = View::new(x.x, tokens, weight.columns(), weight.columns());
                multiply_into(x, tile.transposed(), self.out, self.first);
            });
        } else {
            for (token, x) in x.few.iter().enumerate() {
                // SAFETY: passed on.
                rows_times_vector(weight, self.first, x, unsafe {
                    self.out.row(token, self.first, self.count)
                });
            }
        }
        if let Some(bias) = &self.layer.bias {
            for token in 0..tokens {
                // SAFETY: passed on.
                let out = unsafe { self.out.row(token, self.first, self.count) };
                super::elementwise::add(out, &bias[self.first..self.first + self.count]);
            }
        }
    }
}

fn with_tile<R>(matrix: &Matrix, first: usize, count: usize, f: impl FnOnce(View<'_>) -> R) -> R {
    with_buffer(count * matrix.columns(), |buffer| {
        rows_to_f32(matrix, first, buffer);
        f(View::new(buffer, count, matrix.columns(), matrix.columns()))
    })
}

/// What turns hidden states into logits: `x · matrixᵀ + bias`, then `soft_cap · tanh(logit / soft_cap)` where there is a cap.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// [rows, columns]
    pub matrix: &'a Matrix,
    /// `[rows]`
    pub bias: Option<&'a [f32]>,
    /// The bound of a logit.
    pub soft_cap: Option<f32>,
}

/// Per token the log-sum-exp of all logits of `head` and the logit of `targets[token]`, in tiles of the vocabulary,
/// so that [tokens, vocabulary] is never held. `x`: [tokens, columns]. The log-sum-exp is NaN where a logit is NaN
/// or +inf, and −inf where all are −inf.
pub fn log_sum_exp_and_target(head: Head<'_>, x: &[f32], targets: &[u32]) -> Vec<(f32, f32)> {
    const TILE: usize = 512;
    let Head { matrix, bias, soft_cap } = head;
    let (tokens, columns, rows) = (targets.len(), matrix.columns(), matrix.rows());
    let parts: Vec<Vec<(f32, f32, Option<f32>)>> = (0..rows.div_ceil(TILE))
        .into_par_iter()
        .map(|tile| {
            let first = tile * TILE;
            let count = TILE.min(rows - first);
            let mut logits = vec![0.0; tokens * count];
            with_tile(matrix, first, count, |tile| {
                super::matmul::multiply(
                    View::new(x, tokens, columns, columns),
                    tile.transposed(),
                    &mut logits,
                    count,
                    false,
                );
            });
            if let Some(bias) = bias {
                let bias = &bias[first..first + count];
                logits.chunks_exact_mut(count).for_each(|row| super::elementwise::add(row, bias));
            }
            if let Some(cap) = soft_cap {
                cap_all(&mut logits, cap);
            }
            logits
                .chunks_exact_mut(count)
                .zip(targets)
                .map(|(row, &target)| {
                    let target =
                        (target as usize).checked_sub(first).and_then(|index| row.get(index)).copied();
                    let max = super::elementwise::maximum(row);
                    (max, super::elementwise::exp_shifted(row, max), target)
                })
                .collect()
        })
        .collect();
    (0..tokens)
        .map(|token| {
            let max = parts.iter().fold(f32::NEG_INFINITY, |m, part| larger(m, part[token].0));
            // A tile of nothing but −inf has the sum 0 and adds nothing.
            let seen = parts.iter().map(|part| part[token]).filter(|&(_, sum, _)| sum != 0.0);
            let sum: f64 = seen.map(|(most, sum, _)| sum as f64 * ((most - max) as f64).exp()).sum();
            let target = parts.iter().find_map(|part| part[token].2).unwrap_or(f32::NAN);
            ((max as f64 + sum.ln()) as f32, target)
        })
        .collect()
}

/// All logits of one token. `x`: `[columns]`; `out`: `[rows]`.
pub fn logits(head: Head<'_>, x: &[f32], out: &mut [f32]) {
    const TILE: usize = 1024;
    let Head { matrix, bias, soft_cap } = head;
    let rounded = Rounded::new(std::iter::once(matrix), x, matrix.columns());
    let x = Activations::new(x);
    out.par_chunks_mut(TILE).enumerate().for_each(|(i, out)| {
        let first = i * TILE;
        let count = out.len();
        let done = rounded.times(matrix, first, count, |_, row, values| {
            out[row - first..][..values.len()].copy_from_slice(values);
        });
        if !done {
            rows_times_vector(matrix, first, &x, out);
        }
        if let Some(bias) = bias {
            super::elementwise::add(out, &bias[i * TILE..][..out.len()]);
        }
        if let Some(cap) = soft_cap {
            cap_all(out, cap);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::quantized::GgmlDType;

    use super::*;
    use crate::kernels::packed;
    use crate::model::weights::WeightType;

    fn layer(rows: usize, columns: usize, bias: bool) -> Linear {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i as f32 * 0.123).sin()).collect();
        Linear {
            weight: Matrix::from_f32(&values, rows, columns).expect("shape"),
            bias: bias.then(|| (0..rows).map(|i| i as f32).collect()),
        }
    }

    #[test]
    fn many_tokens_and_few_tokens_agree() {
        let (layers, columns) = ([layer(70, 48, true), layer(33, 48, false)], 48);
        for tokens in [0, 1, 4, 5, 17] {
            let x: Vec<f32> = (0..tokens * columns).map(|i| (i as f32 * 0.31).cos()).collect();
            let mut outputs: Vec<Vec<f32>> =
                layers.iter().map(|l| vec![0.0; tokens * l.weight.rows()]).collect();
            forward(&layers.each_ref(), &x, &mut outputs.iter_mut().map(|o| &mut o[..]).collect::<Vec<_>>());
            for (layer, out) in layers.iter().zip(&outputs) {
                for token in 0..tokens {
                    let x = &x[token * columns..][..columns];
                    let mut one = vec![0.0; layer.weight.rows()];
                    forward(&[layer], x, &mut [&mut one]);
                    for (a, b) in one.iter().zip(&out[token * layer.weight.rows()..]) {
                        assert!((a - b).abs() < 1e-4, "{tokens} tokens: {a} {b}");
                    }
                }
            }
        }
    }

    /// What is packed differs from what is not by the rounding of activations alone, whatever the number of tokens; floats beside it
    /// do not differ.
    #[test]
    fn packed_layers_and_floats_stand_side_by_side() {
        let (rows, columns) = (70, 64);
        let quantized = WeightType::Quantized(GgmlDType::Q4_0);
        // Small scales and, as bfloat16, numbers; and the most that rounding takes from an activation.
        for (kind, high, most) in [(quantized, 0x2a, 1.0 / 254.0), (WeightType::Bf16, 0x3c, 1.0 / 256.0)] {
            let (block, size) = kind.block();
            let bytes: Vec<u8> = (0..rows * columns / block * size)
                .map(|at| if at % size == 1 { high } else { (at * 37 % 251) as u8 })
                .collect();
            let len = bytes.len();
            let stored = Matrix::new(Arc::new(bytes), 0..len, kind, rows, columns).expect("shape");
            let Some(packed) = packed::packed(&stored) else { continue };
            let bias = Some(vec![0.5; rows]);
            let both = [stored.clone(), stored.with_packed(Arc::new(packed))]
                .map(|weight| Linear { weight, bias: bias.clone() });
            let floats = layer(33, columns, false);
            for tokens in [0, 1, 4, 5, 17] {
                let x: Vec<f32> = (0..tokens * columns).map(|i| (i as f32 * 0.31).cos()).collect();
                let [(exact, exact_floats), (fast, fast_floats)] = both.each_ref().map(|weights| {
                    let (mut a, mut b) = (vec![0.0; tokens * rows], vec![0.0; tokens * 33]);
                    forward(&[weights, &floats], &x, &mut [&mut a, &mut b]);
                    (a, b)
                });
                assert_eq!(exact_floats, fast_floats);
                let mut row = vec![0.0; columns];
                for (at, (exact, fast)) in exact.iter().zip(&fast).enumerate() {
                    rows_to_f32(&both[0].weight, at % rows, &mut row);
                    let bound = row.iter().map(|weight| weight.abs()).sum::<f32>() * most + 1e-3;
                    assert!((exact - fast).abs() <= bound, "{kind:?}, {tokens} tokens, {at}: {exact} {fast}");
                }
                assert!(tokens == 0 || exact != fast, "activations are rounded where there are instructions");
                if let Some(x) = x.get(..columns) {
                    let mut logits_of = vec![0.0; rows];
                    let head = Head { matrix: &both[1].weight, bias: bias.as_deref(), soft_cap: None };
                    logits(head, x, &mut logits_of);
                    assert_eq!(logits_of, fast[..rows], "a head multiplies like a layer");
                }
            }
        }
    }

    #[test]
    fn tiled_log_sum_exp_is_that_of_all_logits() {
        let (rows, columns, tokens) = (1100, 16, 3);
        let head = layer(rows, columns, false).weight;
        let x: Vec<f32> = (0..tokens * columns).map(|i| (i as f32 * 0.7).sin()).collect();
        let targets = [0, 600, 1099];
        let bias: Vec<f32> = (0..rows).map(|row| (row as f32 * 0.9).cos()).collect();
        let plain = Head { matrix: &head, bias: None, soft_cap: None };
        for (bias, soft_cap) in [(None, None), (Some(&bias[..]), None), (Some(&bias[..]), Some(2.5))] {
            let parts = log_sum_exp_and_target(Head { bias, soft_cap, ..plain }, &x, &targets);
            for (token, (lse, target)) in parts.into_iter().enumerate() {
                let mut all = vec![0.0; rows];
                logits(plain, &x[token * columns..][..columns], &mut all);
                if let Some(bias) = bias {
                    all.iter_mut().zip(bias).for_each(|(logit, bias)| *logit += bias);
                }
                if let Some(cap) = soft_cap {
                    all.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
                }
                let mut with = vec![0.0; rows];
                logits(Head { bias, soft_cap, ..plain }, &x[token * columns..][..columns], &mut with);
                assert!(with.iter().zip(&all).all(|(a, b)| (a - b).abs() <= 1e-6));
                let expected = all.iter().map(|&w| (w as f64).exp()).sum::<f64>().ln();
                assert!((lse as f64 - expected).abs() < 1e-5);
                assert!((target - all[targets[token] as usize]).abs() < 1e-5);
            }
        }
    }
}
