//! A training from its first step to its last.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use lm_infinite_runtime::Error;
use lm_infinite_runtime::digest;
use lm_infinite_runtime::tokenizer::Tokenizer;

use super::checkpoint::{self, Header, Source};
use super::corpus::Corpus;
use super::gradients::{gradients, loss};
use super::graph::Graph;
use super::log::{self, LogLine};
use super::optimizer::{self, AdamW};
use super::options::TrainOptions;
use super::parameters::{self, Parameter};
use super::{card, export, vocabulary};
use crate::error::Result;

/// A model being trained.
pub struct Trainer {
    options: TrainOptions,
    sources: Vec<Source>,
    corpus: Corpus,
    graph: Graph,
    parameters: Vec<Parameter>,
    adam: AdamW,
    log: Vec<LogLine>,
    seconds: f64,
    since_log: Vec<f64>,
    last_norm: f64,
}

impl Trainer {
    /// Starts a training on the text files `texts`, and writes the model before its first step into `folder`: from then on
    /// it can be resumed.
    ///
    /// # Errors
    /// Options that cannot be, texts that cannot be read or are too short, a folder that cannot be written.
    pub fn start(options: TrainOptions, texts: &[String], folder: &Path) -> Result<Self> {
        options.validate()?;
        let (contents, sources) = read(texts)?;
        let tokenizer = vocabulary::train(&contents, options.shape.vocabulary)?;
        let parameters = parameters::initial(&options.shape.layout(), options.seed);
        let adam = AdamW::new(&parameters);
        // Nothing is in `folder` before the texts, which may take minutes, are tokens.
        let described = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
        export::description(described.path(), &options, &tokenizer)?;
        let trainer = Self::assemble(options, sources, &contents, described.path(), parameters, adam)?;
        let place = lm_infinite_runtime::files::resolve(folder)?;
        std::fs::create_dir_all(&place).map_err(Error::io(place))?;
        export::description(folder, &trainer.options, &tokenizer)?;
        trainer.save(folder)?;
        Ok(trainer)
    }

    /// Goes on with the training in `folder`, from its last checkpoint.
    ///
    /// # Errors
    /// Where there is no checkpoint, or a text is not what it was.
    pub fn resume(folder: &Path) -> Result<Self> {
        let (header, parameters, adam) = checkpoint::load(&folder.join(checkpoint::FILE))?;
        let paths: Vec<String> = header.sources.iter().map(|source| source.path.clone()).collect();
        let (contents, sources) = read(&paths)?;
        for (then, now) in header.sources.iter().zip(&sources) {
            if then != now {
                return Err(Error::malformed(&now.path, "SHA-256", &then.sha256, &now.sha256).into());
            }
        }
        let mut trainer = Self::assemble(header.options, sources, &contents, folder, parameters, adam)?;
        (trainer.log, trainer.seconds) = (header.log, header.seconds);
        Ok(trainer)
    }

    fn assemble(
        options: TrainOptions,
        sources: Vec<Source>,
        contents: &[String],
        folder: &Path,
        parameters: Vec<Parameter>,
        adam: AdamW,
    ) -> Result<Self> {
        let tokenizer = Arc::new(Tokenizer::from_folder(folder, options.shape.vocabulary)?);
        let corpus = Corpus::new(contents, tokenizer, options.shape.length)?;
        let graph = Graph::new(&options.shape.config(), options.shape.parts(), options.shape.length)?;
        Ok(Self {
            options,
            sources,
            corpus,
            graph,
            parameters,
            adam,
            log: Vec::new(),
            seconds: 0.0,
            since_log: Vec::new(),
            last_norm: 0.0,
        })
    }

    /// What is trained, and how.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.adam.steps
    }

    /// Are all steps done?
    pub fn is_done(&self) -> bool {
        self.adam.steps >= self.options.steps
    }

    /// Number of trained values.
    pub fn parameter_count(&self) -> usize {
        parameters::count(&self.parameters)
    }

    /// Tokens of the training part of the texts.
    pub fn train_tokens(&self) -> usize {
        self.corpus.train_tokens()
    }

    /// The log so far.
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    /// One step; returns its loss, in nats per token.
    ///
    /// # Errors
    /// Where the loss leaves the floats. The last checkpoint stays as it is.
    pub fn step(&mut self) -> Result<f64> {
        let start = Instant::now();
        let step = self.adam.steps;
        let segments = self.corpus.batch(&self.options, step)?;
        let variables = parameters::variables(&self.parameters)?;
        let (loss, mut gradients) = gradients(&self.graph, &variables, &segments)?;
        self.last_norm = optimizer::clip(&mut gradients, self.options.clip);
        if !(loss.is_finite() && self.last_norm.is_finite()) {
            let reason =
                format!("the loss left the floats in step {}; try a smaller --learning-rate", step + 1);
            return Err(Error::input("training", reason).into());
        }
        self.adam.update(&self.options, self.options.rate(step), &mut self.parameters, &gradients);
        self.since_log.push(loss);
        self.seconds += start.elapsed().as_secs_f64();
        Ok(loss)
    }

    /// Mean loss on the held-out segments, in nats per token.
    ///
    /// # Errors
    /// None that a trainer that could be made has.
    pub fn held_out_loss(&self) -> Result<f64> {
        loss(&self.graph, &parameters::variables(&self.parameters)?, self.corpus.held_out())
    }

    /// Adds a line with the held-out loss to the log.
    ///
    /// # Errors
    /// As [`Trainer::held_out_loss`].
    pub fn record(&mut self) -> Result<&LogLine> {
        let losses = std::mem::take(&mut self.since_log);
        let line = LogLine {
            step: self.adam.steps,
            loss: losses.iter().sum::<f64>() / losses.len() as f64,
            held_out: self.held_out_loss()?,
            rate: self.options.rate(self.adam.steps.saturating_sub(1)),
            gradient_norm: self.last_norm,
            seconds: self.seconds,
        };
        self.log.push(line);
        Ok(&self.log[self.log.len() - 1])
    }

    /// Writes checkpoint, weights, log and model card into `folder`; each is whole at any moment.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let header = Header::new(
            self.options.clone(),
            self.sources.clone(),
            self.adam.steps,
            self.seconds,
            self.log.clone(),
        );
        checkpoint::save(&folder.join(checkpoint::FILE), &header, &self.parameters, &self.adam)?;
        export::weights(folder, &self.options, &self.parameters)?;
        lm_infinite_runtime::files::write_whole(
            &folder.join("training.csv"),
            log::csv(&self.log).as_bytes(),
        )?;
        let card = card::markdown(&header, self.parameter_count(), self.train_tokens());
        lm_infinite_runtime::files::write_whole(&folder.join("README.md"), card.as_bytes())?;
        Ok(())
    }
}

fn read(texts: &[String]) -> Result<(Vec<String>, Vec<Source>)> {
    let mut contents = Vec::new();
    let mut sources = Vec::new();
    for path in texts {
        let text = lm_infinite_runtime::text::read_text(path)?;
        sources.push(Source { path: path.clone(), sha256: digest::sha256(text.as_bytes()) });
        contents.push(text);
    }
    Ok((contents, sources))
}
