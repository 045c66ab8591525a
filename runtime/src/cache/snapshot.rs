//! A cache as numbers that can be written down, and back.
//!
//! What a cache holds falls into two parts. *Settled* positions never change again and are never dropped: those that have
//! left the window for the offloaded keys, or every position where there is no window. Whole pages of them are exported one by
//! one, so that a series of snapshots writes each page once. The *rest* is everything else: start tokens, window, and fewer
//! than [`PAGE_KEYS`] settled positions; its size is bounded by the policy.
//!
//! A [`Layout`] that was read from a file is not believed: [`KvCache::import`] refuses one that no cache of this policy can
//! have, and what is accepted makes the cache allocate as much as the numbers that are then handed in, and one page.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{KvCache, LAST_POSITION};
use crate::error::{Error, Result};
use crate::offload::PAGE_KEYS;

/// Which positions a cache holds, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Start tokens: positions `0..start_held`.
    pub start_held: u64,
    /// The other positions, offloaded ones aside.
    pub recent: Range<u64>,
    /// The first position behind the start tokens, or behind the last gap.
    pub origin: u64,
}

/// Keys or values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Keys before the position encoding.
    Keys,
    /// Values.
    Values,
}

impl KvCache {
    /// Which positions are held, and where.
    pub fn layout(&self) -> Layout {
        Layout { start_held: self.start_held, recent: self.recent.clone(), origin: self.origin }
    }

    /// Pages of [`PAGE_KEYS`] settled positions that are full.
    pub fn whole_pages(&self) -> u64 {
        whole_pages(&self.settled())
    }

    /// Values of a page: keys, then values, each [`PAGE_KEYS`, kv_heads, head_dim].
    pub fn exported_page_values(&self) -> usize {
        2 * PAGE_KEYS * self.kv_heads * self.head_dim
    }

    /// Writes page `page` (below [`KvCache::whole_pages`]) to `out`, in place of what is there.
    pub fn export_page(&self, page: u64, out: &mut Vec<f32>) {
        out.clear();
        let first = self.settled().start + page * PAGE_KEYS as u64;
        for side in [Side::Keys, Side::Values] {
            for position in first..first + PAGE_KEYS as u64 {
                self.export_row(position, side, out);
            }
        }
    }

    /// Values of each side of what is not in a whole page.
    pub fn rest_values(&self) -> usize {
        let rest = rest(&self.layout(), &self.settled());
        let rows: u64 = rest.iter().map(|range| range.end - range.start).sum();
        rows as usize * self.kv_heads * self.head_dim
    }

    /// One side of everything that is not in a whole page, in order of position. [rows, kv_heads, head_dim]
    pub fn export_rest(&self, side: Side) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.rest_values());
        rest(&self.layout(), &self.settled())
            .into_iter()
            .flatten()
            .for_each(|position| self.export_row(position, side, &mut out));
        out
    }

    fn export_row(&self, position: u64, side: Side, out: &mut Vec<f32>) {
        for head in 0..self.kv_heads {
            let offloaded = self.offloaded.as_ref().and_then(|offloaded| offloaded.row(position, head));
            let [key, value] = match offloaded {
                Some((key, value)) => [Cow::Borrowed(key), Cow::Borrowed(value)],
                None => self.row(position, head),
            };
            out.extend_from_slice(if side == Side::Keys { &key } else { &value });
        }
    }

    /// Positions that are held for ever.
    fn settled(&self) -> Range<u64> {
        self.settled_of(&self.layout())
    }

    fn settled_of(&self, layout: &Layout) -> Range<u64> {
        match (&self.offloaded, self.window) {
            (Some(_), _) => layout.start_held..layout.recent.start,
            (None, None) => 0..layout.recent.end,
            (None, Some(_)) => 0..0,
        }
    }

    /// Begins to fill this cache, which must be empty, with what `layout` says.
    ///
    /// # Errors
    /// A layout that no cache of this policy can have.
    pub fn import(&mut self, layout: Layout) -> Result<Import<'_>> {
        let refuse = |reason: String| Err(Error::input("positions of a cache", reason));
        if self.recent.end != 0 {
            return refuse("only an empty cache can be filled".into());
        }
        let Layout { start_held, recent, origin } = &layout;
        let (start, window) = (self.start, self.window);
        let len = recent.end.checked_sub(recent.start);
        let Some(len) = len.filter(|_| *start_held <= recent.start && recent.end <= LAST_POSITION) else {
            return refuse(format!("{start_held} start tokens and {recent:?} are no positions in order"));
        };
        if *start_held != start.min(recent.end) {
            return refuse(format!(
                "expected the first {} as start tokens, got {start_held}",
                start.min(recent.end)
            ));
        }
        if window.is_some_and(|window| len > window) {
            return refuse(format!("{len} are held where the policy's window is {window:?}"));
        }
        // Only a gap moves the origin, and only a cache that forgets can have a gap.
        let gaps = window.is_some() && self.offloaded.is_none() && *start_held == start;
        if *origin != start && !(gaps && start < *origin && *origin <= recent.start) {
            return refuse(format!("{origin} cannot be the first position behind a gap"));
        }
        // Nothing has been dropped before the window was full.
        let dropped = *start_held == start && recent.start != *origin;
        if dropped && (window.is_none() || window.is_some_and(|window| len < window)) {
            return refuse(format!("{len} are held, but some before {} are missing", recent.start));
        }
        let settled = self.settled_of(&layout);
        let next = settled.start;
        Ok(Import { cache: self, layout, settled, next })
    }
}

/// A cache that is being filled from a snapshot: its whole pages in order, and then the rest.
pub struct Import<'a> {
    cache: &'a mut KvCache,
    layout: Layout,
    settled: Range<u64>,
    /// The first settled position that is not yet there.
    next: u64,
}

impl Import<'_> {
    /// Whole pages that are expected.
    pub fn pages(&self) -> u64 {
        whole_pages(&self.settled)
    }

    /// Pages that are there.
    pub fn pages_done(&self) -> u64 {
        (self.next - self.settled.start) / PAGE_KEYS as u64
    }

    /// Values of a page; see [`KvCache::exported_page_values`].
    pub fn page_values(&self) -> usize {
        self.cache.exported_page_values()
    }

    /// Values of each side of the rest; `None` if there are more than a file can hold.
    pub fn rest_values(&self) -> Option<u64> {
        let rows = rest(&self.layout, &self.settled)
            .iter()
            .try_fold(0u64, |sum, range| sum.checked_add(range.end - range.start))?;
        rows.checked_mul((self.cache.kv_heads * self.cache.head_dim) as u64)
    }

    /// Takes in the next page, of [`Import::page_values`] values.
    ///
    /// # Errors
    /// More pages, or other sizes, than are expected; old keys that cannot be written to their file.
    pub fn page(&mut self, values: &[f32]) -> Result<()> {
        if self.pages_done() == self.pages() || values.len() != self.page_values() {
            return Err(Error::input(
                "pages of a cache",
                "there are more or longer ones than its positions ask for",
            ));
        }
        let (keys, values) = values.split_at(values.len() / 2);
        let end = self.next + PAGE_KEYS as u64;
        let outcome = self.rows(self.next..end, keys, values);
        self.next = end;
        outcome
    }

    /// Takes in the rest, each side of [`Import::rest_values`] values.
    ///
    /// # Errors
    /// Missing pages or other sizes than are expected; old keys that cannot be written to their file.
    pub fn finish(mut self, keys: &[f32], values: &[f32]) -> Result<()> {
        let wrong = |what: &str| Err(Error::input("cache in a snapshot", what));
        if self.pages_done() != self.pages() {
            return wrong("pages are missing");
        }
        if self.rest_values() != Some(keys.len() as u64) || keys.len() != values.len() {
            return wrong("it has other numbers of keys and values than its positions ask for");
        }
        let width = self.cache.kv_heads * self.cache.head_dim;
        let mut at = 0;
        for range in rest(&self.layout, &self.settled) {
            let len = (range.end - range.start) as usize * width;
            self.rows(range, &keys[at..at + len], &values[at..at + len])?;
            at += len;
        }
        let Layout { start_held, recent, origin } = self.layout;
        (self.cache.start_held, self.cache.recent, self.cache.origin) = (start_held, recent, origin);
        Ok(())
    }

    fn rows(&mut self, positions: Range<u64>, keys: &[f32], values: &[f32]) -> Result<()> {
        let (dim, width) = (self.cache.head_dim, self.cache.kv_heads * self.cache.head_dim);
        // Slots are counted from the origin.
        self.cache.origin = self.layout.origin;
        for ((position, keys), values) in
            positions.zip(keys.chunks_exact(width)).zip(values.chunks_exact(width))
        {
            match &mut self.cache.offloaded {
                Some(offloaded) if self.settled.contains(&position) => {
                    offloaded.push(|head| (&keys[head * dim..][..dim], &values[head * dim..][..dim]))?;
                }
                _ => self.cache.store(position, keys, values),
            }
        }
        Ok(())
    }
}

fn whole_pages(settled: &Range<u64>) -> u64 {
    settled.end.saturating_sub(settled.start) / PAGE_KEYS as u64
}

/// Positions outside whole pages: of the start block, of the last settled page, of the window.
fn rest(layout: &Layout, settled: &Range<u64>) -> [Range<u64>; 3] {
    let unpaged = settled.start + whole_pages(settled) * PAGE_KEYS as u64..settled.end;
    let outside = |range: Range<u64>| match range.start >= settled.start && range.end <= settled.end {
        true => range.end..range.end,
        false => range,
    };
    [outside(0..layout.start_held), unpaged, outside(layout.recent.clone())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{AttentionPolicy, RetrievedKeys};

    /// Two heads of one dimension; the key of head h at position p is p + h / 2, its value −p.
    fn filled(policy: &AttentionPolicy, n: u64, gap: Option<u64>) -> KvCache {
        let mut cache = KvCache::new(2, 1, policy);
        append(&mut cache, n);
        if let Some(gap) = gap {
            cache.skip_to(gap).expect("a gap");
            append(&mut cache, n);
        }
        cache
    }

    fn append(cache: &mut KvCache, n: u64) {
        for _ in 0..n {
            let p = cache.next_position() as f32;
            cache.append(&[p, p + 0.5], &[-p, -p]).expect("room");
        }
    }

    fn copy(cache: &KvCache, policy: &AttentionPolicy) -> KvCache {
        let mut again = KvCache::new(2, 1, policy);
        let mut import = again.import(cache.layout()).expect("sound");
        let mut page = Vec::new();
        assert_eq!(import.pages(), cache.whole_pages());
        for index in 0..cache.whole_pages() {
            cache.export_page(index, &mut page);
            import.page(&page).expect("a page");
        }
        assert!(import.page(&page).is_err(), "no page too many");
        let (keys, values) = (cache.export_rest(Side::Keys), cache.export_rest(Side::Values));
        assert_eq!(import.rest_values(), Some(keys.len() as u64));
        import.finish(&keys, &values).expect("the rest");
        again
    }

    /// All that can be read of a cache, with the places where runs are cut.
    fn contents(cache: &KvCache) -> Vec<(u64, Vec<f32>, Vec<f32>)> {
        let mut all = Vec::new();
        for head in 0..2 {
            let runs = cache.runs(head, 0..u64::MAX);
            all.extend(
                runs.iter().map(|run| {
                    (run.first, run.keys.numbers().into_owned(), run.values.numbers().into_owned())
                }),
            );
            let pages = cache.offloaded().into_iter().flat_map(|offloaded| offloaded.pages(head));
            all.extend(pages.map(|page| (page.first, page.keys.to_vec(), page.values.to_vec())));
        }
        all
    }

    fn policies() -> [AttentionPolicy; 4] {
        let retrieved = Some(RetrievedKeys { k: 1, from_layer: 0, distance: 1 });
        let bounded = AttentionPolicy { start: 3, window: Some(300), ..Default::default() };
        [
            AttentionPolicy::default(),
            bounded.clone(),
            AttentionPolicy { retrieved, ..bounded },
            AttentionPolicy { retrieved, window: Some(5), ..Default::default() },
        ]
    }

    #[test]
    fn export_and_import_are_inverse_and_go_on_alike() {
        for policy in policies() {
            for n in [0, 1, 2, 3, 5, 6, 255, 256, 257, 261, 515, 516, 560, 1000] {
                for gap in [None, Some(10_000)] {
                    if gap.is_some() && (policy.window.is_none() || policy.retrieved.is_some() || n < 3) {
                        continue;
                    }
                    let mut cache = filled(&policy, n, gap);
                    let mut again = copy(&cache, &policy);
                    assert_eq!(contents(&again), contents(&cache), "{policy} {n} {gap:?}");
                    append(&mut cache, 400);
                    append(&mut again, 400);
                    assert_eq!(contents(&again), contents(&cache), "{policy} {n} {gap:?}");
                    assert_eq!(again.layout(), cache.layout());
                }
            }
        }
    }

    /// Every number of a sound layout is replaced by every hostile one. What is refused is fine; what is accepted must not
    /// ask for more than it is then given.
    #[test]
    fn a_forged_layout_is_refused_or_allocates_no_more_than_it_is_given() {
        let mut refused = 0;
        for policy in policies() {
            for n in [0, 2, 4, 400] {
                let sound = filled(&policy, n, None).layout();
                for field in 0..4 {
                    for shift in [0, 1, 2, 8, 20, 33, 47, 61, 62, 63] {
                        for forged in [1u64 << shift, (1 << shift) - 1, u64::MAX - (1 << shift)] {
                            let mut layout = sound.clone();
                            match field {
                                0 => layout.start_held = forged,
                                1 => layout.recent.start = forged,
                                2 => layout.recent.end = forged,
                                _ => layout.origin = forged,
                            }
                            let mut cache = KvCache::new(2, 1, &policy);
                            let Ok(mut import) = cache.import(layout.clone()) else {
                                refused += 1;
                                continue;
                            };
                            let rest = import.rest_values().unwrap_or(u64::MAX);
                            if import.pages() > 10 || rest > 10_000 {
                                // More than this file has: the reader refuses it before anything is allocated.
                                assert!(import.page(&[]).is_err() && import.finish(&[], &[]).is_err());
                                assert_eq!(cache.bytes(), 0);
                                continue;
                            }
                            let given = import.pages() * import.page_values() as u64 + 2 * rest;
                            for _ in 0..import.pages() {
                                import.page(&vec![0.0; import.page_values()]).expect("a page");
                            }
                            let side = vec![0.0; rest as usize];
                            import.finish(&side, &side).expect("the rest");
                            let (page, held) = (2 * 2 * 256 * 2, cache.bytes() as u64 / 4);
                            assert!(held <= 2 * given + 2 * page, "{policy} {layout:?}: {held} for {given}");
                            // It can be used.
                            cache.append(&[0.0; 2], &[0.0; 2]).expect("room");
                            cache.runs(0, 0..u64::MAX);
                        }
                    }
                }
            }
        }
        assert!(refused > 1000, "{refused}");
    }
}
