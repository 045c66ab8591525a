//! Keys before the position encoding, values, and the positions they stand at.
//!
//! With a window the cache is a start block and a ring: position `p < start` lies in slot `p`, any other in slot
//! `start + (p − origin) mod window`, where `origin` is the first position behind the start tokens, or behind the last gap.
//! Without a window, slot = position. Slots live in pages, so that nothing is ever copied
//! to grow and memory follows what is held. Where the policy has retrieved keys, what leaves the window goes to an
//! [`OffloadedKeys`].

mod snapshot;
mod stored;

use std::borrow::Cow;
use std::ops::Range;

pub use snapshot::{Import, Layout, Side};
use stored::Page;
pub use stored::StoredRun;

use crate::error::{Error, Result};
use crate::model::kv_type::KvType;
use crate::offload::{OffloadedKeys, Storage};
use crate::policy::AttentionPolicy;

/// Slots per page, at most.
const PAGE: usize = 256;

/// No text is longer; a file that says otherwise is damaged.
const LAST_POSITION: u64 = 1 << 62;

/// Keys and values of one layer.
#[derive(Clone, Debug)]
pub struct KvCache {
    kv_heads: usize,
    head_dim: usize,
    start: u64,
    window: Option<u64>,
    /// Start tokens held: positions `0..start_held`.
    start_held: u64,
    /// The other positions held: `recent.start..recent.end`, and `recent.end` is the next to be appended.
    recent: Range<u64>,
    /// The position in slot `start`.
    origin: u64,
    page_slots: usize,
    /// Each [keys, values][kv_heads, page_slots, head_dim].
    pages: Vec<[Page; 2]>,
    kv: KvType,
    /// Positions `start..recent.start`, where the policy goes on reading them.
    offloaded: Option<OffloadedKeys>,
}

impl KvCache {
    /// An empty cache for what `policy`, that of the layer, keeps; old keys in memory up to the default of [`Storage`].
    #[cfg(test)]
    pub fn new(kv_heads: usize, head_dim: usize, policy: &AttentionPolicy) -> Self {
        Self::with_storage(kv_heads, head_dim, policy, 1, &Storage::default())
    }

    /// The same with old keys in `storage`, which `layers` caches share.
    pub fn with_storage(
        kv_heads: usize,
        head_dim: usize,
        policy: &AttentionPolicy,
        layers: usize,
        storage: &Storage,
    ) -> Self {
        let offloaded =
            policy.retrieved.map(|_| OffloadedKeys::new(kv_heads, head_dim, policy.start, layers, storage));
        // Pages of equal size that hold what is kept and not much more.
        let page_slots =
            policy.kept_keys().map_or(PAGE as u64, |kept| kept.div_ceil(kept.div_ceil(PAGE as u64).max(1)));
        Self {
            kv_heads,
            head_dim,
            start: policy.start,
            window: policy.window,
            start_held: 0,
            recent: 0..0,
            origin: policy.start,
            page_slots: (page_slots as usize).max(1),
            pages: Vec::new(),
            kv: KvType::F32,
            offloaded,
        }
    }

    /// The same, empty cache, which holds start tokens and window as `kv`. What is offloaded is held as f32.
    #[must_use]
    pub fn stored_as(self, kv: KvType) -> Self {
        Self { kv, ..self }
    }

    /// What has left the window, where the policy goes on reading it.
    pub fn offloaded(&self) -> Option<&OffloadedKeys> {
        self.offloaded.as_ref()
    }

    /// The position that the next appended key gets.
    pub fn next_position(&self) -> u64 {
        self.recent.end
    }

    /// Keys held.
    pub fn entries(&self) -> u64 {
        self.start_held
            + (self.recent.end - self.recent.start)
            + self.offloaded.as_ref().map_or(0, OffloadedKeys::len)
    }

    /// Bytes held, keys and values, in memory and in files.
    pub fn bytes(&self) -> usize {
        let offloaded =
            self.offloaded.as_ref().map_or(0, |offloaded| offloaded.memory_bytes() + offloaded.file_bytes());
        self.pages.len() * 2 * self.page_values() * self.kv.bytes() + offloaded
    }

    /// Positions held: the start tokens, and the window. What lies between is offloaded, or gone.
    pub fn positions(&self) -> [Range<u64>; 2] {
        [0..self.start_held, self.recent.clone()]
    }

    /// Leaves a gap: the next key gets `position`, and nothing between is held or attended.
    ///
    /// What a shard of a long text does after its start tokens.
    ///
    /// # Errors
    /// Without a window, backwards, or before all start tokens are held.
    pub fn skip_to(&mut self, position: u64) -> Result<()> {
        let refuse = |reason: &str| Err(Error::input(format!("skipping to position {position}"), reason));
        if self.window.is_none() || self.offloaded.is_some() {
            return refuse("the policy attends to every earlier token");
        }
        if position < self.recent.end || self.start_held < self.start || position > LAST_POSITION {
            return refuse("positions only move forward, after the start tokens, up to 2^62");
        }
        self.recent = position..position;
        self.origin = position;
        Ok(())
    }

    /// Appends keys and values, each [tokens, kv_heads, head_dim], and drops or offloads what falls out of the window.
    ///
    /// # Errors
    /// Where offloaded keys cannot be written; then the cache is no longer whole and must not be used.
    pub fn append(&mut self, keys: &[f32], values: &[f32]) -> Result<()> {
        let width = self.kv_heads * self.head_dim;
        assert!(keys.len() == values.len() && keys.len().is_multiple_of(width), "whole tokens");
        let tokens = (keys.len() / width) as u64;
        let first = self.recent.end;
        let end = first + tokens;
        let oldest_kept = self.window.map_or(0, |window| end.saturating_sub(window));
        let recent_start = self.recent.start.max(oldest_kept).max(self.start.min(end));
        self.offload(recent_start, first, (keys, values))?;
        for position in first..end {
            if position < self.start || position >= oldest_kept {
                let at = (position - first) as usize * width;
                self.store(position, &keys[at..at + width], &values[at..at + width]);
            }
        }
        self.start_held = self.start_held.max(end.min(self.start));
        self.recent.end = end;
        self.recent.start = recent_start;
        Ok(())
    }

    /// Offloads what lies before `recent_start` in the window, or in the chunk that begins at `first`.
    fn offload(&mut self, recent_start: u64, first: u64, chunk: (&[f32], &[f32])) -> Result<()> {
        let Some(mut offloaded) = self.offloaded.take() else { return Ok(()) };
        let dim = self.head_dim;
        let outcome = (offloaded.end()..recent_start).try_for_each(|position| {
            let rows: Vec<[Cow<'_, [f32]>; 2]> = (0..self.kv_heads)
                .map(|head| match position.checked_sub(first) {
                    Some(row) => {
                        let at = (row as usize * self.kv_heads + head) * dim;
                        [chunk.0, chunk.1].map(|side| Cow::Borrowed(&side[at..at + dim]))
                    }
                    None => self.row(position, head),
                })
                .collect();
            offloaded.push(|head| (&rows[head][0], &rows[head][1]))
        });
        self.offloaded = Some(offloaded);
        outcome
    }

    /// Key and value of a position in start block or ring.
    fn row(&self, position: u64, head: usize) -> [Cow<'_, [f32]>; 2] {
        let slot = self.slot(position);
        let (page, within) = (slot / self.page_slots, slot % self.page_slots);
        let at = (head * self.page_slots + within) * self.head_dim;
        self.pages[page].each_ref().map(|side| side.slice(at..at + self.head_dim).numbers())
    }

    /// The held part of `range` for one head, in order of position.
    pub fn runs(&self, kv_head: usize, range: Range<u64>) -> Vec<StoredRun<'_>> {
        let mut runs = Vec::new();
        for held in self.positions() {
            let mut position = range.start.max(held.start);
            let end = range.end.min(held.end);
            while position < end {
                let slot = self.slot(position);
                let (page, within) = (slot / self.page_slots, slot % self.page_slots);
                // Up to the end of the page, of the start block, and of the ring.
                let block_end = match self.window {
                    _ if position < self.start => self.start,
                    Some(window) => position + window - (position - self.origin) % window,
                    None => u64::MAX,
                };
                let len = (end.min(block_end) - position).min((self.page_slots - within) as u64) as usize;
                let at = (kv_head * self.page_slots + within) * self.head_dim;
                let rows = at..at + len * self.head_dim;
                let [keys, values] = &self.pages[page];
                runs.push(StoredRun {
                    first: position,
                    len,
                    stride: self.head_dim,
                    keys: keys.slice(rows.clone()),
                    values: values.slice(rows),
                });
                position += len as u64;
            }
        }
        runs
    }

    fn slot(&self, position: u64) -> usize {
        let slot = match self.window {
            Some(window) if position >= self.start => self.start + (position - self.origin) % window,
            _ => position,
        };
        slot as usize
    }

    fn page_values(&self) -> usize {
        self.kv_heads * self.page_slots * self.head_dim
    }

    /// `keys` and `values`: [kv_heads, head_dim].
    fn store(&mut self, position: u64, keys: &[f32], values: &[f32]) {
        let slot = self.slot(position);
        let (page, within) = (slot / self.page_slots, slot % self.page_slots);
        while self.pages.len() <= page {
            let empty = || Page::zeros(self.kv, self.page_values());
            self.pages.push([empty(), empty()]);
        }
        for (side, source) in self.pages[page].iter_mut().zip([keys, values]) {
            for (head, row) in source.chunks_exact(self.head_dim).enumerate() {
                let at = (head * self.page_slots + within) * self.head_dim;
                side.write(at, row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RetrievedKeys;

    /// One head of one dimension whose key at position p is p, its value −p.
    fn filled(policy: &AttentionPolicy, n: u64, chunk: usize) -> KvCache {
        let mut cache = KvCache::new(1, 1, policy);
        let keys: Vec<f32> = (0..n).map(|p| p as f32).collect();
        let values: Vec<f32> = keys.iter().map(|k| -k).collect();
        for (k, v) in keys.chunks(chunk).zip(values.chunks(chunk)) {
            cache.append(k, v).expect("room");
        }
        cache
    }

    fn held(cache: &KvCache) -> Vec<u64> {
        let runs = cache.runs(0, 0..u64::MAX);
        for run in &runs {
            for r in 0..run.len {
                assert_eq!(*run.key(r, 1), [(run.first + r as u64) as f32]);
                assert_eq!(*run.value(r, 1), [-((run.first + r as u64) as f32)]);
            }
        }
        runs.iter().flat_map(|run| run.first..run.first + run.len as u64).collect()
    }

    #[test]
    fn holds_start_and_window_and_nothing_else() {
        for (start, window) in [(0, 1), (0, 5), (3, 5), (5, 3), (10, 300), (300, 300)] {
            let policy = AttentionPolicy { start, window: Some(window), ..Default::default() };
            for n in [0, 1, window - 1, window, window + 1, start + window + 1, 3 * (start + window) + 1] {
                for chunk in [1, 2, 7, 1000] {
                    let cache = filled(&policy, n, chunk);
                    let expected: Vec<u64> = (0..n).filter(|&p| p < start || p + window >= n).collect();
                    assert_eq!(held(&cache), expected, "start {start} window {window} n {n} chunk {chunk}");
                    assert_eq!(cache.entries(), expected.len() as u64);
                    assert!(cache.entries() <= start + window);
                }
            }
        }
    }

    #[test]
    fn holds_everything_without_a_window() {
        let cache = filled(&AttentionPolicy::default(), 700, 3);
        assert_eq!(held(&cache), (0..700).collect::<Vec<_>>());
    }

    #[test]
    fn a_gap_is_not_held() {
        let policy = AttentionPolicy { start: 2, window: Some(3), ..Default::default() };
        let mut cache = filled(&policy, 4, 1);
        cache.skip_to(100).expect("forward");
        cache.append(&[100.0, 101.0], &[-100.0, -101.0]).expect("room");
        assert_eq!(held(&cache), [0, 1, 100, 101]);
        assert!(cache.skip_to(50).is_err());
        assert!(filled(&AttentionPolicy::default(), 4, 1).skip_to(100).is_err());
    }

    #[test]
    fn what_leaves_the_window_is_archived_where_it_is_read_again() {
        let retrieved = Some(RetrievedKeys { k: 1, from_layer: 0, distance: 1 });
        for (start, window) in [(0, 1), (0, 5), (3, 5), (5, 3), (10, 300)] {
            let policy = AttentionPolicy { start, window: Some(window), retrieved, ..Default::default() };
            for n in [0, 1, start, window, start + window + 1, 3 * (start + window) + 300] {
                for chunk in [1, 2, 7, 1000] {
                    let mut cache = filled(&policy, n, chunk);
                    {
                        let cache = &mut cache;
                        let what = format!("start {start} window {window} n {n} chunk {chunk}");
                        assert_eq!(cache.entries(), n, "{what}");
                        let offloaded = cache.offloaded().expect("there is one");
                        let keys: Vec<f32> = offloaded.pages(0).flat_map(|page| page.keys.to_vec()).collect();
                        let expected: Vec<f32> =
                            (start..n.saturating_sub(window)).map(|p| p as f32).collect();
                        assert_eq!(keys, expected, "{what}");
                        assert!(
                            offloaded.pages(0).all(|page| page
                                .values
                                .iter()
                                .zip(page.keys)
                                .all(|(v, k)| *v == -k))
                        );
                        let held: Vec<u64> = held(cache);
                        assert_eq!(
                            held,
                            (0..n).filter(|&p| p < start || p + window >= n).collect::<Vec<_>>()
                        );
                        assert!(cache.skip_to(n + 10).is_err());
                        // It goes on.
                        cache.append(&[n as f32], &[-(n as f32)]).expect("room");
                        assert_eq!(cache.entries(), n + 1);
                    }
                }
            }
        }
    }
}
