//! The largest logit of rows by tile of keys, for attention maps in which squares of tokens are one tile.

use std::num::NonZeroU64;
use std::ops::Range;

use super::inputs::MASKED;
use crate::kernels::elementwise::{larger, maximum, raise};
use crate::policy::AttentionPolicy;
use crate::probe::TileMaxima;

/// Maxima of a block of rows by tile. Only tiles of keys that the policy lets some row attend to have a place.
#[derive(Clone, Debug)]
pub struct RowTiles {
    /// Tokens of a tile.
    side: NonZeroU64,
    /// Tiles of the start tokens: the first so many.
    start: u64,
    /// The first tile of recent keys, at least `start`.
    recent: u64,
    /// Places of a row.
    width: usize,
    /// [rows, width]
    maxima: Vec<f32>,
}

impl RowTiles {
    /// Before the first key, for `rows` rows of queries at these positions.
    pub fn new(side: NonZeroU64, rows: usize, queries: Range<u64>, policy: &AttentionPolicy) -> Self {
        let (oldest, newest) = (policy.spans(queries.start), policy.spans(queries.end - 1));
        // Retrieved keys may be anywhere.
        let recent = if policy.retrieved.is_some() { 0 } else { oldest.recent_begin / side };
        let start = newest.start_end.div_ceil(side.get()).min(recent);
        let width = (start + (queries.end - 1) / side + 1 - recent) as usize;
        Self { side, start, recent, width, maxima: vec![MASKED; rows * width] }
    }

    fn place(&self, tile: u64) -> Option<usize> {
        match tile {
            _ if tile < self.start => Some(tile as usize),
            _ if tile < self.recent => None,
            _ => Some((tile - self.recent + self.start) as usize),
        }
    }

    /// Takes in the logits of `row` for the keys from `first` on (`MASKED` where not attended).
    pub fn absorb(&mut self, row: usize, first: u64, logits: &[f32]) {
        let (mut tile, mut rest) = (first / self.side, logits);
        let side = usize::try_from(self.side.get()).unwrap_or(usize::MAX);
        let mut room = side - (first % self.side) as usize;
        while !rest.is_empty() {
            let (part, more) = rest.split_at(room.min(rest.len()));
            if let Some(most) = self.place(tile).map(|place| &mut self.maxima[row * self.width + place]) {
                *most = larger(*most, maximum(part));
            }
            (tile, rest, room) = (tile + 1, more, side);
        }
    }

    /// Joins the maxima over other keys.
    pub fn merge(&mut self, other: &Self) {
        self.maxima.iter_mut().zip(&other.maxima).for_each(|(own, &more)| *own = larger(*own, more));
    }

    /// What is to be reported of `head`, whose query at position `first + t` has the row `row(t)` and the logarithm
    /// `log_sum_exp(t)` of its sum of exponentials.
    pub fn report(
        &self,
        head: usize,
        queries: Range<u64>,
        row: impl Fn(usize) -> usize,
        log_sum_exp: impl Fn(usize) -> f32,
    ) -> Vec<TileMaxima> {
        let mut reports = Vec::new();
        let mut begin = queries.start;
        while begin < queries.end {
            let query_tile = begin / self.side;
            let end = (query_tile + 1).saturating_mul(self.side.get()).min(queries.end);
            let mut logits = vec![f32::NEG_INFINITY; self.width];
            let mut log_probabilities = logits.clone();
            for t in (begin - queries.start) as usize..(end - queries.start) as usize {
                let all = log_sum_exp(t);
                let maxima = &self.maxima[row(t) * self.width..][..self.width];
                for ((logit, log_probability), &most) in
                    logits.iter_mut().zip(&mut log_probabilities).zip(maxima)
                {
                    if !all.is_finite() {
                        // Which keys it attends to is not known any more.
                        (*logit, *log_probability) = (f32::NAN, f32::NAN);
                    } else if most > MASKED {
                        raise(logit, most);
                        raise(log_probability, most - all);
                    }
                }
            }
            // Tiles after the query's have no key that it may see.
            let recent =
                self.start as usize..(self.start + (query_tile + 1).saturating_sub(self.recent)) as usize;
            for (first_key_tile, places) in [(0, 0..self.start as usize), (self.recent, recent)] {
                if !places.is_empty() {
                    reports.push(TileMaxima {
                        head,
                        query_tile,
                        first_key_tile,
                        logits: logits[places.clone()].to_vec(),
                        log_probabilities: log_probabilities[places].to_vec(),
                    });
                }
            }
            begin = end;
        }
        reports
    }
}
