//! One part of a diagnosis, so that many machines can make one: see [`Shard`] for what a part computes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::policy::{AttentionPolicy, PolicySpec};
use lm_infinite_runtime::session::{Decoder, Session};
use serde::{Deserialize, Serialize};

use super::builder::{DiagnosisBuilder, RunInput};
use super::collector::Collector;
use super::model::Diagnosis;
use super::sums::Sums;
use crate::error::{Error, Result};
use crate::evaluate::{PIECE, ReferenceWindows, Segments};
use crate::long_run::Shard;
use crate::machine;

/// What was measured of a part of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiagnosisShard {
    /// Name of the model.
    pub model: String,
    /// Its shape.
    pub config: ModelConfig,
    /// Length of the whole text, in tokens.
    pub tokens: u64,
    /// Width of the position bins of the loss, where it was asked for.
    pub bucket: Option<u64>,
    /// Which part.
    pub shard: Shard,
    /// Positions at which documents of the whole text start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<u64>,
    /// One per policy, in the order asked for.
    pub runs: Vec<ShardRun>,
    /// Losses of the part's tokens within the training length, in nats; kept beside the JSON form, which leaves it out.
    #[serde(skip)]
    pub reference: Vec<f32>,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardRun {
    /// As written.
    pub policy: String,
    /// What it means.
    pub attention: AttentionPolicy,
    /// Tokens that were read, those before the part included.
    pub tokens_read: u64,
    /// Seconds of work.
    pub seconds: f64,
    /// Largest resident memory of the process, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// Bytes of the key/value cache at the end.
    pub kv_cache_bytes: u64,
    /// Losses of the part's tokens, in nats; kept beside the JSON form, as `sums` is.
    #[serde(skip)]
    pub nll: Vec<f32>,
    /// What was counted. `None` until it is read.
    #[serde(skip)]
    pub sums: Option<Sums>,
}

/// Positions of a part whose tokens have a loss: the first token of a text has none.
fn scored(shard: Shard, tokens: u64) -> Range<u64> {
    let part = shard.part(tokens);
    part.start.max(1).min(part.end)..part.end
}

/// Losses of the tokens of a part as [`evaluate_in_segments`](crate::evaluate::evaluate_in_segments) gives them, bit for
/// bit. `progress` is told the position.
///
/// # Errors
/// As [`Segments`].
pub fn reference_of_shard(
    decoder: &Arc<Decoder>,
    tokens: &[u32],
    bos: Option<u32>,
    shard: Shard,
    progress: &dyn Fn(u64),
) -> Result<Vec<f32>> {
    let part = scored(shard, tokens.len() as u64);
    let mut segments =
        Segments::new(decoder, tokens, bos, ReferenceWindows::of(decoder.config(), tokens.len() as u64));
    segments.pass_to(part.start as usize);
    let mut losses = Vec::new();
    loop {
        // The token of the next loss.
        let next = segments.told() as u64 + 1;
        if next >= part.end {
            break;
        }
        let Some(piece) = segments.next() else { break };
        let all = (next..).zip(piece?);
        losses.extend(all.filter(|(token, _)| part.contains(token)).map(|(_, loss)| loss));
        progress(segments.told() as u64 + 1);
    }
    Ok(losses)
}

/// Reads a part under a policy, after warming up on the tokens before it. `progress` is told the position.
///
/// # Errors
/// A policy without a window; as [`Session::new`] and [`Session::score`].
pub fn run_of_shard(
    decoder: &Arc<Decoder>,
    tokens: &[u32],
    spec: &PolicySpec,
    shard: Shard,
    progress: &dyn Fn(u64),
) -> Result<ShardRun> {
    let (config, policy, count) = (decoder.config(), &spec.policy, tokens.len() as u64);
    let part = shard.part(count);
    let begin = shard.begin(count, config.layers, policy)?;
    machine::reset_peak_rss();
    let start = Instant::now();
    let mut session = Session::new(decoder.clone(), policy.clone())?;
    let mut read = 0;
    if begin > 0 {
        session.feed(&tokens[..policy.start as usize], None)?;
        session.skip_to(begin)?;
        read = policy.start;
    }
    for chunk in tokens[begin as usize..part.start as usize].chunks(PIECE) {
        session.feed(chunk, None)?;
        progress(session.position());
    }
    let mut collector = Collector::new(config, count);
    let mut nll = Vec::new();
    for chunk in tokens[part.start as usize..part.end as usize].chunks(PIECE) {
        nll.extend(session.score(chunk, Some(&mut collector))?.nll);
        progress(session.position());
    }
    Ok(ShardRun {
        policy: spec.label.clone(),
        attention: policy.clone(),
        tokens_read: read + part.end - begin,
        seconds: start.elapsed().as_secs_f64(),
        peak_rss_bytes: machine::peak_rss_bytes(),
        kv_cache_bytes: session.kv_cache_bytes() as u64,
        nll,
        sums: Some(collector.finish()?.into_sums()),
    })
}

impl DiagnosisShard {
    /// The whole diagnosis, from all parts in order, each with its runs in the order of `policies`.
    ///
    /// # Errors
    /// Losses or sums that are not those of the part.
    pub fn join(parts: &[(&Self, Vec<&ShardRun>)]) -> Result<Diagnosis> {
        let Some((first, _)) = parts.first() else {
            return Err(Error::input("diagnosis", "there is no part of it"));
        };
        let expected = |part: &Self, losses: usize| {
            let wanted = scored(part.shard, part.tokens);
            if losses as u64 == wanted.end - wanted.start {
                return Ok(());
            }
            let got = format!("it has {losses} losses, expected those of tokens {wanted:?}");
            Err(Error::input(format!("shard {}", part.shard), got))
        };
        for (part, runs) in parts {
            expected(part, part.reference.len())?;
            for run in runs {
                expected(part, run.nll.len())?;
                run.sums()?.check_heads(&first.config)?;
            }
        }
        let reference = parts.iter().flat_map(|(part, _)| part.reference.iter().copied()).collect();
        let (config, tokens) = (&first.config, first.tokens);
        let mut builder = DiagnosisBuilder::new(&first.model, config, tokens, reference, first.bucket)
            .with_documents(first.documents.clone());
        let policies = parts.iter().map(|(_, runs)| runs.len()).min().unwrap_or(0);
        for index in 0..policies {
            let runs: Vec<&ShardRun> = parts.iter().map(|(_, runs)| runs[index]).collect();
            let mut measured = Collector::new(config, tokens).finish()?;
            for run in &runs {
                measured.add(run.sums()?, config.hidden)?;
            }
            let (read, seconds) = runs.iter().fold((0, 0.0), |(read, seconds), run| {
                (run.tokens_read.saturating_add(read), run.seconds + seconds)
            });
            let input = RunInput {
                policy: runs[0].policy.clone(),
                attention: runs[0].attention.clone(),
                nll: runs.iter().flat_map(|run| run.nll.iter().copied()).collect(),
                prefill_tokens_per_second: read as f64 / seconds,
                peak_rss_bytes: runs.iter().filter_map(|run| run.peak_rss_bytes).max(),
                kv_cache_bytes: runs.iter().map(|run| run.kv_cache_bytes).max().unwrap_or(0),
            };
            builder.push(input, measured)?;
        }
        Ok(builder.finish())
    }

    /// One line per policy.
    pub fn summary(&self) -> String {
        let part = self.shard.part(self.tokens);
        let mut text = format!(
            "{}: shard {} of a diagnosis, tokens {} to {} of {}; `merge` joins it with the others\n",
            self.model, self.shard, part.start, part.end, self.tokens
        );
        for run in &self.runs {
            let speed = if run.seconds > 0.0 { run.tokens_read as f64 / run.seconds } else { 0.0 };
            text.push_str(&format!(
                "  {:<40} {} tokens read, {speed:.0} tokens/s\n",
                run.policy, run.tokens_read
            ));
        }
        text
    }
}

impl ShardRun {
    fn sums(&self) -> Result<&Sums> {
        self.sums
            .as_ref()
            .ok_or_else(|| Error::input(format!("policy {}", self.policy), "nothing was counted"))
    }
}
