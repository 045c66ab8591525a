//! The overview of one head, gathered while the model ran: every query in squares of tokens, or, from a result folder, a few
//! queries on bins of keys.

use std::ops::Range;

use lm_infinite::diagnose::{BinEdges, RunMeasurement};
use lm_infinite_analysis::PooledMaps;

use super::viewport::{Scale, Tile, Viewport, places};

/// The overview of one head.
#[derive(Clone, Copy)]
pub struct Overview<'a> {
    /// Bins of what a result folder has.
    pub bins: &'a BinEdges,
    /// The run.
    pub run: &'a RunMeasurement,
    /// Layer and head.
    pub head: (usize, usize),
}

/// What the overview has at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Coarse {
    /// Largest logit.
    pub logit: f32,
    /// Of the same.
    pub probability: Share,
    /// Which pairs, in words.
    pub place: String,
}

/// A probability of many keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// Of the one that has most.
    Largest(f32),
    /// Of all of them.
    Together(f32),
}

impl Overview<'_> {
    /// What is shown, in words.
    pub fn words(&self) -> String {
        if let Some(side) = self.run.arrays.pooled.as_ref().map(PooledMaps::side) {
            return match side {
                1 => "Overview: every logit, gathered while the text was read.".to_owned(),
                side => format!(
                    "Overview: largest logit and probability in tiles of {side} × {side} tokens, of every query, gathered while the text was read."
                ),
            };
        }
        let (queries, keys) = (self.bins.map_queries.len(), self.bins.map_keys.len());
        format!(
            "Overview: {queries} sampled queries on {keys} bins of keys (largest logit, probability together)."
        )
    }

    /// What is known of a pair; nothing of a query that has not been read.
    pub fn at(&self, query: u64, key: u64) -> Option<Coarse> {
        let row = self.row(query).filter(|&row| self.has_read(query, row))?;
        let (logit, share) = self.value(row, self.column(key))?;
        let place = match &self.run.arrays.pooled {
            Some(maps) => format!("of {side} × {side} tokens", side = maps.side()),
            None => {
                let query = self.bins.map_queries[row];
                let Range { start, end } = self.keys(key, query);
                format!("query {query}, keys {start}–{}", end.saturating_sub(1))
            }
        };
        Some(Coarse { logit, probability: share, place })
    }

    /// Tiles at the middles of `size` × `size` squares, row by row.
    pub fn tiles(&self, viewport: Viewport, tokens: u64, size: usize, scale: Scale) -> Vec<Tile> {
        let keys: Vec<(u64, usize)> = places(viewport.key, viewport.span, size, tokens)
            .into_iter()
            .map(|key| (key, self.column(key)))
            .collect();
        let mut tiles = Vec::with_capacity(size * size);
        // Many squares on screen are of one row and column: those are looked up once.
        let mut known = (None, Vec::new());
        for query in places(viewport.query, viewport.span, size, tokens) {
            let row = self.row(query).filter(|&row| self.has_read(query, row));
            if known.0 != row || known.1.is_empty() {
                known = (row, self.row_tiles(row, &keys, scale));
            }
            let tile = |(&(key, _), &tile)| if key > query { Tile::Future } else { tile };
            tiles.extend(keys.iter().zip(&known.1).map(tile));
        }
        tiles
    }

    /// Tiles of one query at these keys, in their order.
    pub fn keys_of(&self, query: u64, keys: &[u64], scale: Scale) -> Vec<Tile> {
        let row = self.row(query).filter(|&row| self.has_read(query, row));
        let columns: Vec<_> = keys.iter().map(|&key| (key, self.column(key))).collect();
        let tiles = self.row_tiles(row, &columns, scale).into_iter().zip(keys);
        tiles.map(|(tile, &key)| if key > query { Tile::Future } else { tile }).collect()
    }

    /// One for each key.
    fn row_tiles(&self, row: Option<usize>, keys: &[(u64, usize)], scale: Scale) -> Vec<Tile> {
        let mut known = None;
        let tile = |&(_, column): &(u64, usize)| match known {
            Some((of, tile)) if of == column => tile,
            _ => {
                let value = row.and_then(|row| self.value(row, column));
                let tile = value.map_or(Tile::Unseen, |(logit, share)| tile(logit, share, scale));
                known = Some((column, tile));
                tile
            }
        };
        keys.iter().map(tile).collect()
    }

    /// Whether the query has been read, or the sampled one that stands for it.
    fn has_read(&self, query: u64, row: usize) -> bool {
        let read = self.run.arrays.nll.len() as u64 + 1;
        let query = if self.run.arrays.pooled.is_some() { query } else { self.bins.map_queries[row] };
        query < read
    }

    /// The row of tiles of a query; of a sampled map, the sampled query at or after it.
    fn row(&self, query: u64) -> Option<usize> {
        if let Some(maps) = &self.run.arrays.pooled {
            return usize::try_from(query / maps.side()).ok();
        }
        let row = self.bins.map_queries.partition_point(|&sampled| sampled < query);
        (row < self.bins.map_queries.len()).then_some(row)
    }

    /// The column of tiles of a key.
    fn column(&self, key: u64) -> usize {
        match &self.run.arrays.pooled {
            Some(maps) => (key / maps.side()) as usize,
            None => self.bins.map_keys.index(key),
        }
    }

    fn value(&self, row: usize, column: usize) -> Option<(f32, Share)> {
        if let Some(maps) = &self.run.arrays.pooled {
            let largest = maps.cell(self.head, row, column)?;
            return Some((largest.logit, Share::Largest(largest.log_probability.exp())));
        }
        let at = [self.head.0, self.head.1, row, column];
        let arrays = &self.run.arrays;
        Some((*arrays.map_logit.get(at)?, Share::Together(*arrays.map_mass.get(at)?)))
    }

    /// The bin of a key, as far as the sampled query sees it.
    fn keys(&self, key: u64, query: u64) -> Range<u64> {
        let bin = self.bins.map_keys.index(key);
        self.bins.map_keys.lower()[bin]..self.bins.map_keys.end(bin).unwrap_or(u64::MAX).min(query + 1)
    }
}

fn tile(logit: f32, share: Share, scale: Scale) -> Tile {
    let (Share::Largest(probability) | Share::Together(probability)) = share;
    match scale {
        _ if logit.is_nan() || probability.is_nan() => Tile::NotFinite,
        _ if logit == f32::NEG_INFINITY => Tile::Masked,
        Scale::Logit => Tile::Value(logit),
        _ => Tile::Value(scale.of_probability(probability)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_tell_masked_from_not_finite() {
        let together = |logit, mass, scale| tile(logit, Share::Together(mass), scale);
        assert_eq!(together(f32::NEG_INFINITY, 0.0, Scale::Logit), Tile::Masked);
        assert_eq!(together(f32::NEG_INFINITY, f32::NAN, Scale::Logit), Tile::NotFinite);
        assert_eq!(together(1.5, 0.5, Scale::Logit), Tile::Value(1.5));
        assert_eq!(together(1.5, 0.5, Scale::Probability), Tile::Value(0.5));
        assert_eq!(together(1.5, 0.1, Scale::LogProbability), Tile::Value(-1.0));
        assert_eq!(tile(1.5, Share::Largest(0.01), Scale::LogProbability), Tile::Value(-2.0));
    }
}
