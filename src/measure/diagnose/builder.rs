//! From runs over the same text to a diagnosis.

use lm_infinite_analysis::NonFinite;
use lm_infinite_analysis::nll::{Break, NllByPosition};
use lm_infinite_runtime::model::ModelConfig;
use lm_infinite_runtime::policy::AttentionPolicy;
use ndarray::Array3;
use rayon::prelude::*;

use super::collector::Measurements;
use super::drift::Frame;
use super::factors::{DriftFactor, EntropyFactor, Factors, LogitFactor};
use super::head_effects::HeadEffects;
use super::heads::HeadReport;
use super::loss::{LOSS_MARGIN, LossVerdict};
use super::model::{BinEdges, Curves, Diagnosis, LogitQuantile, RunArrays, RunMeasurement};
use super::onset::TokenOnset;
use crate::error::{Error, Result};
use crate::evaluate::ReferenceWindows;

/// What the caller knows of a run.
#[derive(Clone, Debug)]
pub struct RunInput {
    /// The policy as written.
    pub policy: String,
    /// What it means.
    pub attention: AttentionPolicy,
    /// Loss of tokens 1..n, in nats.
    pub nll: Vec<f32>,
    /// Tokens fed per second.
    pub prefill_tokens_per_second: f64,
    /// Largest resident memory of the process.
    pub peak_rss_bytes: Option<u64>,
    /// Bytes of the key/value cache at the end.
    pub kv_cache_bytes: u64,
}

/// Takes one run after the other; the first fixes the frame of reference for the hidden states of all.
///
/// The hidden states of a run are let go as soon as they are projected, so that memory does not grow with policies.
#[derive(Debug)]
pub struct DiagnosisBuilder {
    diagnosis: Diagnosis,
    /// Positions at which documents start.
    documents: Vec<u64>,
    losses: NllByPosition,
    frames: Vec<Frame>,
}

impl DiagnosisBuilder {
    /// No runs yet. `reference` is the loss of tokens 1..n that losses are held against, read in the windows of [`ReferenceWindows::of`]; `bucket` the width of the
    /// position bins of the loss; `None`: those of [`MeasurementPlan::nll_bins`](super::MeasurementPlan::nll_bins).
    pub fn new(
        model: impl Into<String>,
        config: &ModelConfig,
        tokens: u64,
        reference: Vec<f32>,
        bucket: Option<u64>,
    ) -> Self {
        let plan = super::MeasurementPlan::new(config, tokens);
        let empty = bucket.map_or_else(|| NllByPosition::with_bins(plan.nll_bins()), NllByPosition::new);
        let losses = by_position(&empty, &reference);
        let diagnosis = Diagnosis {
            model: model.into(),
            config: config.clone(),
            tokens,
            repeated_from: None,
            notes: Vec::new(),
            trained_length: plan.trained_length,
            loss_margin: LOSS_MARGIN,
            reference_window: Some(ReferenceWindows::of(config, tokens)),
            reference_bias: None,
            reference: losses.buckets(tokens),
            reference_nll: losses.mean(),
            reference_non_finite_tokens: losses.non_finite().count,
            reference_first_non_finite: losses.non_finite().first,
            bins: BinEdges {
                positions: plan.positions,
                logit_distances: plan.logit_distances,
                mass_distances: plan.mass_distances,
                map_queries: plan.map_queries,
                map_keys: plan.map_keys,
            },
            runs: Vec::new(),
            causes: None,
            predicted: None,
            reference_per_token: reference,
        };
        Self { diagnosis, documents: Vec::new(), losses: empty, frames: Vec::new() }
    }

    /// Adds a run over the same text.
    pub fn push(&mut self, run: RunInput, measured: Measurements) -> Result<()> {
        let Diagnosis { tokens, trained_length, .. } = self.diagnosis;
        if measured.plan.tokens != tokens || run.nll.len() as u64 > tokens {
            let got = format!(
                "{} tokens and {} losses, expected {tokens} tokens",
                measured.plan.tokens,
                run.nll.len()
            );
            return Err(Error::input(format!("run `{}`", run.policy), got));
        }
        // What was measured ends where reading did.
        let read = measured.read;
        if self.diagnosis.runs.is_empty() {
            self.frames = Frame::fit_all(&measured)?;
        }
        let sites = self.frames.par_iter().map(|frame| frame.measure(&measured));
        let drift: Vec<_> = sites.filter_map(Result::transpose).collect::<Result<_>>()?;
        let curves = Curves {
            logits: measured.logits.over_heads(),
            logits_start: measured.logits_start.over_heads(),
            logits_last: measured.logits_last.over_heads(),
            logits_by_length: measured.logits_by_length.row_maxima().over_heads(read).trimmed(),
            logit_quantiles: LogitQuantile::all(&measured.logit_quantiles)?,
            entropy: measured.entropy.entropy.over_heads(read).trimmed(),
            effective_keys: measured.entropy.effective_keys.over_heads(read).trimmed(),
            entropy_bounds: measured.entropy_rows.over_heads(read),
            start_mass: measured.entropy.start_mass.over_heads(read).trimmed(),
        };
        let effects = HeadEffects::new(&measured);
        let factors = Factors {
            logits: LogitFactor::new(&measured, &effects),
            entropy: EntropyFactor::new(
                &curves.entropy,
                &curves.start_mass,
                &measured.entropy_excess,
                measured.entropy.entropy.non_finite(),
                trained_length,
            ),
            drift: DriftFactor::new(&drift, &run.attention, measured.non_finite_states(), read),
        };
        let losses = by_position(&self.losses, &run.nll);
        let non_finite = losses.non_finite();
        let (loss, breaks) = self.loss_verdict(&run.nll, non_finite, &run.attention);
        let single = |values: Array3<f64>| values.mapv(|value| value as f32);
        self.diagnosis.runs.push(RunMeasurement {
            nll: losses.mean(),
            perplexity: losses.mean().map(f64::exp),
            non_finite_tokens: non_finite.count,
            first_non_finite: non_finite.first,
            loss,
            buckets: losses.buckets(run.nll.len() as u64 + 1),
            breaks,
            policy: run.policy,
            attention: run.attention,
            // A run too short to time has no speed, and JSON no infinity.
            prefill_tokens_per_second: Some(run.prefill_tokens_per_second)
                .filter(|s| s.is_finite())
                .unwrap_or(0.0),
            peak_rss_bytes: run.peak_rss_bytes,
            kv_cache_bytes: run.kv_cache_bytes,
            order: factors.order(loss.onset.or(breaks.map(|at| TokenOnset::exactly(at.position)))),
            heads: HeadReport::all(&measured, &effects),
            factors,
            curves,
            drift,
            arrays: RunArrays {
                nll: run.nll,
                max_logit: measured.logits.maxima().clone(),
                max_logit_start: measured.logits_start.maxima().clone(),
                max_logit_last: measured.logits_last.maxima().clone(),
                max_logit_by_length: measured.logits_by_length.maxima().clone(),
                entropy: single(measured.entropy.entropy.means()),
                start_mass: single(measured.entropy.start_mass.means()),
                mass_inside: single(measured.mass_inside.means()),
                mass_beyond: single(measured.mass_beyond.means()),
                map_logit: measured.maps.logits().clone(),
                map_mass: measured.maps.mass().clone(),
                pooled: measured.pooled,
            },
        });
        Ok(())
    }

    /// Another margin of the loss than [`LOSS_MARGIN`], for the runs that are added from now on.
    #[must_use]
    pub fn with_loss_margin(mut self, margin: f64) -> Self {
        self.diagnosis.loss_margin = margin;
        self
    }

    /// The positions at which documents of the text start: intervals of losses are over documents too, for the runs that are
    /// added from now on.
    #[must_use]
    pub fn with_documents(mut self, starts: Vec<u64>) -> Self {
        self.documents = starts;
        self
    }

    /// The diagnosis of all runs.
    pub fn finish(self) -> Diagnosis {
        self.diagnosis
    }

    /// The verdict on `nll` against the reference, as far as both are known.
    fn loss_verdict(
        &self,
        nll: &[f32],
        non_finite: NonFinite,
        attention: &AttentionPolicy,
    ) -> (LossVerdict, Option<Break>) {
        let Diagnosis { loss_margin, reference_per_token, reference_non_finite_tokens, .. } = &self.diagnosis;
        // Nothing can be held against a reference that is not finite.
        let known = if *reference_non_finite_tokens == 0 { reference_per_token.as_slice() } else { &[] };
        let differences = nll.iter().zip(known).map(|(nll, reference)| f64::from(nll - reference));
        let excess: Vec<f64> = differences.collect();
        let from = self.breaks_from(attention);
        LossVerdict::new(&excess, &self.documents, from, *loss_margin, non_finite)
    }

    /// First position at which a loss can break. A window shorter than the training length may break a model as soon as it
    /// drops its first key.
    fn breaks_from(&self, attention: &AttentionPolicy) -> u64 {
        let trained_length = self.diagnosis.trained_length;
        attention.window.map_or(trained_length, |window| window.min(trained_length))
    }
}

/// The losses of tokens 1..n in the bins of `empty`.
fn by_position(empty: &NllByPosition, nll: &[f32]) -> NllByPosition {
    let mut losses = empty.clone();
    losses.extend(1, nll);
    losses
}
