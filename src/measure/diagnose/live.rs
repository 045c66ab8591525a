//! A diagnosis while it is being made: several policies read the same text in step, and can be looked at after every one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lm_infinite_runtime::policy::PolicySpec;
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::session::Session;

use super::builder::{DiagnosisBuilder, RunInput};
use super::collector::Collector;
use super::model::Diagnosis;
use crate::error::{Error, Result};
use crate::machine;

/// Policies that read one text side by side.
pub struct Live {
    name: String,
    decoder: Arc<Decoder>,
    /// Those that [`Live::step`] reads.
    tokens: Arc<[u32]>,
    /// Tokens of the text.
    length: usize,
    reference: Vec<f32>,
    documents: Vec<u64>,
    runs: Vec<LiveRun>,
}

struct LiveRun {
    spec: PolicySpec,
    session: Session,
    collector: Collector,
    nll: Vec<f32>,
    spent: Duration,
}

impl Live {
    /// Nothing read yet. `reference` is the loss of tokens 1..n that breaks are measured from, as for
    /// [`DiagnosisBuilder::new`]: all of it, or what is known by now (see [`Self::extend_reference`]).
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn new(
        name: impl Into<String>,
        decoder: Arc<Decoder>,
        tokens: Arc<[u32]>,
        reference: Vec<f32>,
        policies: Vec<PolicySpec>,
    ) -> Result<Self> {
        let live = Self::of_length(name, decoder, tokens.len(), policies)?;
        Ok(Self { tokens, reference, ..live })
    }

    /// The same of a text of `length` tokens that are not known yet, and go to [`Self::read`]; nothing is known of the reference.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn of_length(
        name: impl Into<String>,
        decoder: Arc<Decoder>,
        length: usize,
        policies: Vec<PolicySpec>,
    ) -> Result<Self> {
        let run = |spec: PolicySpec| {
            Ok(LiveRun {
                session: Session::new(decoder.clone(), spec.policy.clone())?,
                collector: Collector::new(decoder.config(), length as u64).with_pooled_maps(),
                nll: Vec::new(),
                spent: Duration::ZERO,
                spec,
            })
        };
        let runs = policies.into_iter().map(run).collect::<Result<_>>()?;
        let (tokens, reference, documents) = (Arc::default(), Vec::new(), Vec::new());
        Ok(Self { name: name.into(), decoder, tokens, length, reference, documents, runs })
    }

    /// The positions at which documents of the text start, as for [`DiagnosisBuilder::with_documents`]: as far as they are known.
    pub fn set_documents(&mut self, starts: Vec<u64>) {
        self.documents = starts;
    }

    /// Tokens that every policy has read.
    pub fn position(&self) -> usize {
        self.runs.iter().map(|run| run.session.position() as usize).min().unwrap_or(self.length)
    }

    /// More of the reference. Breaks are told as far as it goes, so it should be ahead of what is read.
    pub fn extend_reference(&mut self, losses: &[f32]) {
        self.reference.extend(losses);
    }

    /// Tokens to read.
    pub fn len(&self) -> usize {
        self.length
    }

    /// True if there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Every policy reads the next `count` tokens, or what is left.
    ///
    /// # Errors
    /// As [`Session::score`].
    pub fn step(&mut self, count: usize) -> Result<()> {
        let (tokens, from) = (self.tokens.clone(), self.position());
        self.read(&tokens[from.min(tokens.len())..tokens.len().min(from.saturating_add(count))])
    }

    /// Every policy reads `chunk`, the next tokens of the text.
    ///
    /// # Errors
    /// More than the text has; as [`Session::score`].
    pub fn read(&mut self, chunk: &[u32]) -> Result<()> {
        let (position, length) = (self.position(), self.length);
        if chunk.len() > length.saturating_sub(position) {
            let got = format!("{} more tokens behind {position} of {length}", chunk.len());
            return Err(Error::input("text", got));
        }
        for run in &mut self.runs {
            let start = Instant::now();
            run.collector.make_room(run.session.position() + chunk.len() as u64);
            run.nll.extend(run.session.score(chunk, Some(&mut run.collector))?.nll);
            run.spent += start.elapsed();
        }
        Ok(())
    }

    /// What is known so far. At the end it is the diagnosis that the command makes.
    ///
    /// # Errors
    /// As [`Collector::finish`] and [`DiagnosisBuilder::push`].
    pub fn diagnosis(&self) -> Result<Diagnosis> {
        let (config, tokens) = (self.decoder.config(), self.length as u64);
        let mut builder = DiagnosisBuilder::new(&self.name, config, tokens, self.reference.clone(), None)
            .with_documents(self.documents.clone());
        for run in &self.runs {
            let input = RunInput {
                policy: run.spec.label.clone(),
                attention: run.spec.policy.clone(),
                nll: run.nll.clone(),
                prefill_tokens_per_second: run.session.position() as f64 / run.spent.as_secs_f64(),
                peak_rss_bytes: machine::peak_rss_bytes(),
                kv_cache_bytes: run.session.kv_cache_bytes() as u64,
            };
            builder.push(input, run.collector.clone().finish()?)?;
        }
        Ok(builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::RunMeasurement;
    use crate::evaluate::{ReferenceWindows, Segments, evaluate, evaluate_in_segments};
    use lm_infinite_runtime::attention_window::{AttentionWindow, WindowRequest};
    use lm_infinite_runtime::policy::AttentionPolicy;

    /// Pooled maps gathered on the way are those of a window that is read again.
    fn check_pooled(decoder: &Arc<Decoder>, tokens: &[u32], run: &RunMeasurement, policy: &AttentionPolicy) {
        let maps = run.arrays.pooled.as_ref().expect("gathered");
        let end = tokens.len() as u64;
        for (begin, layer, head) in [(0, 0, 0), (end - 160, 5, 3)] {
            let (queries, keys) = (begin..begin + 160, begin..begin + 160);
            let request = WindowRequest { layer, head, queries, keys: keys.clone(), pool: maps.side() };
            let window = AttentionWindow::read(decoder, policy, tokens, &request, &|_, _| true);
            let window = window.expect("runs").expect("nobody stopped it");
            for query in request.queries.clone().step_by(maps.side() as usize) {
                for key in keys.clone().step_by(maps.side() as usize).take_while(|&key| key <= query) {
                    let cell = maps.at((layer, head), query, key).expect("seen");
                    let logit = window.logit(query, key).expect("inside");
                    let log = window.probability(query, key).expect("inside").ln();
                    for (name, got, wanted) in
                        [("logit", cell.logit, logit), ("log", cell.log_probability, log)]
                    {
                        let close = got == wanted || (got - wanted).abs() < 2e-3;
                        assert!(close, "{} {name} {query} {key}: {got} {wanted}", run.policy);
                    }
                }
            }
        }
    }

    #[test]
    fn a_live_diagnosis_ends_as_the_whole_one_and_is_one_on_the_way() {
        let loaded = lm_infinite_runtime::checkpoint::load(
            "tiny-rope",
            &lm_infinite_runtime::hub::Cache::open().expect("a folder"),
        )
        .expect("it");
        let decoder = Arc::new(Decoder::new(loaded.config.clone(), loaded.weights).expect("a whole model"));
        let text = include_str!("../../../runtime/assets/text/sample.txt");
        let tokens: Arc<[u32]> = loaded.tokenizer.encode(&text[..6000]).expect("tokens")[..1024].into();
        let expected = evaluate_in_segments(
            &decoder,
            &tokens,
            None,
            ReferenceWindows::of(decoder.config(), tokens.len() as u64),
            &|_| (),
        )
        .expect("runs");
        let specs: Vec<_> =
            ["vanilla", "lm-infinite"].map(|text| PolicySpec::parse(text, 256).expect("a policy")).to_vec();
        let mut live =
            Live::new("m", decoder.clone(), tokens.clone(), expected.clone(), specs.clone()).expect("fits");
        let mut whole = DiagnosisBuilder::new("m", &loaded.config, 1024, expected, None);
        for spec in specs.clone() {
            let mut collector = Collector::new(&loaded.config, 1024);
            let run = evaluate(&decoder, &spec.policy, &tokens, Some(&mut collector), &|_| ()).expect("runs");
            let input = RunInput {
                policy: spec.label,
                attention: spec.policy,
                nll: run.nll,
                prefill_tokens_per_second: 1.0,
                peak_rss_bytes: None,
                kv_cache_bytes: 0,
            };
            whole.push(input, collector.finish().expect("whole")).expect("the same text");
        }
        assert!(live.diagnosis().expect("of nothing").runs[0].nll.is_none());
        live.step(512).expect("tokens");
        let half = live.diagnosis().expect("on the way");
        assert!(half.runs[1].nll.is_some() && half.runs[0].arrays.nll.len() == 511);
        live.step(usize::MAX).expect("tokens");
        live.step(1).expect("nothing is left");
        assert_eq!(live.position(), live.len());
        let mut by_pieces = Live::of_length("m", decoder.clone(), 1024, specs.clone()).expect("fits");
        let windows = ReferenceWindows::of(decoder.config(), 1024);
        let mut reference = Segments::of_length(&decoder, 1024, None, windows);
        while let Some(losses) = reference.next_of(&|range| tokens[range].to_vec()) {
            by_pieces.extend_reference(&losses.expect("runs"));
        }
        tokens.chunks(512).for_each(|chunk| by_pieces.read(chunk).expect("tokens"));
        assert!(
            by_pieces.read(&[1]).expect_err("nothing is left").to_string().contains("behind 1024 of 1024")
        );
        let last = live.diagnosis().expect("at the end");
        let of_pieces = by_pieces.diagnosis().expect("at the end");
        for (run, whole) in of_pieces.runs.iter().zip(&last.runs) {
            assert_eq!((&run.arrays.nll, &run.loss), (&whole.arrays.nll, &whole.loss));
        }
        for (run, spec) in last.runs.iter().zip(&specs) {
            check_pooled(&decoder, &tokens, run, &spec.policy);
        }
        let whole = whole.finish();
        for (live, whole) in live.diagnosis().expect("at the end").runs.iter().zip(&whole.runs) {
            assert_eq!(
                (&live.arrays.nll, &live.arrays.max_logit),
                (&whole.arrays.nll, &whole.arrays.max_logit)
            );
            assert_eq!(
                (&live.heads, &live.factors, &live.breaks),
                (&whole.heads, &whole.factors, &whole.breaks)
            );
        }
    }
}
