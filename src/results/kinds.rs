//! Every kind of result that a folder can be opened as.

use std::path::{Path, PathBuf};

use super::RunInfo;
use super::storable::{AnyStorable, Part, Storable};
use super::store::RUN;
use super::task::TaskResult;
use crate::ablation::Ablation;
use crate::bench::BenchResult;
use crate::calibrate::{Calibration, CalibrationShard};
use crate::diagnose::{Diagnosis, DiagnosisShard};
use crate::error::{Error, Result};
use crate::long_run::LongResult;

/// The kinds. A new one is added here, and nowhere else.
const KINDS: [Kind; 8] = [
    Kind::of::<Diagnosis>(),
    Kind::of::<DiagnosisShard>(),
    Kind::of::<LongResult>(),
    Kind::of::<Ablation>(),
    Kind::of::<BenchResult>(),
    Kind::of::<Calibration>(),
    Kind::of::<CalibrationShard>(),
    Kind::of::<TaskResult>(),
];

/// The result of a merge, of whatever type, and how it came about.
pub type Joined = (Box<dyn AnyStorable>, RunInfo);

/// What can be done with a result without knowing its type.
#[derive(Debug)]
pub struct Kind {
    /// [`Storable::KIND`]
    pub name: &'static str,
    /// [`Storable::NAMED`]
    pub named: &'static str,
    /// [`Storable::FILE`]
    pub file: &'static str,
    /// [`Storable::FILES`]
    pub files: &'static [&'static str],
    /// [`Storable::read`]
    pub read: fn(&Path) -> Result<Box<dyn AnyStorable>>,
    /// [`Storable::merge`] of the results in these folders.
    pub merge: fn(Vec<(PathBuf, RunInfo)>) -> Result<Joined>,
}

impl Kind {
    const fn of<T: Storable>() -> Self {
        Self {
            name: T::KIND,
            named: T::NAMED,
            file: T::FILE,
            files: T::FILES,
            read: read::<T>,
            merge: merge::<T>,
        }
    }

    /// The kind of a folder whose `run.json` says `name`. A task has the name of its command, which this table does not
    /// hold: it is known by its file.
    pub fn find(name: &str, folder: &Path) -> Result<&'static Self> {
        if let Some(kind) = KINDS.iter().find(|kind| kind.name == name) {
            return Ok(kind);
        }
        let here: Vec<&Self> = KINDS.iter().filter(|kind| folder.join(kind.file).is_file()).collect();
        match here[..] {
            [kind] if name.is_empty() || kind.name == TaskResult::KIND => Ok(kind),
            [] if name.is_empty() => {
                let all: Vec<_> = KINDS.iter().map(|kind| kind.file).collect();
                let expected = format!("one of {}, which figures are drawn from", all.join(", "));
                Err(Error::malformed(folder, "result", expected, "none of them"))
            }
            [first, second, ..] if name.is_empty() => {
                let got = format!("{} and {} together", first.named, second.named);
                Err(Error::malformed(folder, "result", "one result", got))
            }
            _ => {
                let all: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
                let expected = format!("a kind that this version knows ({})", all.join(", "));
                Err(Error::malformed(folder.join(RUN), "kind", expected, name))
            }
        }
    }
}

fn read<T: Storable>(folder: &Path) -> Result<Box<dyn AnyStorable>> {
    Ok(Box::new(T::read(folder)?))
}

fn merge<T: Storable>(folders: Vec<(PathBuf, RunInfo)>) -> Result<Joined> {
    let part = |(folder, info): (PathBuf, RunInfo)| {
        let outcome = T::read(&folder)?;
        Ok(Part { folder, info, outcome })
    };
    let (whole, info) = T::merge(folders.into_iter().map(part).collect::<Result<_>>()?)?;
    Ok((Box::new(whole), info))
}
