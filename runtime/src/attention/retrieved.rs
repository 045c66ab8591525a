//! The keys between start and window with the largest logits: an exact search.
//!
//! Many queries at once: every candidate by matrix products, and only what comes close to the best `k` is looked at again. A
//! few queries (decoding): the logits of 16 keys are bounded by the bounds of them, and most blocks are passed over.
//!
//! What is chosen does not depend on which way was taken: a key's rank is its logit as one inner product gives it, and both
//! ways keep a margin of the largest rounding error they can make. Equal logits rank by position, the earlier first.
//!
//! A logit that is NaN ranks above every number: which keys are the largest is not known where one is no number, and the
//! row of such a query is to say so. (PyTorch's `topk` ranks it there too.) Comparisons are written so that a bound or a
//! threshold that is NaN rules nothing out.

use std::borrow::Cow;

use multiversion::multiversion;

use super::inputs::{Candidates, VECTOR_ROWS};
use super::partial::Partial;
use crate::kernels::matmul::{View, multiply};
use crate::kernels::matvec::{dot, dot_inline};
use crate::offload::{BLOCK_KEYS, OffloadedPage};
use crate::probe::StatisticsPlan;

/// Blocks with the largest bounds that are searched first, so that the rest meets a high threshold.
const FIRST_BLOCKS: usize = 8;

/// A chosen key.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    /// Position of the key.
    pub position: u64,
    /// Scaled logit, before ALiBi's bias and before a soft cap.
    pub logit: f32,
    /// `[head_dim]`
    pub value: Cow<'a, [f32]>,
}

/// The best keys of one query so far, best first.
struct Best<'a> {
    k: usize,
    keys: Vec<Chosen<'a>>,
}

impl<'a> Best<'a> {
    /// What a logit has to reach.
    fn threshold(&self) -> f32 {
        if self.keys.len() < self.k {
            f32::NEG_INFINITY
        } else {
            self.keys.last().map_or(f32::INFINITY, |k| k.logit)
        }
    }

    fn offer(&mut self, key: Chosen<'a>) {
        let before = |other: &Chosen<'_>| match (other.logit.is_nan(), key.logit.is_nan()) {
            (false, false) if other.logit != key.logit => other.logit > key.logit,
            (one, another) if one != another => one,
            _ => other.position < key.position,
        };
        let at = self.keys.partition_point(before);
        if at < self.k {
            self.keys.truncate(self.k - 1);
            self.keys.insert(at, key);
        }
    }
}

/// For every row of `queries` ([rows, head_dim], scaled and rotated to their one distance), the `k` best keys at positions
/// below `ends[row]`, in order of position.
pub fn choose<'a>(
    queries: &[f32],
    head_dim: usize,
    ends: &[u64],
    k: usize,
    candidates: &Candidates<'a>,
) -> Vec<Vec<Chosen<'a>>> {
    let mut search = Search {
        queries,
        head_dim,
        ends,
        norms: queries.chunks_exact(head_dim).map(|query| dot(query, query).sqrt()).collect(),
        best: ends.iter().map(|_| Best { k, keys: Vec::with_capacity(k.min(1024) + 1) }).collect(),
        logits: Vec::new(),
    };
    let bounded = ends.len() <= VECTOR_ROWS;
    if bounded {
        (0..ends.len()).for_each(|row| search.blocks(row, &candidates.offloaded));
    }
    for page in &candidates.offloaded {
        // A few queries have seen the whole blocks by way of their blocks.
        let seen = if bounded { page.norms.len() * BLOCK_KEYS } else { 0 };
        let (keys, values) = (&page.keys[seen * head_dim..], &page.values[seen * head_dim..]);
        let value = |r: usize| Cow::Borrowed(&values[r * head_dim..][..head_dim]);
        search.all(page.first + seen as u64, head_dim, keys, &value);
    }
    for run in &candidates.recent {
        search.all(run.first, run.stride, &run.keys.numbers(), &|r| run.value(r, head_dim));
    }
    let mut chosen: Vec<Vec<Chosen<'_>>> = search.best.into_iter().map(|best| best.keys).collect();
    chosen.iter_mut().for_each(|keys| keys.sort_unstable_by_key(|key| key.position));
    chosen
}

struct Search<'a, 'q> {
    queries: &'q [f32],
    head_dim: usize,
    ends: &'q [u64],
    /// Euclidean norm of each query.
    norms: Vec<f32>,
    best: Vec<Best<'a>>,
    logits: Vec<f32>,
}

impl<'a> Search<'a, '_> {
    /// How far two ways of summing the inner product of this row with a key of norm `norm` can be apart, and more: each is
    /// within `head_dim · ε/2 · |q||k|` of the true one.
    fn margin(&self, row: usize, norm: f32) -> f32 {
        4.0 * (self.head_dim + 4) as f32 * f32::EPSILON * self.norms[row] * norm
    }

    fn query(&self, row: usize) -> &[f32] {
        &self.queries[row * self.head_dim..][..self.head_dim]
    }

    /// Takes in consecutive keys, the first at position `first`, row `r` at `r · stride`.
    fn all(&mut self, first: u64, stride: usize, keys: &[f32], value: &dyn Fn(usize) -> Cow<'a, [f32]>) {
        let (rows, dim) = (self.ends.len(), self.head_dim);
        let newest = self.ends.iter().copied().max().unwrap_or(0);
        let len = keys.len().div_ceil(stride).min(newest.saturating_sub(first) as usize);
        if len == 0 {
            return;
        }
        if rows <= VECTOR_ROWS {
            for row in 0..rows {
                self.exact(row, first, stride, &keys[..(len - 1) * stride + dim], value);
            }
            return;
        }
        let mut logits = std::mem::take(&mut self.logits);
        logits.resize(rows * len, 0.0);
        let views = (View::new(self.queries, rows, dim, dim), View::new(keys, len, dim, stride));
        multiply(views.0, views.1.transposed(), &mut logits, len, false);
        let longest =
            keys.chunks(stride).take(len).map(|key| dot(&key[..dim], &key[..dim])).fold(0.0, f32::max);
        for row in 0..rows {
            let columns = len.min(self.ends[row].saturating_sub(first) as usize);
            let margin = self.margin(row, longest.sqrt());
            let mut threshold = self.best[row].threshold() - margin;
            for (r, &rough) in logits[row * len..][..columns].iter().enumerate() {
                if rough < threshold {
                    continue;
                }
                let logit = dot(self.query(row), &keys[r * stride..][..dim]);
                self.best[row].offer(Chosen { position: first + r as u64, logit, value: value(r) });
                threshold = self.best[row].threshold() - margin;
            }
        }
        self.logits = logits;
    }

    /// The same for one row, by inner products.
    fn exact(
        &mut self,
        row: usize,
        first: u64,
        stride: usize,
        keys: &[f32],
        value: &dyn Fn(usize) -> Cow<'a, [f32]>,
    ) {
        let len = keys.len().div_ceil(stride).min(self.ends[row].saturating_sub(first) as usize);
        let mut logits = std::mem::take(&mut self.logits);
        logits.resize(len.max(logits.len()), 0.0);
        inner_products(self.query(row), keys, stride, &mut logits[..len]);
        let best = &mut self.best[row];
        for (r, &logit) in logits[..len].iter().enumerate() {
            let ruled_out = logit < best.threshold();
            if !ruled_out {
                best.offer(Chosen { position: first + r as u64, logit, value: value(r) });
            }
        }
        self.logits = logits;
    }

    /// Searches the whole blocks of `pages` for one row, and leaves out those whose bounds rule them out.
    fn blocks(&mut self, row: usize, pages: &[OffloadedPage<'a>]) {
        let dim = self.head_dim;
        let mut bounds: Vec<(f32, usize, usize)> = Vec::new();
        for (page_index, page) in pages.iter().enumerate() {
            let mut page_bounds = vec![0.0; page.norms.len()];
            upper_bounds(self.query(row), page.low, page.high, &mut page_bounds);
            let blocks = page_bounds.iter().zip(page.norms).enumerate();
            // A block that begins in this query's window has nothing for it.
            let open =
                blocks.filter(|(block, _)| page.first + ((block * BLOCK_KEYS) as u64) < self.ends[row]);
            bounds.extend(
                open.map(|(block, (bound, norm))| (bound + self.margin(row, *norm), page_index, block)),
            );
        }
        let first = FIRST_BLOCKS.min(bounds.len());
        if first < bounds.len() {
            bounds.select_nth_unstable_by(first, |a, b| b.0.total_cmp(&a.0));
        }
        for (bound, page, block) in bounds {
            if bound < self.best[row].threshold() {
                continue;
            }
            let (page, at) = (&pages[page], block * BLOCK_KEYS);
            let (keys, values) = (&page.keys[at * dim..][..BLOCK_KEYS * dim], &page.values[at * dim..]);
            let value = |r: usize| Cow::Borrowed(&values[r * dim..][..dim]);
            self.exact(row, page.first + at as u64, dim, keys, &value);
        }
    }
}

/// `logits[r] = query · keys[r]`; each is what [`dot`] gives, to the bit.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn inner_products(query: &[f32], keys: &[f32], stride: usize, logits: &mut [f32]) {
    for (key, logit) in keys.chunks(stride).zip(logits) {
        *logit = dot_inline(query, &key[..query.len()]);
    }
}

/// `bounds[b] = Σ_d max(q_d low_d, q_d high_d)`: no key in block `b` has a larger inner product with `query`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx2+fma",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
fn upper_bounds(query: &[f32], low: &[f32], high: &[f32], bounds: &mut [f32]) {
    let dim = query.len();
    for ((low, high), bound) in low.chunks_exact(dim).zip(high.chunks_exact(dim)).zip(bounds) {
        let mut lanes = [0.0f32; 16];
        let (query, rest) = query.as_chunks::<16>();
        let (low, low_rest) = low.as_chunks::<16>();
        let (high, high_rest) = high.as_chunks::<16>();
        for ((q, l), h) in query.iter().zip(low).zip(high) {
            for i in 0..16 {
                lanes[i] += (q[i] * l[i]).max(q[i] * h[i]);
            }
        }
        let rest = rest.iter().zip(low_rest).zip(high_rest).map(|((q, l), h)| (q * l).max(q * h));
        *bound = lanes.iter().sum::<f32>() + rest.sum::<f32>();
    }
}

/// Adds the chosen keys of `row`, whose query stands at `position`, to the running softmax, with the logits that it sees
/// (`[chosen]`).
pub fn absorb(
    partial: &mut Partial,
    row: usize,
    position: u64,
    chosen: &[Chosen<'_>],
    logits: Vec<f32>,
    plan: Option<&StatisticsPlan>,
) {
    if chosen.is_empty() {
        return;
    }
    let mut weights = logits;
    if let Some(tiles) = &mut partial.tiles {
        for (key, &logit) in chosen.iter().zip(&weights) {
            tiles.absorb(row, key.position, &[logit]);
        }
    }
    partial.absorb(row, &mut weights);
    for (key, &weight) in chosen.iter().zip(&weights) {
        if let Some(plan) = plan {
            partial.absorb_masses(row, position, key.position, &[weight], weight, plan);
        }
        let output = &mut partial.output[row * key.value.len()..][..key.value.len()];
        output.iter_mut().zip(key.value.iter()).for_each(|(out, &x)| *out = weight.mul_add(x, *out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::StoredRun;
    use crate::model::kv_type::Stored;
    use crate::offload::{OffloadedKeys, Storage};

    /// Keys of small whole numbers: inner products are exact, and many are equal.
    fn whole(seed: u64, len: usize, most: i64) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (((state >> 33) as i64) % (2 * most + 1) - most) as f32
        };
        (0..len).map(|_| next()).collect()
    }

    fn offloaded(keys: &[f32], values: &[f32], dim: usize, first: u64, memory_bytes: u64) -> OffloadedKeys {
        let mut offloaded =
            OffloadedKeys::new(1, dim, first, 1, &Storage { memory_bytes, ..Storage::default() });
        for (key, value) in keys.chunks_exact(dim).zip(values.chunks_exact(dim)) {
            offloaded.push(|_| (key, value)).expect("room");
        }
        offloaded
    }

    #[test]
    fn both_ways_choose_what_a_sort_chooses_ties_included() {
        let (dim, first) = (5, 7);
        for n in [0usize, 1, 15, 16, 17, 300, 1000] {
            let (keys, values) = (whole(1, n * dim, 2), whole(2, n * dim, 9));
            // The last 40 keys have not been offloaded.
            let split = n.saturating_sub(40);
            let offloaded = offloaded(&keys[..split * dim], &values[..split * dim], dim, first, 8000);
            for rows in [1, 3, 8, 9, 33] {
                let queries = whole(3, rows * dim, 3);
                let ends: Vec<u64> = (0..rows).map(|row| first + (n * (rows - row) / rows) as u64).collect();
                for k in [1, 5, 64, 2000] {
                    let candidates = Candidates {
                        offloaded: offloaded.pages(0).collect(),
                        recent: vec![StoredRun {
                            first: first + split as u64,
                            len: n - split,
                            stride: dim,
                            keys: Stored::F32(&keys[split * dim..]),
                            values: Stored::F32(&values[split * dim..]),
                        }],
                    };
                    let chosen = choose(&queries, dim, &ends, k, &candidates);
                    for (row, (chosen, end)) in chosen.iter().zip(&ends).enumerate() {
                        let logit = |at: usize| dot(&queries[row * dim..][..dim], &keys[at * dim..][..dim]);
                        let mut order: Vec<usize> = (0..(end - first) as usize).collect();
                        order.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)));
                        order.truncate(k);
                        order.sort_unstable();
                        let got: Vec<usize> =
                            chosen.iter().map(|key| (key.position - first) as usize).collect();
                        assert_eq!(got, order, "n {n} rows {rows} row {row} k {k}");
                        for key in chosen {
                            let at = (key.position - first) as usize;
                            assert_eq!((key.logit, &*key.value), (logit(at), &values[at * dim..][..dim]));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_key_is_above_the_bound_of_its_box() {
        let dim = 24;
        let keys: Vec<f32> = whole(5, 512 * dim, 1000).iter().map(|x| x * 0.37e-3).collect();
        let offloaded = offloaded(&keys, &keys, dim, 0, 0);
        for query in whole(6, 20 * dim, 1000).chunks_exact(dim) {
            for page in offloaded.pages(0) {
                let mut bounds = vec![0.0; page.norms.len()];
                upper_bounds(query, page.low, page.high, &mut bounds);
                for (at, key) in page.keys.chunks_exact(dim).enumerate() {
                    let (bound, norm) = (bounds[at / BLOCK_KEYS], page.norms[at / BLOCK_KEYS]);
                    assert!(dot(query, key) <= bound + 1e-5 * norm * dot(query, query).sqrt());
                    assert!(dot(key, key).sqrt() <= norm * 1.0001);
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_chosen_first_wherever_it_stands() {
        let (count, rows) = (600, [1, 20]);
        for at in [0, 1, 15, 16, 250, 599] {
            // Large keys first, so that a search by bounds would pass over what comes later.
            let mut keys: Vec<f32> = (0..count).map(|key| 1000.0 - key as f32).collect();
            keys[at] = f32::NAN;
            let offloaded = offloaded(&keys, &keys, 1, 0, 1 << 20);
            for rows in rows {
                for k in [1, 3] {
                    let candidates =
                        Candidates { offloaded: offloaded.pages(0).collect(), recent: Vec::new() };
                    let chosen = choose(&vec![1.0; rows], 1, &vec![count as u64; rows], k, &candidates);
                    let got = chosen[rows - 1].iter().map(|key| key.position).collect::<Vec<_>>();
                    let others = (0..count as u64).filter(|&key| key != at as u64).take(k - 1);
                    let mut expected: Vec<u64> = others.chain([at as u64]).collect();
                    expected.sort_unstable();
                    assert_eq!(got, expected, "NaN at {at}, {rows} rows, {k} keys");
                }
            }
        }
    }

    #[test]
    fn of_many_that_are_no_numbers_the_first_are_chosen() {
        let keys = [1.0, f32::NAN, 3.0, 2.0].repeat(10);
        let offloaded = offloaded(&keys, &keys, 1, 0, 1 << 20);
        for rows in [1, 20] {
            let candidates = || Candidates { offloaded: offloaded.pages(0).collect(), recent: Vec::new() };
            let chosen = |k| {
                let chosen = choose(&vec![1.0; rows], 1, &vec![40; rows], k, &candidates());
                chosen[rows - 1].iter().map(|key| key.position).collect::<Vec<u64>>()
            };
            assert_eq!(chosen(0), [0_u64; 0]);
            assert_eq!(chosen(3), [1, 5, 9]);
            assert_eq!(chosen(12), [1, 2, 5, 6, 9, 13, 17, 21, 25, 29, 33, 37]);
        }
    }
}
