//! Runs of this session that are not on screen: a new run does not throw an older one away.

use std::sync::Arc;

use lm_infinite::diagnose::{Diagnosis, RunMeasurement};
use lm_infinite::results::RunInfo;

use crate::inputs::Inputs;
use crate::job::Update;
use crate::settings::Settings;
use crate::views::pair::{Earlier, Row};
use crate::views::runs::Named;
use crate::words::grouped;

/// A result folder that is on screen.
#[derive(Clone)]
pub struct OpenedFolder {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub info: Arc<RunInfo>,
    /// What the run bar said when it was opened.
    pub settings: Settings,
}

/// A run that is not on screen.
pub struct Kept {
    /// Which of the session.
    pub number: u64,
    /// What it found.
    pub diagnosis: Arc<Diagnosis>,
    /// What it was made of, if it was made here.
    pub inputs: Option<Arc<Inputs>>,
    /// The result folder it was read from, if it was.
    pub folder: Option<OpenedFolder>,
    /// The number in its name, of one that was made here.
    pub run: u64,
}

/// Runs that are not on screen, the oldest first.
#[derive(Default)]
pub struct History {
    kept: Vec<Kept>,
    last: u64,
}

impl History {
    /// What the column of runs shows of all of them.
    pub fn named(&self) -> Vec<Named> {
        let named = |kept: &Kept| Named { number: kept.number, name: kept.name(), rows: kept.rows() };
        self.kept.iter().map(named).collect()
    }

    /// Keeps one; its number is its own.
    pub fn push(&mut self, kept: Kept) {
        self.last += 1;
        self.kept.push(Kept { number: self.last, ..kept });
    }

    /// Takes one out.
    pub fn remove(&mut self, number: u64) -> Option<Kept> {
        let at = self.kept.iter().position(|kept| kept.number == number)?;
        Some(self.kept.remove(at))
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.number == number)
    }

    /// Lets one go.
    pub fn discard(&mut self, number: u64) {
        self.kept.retain(|kept| kept.number != number);
    }

    /// Takes what a run has sent that goes on while another one is shown; gives back what is of no such run.
    pub fn take(&mut self, update: Update) -> Option<Update> {
        let same =
            |kept: &&mut Kept| kept.inputs.as_ref().is_some_and(|inputs| Arc::ptr_eq(inputs, &update.inputs));
        match self.kept.iter_mut().find(same) {
            Some(kept) => {
                kept.diagnosis = update.diagnosis;
                None
            }
            None => Some(update),
        }
    }
}

impl Kept {
    /// Its policies, each with its name in words.
    fn rows(&self) -> Vec<(Row, String)> {
        let row = |(side, run): (usize, &RunMeasurement)| {
            let of = self.folder.is_none().then_some(self.run);
            let row = Row::Earlier(Earlier { kept: self.number, run: of, side });
            let folder = self.folder.as_ref().map_or_else(String::new, |folder| format!(" {}", folder.name));
            (row, format!("{}{folder}: {}, {}", row.words(), self.diagnosis.model, run.policy))
        };
        self.diagnosis.runs.iter().enumerate().map(row).collect()
    }

    fn name(&self) -> String {
        let run = match &self.folder {
            Some(folder) => folder.name.clone(),
            None => format!("Run {}", self.run),
        };
        let policies: Vec<_> = self.diagnosis.runs.iter().map(|run| run.policy.as_str()).collect();
        let (model, tokens) = (&self.diagnosis.model, grouped(self.diagnosis.tokens_read()));
        format!("{run} of {model}, {tokens} tokens, {}", policies.join(", "))
    }
}
