//! One policy over one text: the loss of every token, and what it cost.

use std::sync::Arc;
use std::time::Instant;

use lm_infinite_runtime::policy::AttentionPolicy;
use lm_infinite_runtime::probe::Probe;
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::session::Session;

use crate::error::Result;
use crate::machine;

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

/// Loss of tokens 1..n, in nats, by a model that never goes past its training length: `tokens` are read in segments of
/// `length` that overlap by half, each from an empty cache and behind `bos` where the model was trained with one, and
/// every token is scored in the first segment that has it. So each has between `length / 2` and `length` tokens before it,
/// the first ones what there is. This is what a policy has to be compared with: the same text, with the same hard passages.
/// `progress` is told how many tokens were scored so far.
///
/// # Errors
/// As [`Session::new`] and [`Session::score`].
pub fn evaluate_in_segments(
    decoder: &Arc<Decoder>,
    tokens: &[u32],
    bos: Option<u32>,
    length: u64,
    progress: &dyn Fn(u64),
) -> Result<Vec<f32>> {
    let mut nll = Vec::with_capacity(tokens.len());
    for piece in Segments::new(decoder, tokens, bos, length) {
        nll.extend(piece?);
        progress(nll.len() as u64 + 1);
    }
    Ok(nll)
}

/// The losses of [`evaluate_in_segments`], one piece after the other.
pub struct Segments<'a> {
    decoder: &'a Arc<Decoder>,
    tokens: &'a [u32],
    bos: Option<u32>,
    length: usize,
    /// The segment that is being read, and the place of its first token in the text.
    segment: Option<(Session, Vec<u32>)>,
    begin: usize,
    /// Losses given so far.
    told: usize,
}

impl<'a> Segments<'a> {
    /// Nothing read yet; as [`evaluate_in_segments`].
    pub fn new(decoder: &'a Arc<Decoder>, tokens: &'a [u32], bos: Option<u32>, length: u64) -> Self {
        let length = usize::try_from(length).unwrap_or(usize::MAX).max(SHORTEST);
        Self { decoder, tokens, bos, length, segment: None, begin: 0, told: 0 }
    }

    /// Losses given so far.
    pub fn told(&self) -> usize {
        self.told
    }

    /// Passes over segments that have no new loss of token `first` or of a later one, without reading them. What follows is
    /// as if they had been read, bit for bit.
    pub fn pass_to(&mut self, first: usize) {
        while self.segment.is_none() {
            let end = self.end();
            if end > first || end >= self.tokens.len() {
                return;
            }
            self.told = end - 1;
            self.begin = end - (self.length / 2).min(end);
        }
    }

    /// The BOS before the segment: the text's own is in the first one.
    fn head(&self) -> Option<u32> {
        self.bos.filter(|_| self.begin > 0)
    }

    /// Where the segment ends.
    fn end(&self) -> usize {
        let own = self.length - usize::from(self.head().is_some());
        self.tokens.len().min(self.begin.saturating_add(own))
    }

    fn piece(&mut self) -> Result<Vec<f32>> {
        let (bos, end) = (self.head(), self.end());
        let (mut session, segment) = match self.segment.take() {
            Some(segment) => segment,
            None => {
                let own = self.tokens[self.begin..end].iter().copied();
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
            self.begin = end - (self.length / 2).min(end);
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
        (self.told + 1 < self.tokens.len()).then(|| self.piece())
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
        for (count, length, bos) in
            [(0, 64, None), (1, 64, None), (200, 64, Some(3)), (9, 2, Some(3)), (1500, 1100, None)]
        {
            let tokens = &text[..count];
            let mut expected: Vec<f32> = Vec::new();
            let (mut begin, own) = (0, length.max(3) as usize - usize::from(bos.is_some()));
            while expected.len() + 1 < count {
                let end = count.min(if begin == 0 { length.max(3) as usize } else { begin + own });
                let head = bos.filter(|_| begin > 0);
                let segment: Vec<u32> = head.into_iter().chain(tokens[begin..end].iter().copied()).collect();
                let losses = alone(&segment);
                expected.extend(&losses[losses.len() - (end - 1 - expected.len())..]);
                begin = end - length.max(3) as usize / 2;
            }
            let all = evaluate_in_segments(&decoder, tokens, bos, length, &|_| ()).expect("runs");
            assert_eq!(all, expected, "{count} tokens in segments of {length}");
            for first in [1, 2, count / 3, count / 2, count.saturating_sub(1)] {
                let mut rest = Segments::new(&decoder, tokens, bos, length);
                rest.pass_to(first);
                let told = rest.told();
                assert!(told < first.max(1), "{first} of {count}");
                let rest = rest.collect::<Result<Vec<_>>>().expect("runs").concat();
                assert_eq!(rest, expected[told..], "from {first} of {count}, in segments of {length}");
            }
        }
    }
}
