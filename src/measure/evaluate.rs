//! One policy over one text: the loss of every token, and what it cost.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::policy::AttentionPolicy;
use lm_infinite_runtime::probe::Probe;
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::session::Session;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::machine;
use crate::words::grouped;

/// Tokens that are read at once. Who reads the same text in the same pieces gets the same numbers, bit for bit.
pub const PIECE: usize = 512;

/// A segment has its BOS, a token that is known from the segment before, and a new one.
const SHORTEST: usize = 3;

/// Outcome of [`evaluate`].
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Loss of tokens 1..n, in nats. [n − 1]
    pub nll: Vec<f32>,
    /// Tokens fed per second, losses and probes included.
    pub prefill_tokens_per_second: f64,
    /// Largest resident memory of the process during the run, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// Bytes of all keys and values held at the end.
    pub kv_cache_bytes: usize,
}

/// Loss of tokens 1..n, in nats, by a model that never goes past its training length: `tokens` are read in windows of
/// `length` that begin `stride` tokens apart, each from an empty cache and behind `bos` where the model was trained with one,
/// and every token is scored in the first window that has it. So each has between `length - stride` and `length` tokens
/// before it, the first ones what there is. This is what a policy has to be compared with: the same text, with the same hard
/// passages. Windows are read side by side. `progress` is told how many tokens were scored so far.
///
/// # Errors
/// As [`Session::new`] and [`Session::score`].
pub fn evaluate_in_segments(
    decoder: &Arc<Decoder>,
    tokens: &[u32],
    bos: Option<u32>,
    window: ReferenceWindows,
    progress: &dyn Fn(u64),
) -> Result<Vec<f32>> {
    evaluate_in_segments_after(decoder, tokens, bos, window, &[], progress)
}

/// The same, bit for bit, from `own`: the losses of these tokens under the model's own attention, as [`evaluate`] gives them,
/// or none. Those of the first window are among them where both are read in the same pieces, so that it is not read twice
/// ([`ReferenceWindows::first_is_own`]).
///
/// # Errors
/// As [`evaluate_in_segments`].
pub fn evaluate_in_segments_after(
    decoder: &Arc<Decoder>,
    tokens: &[u32],
    bos: Option<u32>,
    window: ReferenceWindows,
    own: &[f32],
    progress: &dyn Fn(u64),
) -> Result<Vec<f32>> {
    let plan = Segments::new(decoder, tokens, bos, window);
    let mut begins = vec![0];
    while let Some(next) = begins.last().and_then(|&begin| plan.after(begin)) {
        begins.push(next);
    }
    let mut nll = Vec::with_capacity(tokens.len());
    let known = plan.end(0).saturating_sub(1);
    if window.first_is_own(tokens.len()) && own.len() >= known && known > 0 {
        nll.extend(&own[..known]);
        begins.remove(0);
    }
    for begins in begins.chunks(rayon::current_num_threads().max(1)) {
        let window = |&begin: &usize| -> Result<Vec<f32>> {
            let mut one = Segments {
                begin,
                told: plan.told_before(begin),
                ..Segments::new(decoder, tokens, bos, window)
            };
            let mut losses = Vec::new();
            while one.begin == begin {
                let Some(piece) = one.next() else { break };
                losses.extend(piece?);
            }
            Ok(losses)
        };
        let losses: Vec<Vec<f32>> = begins.par_iter().map(window).collect::<Result<_>>()?;
        nll.extend(losses.into_iter().flatten());
        progress(nll.len() as u64 + 1);
    }
    Ok(nll)
}

/// Length and distance of the windows in which a text is read within the training length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceWindows {
    /// Tokens of a window, its BOS included.
    pub length: u64,
    /// Tokens from the begin of one to the begin of the next.
    pub stride: u64,
}

impl ReferenceWindows {
    /// Multiply-adds that the windows of one text may cost at the finest stride: one or two minutes on two cores.
    const AFFORDABLE: f64 = 2e12;

    /// The windows for a text of `tokens` tokens: an eighth of the training length apart; where that costs too much, a quarter
    /// or a half.
    pub fn of(config: &ModelConfig, tokens: u64) -> Self {
        let length = config.trained_length;
        let parameters = config.layers as f64
            * (config.hidden as f64)
            * (4.0 * config.hidden as f64 + 3.0 * config.intermediate as f64)
            + config.hidden as f64 * config.vocabulary as f64;
        let cost = |stride: u64| {
            (tokens.saturating_sub(length) as f64 / stride.max(1) as f64).ceil() * length as f64 * parameters
        };
        let stride =
            [8, 4].into_iter().map(|part| length / part).find(|&stride| cost(stride) <= Self::AFFORDABLE);
        Self { length, stride: stride.unwrap_or(length / 2).max(1) }
    }

    /// Whether the first window of a text of `tokens` tokens is read in the pieces in which [`evaluate`] reads its beginning, so
    /// that losses under the model's own attention are the same, bit for bit: where it is the whole text, or ends with a piece.
    pub fn first_is_own(&self, tokens: usize) -> bool {
        let end = short(self.length).max(SHORTEST);
        tokens <= end || end.is_multiple_of(PIECE)
    }

    /// Fewest tokens before a token behind the first window.
    pub fn least_context(&self) -> u64 {
        self.length.saturating_sub(self.stride)
    }

    /// What they mean for a token of a text of `tokens` tokens, to go on after its loss was named.
    pub(crate) fn words(&self, tokens: u64) -> String {
        if tokens <= self.length {
            return ", each token behind all before it".to_owned();
        }
        let (least, most) = (grouped(self.least_context()), grouped(self.length));
        format!(", each token behind {least} to {most} others")
    }
}

fn short(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// The losses of [`evaluate_in_segments`], one piece after the other.
pub struct Segments<'a> {
    decoder: &'a Arc<Decoder>,
    tokens: &'a [u32],
    /// Tokens of the text.
    count: usize,
    bos: Option<u32>,
    length: usize,
    /// Tokens of a window that are known from the one before.
    overlap: usize,
    /// The segment that is being read, and the place of its first token in the text.
    segment: Option<(Session, Vec<u32>)>,
    begin: usize,
    /// Losses given so far.
    told: usize,
}

impl<'a> Segments<'a> {
    /// Nothing read yet; as [`evaluate_in_segments`].
    pub fn new(
        decoder: &'a Arc<Decoder>,
        tokens: &'a [u32],
        bos: Option<u32>,
        window: ReferenceWindows,
    ) -> Self {
        Self { tokens, ..Self::of_length(decoder, tokens.len(), bos, window) }
    }

    /// The same of a text of `count` tokens that are not known yet: see [`Self::next_of`].
    pub fn of_length(
        decoder: &'a Arc<Decoder>,
        count: usize,
        bos: Option<u32>,
        window: ReferenceWindows,
    ) -> Self {
        let length = short(window.length).max(SHORTEST);
        let own = length - usize::from(bos.is_some());
        // The first token of a window has no loss.
        let overlap = short(window.least_context()).clamp(1, own - 1);
        Self { decoder, tokens: &[], count, bos, length, overlap, segment: None, begin: 0, told: 0 }
    }

    /// As `next`, of a text that gives its tokens when it is asked for them. It is asked for those of one window, which ends
    /// within the length of the windows behind the last loss that was given.
    pub fn next_of(&mut self, text: &dyn Fn(Range<usize>) -> Vec<u32>) -> Option<Result<Vec<f32>>> {
        (self.told + 1 < self.count).then(|| self.piece(text))
    }

    /// Losses given so far.
    pub fn told(&self) -> usize {
        self.told
    }

    /// Passes over segments that have no new loss of token `first` or of a later one, without reading them. What follows is
    /// as if they had been read, bit for bit.
    pub fn pass_to(&mut self, first: usize) {
        while self.segment.is_none() {
            let Some(next) = self.after(self.begin).filter(|_| self.end(self.begin) <= first) else { return };
            self.told = self.end(self.begin) - 1;
            self.begin = next;
        }
    }

    /// The BOS before the segment at `begin`: the text's own is in the first one.
    fn head(&self, begin: usize) -> Option<u32> {
        self.bos.filter(|_| begin > 0)
    }

    /// Where the segment at `begin` ends.
    fn end(&self, begin: usize) -> usize {
        let own = self.length - usize::from(self.head(begin).is_some());
        self.count.min(begin.saturating_add(own))
    }

    /// Where the segment after that at `begin` begins; `None` behind the last.
    fn after(&self, begin: usize) -> Option<usize> {
        let end = self.end(begin);
        (end < self.count).then(|| end - self.overlap.min(end))
    }

    /// Losses that are given before the segment at `begin` is read.
    fn told_before(&self, begin: usize) -> usize {
        if begin == 0 { 0 } else { begin + self.overlap - 1 }
    }

    fn piece(&mut self, text: &dyn Fn(Range<usize>) -> Vec<u32>) -> Result<Vec<f32>> {
        let (bos, end) = (self.head(self.begin), self.end(self.begin));
        let (mut session, segment) = match self.segment.take() {
            Some(segment) => segment,
            None => {
                let own = text(self.begin..end);
                let session = Session::new(self.decoder.clone(), AttentionPolicy::default())?;
                (session, bos.into_iter().chain(own).collect())
            }
        };
        let read = session.position() as usize;
        let mut losses = session.score(&segment[read..segment.len().min(read + PIECE)], None)?.nll;
        let read = session.position() as usize;
        // Of the overlap with the segment before, losses were given then.
        let new = (self.begin + read - usize::from(bos.is_some())).saturating_sub(1 + self.told);
        losses.drain(..losses.len() - new);
        self.told += new;
        if read == segment.len() {
            self.begin = self.after(self.begin).unwrap_or(end);
        } else {
            self.segment = Some((session, segment));
        }
        Ok(losses)
    }
}

impl Iterator for Segments<'_> {
    type Item = Result<Vec<f32>>;

    /// The losses that one piece more gives: of tokens `told + 1` onwards; none in an overlap.
    fn next(&mut self) -> Option<Self::Item> {
        let tokens = self.tokens;
        self.next_of(&|range| tokens[range].to_vec())
    }
}

/// Reads `tokens` from an empty cache under `policy`; `progress` is told how many were read so far.
///
/// # Errors
/// As [`Session::new`] and [`Session::score`].
pub fn evaluate(
    decoder: &Arc<Decoder>,
    policy: &AttentionPolicy,
    tokens: &[u32],
    mut probe: Option<&mut dyn Probe>,
    progress: &dyn Fn(u64),
) -> Result<Evaluation> {
    machine::reset_peak_rss();
    let mut session = Session::new(decoder.clone(), policy.clone())?;
    let mut nll = Vec::with_capacity(tokens.len());
    let start = Instant::now();
    for chunk in tokens.chunks(PIECE) {
        let probe: Option<&mut dyn Probe> = match &mut probe {
            Some(probe) => Some(&mut **probe),
            None => None,
        };
        nll.extend(session.score(chunk, probe)?.nll);
        progress(session.position());
    }
    Ok(Evaluation {
        nll,
        prefill_tokens_per_second: tokens.len() as f64 / start.elapsed().as_secs_f64(),
        peak_rss_bytes: machine::peak_rss_bytes(),
        kv_cache_bytes: session.kv_cache_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn segments_are_texts_of_their_own_read_in_pieces() {
        let loaded = lm_infinite_runtime::checkpoint::load(
            "tiny-rope",
            &lm_infinite_runtime::hub::Cache::open().expect("a folder"),
        )
        .expect("it");
        let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights).expect("a whole model"));
        let alone = |segment: &[u32]| {
            evaluate(&decoder, &AttentionPolicy::default(), segment, None, &|_| ()).expect("runs").nll
        };
        let text: Vec<u32> = (0..1500).map(|at| at * 7 % 500).collect();
        for (count, length, stride, bos) in [
            (0, 64, 32, None),
            (1, 64, 8, None),
            (200, 64, 32, Some(3)),
            (200, 64, 8, Some(3)),
            (203, 64, 7, None),
            (9, 2, 1, Some(3)),
            (9, 8, 100, None),
            (1500, 1100, 550, None),
            (1500, 1024, 512, Some(3)),
            (1000, 1024, 512, Some(3)),
            (1024, 1024, 512, Some(3)),
        ] {
            let window = ReferenceWindows { length, stride };
            let tokens = &text[..count];
            let mut expected: Vec<f32> = Vec::new();
            let (mut begin, own) = (0, length.max(3) as usize - usize::from(bos.is_some()));
            while expected.len() + 1 < count {
                let end = count.min(if begin == 0 { length.max(3) as usize } else { begin + own });
                let head = bos.filter(|_| begin > 0);
                let segment: Vec<u32> = head.into_iter().chain(tokens[begin..end].iter().copied()).collect();
                let losses = alone(&segment);
                expected.extend(&losses[losses.len() - (end - 1 - expected.len())..]);
                begin = end - (length.saturating_sub(stride) as usize).clamp(1, own - 1);
            }
            let all = evaluate_in_segments(&decoder, tokens, bos, window, &|_| ()).expect("runs");
            assert_eq!(all, expected, "{count} tokens in {window:?}");
            let (own, read) = (alone(tokens), AtomicU64::new(0));
            let after = evaluate_in_segments_after(&decoder, tokens, bos, window, &own, &|_| {
                read.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(after.expect("runs"), expected, "{count} tokens in {window:?}, after their own");
            // What is known is not read again.
            let whole = count as u64 <= window.length.max(SHORTEST as u64);
            assert_eq!(whole && count > 1, read.into_inner() == 0, "{count} tokens in {window:?}");
            for first in [1, 2, count / 3, count / 2, count.saturating_sub(1)] {
                let mut rest = Segments::new(&decoder, tokens, bos, window);
                rest.pass_to(first);
                let told = rest.told();
                assert!(told < first.max(1), "{first} of {count}");
                let rest = rest.collect::<Result<Vec<_>>>().expect("runs").concat();
                assert_eq!(rest, expected[told..], "from {first} of {count}, in {window:?}");
            }
        }
    }
}
