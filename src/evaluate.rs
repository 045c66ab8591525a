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
