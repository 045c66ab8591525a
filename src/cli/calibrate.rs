//! `calibrate`: how often verdicts are wrong where the right answer is known.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;

use lm_infinite_runtime::checkpoint::load;
use lm_infinite_runtime::hub;
use lm_infinite_runtime::note::Note;
use lm_infinite_runtime::text::Text;

use super::args::{Calibrate, Cli};
use super::interrupt::Interrupt;
use super::output::{self, Output, progress, say};
use crate::calibrate::{
    Calibration, CalibrationShard, CalibrationText, Extent, Identity, Measured, Plan, Subject, Workspace,
    measure,
};
use crate::error::Error;
use crate::long_run::Shard;
use crate::results::{RunInfo, Source, Target};

/// Models with random weights.
const RANDOM: &str = "random";
/// The model beside those that are built in.
const PULLED: &str = "smollm2";
/// Longest text of a user, in bytes: more is never read.
const LONGEST_TEXT: usize = 64 << 20;

/// Runs the command.
pub fn run(args: &Calibrate, cli: &Cli, arguments: &[OsString], output: &Output) -> anyhow::Result<()> {
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let target = match (&args.resume, args.shard) {
        (Some(_), _) => None,
        (None, None) => Some(Target::new::<Calibration>(args.out.as_deref(), "calibrate")?),
        (None, Some(_)) => Some(Target::new::<CalibrationShard>(args.out.as_deref(), "calibrate")?),
    };
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
    let planned = plan.cases_of(shard);
    if planned == 0 {
        let texts = plan.texts.len();
        return Err(Error::input(
            format!("--shard {shard}"),
            format!("there are {texts} texts: it has none"),
        )
        .into());
    }
    let identity = Identity::new(&plan)?;
    let folder = target.as_ref().map(Target::path).or(args.resume.as_deref()).unwrap_or(Path::new("."));
    let (workspace, mut cases) = match target {
        Some(_) => (Workspace::begin(folder, &identity, shard)?, Vec::new()),
        None => Workspace::resume(folder, &identity, shard)?,
    };
    let done: HashSet<_> = cases.iter().map(Measured::key).collect();
    let bar = progress("calibration", planned as u64, "cases");
    bar.set_position(done.len() as u64);
    let interrupt = Interrupt::listen("stopping after the case that is being judged");
    let take = |case: Measured| {
        workspace.save(&case)?;
        cases.push(case);
        bar.set_position(cases.len() as u64);
        Ok(())
    };
    measure(&plan, shard, &|key| done.contains(&key), take, &|| interrupt.asked())?;
    bar.finish_and_clear();
    if cases.len() < planned {
        let (done, folder) = (cases.len(), folder.display());
        anyhow::bail!(
            "stopped after {done} of {planned} cases, which are saved: go on with the same options and `--resume {folder}` in place of \
             `--out`"
        );
    }
    match args.shard {
        None => {
            let result = Calibration { notes, ..identity.calibration(cases)? };
            output.finish_after(&result, &info, folder, || workspace.finish())
        }
        Some(shard) => {
            let part = CalibrationShard { identity, shard, notes, cases };
            output.finish_after(&part, &info, folder, || workspace.finish())
        }
    }
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
