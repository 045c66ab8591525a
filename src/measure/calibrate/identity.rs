//! What a calibration is one of: models, texts and rows. It goes on, and is joined, only as what it was begun.

use lm_infinite_runtime::model::ModelDigest;
use serde::{Deserialize, Serialize};

use super::case::{CaseKey, Measured, reading};
use super::plan::{Plan, Row, Subject};
use super::random_model::RANDOM_TRAINED_LENGTH;
use super::result::Calibration;
use super::texts::Source;
use crate::diagnose::LOSS_MARGIN;
use crate::error::{Error, Result};

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Model {
    name: String,
    /// Of random weights: of the model of the first text.
    digest: ModelDigest,
}

/// A text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Text {
    name: String,
    sha256: String,
}

/// A row, its texts by index, and whether its cases have longer readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PlannedCases {
    row: Row,
    texts: Vec<usize>,
    longer: bool,
}

/// What decides the numbers of a calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    models: Vec<Model>,
    texts: Vec<Text>,
    rows: Vec<PlannedCases>,
    seed: u64,
    /// How many times the tokens of a case its reading has at least.
    times: usize,
    /// Of the loss, in nats.
    margin: f64,
}

/// A field in which two calibrations differ, and what the two have there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub field: String,
    /// Of this one.
    pub this: String,
    /// Of the other.
    pub other: String,
}

impl Identity {
    /// Of `plan`. Reads the weights of all models.
    ///
    /// # Errors
    /// As [`Subject::decoder`] and [`LoadedModel::digest`](lm_infinite_runtime::checkpoint::LoadedModel::digest).
    pub fn new(plan: &Plan) -> Result<Self> {
        let model = |subject: &Subject| -> Result<Model> {
            let digest = match subject {
                Subject::Loaded(model) => model.digest()?,
                Subject::Random(tokenizer) => {
                    let decoder = subject.decoder(RANDOM_TRAINED_LENGTH, 0, plan.seed)?;
                    ModelDigest { tokenizer: Some(tokenizer.sha256()?), ..decoder.digest() }
                }
            };
            Ok(Model { name: subject.name().to_owned(), digest })
        };
        let text =
            |text: &super::CalibrationText| Text { name: text.name.clone(), sha256: text.sha256(plan.seed) };
        let row = |row: &super::PlannedRow| PlannedCases {
            row: row.row.clone(),
            texts: row.texts.clone(),
            longer: row.longer,
        };
        Ok(Self {
            models: plan.subjects.iter().map(model).collect::<Result<_>>()?,
            texts: plan.texts.iter().map(text).collect(),
            rows: plan.rows.iter().map(row).collect(),
            seed: plan.seed,
            times: plan.times,
            margin: LOSS_MARGIN,
        })
    }

    /// The first thing in which `other` is another calibration; `None` if it is the same.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        let differs = |field: &str, this: String, other: String| {
            (this != other).then(|| Difference { field: field.to_owned(), this, other })
        };
        let models =
            |of: &Self| of.models.iter().map(|model| model.name.clone()).collect::<Vec<_>>().join(", ");
        let texts = |of: &Self| of.texts.iter().map(|text| text.name.clone()).collect::<Vec<_>>().join(", ");
        let rows = |of: &Self| of.rows.iter().map(|row| row.row.name.clone()).collect::<Vec<_>>().join("; ");
        let model = || {
            self.models.iter().zip(&other.models).find_map(|(this, other)| {
                let part = this.digest.difference(&other.digest)?;
                let field = format!("model {} ({part})", this.name);
                differs(&field, this.digest.whole(), other.digest.whole())
            })
        };
        let text = || {
            let mut pairs = self.texts.iter().zip(&other.texts);
            pairs.find_map(|(this, other)| {
                differs(&format!("text {}", this.name), this.sha256.clone(), other.sha256.clone())
            })
        };
        let row = || {
            let mut pairs = self.rows.iter().zip(&other.rows);
            pairs.find_map(|(this, other)| {
                differs(&format!("row {}", this.row.name), format!("{this:?}"), format!("{other:?}"))
            })
        };
        differs("models", models(self), models(other))
            .or_else(|| differs("seed", self.seed.to_string(), other.seed.to_string()))
            .or_else(model)
            .or_else(|| differs("texts", texts(self), texts(other)))
            .or_else(text)
            .or_else(|| differs("rows", rows(self), rows(other)))
            .or_else(row)
            .or_else(|| differs("tokens of a reading", self.times.to_string(), other.times.to_string()))
            .or_else(|| differs("margin", self.margin.to_string(), other.margin.to_string()))
    }

    /// Whether there is a case of this text in this row.
    pub fn has(&self, (text, row): CaseKey) -> bool {
        self.rows.get(row).is_some_and(|row| row.texts.contains(&text))
    }

    /// How many cases there are.
    pub fn cases(&self) -> usize {
        self.rows.iter().map(|row| row.texts.len()).sum()
    }

    /// Longest text, in tokens.
    pub fn tokens(&self) -> u64 {
        self.rows.iter().map(|row| row.row.tokens).max().unwrap_or(0)
    }

    /// The calibration of these cases, in any order; where some are missing, it says so.
    ///
    /// # Errors
    /// A case that is not of this calibration, or is there twice.
    pub fn calibration(&self, mut all: Vec<Measured>) -> Result<Calibration> {
        all.sort_by_key(Measured::key);
        let other = |reason: &str, case: &Measured| {
            let (text, row) = case.key();
            Err(Error::input(format!("case {row} of text {text}"), reason))
        };
        if let Some(case) = all.iter().find(|case| !self.has(case.key())) {
            return other("it is of no row of this calibration", case);
        }
        if let Some(pair) = all.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
            return other("it is there twice", &pair[1]);
        }
        self.read_others(&mut all);
        Ok(Calibration {
            models: self.models.iter().map(|model| model.name.clone()).collect(),
            texts: self.texts.iter().map(|text| text.name.clone()).collect(),
            margin: self.margin,
            planned: self.cases() as u64,
            notes: Vec::new(),
            rows: self.rows.iter().map(|row| row.row.clone()).collect(),
            cases: all.into_iter().map(|measured| measured.case).collect(),
        })
    }

    /// The readings of cases for which longer ones would take hours: the other texts of their row.
    fn read_others(&self, all: &mut [Measured]) {
        for at in 0..all.len() {
            let row = all[at].case.row;
            if self.rows[row].longer {
                continue;
            }
            let others: Vec<Vec<f64>> = (0..all.len())
                .filter(|&other| other != at && all[other].case.row == row)
                .map(|other| all[other].excess.clone())
                .collect();
            if !others.is_empty() {
                let case = &mut all[at].case;
                (case.truth, case.reading) = reading(&others, self.margin, Source::OtherTexts);
            }
        }
    }
}
