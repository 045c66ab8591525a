//! What the commands of tasks share: their methods, their folder, their output.

use std::ffi::OsString;
use std::path::PathBuf;

use lm_infinite_analysis::Proportion;
use lm_infinite_runtime::corpus::Sample;
use lm_infinite_runtime::note::Note;

use super::args::Cli;
use super::inputs::Model;
use super::output::{Output, say};
use crate::error::Result;
use crate::figures::PointSeries;
use crate::method::Method;
use crate::results::task::TaskResult;
use crate::results::{self, RunInfo, Source};

/// Reads methods, or those of `defaults` that the model can follow where none are given.
pub fn methods(model: &Model, given: &[String], defaults: &[&str]) -> Result<Vec<Method>> {
    let defaults = model.followed(defaults);
    if given.is_empty() && model.is_bounded() {
        let said = format!(
            "none was given; the model's positions are learned, so that these are read: {}",
            defaults.join(", ")
        );
        say(&[Note::new("--policy", said)]);
    }
    let texts = if given.is_empty() { &defaults } else { given };
    texts.iter().map(|text| method(model, text)).collect()
}

/// Reads a method that the model can follow.
pub fn method(model: &Model, text: &str) -> Result<Method> {
    let method = Method::parse(text, model.trained_length())?;
    lm_infinite_runtime::session::check_policy(&model.loaded.config, &method.policy)?;
    Ok(method)
}

/// The token that the model was trained to see first.
pub fn bos(model: &Model) -> Option<u32> {
    model.loaded.tokenizer.bos().filter(|_| model.loaded.tokenizer.adds_bos())
}

/// Says how many of `what` have no outcome because logits are not finite; nothing where all have one.
pub fn not_finite(count: u64, what: &str) -> String {
    match count {
        0 => String::new(),
        _ => format!("; not finite: {count} {what} without an answer"),
    }
}

/// A length as axes name it: 512, 4k.
pub fn short(length: u64) -> String {
    if length >= 1024 && length.is_multiple_of(1024) {
        format!("{}k", length / 1024)
    } else {
        length.to_string()
    }
}

/// Shares in percent, with error bars.
pub fn percent_series(name: &str, shares: &[Proportion]) -> PointSeries {
    PointSeries {
        name: name.into(),
        values: shares.iter().map(|share| Some(100.0 * share.share)).collect(),
        intervals: shares.iter().map(|share| Some([100.0 * share.low, 100.0 * share.high])).collect(),
    }
}

/// How the intervals after shares are to be read: `n` of `what`.
pub fn intervals_note(n: u64, what: &str) -> String {
    format!(
        "n = {n} {what}; in brackets 95 % intervals (Wilson): shares whose intervals overlap may be equal\n"
    )
}

/// Refuses a folder that the result of `task` cannot be written to, before the work.
pub fn check_folder(task: &str, out: Option<&PathBuf>) -> Result<()> {
    out.map_or(Ok(()), |folder| results::check::<TaskResult>(folder, task))
}

/// What a run was, for its folder.
pub struct Run<'a> {
    /// The model.
    pub model: &'a Model,
    /// The command line.
    pub arguments: &'a [OsString],
    /// Everything that is not of the command.
    pub cli: &'a Cli,
    /// What was compared.
    pub methods: &'a [Method],
    /// The text: its name, and its digest where `sample` does not say it.
    pub text: Source,
    /// What was taken from it.
    pub sample: Option<&'a Sample>,
    /// Longest input, in tokens.
    pub tokens: u64,
}

impl Run<'_> {
    /// Prints `result`, after writing its folder where one is asked for.
    pub fn finish(&self, result: &TaskResult, out: Option<&PathBuf>, output: &Output) -> anyhow::Result<()> {
        self.finish_after(result, out, output, || Ok(()))
    }

    /// The same; `end` takes away what the unfinished run needed, as soon as its result is in place.
    pub fn finish_after(
        &self,
        result: &TaskResult,
        out: Option<&PathBuf>,
        output: &Output,
        end: impl FnOnce() -> Result<()>,
    ) -> anyhow::Result<()> {
        let mut result = result.clone();
        match self.sample {
            Some(sample) => {
                result.data["repeated_from"] = sample.repeated_from.into();
                result.data["notes"] = serde_json::to_value(&sample.notes)?;
            }
            None => {
                let notes = &self.model.loaded.notes;
                result.data["notes"] = serde_json::to_value(notes)?;
                let said: String = notes.iter().map(|note| format!("{note}\n")).collect();
                result.summary.insert_str(0, &said);
            }
        }
        match out {
            Some(folder) => output.finish_after(&result, &self.info()?, folder, end),
            None => output.write(&result.summary, &result.data),
        }
    }

    fn info(&self) -> anyhow::Result<RunInfo> {
        let model = &self.model.loaded;
        let source = Source { name: model.name.clone(), sha256: None };
        let words = self.arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let policies = self.methods.iter().map(|method| (method.label.clone(), method.policy.clone()));
        let info = RunInfo::new(words, source, self.text.clone(), self.tokens, policies, self.cli.seed);
        let info = info.of_model(model.digest()?);
        Ok(match self.sample {
            Some(sample) => info.with_text(&sample.read, sample.repeated_from, &sample.notes),
            None => RunInfo { notes: model.notes.clone(), ..info },
        })
    }
}
