//! What is judged: rows of cases, each a model under one policy at one length, with the right answer of its loss.

use std::fmt;
use std::sync::Arc;

use lm_infinite_runtime::checkpoint::LoadedModel;
use lm_infinite_runtime::hub;
use lm_infinite_runtime::model::config::PositionConfig;
use lm_infinite_runtime::policy::PolicySpec;
use lm_infinite_runtime::session::Decoder;
use lm_infinite_runtime::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

use super::random_model::{RANDOM_TRAINED_LENGTH, random_model};
use super::texts::CalibrationText;
use crate::error::{Error, Result};
use crate::long_run::Shard;
use crate::words::grouped;

/// Tokens that LM-Infinite reads where `--tokens` does not say it: what `diagnose` reads of a model of short training length.
pub const DEFAULT_TOKENS: u64 = 4096;
/// Tokens that random models read.
const RANDOM_TOKENS: u64 = 1024;
/// Texts for a model that is not built in, which takes minutes for each; and for its longest row.
const FEWER_TEXTS: usize = 12;
const FEWEST_TEXTS: usize = 3;
/// Texts of the quick subset.
const QUICK_TEXTS: usize = 8;
/// How many times the tokens of a case its reading has at least; of the quick subset.
const TIMES: usize = 6;
const QUICK_TIMES: usize = 4;

/// The right answer, by how the case is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Not `fails`: the model sees nothing that training did not show, or has nothing to lose.
    Null,
    /// The loss `fails`.
    Failure,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Failure => "failure",
        })
    }
}

/// A model to read with.
#[derive(Debug)]
pub enum Subject {
    /// One with weights.
    Loaded(Box<LoadedModel>),
    /// For every text another, with random weights, and this tokenizer.
    Random(Box<Tokenizer>),
}

impl Subject {
    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Loaded(model) => &model.name,
            Self::Random(_) => "random weights",
        }
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        match self {
            Self::Loaded(model) => &model.tokenizer,
            Self::Random(tokenizer) => tokenizer,
        }
    }

    /// A decoder whose training length is taken as `trained_length`, for the text of number `text`.
    ///
    /// # Errors
    /// As [`Decoder::new`].
    pub fn decoder(&self, trained_length: u64, text: usize, seed: u64) -> Result<Arc<Decoder>> {
        let (mut config, weights) = match self {
            Self::Loaded(model) => (model.config.clone(), model.weights.clone()),
            // Seeds of neighbouring calibrations share no model.
            Self::Random(tokenizer) => {
                random_model(seed.wrapping_mul(1 << 20) + text as u64, tokenizer.vocabulary_size())?
            }
        };
        config.trained_length = trained_length;
        Ok(Arc::new(Decoder::new(config, weights)?))
    }
}

/// Cases that differ in their text alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is asked, in a line.
    pub name: String,
    /// Name of the model.
    pub model: String,
    /// What its training length is taken for.
    pub trained_length: u64,
    /// The policy as written.
    pub policy: String,
    /// Tokens read.
    pub tokens: u64,
    /// The right answer.
    pub expected: Expected,
    /// Is it read at the length that `diagnose` takes by default? Elsewhere `undecided` is the length's fault.
    pub default_length: bool,
}

/// A [`Row`] and what it is measured with.
#[derive(Clone, Debug)]
pub struct PlannedRow {
    /// What is told of it.
    pub row: Row,
    /// Index of its model.
    pub subject: usize,
    /// The policy.
    pub spec: PolicySpec,
    /// Its texts, by index.
    pub texts: Vec<usize>,
    /// Are there longer readings of the same kind of text? Where they would take hours, the other texts of the row serve.
    pub longer: bool,
}

/// How much is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Tokens that LM-Infinite reads.
    pub tokens: Option<u64>,
    /// Few texts, and of the rows those that take seconds.
    pub quick: bool,
    /// Also what takes minutes a case.
    pub long: bool,
}

/// Everything that is to be judged.
#[derive(Debug)]
pub struct Plan {
    /// The models.
    pub subjects: Vec<Subject>,
    /// The texts.
    pub texts: Vec<CalibrationText>,
    /// The rows.
    pub rows: Vec<PlannedRow>,
    /// Seed of drawn texts and random weights.
    pub seed: u64,
    /// How many times the tokens of a case its reading has at least.
    pub times: usize,
}

impl Plan {
    /// Rows for `subjects` over the texts of this crate, and LM-Infinite over `given` too.
    ///
    /// # Errors
    /// Models for which there is no case; as [`PolicySpec::parse`].
    pub fn new(
        subjects: Vec<Subject>,
        given: Vec<CalibrationText>,
        seed: u64,
        extent: Extent,
    ) -> Result<Self> {
        let mut texts = CalibrationText::all();
        if extent.quick {
            texts.truncate(QUICK_TEXTS);
        }
        let own = texts.len();
        texts.extend(given);
        let all: Vec<usize> = (0..own).collect();
        let given: Vec<usize> = (own..texts.len()).collect();
        let mut rows = Rows { extent, all, given, planned: Vec::new() };
        for (index, subject) in subjects.iter().enumerate() {
            match subject {
                Subject::Random(_) => rows.random(index, subject.name())?,
                Subject::Loaded(model) if hub::EMBEDDED.iter().any(|known| known.name == model.name) => {
                    rows.built_in(index, model)?;
                }
                Subject::Loaded(model) => rows.other(index, model)?,
            }
        }
        if rows.planned.is_empty() {
            return Err(Error::input("--model", "there is no case for it: its training length is too short"));
        }
        let times = if extent.quick { QUICK_TIMES } else { TIMES };
        Ok(Self { subjects, texts, rows: rows.planned, seed, times })
    }

    /// How many cases there are.
    pub fn cases(&self) -> usize {
        self.cases_of(Shard::WHOLE)
    }

    /// How many of them `shard` has.
    pub fn cases_of(&self, shard: Shard) -> usize {
        let of_text = |text| self.rows.iter().filter(|row| row.texts.contains(&text)).count();
        self.texts_of(shard).map(of_text).sum()
    }

    /// Texts of `shard`, by index: what takes long is spread over all shards, since the first texts are read by most rows.
    pub fn texts_of(&self, shard: Shard) -> impl Iterator<Item = usize> + use<> {
        let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        (at(shard.index)..self.texts.len()).step_by(at(shard.count).max(1))
    }
}

struct Rows {
    extent: Extent,
    all: Vec<usize>,
    given: Vec<usize>,
    planned: Vec<PlannedRow>,
}

/// What a row differs in from others of its model.
struct Differs<'a> {
    trained_length: u64,
    policy: &'a str,
    tokens: u64,
    expected: Expected,
    default_length: bool,
}

impl Rows {
    fn push(
        &mut self,
        subject: usize,
        model: &str,
        texts: Vec<usize>,
        longer: bool,
        differs: Differs<'_>,
    ) -> Result<()> {
        let Differs { trained_length, policy, tokens, expected, default_length } = differs;
        let spec = PolicySpec::parse(policy, trained_length)?;
        let name = format!("{model}, {}, {} → {}", spec.label, grouped(trained_length), grouped(tokens));
        let policy = spec.label.clone();
        let row =
            Row { name, model: model.to_owned(), trained_length, policy, tokens, expected, default_length };
        if !texts.is_empty() {
            self.planned.push(PlannedRow { row, subject, spec, texts, longer });
        }
        Ok(())
    }

    /// A row of a model of this program.
    fn built_in(&mut self, subject: usize, model: &LoadedModel) -> Result<()> {
        let (trained, name) = (model.config.trained_length, model.name.as_str());
        let rope = matches!(model.config.position, PositionConfig::Rope { .. });
        let texts = self.all.clone();
        if rope {
            self.lm_infinite(subject, model, texts.clone(), true)?;
        }
        for part in [2, 4] {
            if self.extent.quick && part != 2 {
                continue;
            }
            self.inside(subject, model, part, trained, texts.clone(), true)?;
        }
        for times in [16, 4, 2] {
            if !rope || (self.extent.quick && times != 4) {
                continue;
            }
            let differs = Differs {
                trained_length: trained,
                policy: "vanilla",
                tokens: trained * times,
                expected: Expected::Failure,
                default_length: trained * times >= DEFAULT_TOKENS,
            };
            self.push(subject, name, texts.clone(), true, differs)?;
        }
        Ok(())
    }

    /// Rows of any other model: reading long texts takes it minutes.
    fn other(&mut self, subject: usize, model: &LoadedModel) -> Result<()> {
        let (trained, name) = (model.config.trained_length, model.name.as_str());
        let few: Vec<usize> = self.all.iter().copied().take(FEWER_TEXTS).collect();
        self.lm_infinite(subject, model, Vec::new(), false)?;
        for part in [8, 4, 2] {
            if trained < 16 * part || (self.extent.quick && part != 8) {
                continue;
            }
            self.inside(subject, model, part, 2 * trained / part, few.clone(), false)?;
        }
        // Without start tokens, where distances are rotated: the attention sink is lost with the first keys.
        if matches!(model.config.position, PositionConfig::Rope { .. }) && trained >= 64 {
            let window = format!("window:window={}", trained / 16);
            let differs = Differs {
                trained_length: trained,
                policy: &window,
                tokens: trained / 4,
                expected: Expected::Failure,
                default_length: false,
            };
            self.push(subject, name, few.clone(), false, differs)?;
        }
        if self.extent.long {
            let differs = Differs {
                trained_length: trained,
                policy: "vanilla",
                tokens: trained * 3 / 2,
                expected: Expected::Failure,
                default_length: true,
            };
            self.push(subject, name, few.into_iter().take(FEWEST_TEXTS).collect(), false, differs)?;
        }
        Ok(())
    }

    /// LM-Infinite over `texts`, and those that are given.
    fn lm_infinite(
        &mut self,
        subject: usize,
        model: &LoadedModel,
        mut texts: Vec<usize>,
        longer: bool,
    ) -> Result<()> {
        texts.extend(&self.given);
        let trained = model.config.trained_length;
        let default = (trained.saturating_mul(3) / 2).max(DEFAULT_TOKENS);
        let tokens = self.extent.tokens.unwrap_or(default);
        let differs = Differs {
            trained_length: trained,
            policy: "lm-infinite",
            tokens,
            expected: Expected::Null,
            default_length: tokens >= default,
        };
        self.push(subject, &model.name, texts, longer, differs)
    }

    /// A model that never leaves its training length, which is taken for a part of what it is.
    fn inside(
        &mut self,
        subject: usize,
        model: &LoadedModel,
        part: u64,
        tokens: u64,
        texts: Vec<usize>,
        longer: bool,
    ) -> Result<()> {
        let differs = Differs {
            trained_length: model.config.trained_length / part,
            policy: "vanilla",
            tokens,
            expected: Expected::Null,
            default_length: tokens >= DEFAULT_TOKENS,
        };
        self.push(subject, &model.name, texts, longer, differs)
    }

    fn random(&mut self, subject: usize, name: &str) -> Result<()> {
        for policy in ["vanilla", "lm-infinite"] {
            let differs = Differs {
                trained_length: RANDOM_TRAINED_LENGTH,
                policy,
                tokens: RANDOM_TOKENS,
                expected: Expected::Null,
                default_length: false,
            };
            self.push(subject, name, self.all.clone(), true, differs)?;
        }
        Ok(())
    }
}
