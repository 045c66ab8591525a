//! What is kept of a long run: sums by position, never values per token.

use lm_infinite_analysis::Bins;
use lm_infinite_analysis::nll::NllByPosition;
use lm_infinite_runtime::corpus::Mark;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::machine;

/// Bins to a doubling of the position.
const PER_OCTAVE: i32 = 4;

/// Losses and costs of one policy so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningTotals {
    /// Index of the shard.
    pub shard: u64,
    /// Position of the next token.
    pub position: u64,
    /// Position at which reading began, after the start tokens.
    pub begin: u64,
    /// First position whose loss counts: before it a shard warms up.
    pub from: u64,
    /// Where the next one comes from.
    pub mark: Mark,
    /// Time spent on them.
    pub seconds: f64,
    /// Loss in buckets of equal width.
    pub linear: NllByPosition,
    /// Loss in buckets that grow with the position, four to a doubling.
    pub logarithmic: NllByPosition,
    /// Memory on the way, whenever a quarter more has been read, and at the end.
    pub memory: Vec<MemorySample>,
    /// Next position at which memory is looked at.
    next_sample: u64,
}

/// Memory at one position.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemorySample {
    /// Index of the shard, whose process this is.
    pub shard: u64,
    /// Position of the next token.
    pub position: u64,
    /// Seconds of work until then.
    pub seconds: f64,
    /// Resident memory of the process, mapped files included; `None` where the system does not tell.
    pub rss_bytes: Option<u64>,
    /// Bytes of all keys and values.
    pub kv_cache_bytes: u64,
}

impl RunningTotals {
    /// Of nothing, for a text of `tokens` tokens, with linear buckets of width `bucket`.
    pub fn new(tokens: u64, bucket: u64) -> Self {
        Self {
            shard: 0,
            position: 0,
            begin: 0,
            from: 0,
            mark: Mark::default(),
            seconds: 0.0,
            linear: NllByPosition::new(bucket),
            logarithmic: NllByPosition::with_bins(logarithmic_bins(tokens)),
            memory: Vec::new(),
            next_sample: 1,
        }
    }

    /// Adds a chunk of `tokens` tokens that ends at `mark`, whose last ones have these losses. (The first token of a text
    /// has none.)
    pub fn add(&mut self, tokens: u64, losses: &[f32], mark: Mark, seconds: f64, kv_cache_bytes: u64) {
        let first = self.position + tokens - losses.len() as u64;
        let warm_up = self.from.saturating_sub(first).min(losses.len() as u64);
        let (first, losses) = (first + warm_up, &losses[warm_up as usize..]);
        self.linear.extend(first, losses);
        self.logarithmic.extend(first, losses);
        self.position += tokens;
        self.seconds += seconds;
        self.mark = mark;
        if self.position >= self.next_sample {
            self.look_at_memory(kv_cache_bytes);
        }
    }

    /// Notes how much memory there is now, once for a position.
    pub fn look_at_memory(&mut self, kv_cache_bytes: u64) {
        let Self { shard, position, seconds, .. } = *self;
        if self.memory.last().is_none_or(|last| last.position < position) {
            let rss_bytes = machine::rss_bytes();
            self.memory.push(MemorySample { shard, position, seconds, rss_bytes, kv_cache_bytes });
            self.next_sample = position + self.tokens_read() / PER_OCTAVE as u64 + 1;
        }
    }

    /// Adds what another shard of the same text counted. Their places in the text mean nothing together.
    ///
    /// # Errors
    /// Buckets of other widths.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.linear.merge(&other.linear)?;
        self.logarithmic.merge(&other.logarithmic)?;
        // Tokens that were read and seconds of work, halos included.
        self.position += other.tokens_read();
        self.seconds += other.seconds;
        self.memory.extend(&other.memory);
        // A shard that ends before the text does cannot know it.
        self.mark.repeats_from = self.mark.repeats_from.or(other.mark.repeats_from);
        Ok(())
    }

    /// Tokens read, halos included.
    pub fn tokens_read(&self) -> u64 {
        self.position - self.begin
    }

    /// Tokens read per second of work; shards that run at once count their seconds each.
    pub fn tokens_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.tokens_read() as f64 / self.seconds } else { 0.0 }
    }

    /// Largest resident memory that was seen.
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        self.memory.iter().filter_map(|sample| sample.rss_bytes).max()
    }
}

/// 0, 1, 2, …, then four to a doubling, up to `end`.
fn logarithmic_bins(end: u64) -> Bins {
    let mut edges = vec![0];
    for step in 0.. {
        let edge = 2_f64.powf(f64::from(step) / f64::from(PER_OCTAVE)).round();
        if edge >= end.max(2) as f64 {
            break;
        }
        if edges.last().is_some_and(|&last| edge as u64 > last) {
            edges.push(edge as u64);
        }
    }
    // Ascending and from 0, so there is nothing to refuse.
    Bins::new(edges).unwrap_or_else(|_| Bins::doubling(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_grow_with_the_position() {
        assert_eq!(logarithmic_bins(20).lower(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 16, 19]);
        assert!(logarithmic_bins(200_000_000).len() <= 120);
        assert_eq!(logarithmic_bins(0).lower(), [0, 1]);
    }

    #[test]
    fn losses_lie_where_their_tokens_do_however_they_are_cut() {
        let losses: Vec<f32> = (1..100).map(|t| t as f32).collect();
        let mut whole = RunningTotals::new(100, 10);
        whole.add(100, &losses, Mark::default(), 2.0, 0);
        let mut cut = RunningTotals::new(100, 10);
        cut.add(37, &losses[..36], Mark::default(), 1.0, 0);
        cut.add(63, &losses[36..], Mark::default(), 1.0, 0);
        assert_eq!((&cut.linear, &cut.logarithmic, cut.position), (&whole.linear, &whole.logarithmic, 100));
        assert_eq!(whole.linear.buckets(100)[3].nll, Some(34.5));
        assert_eq!(whole.tokens_per_second(), 50.0);
    }

    #[test]
    fn what_a_shard_warms_up_on_does_not_count() {
        let losses: Vec<f32> = (0..100).map(|t| t as f32).collect();
        let mut shard =
            RunningTotals { shard: 1, position: 40, begin: 40, from: 63, ..RunningTotals::new(100, 10) };
        shard.add(20, &losses[40..60], Mark::default(), 1.0, 0);
        shard.add(40, &losses[60..], Mark::default(), 1.0, 0);
        let mut first = RunningTotals::new(100, 10);
        first.add(63, &losses[1..63], Mark::default(), 1.0, 0);
        let mut whole = RunningTotals::new(100, 10);
        whole.add(100, &losses[1..], Mark::default(), 1.0, 0);
        first.merge(&shard).expect("equal buckets");
        let seen: Vec<_> = first.memory.iter().map(|sample| (sample.shard, sample.position)).collect();
        assert_eq!(
            seen,
            [(0, 63), (1, 60), (1, 100)],
            "as often as the shard has read more, its halo included"
        );
        assert_eq!((&first.linear, &first.logarithmic), (&whole.linear, &whole.logarithmic));
        assert_eq!((first.position, first.seconds), (63 + 60, 3.0));
        assert!(first.merge(&RunningTotals::new(100, 20)).is_err());
    }

    #[test]
    fn numbers_survive_json_bit_for_bit() {
        let losses: Vec<f32> = (1..1000).map(|t| (t as f32).sin().abs() / 3.0).collect();
        let mut totals = RunningTotals::new(1000, 7);
        totals.add(1000, &losses, Mark { begun: 3, offset: 9, ..Mark::default() }, 0.1 + 0.2, 5);
        let json = serde_json::to_string(&totals).expect("writes");
        assert_eq!(serde_json::from_str::<RunningTotals>(&json).expect("reads"), totals);
    }
}
