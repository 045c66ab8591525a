//! One policy over one text: the loss of every token, and what it cost.

use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::machine;
use crate::model::Decoder;
use crate::policy::AttentionPolicy;
use crate::probe::Probe;
use crate::session::Session;

/// Tokens between two reports of progress.
const STEP: usize = 512;

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
    let all = evaluate_in_segments_while(decoder, tokens, bos, length, &|position| {
        progress(position);
        true
    });
    Ok(all?.unwrap_or_default())
}

/// [`evaluate_in_segments`] for as long as `go_on`, which is told how many tokens were read so far, says so; `None` once
/// it does not. It is asked every few hundred tokens.
///
/// # Errors
/// As [`evaluate_in_segments`].
pub fn evaluate_in_segments_while(
    decoder: &Arc<Decoder>,
    tokens: &[u32],
    bos: Option<u32>,
    length: u64,
    go_on: &dyn Fn(u64) -> bool,
) -> Result<Option<Vec<f32>>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX).max(2);
    let mut nll = Vec::with_capacity(tokens.len());
    let mut begin = 0usize;
    while nll.len() + 1 < tokens.len() {
        // The text's own BOS is in the first segment.
        let bos = bos.filter(|_| begin > 0);
        let end = tokens.len().min(begin.saturating_add(length - usize::from(bos.is_some())));
        let segment: Vec<u32> = bos.into_iter().chain(tokens[begin..end].iter().copied()).collect();
        let mut session = Session::new(decoder.clone(), AttentionPolicy::default())?;
        let mut losses = Vec::with_capacity(segment.len());
        for chunk in segment.chunks(STEP) {
            losses.extend(session.score(chunk, None)?);
            if !go_on((begin as u64 + session.position()).min(end as u64)) {
                return Ok(None);
            }
        }
        nll.extend(&losses[losses.len() - (end - 1 - nll.len())..]);
        begin = end - (length / 2).min(end);
    }
    Ok(Some(nll))
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
    for chunk in tokens.chunks(STEP) {
        let probe: Option<&mut dyn Probe> = match &mut probe {
            Some(probe) => Some(&mut **probe),
            None => None,
        };
        nll.extend(session.score(chunk, probe)?);
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
    fn segments_end_when_they_are_told_to() {
        let loaded =
            crate::model::load("tiny-rope", &crate::hub::Cache::open().expect("a folder")).expect("it");
        let decoder = Arc::new(Decoder::new(loaded.config, loaded.weights).expect("a whole model"));
        let tokens: Vec<u32> = (0..200).collect();
        let calls = std::cell::Cell::new(0);
        let twice = |_| {
            calls.set(calls.get() + 1);
            calls.get() < 2
        };
        let part = evaluate_in_segments_while(&decoder, &tokens, None, 64, &twice).expect("runs");
        assert_eq!((part, calls.get()), (None, 2));
        let whole = evaluate_in_segments_while(&decoder, &tokens, None, 64, &|_| true).expect("runs");
        assert_eq!(whole.as_ref().map(Vec::len), Some(199));
        assert_eq!(whole, Some(evaluate_in_segments(&decoder, &tokens, None, 64, &|_| ()).expect("runs")));
    }
}
