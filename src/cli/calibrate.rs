//! `calibrate`: how often verdicts are wrong where the right answer is known.

use std::ffi::OsString;
use std::path::Path;

use lm_infinite_runtime::checkpoint::load;
use lm_infinite_runtime::hub;
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::text::Text;

use super::args::{Calibrate, Cli};
use super::interrupt::Interrupt;
use super::output::{self, Output, progress, say};
use crate::calibrate::{Calibration, CalibrationText, Extent, Plan, Subject, calibrate};
use crate::error::Error;
use crate::results::{ResultFolder, RunInfo, Source, Target};

/// Models with random weights.
const RANDOM: &str = "random";
/// The model beside those that are built in.
const PULLED: &str = "smollm2";
/// Longest text of a user, in bytes: more is never read.
const LONGEST_TEXT: usize = 64 << 20;

/// Runs the command.
pub fn run(args: &Calibrate, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let target = Target::new::<Calibration>(args.out.as_deref(), "calibrate")?;
    if args.tokens.is_some_and(|tokens| tokens < 2) {
        return Err(Error::input("--tokens", "at least 2 are needed for one prediction").into());
    }
    let given = args.texts.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let (subjects, notes) = subjects(args)?;
    say(&notes);
    let extent = Extent { tokens: args.tokens, quick: args.quick, long: args.long };
    let plan = Plan::new(subjects, given, cli.seed, extent)?;
    let info = RunInfo::new(
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        Source { name: joined(plan.subjects.iter().map(Subject::name)), sha256: None },
        Source { name: joined(plan.texts.iter().map(|text| text.name.as_str())), sha256: None },
        plan.rows.iter().map(|row| row.row.tokens).max().unwrap_or(0),
        plan.rows.iter().map(|row| (row.spec.label.clone(), row.spec.policy.clone())),
        cli.seed,
    );
    let info = match plan.subjects.as_slice() {
        [Subject::Loaded(model)] => info.of_model(model.digest()?),
        _ => info,
    };
    let bar = progress("calibration", plan.cases() as u64, "cases");
    let interrupt = Interrupt::listen("stopping after the case that is being judged");
    let mut result = calibrate(&plan, &|done| bar.set_position(done), &|| interrupt.asked())?;
    bar.finish_and_clear();
    result.notes = notes;
    if interrupt.asked() && (result.cases.len() as u64) < result.planned {
        let (done, planned, folder) = (result.cases.len(), result.planned, target.path().display());
        if done == 0 {
            anyhow::bail!("stopped before the first case; nothing was written");
        }
        ResultFolder::write(target.path(), &result, &info)?;
        anyhow::bail!("stopped after {done} of {planned} cases; what was judged is in {folder}");
    }
    output.finish(&result, &info, target.path())
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn read(path: &Path) -> anyhow::Result<CalibrationText> {
    let text = Text::open(&[path])?;
    Ok(CalibrationText::written(text.name(), text.read_all(LONGEST_TEXT)?))
}

/// The models, and what there is to say of those that are left out.
fn subjects(args: &Calibrate) -> anyhow::Result<(Vec<Subject>, Vec<Note>)> {
    let cache = output::cache()?;
    let mut notes = Vec::new();
    let mut names = args.models.clone();
    if names.is_empty() {
        names.extend(hub::EMBEDDED.iter().map(|model| model.name.to_owned()));
        names.push(RANDOM.to_owned());
        let pulled = hub::list(&cache).0.into_iter().any(|model| model.name == PULLED && model.present);
        let why = match (pulled, args.quick) {
            (true, false) => None,
            (_, true) => Some("left out by --quick".to_owned()),
            (false, _) => Some(format!("left out: run `lm-infinite models pull {PULLED}` first")),
        };
        match why {
            Some(why) => notes.push(Note::new(format!("model {PULLED}"), why)),
            None => names.push(PULLED.to_owned()),
        }
    }
    let mut subjects = Vec::new();
    for name in names {
        if name == RANDOM {
            // Its vocabulary is that of the default model.
            let tokenizer = load(hub::DEFAULT_MODEL, &cache)?.tokenizer;
            subjects.push(Subject::Random(Box::new(tokenizer)));
            continue;
        }
        let model = load(&name, &cache)?;
        notes.extend(
            model
                .notes
                .iter()
                .map(|note| Note { field: format!("model {name}: {}", note.field), ..note.clone() }),
        );
        subjects.push(Subject::Loaded(Box::new(model)));
    }
    Ok((subjects, notes))
}
