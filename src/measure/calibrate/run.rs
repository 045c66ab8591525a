//! Reads every text in every row, and holds the verdicts against longer readings.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use lm_infinite_runtime::policy::{AttentionPolicy, PolicySpec};
use lm_infinite_runtime::session::Decoder;

use super::case::{Case, CaseKey, Measured, judged, reading};
use super::identity::Identity;
use super::plan::{Plan, PlannedRow};
use super::result::Calibration;
use super::texts::{Cut, Source};
use crate::diagnose::{Collector, DiagnosisBuilder, LOSS_MARGIN, RunInput, RunMeasurement};
use crate::error::{Error, Result};
use crate::evaluate::{ReferenceWindows, evaluate, evaluate_in_segments};
use crate::long_run::Shard;

/// A reading has so many tokens where they come from at most so many texts, besides being longer than its case.
const READING_TOKENS: usize = 4096;
const MOST_OTHERS: usize = 32;

/// Losses of a text within the training length, by model, training length taken, tokens and part: several rows read the same.
type References = HashMap<(usize, u64, u64, usize), Vec<f32>>;

/// What is read with.
struct Reader<'a> {
    row: &'a PlannedRow,
    decoder: Arc<Decoder>,
    bos: Option<u32>,
}

/// Judges every case of `plan`. `progress` is told how many are done; when `stop` says so, what was judged until then is
/// returned.
///
/// # Errors
/// As [`measure`] and [`Identity::new`].
pub fn calibrate(plan: &Plan, progress: &dyn Fn(u64), stop: &dyn Fn() -> bool) -> Result<Calibration> {
    let mut all = Vec::new();
    let done = |measured: Measured| {
        all.push(measured);
        progress(all.len() as u64);
        Ok(())
    };
    measure(plan, Shard::WHOLE, &|_| false, done, stop)?;
    Identity::new(plan)?.calibration(all)
}

/// Judges the cases of `plan` whose texts `shard` has (every `count`-th from `index` on), one text after the other, but for those
/// that `is_done`, told as [`Measured::key`]. `take` is given each of them when it is judged. `stop` is asked between two.
///
/// # Errors
/// A text that is too short; as [`evaluate`] and `take`.
pub fn measure(
    plan: &Plan,
    shard: Shard,
    is_done: &dyn Fn(CaseKey) -> bool,
    mut take: impl FnMut(Measured) -> Result<()>,
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    for text in plan.texts_of(shard) {
        let mut references = References::new();
        let mut cuts: HashMap<(usize, u64), Cut> = HashMap::new();
        for (index, row) in plan.rows.iter().enumerate().filter(|(_, row)| row.texts.contains(&text)) {
            if is_done((text, index)) {
                continue;
            }
            if stop() {
                return Ok(());
            }
            let subject = &plan.subjects[row.subject];
            let cut = match cuts.entry((row.subject, row.row.tokens)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let tokens = usize::try_from(row.row.tokens).unwrap_or(usize::MAX);
                    let enough = (READING_TOKENS / tokens.max(1)).min(MOST_OTHERS).max(plan.times);
                    let others = if row.longer { enough } else { 0 };
                    entry.insert(plan.texts[text].cut(subject.tokenizer(), tokens, others, plan.seed)?)
                }
            };
            let tokenizer = subject.tokenizer();
            let reader = Reader {
                row,
                decoder: subject.decoder(row.row.trained_length, text, plan.seed)?,
                bos: tokenizer.bos().filter(|_| tokenizer.adds_bos()),
            };
            let (run, tested) = reader.diagnose(&cut.tested, &mut references)?;
            let others = (cut.others.iter().enumerate())
                .map(|(at, tokens)| reader.excess(tokens, at + 1, &mut references))
                .collect::<Result<Vec<_>>>()?;
            let (texts, source) = match cut.source {
                Source::ItsOwn => (std::slice::from_ref(&tested), Source::ItsOwn),
                source => (others.as_slice(), source),
            };
            let (truth, reading) = reading(texts, LOSS_MARGIN, source);
            let case = Case {
                row: index,
                text: plan.texts[text].name.clone(),
                tokens: cut.tested.len() as u64,
                truth,
                reading,
                judged: judged(&run, LOSS_MARGIN),
            };
            take(Measured { text, case, excess: if row.longer { Vec::new() } else { tested } })?;
        }
    }
    Ok(())
}

impl Reader<'_> {
    /// Losses within the training length of part `part` of the text, 0 the one that is tested.
    fn reference<'a>(
        &self,
        tokens: &[u32],
        part: usize,
        references: &'a mut References,
    ) -> Result<&'a Vec<f32>> {
        let key = (self.row.subject, self.row.row.trained_length, self.row.row.tokens, part);
        match references.entry(key) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let window = ReferenceWindows::of(self.decoder.config(), tokens.len() as u64);
                Ok(entry.insert(evaluate_in_segments(&self.decoder, tokens, self.bos, window, &|_| ())?))
            }
        }
    }

    /// A diagnosis of the part that is tested, as the command makes it, and the excess of its loss over the compared tokens.
    fn diagnose(&self, tokens: &[u32], references: &mut References) -> Result<(RunMeasurement, Vec<f64>)> {
        let (config, count) = (self.decoder.config(), tokens.len() as u64);
        let PolicySpec { label, policy } = &self.row.spec;
        let reference = self.reference(tokens, 0, references)?;
        let mut builder = DiagnosisBuilder::new(&self.row.row.model, config, count, reference.clone(), None);
        let mut collector = Collector::new(config, count);
        let run = evaluate(&self.decoder, policy, tokens, Some(&mut collector), &|_| ())?;
        let excess = self.compared(policy, &run.nll, reference);
        let input = RunInput {
            policy: label.clone(),
            attention: policy.clone(),
            nll: run.nll,
            prefill_tokens_per_second: run.prefill_tokens_per_second,
            peak_rss_bytes: run.peak_rss_bytes,
            kv_cache_bytes: run.kv_cache_bytes as u64,
        };
        builder.push(input, collector.finish()?)?;
        let run = builder.finish().runs.pop();
        let run = run.ok_or_else(|| Error::input(&self.row.row.name, "it has no run"))?;
        Ok((run, excess))
    }

    /// The excess of the loss over the compared tokens of another part.
    fn excess(&self, tokens: &[u32], part: usize, references: &mut References) -> Result<Vec<f64>> {
        let reference = self.reference(tokens, part, references)?;
        let nll = evaluate(&self.decoder, &self.row.spec.policy, tokens, None, &|_| ())?.nll;
        Ok(self.compared(&self.row.spec.policy, &nll, reference))
    }

    /// Differences from the first token on at which the policy may differ from the reference, as in [`crate::diagnose::LossVerdict`].
    fn compared(&self, policy: &AttentionPolicy, nll: &[f32], reference: &[f32]) -> Vec<f64> {
        let trained = self.row.row.trained_length;
        let from = policy.window.map_or(trained, |window| window.min(trained)).max(1);
        let skipped = usize::try_from(from - 1).unwrap_or(usize::MAX);
        nll.iter().zip(reference).skip(skipped).map(|(nll, reference)| f64::from(nll - reference)).collect()
    }
}
