//! Speed and memory: prefill and decode at several lengths, and what the probes cost. Rounds go through all cases in
//! turn, so that a machine that slows down slows all of them; medians are reported.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::policy::{AttentionPolicy, PolicySpec};
use lm_infinite_runtime::probe::{HeadStatistics, Probe, ProbePlan, StatisticsPlan};
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::session::Session;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::machine::{self, Limits};

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchPlan {
    /// Policies, each at each length.
    pub policies: Vec<PolicySpec>,
    /// Context lengths, in tokens.
    pub lengths: Vec<usize>,
    /// Tokens decoded after each prefill.
    pub decode: usize,
    /// Rounds.
    pub rounds: usize,
    /// Also time the baseline that has no cache: the model as it is on the last so many tokens, read anew for every token.
    pub truncate: Option<usize>,
}

/// One policy at one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchRun {
    /// The policy as written.
    pub policy: String,
    /// Tokens fed before decoding.
    pub length: usize,
    /// Tokens per second of feeding `length` tokens from nothing, without any logits but the last; median.
    pub prefill_tokens_per_second: f64,
    /// Tokens per second of feeding one token after `length`, with its logits; median.
    pub decode_tokens_per_second: f64,
    /// Bytes of all keys and values held at the end.
    pub kv_cache_bytes: usize,
    /// Largest resident memory of the process in any round, where the system tells.
    pub peak_rss_bytes: Option<u64>,
}

/// A benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchResult {
    /// Name of the model.
    pub model: String,
    /// L_pretrain.
    pub trained_length: u64,
    /// What the machine can do, measured in the same run.
    pub machine: Limits,
    /// Tokens of the text, where longer contexts repeat it.
    #[serde(default)]
    pub repeated_from: Option<u64>,
    /// What there is to say of the text.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Every policy at every length.
    pub runs: Vec<BenchRun>,
}

impl BenchResult {
    /// One line for each policy at each length.
    pub fn summary(&self) -> String {
        let mut words = format!(
            "{:<40} {:>8} {:>12} {:>12} {:>10} {:>10}\n",
            "", "length", "prefill t/s", "decode t/s", "cache MB", "peak MB"
        );
        for run in &self.runs {
            // Writing to a string cannot fail.
            let _ = writeln!(
                words,
                "{:<40} {:>8} {:>12.0} {:>12.1} {:>10.1} {:>10}",
                run.policy,
                run.length,
                run.prefill_tokens_per_second,
                run.decode_tokens_per_second,
                run.kv_cache_bytes as f64 / 1e6,
                run.peak_rss_bytes.map_or("?".into(), |bytes| format!("{:.0}", bytes as f64 / 1e6)),
            );
        }
        words
    }
}

/// What the statistics of all heads cost.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeCost {
    /// The policy as written.
    pub policy: String,
    /// Tokens fed.
    pub length: usize,
    /// Tokens per second without a probe; median.
    pub off_tokens_per_second: f64,
    /// Tokens per second with a probe that asks for nothing; median.
    pub idle_tokens_per_second: f64,
    /// Tokens per second with all statistics of all heads; median.
    pub on_tokens_per_second: f64,
    /// Extra time of the statistics over no probe; median of the ratios of each round.
    pub statistics_overhead: f64,
    /// Extra time of a probe that asks for nothing.
    pub idle_overhead: f64,
}

/// Measures every policy at every length on the first tokens of `text`, repeated where it is too short.
///
/// # Errors
/// As [`Session::new`] and [`Session::feed`].
pub fn bench(
    decoder: &Arc<Decoder>,
    text: &[u32],
    plan: &BenchPlan,
    progress: &dyn Fn(),
) -> Result<Vec<BenchRun>> {
    let policies = || plan.policies.iter().map(Case::Policy);
    let cases: Vec<(Case<'_>, usize)> = plan
        .lengths
        .iter()
        .flat_map(|&length| {
            policies().chain(plan.truncate.map(Case::Truncate)).map(move |case| (case, length))
        })
        .collect();
    let mut samples = vec![(Vec::new(), Vec::new()); cases.len()];
    let mut memory = vec![(0, None); cases.len()];
    for _ in 0..plan.rounds {
        for (index, &(case, length)) in cases.iter().enumerate() {
            machine::reset_peak_rss();
            let tokens: Vec<u32> = text.iter().copied().cycle().take(length + plan.decode).collect();
            let timed = case.time(decoder, &tokens, length)?;
            samples[index].0.push(length as f64 / timed.prefill_seconds);
            samples[index].1.push(plan.decode as f64 / timed.decode_seconds);
            let peak = machine::peak_rss_bytes().max(memory[index].1);
            memory[index] = (timed.kv_cache_bytes, peak);
            progress();
        }
    }
    Ok(cases
        .into_iter()
        .zip(samples)
        .zip(memory)
        .map(|(((case, length), (prefill, decode)), (kv_cache_bytes, peak_rss_bytes))| BenchRun {
            policy: case.label(),
            length,
            prefill_tokens_per_second: median(prefill),
            decode_tokens_per_second: median(decode),
            kv_cache_bytes,
            peak_rss_bytes,
        })
        .collect())
}

/// What is timed at one length.
#[derive(Clone, Copy)]
enum Case<'a> {
    Policy(&'a PolicySpec),
    /// The last so many tokens, read anew for every token that is decoded.
    Truncate(usize),
}

struct Timed {
    prefill_seconds: f64,
    decode_seconds: f64,
    kv_cache_bytes: usize,
}

impl Case<'_> {
    fn label(self) -> String {
        match self {
            Self::Policy(spec) => spec.label.clone(),
            Self::Truncate(window) => format!("truncate:window={window}"),
        }
    }

    /// Feeds `length` of the tokens, then the others one by one, each with its logits.
    fn time(self, decoder: &Arc<Decoder>, tokens: &[u32], length: usize) -> Result<Timed> {
        let policy = match self {
            Self::Policy(spec) => spec.policy.clone(),
            Self::Truncate(_) => AttentionPolicy::default(),
        };
        // Reads the tokens before `end` that are seen, from nothing.
        let read = |end: usize| -> Result<Session> {
            let mut session = Session::new(decoder.clone(), policy.clone())?;
            let first = match self {
                Self::Policy(_) => 0,
                Self::Truncate(window) => end.saturating_sub(window),
            };
            session.feed(&tokens[first..end], None)?;
            std::hint::black_box(session.logits());
            Ok(session)
        };
        let start = Instant::now();
        let mut session = read(length)?;
        let prefill_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for end in length + 1..=tokens.len() {
            match self {
                Self::Policy(_) => {
                    session.feed(&tokens[end - 1..end], None)?;
                    std::hint::black_box(session.logits());
                }
                Self::Truncate(_) => session = read(end)?,
            }
        }
        let decode_seconds = start.elapsed().as_secs_f64();
        Ok(Timed { prefill_seconds, decode_seconds, kv_cache_bytes: session.kv_cache_bytes() })
    }
}

/// Prefill without a probe, with an idle one, and with all statistics, in turn.
///
/// # Errors
/// As [`bench()`].
pub fn probe_cost(
    decoder: &Arc<Decoder>,
    text: &[u32],
    plan: &BenchPlan,
    progress: &dyn Fn(),
) -> Result<Vec<ProbeCost>> {
    let mut costs = Vec::new();
    for &length in &plan.lengths {
        let tokens: Vec<u32> = text.iter().copied().cycle().take(length).collect();
        for policy in &plan.policies {
            let mut rounds: Vec<[f64; 3]> = Vec::new();
            for _ in 0..plan.rounds {
                let mut seconds = [0.0; 3];
                for (mode, seconds) in seconds.iter_mut().enumerate() {
                    let mut probe = Watch::new(mode == 2, length);
                    let mut session = Session::new(decoder.clone(), policy.policy.clone())?;
                    let start = Instant::now();
                    session.feed(&tokens, if mode == 0 { None } else { Some(&mut probe) })?;
                    *seconds = start.elapsed().as_secs_f64();
                    progress();
                }
                rounds.push(seconds);
            }
            let rate = |mode: usize| median(rounds.iter().map(|round| length as f64 / round[mode]).collect());
            let over =
                |mode: usize| median(rounds.iter().map(|round| round[mode] / round[0] - 1.0).collect());
            costs.push(ProbeCost {
                policy: policy.label.clone(),
                length,
                off_tokens_per_second: rate(0),
                idle_tokens_per_second: rate(1),
                on_tokens_per_second: rate(2),
                statistics_overhead: over(2),
                idle_overhead: over(1),
            });
        }
    }
    Ok(costs)
}

/// A probe that asks for all statistics with buckets of doubling distance, or for nothing.
struct Watch {
    plan: ProbePlan,
    total: f64,
}

impl Watch {
    fn new(statistics: bool, length: usize) -> Self {
        let edges =
            std::iter::successors(Some(1), |edge| Some(edge * 2)).take_while(|&edge| edge < length as u64);
        let statistics = statistics.then(|| StatisticsPlan {
            start_tokens: 10,
            distance_edges: std::iter::once(0).chain(edges).collect(),
            tile: None,
        });
        Self { plan: ProbePlan { statistics, ..Default::default() }, total: 0.0 }
    }
}

impl Probe for Watch {
    fn plan(&self) -> &ProbePlan {
        &self.plan
    }

    fn head_statistics(&mut self, _layer: usize, statistics: &HeadStatistics) {
        self.total += statistics.entropy.iter().map(|&x| x as f64).sum::<f64>();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}
