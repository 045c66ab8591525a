//! Result folders: everything a run measured, readable without this program and enough to draw its figures again.
//!
//! | file | what |
//! |---|---|
//! | `run.json` | how to repeat the run: [`RunInfo`] |
//! | `diagnosis.json` | the whole [`Diagnosis`] but for its arrays |
//! | `summary.txt` | what broke first and where |
//! | `*.csv` | tables with a header row and units in the names |
//! | `arrays.npz` | values per token and per head |
//! | `*.svg`, `*.png` | figures |
//! | `report.html` | all of it in words, figures and tables, in one file |

mod ablation;
mod arrays;
mod bench;
mod folder;
mod info;
mod long;
mod report;
mod tables;
pub mod task;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use ablation::write_ablation;
pub use bench::{BenchResult, write_bench};
pub use info::{Machine, RunInfo, Source};
pub use long::{LongResult, LongRunResult, merge_long, write_long};

use folder::Staging;

use crate::diagnose::Diagnosis;
use crate::error::{Error, Result};
use crate::figures;

const RUN: &str = "run.json";
const DIAGNOSIS: &str = "diagnosis.json";
const ARRAYS: &str = "arrays.npz";

/// `results/<model>-<date>-<time>`, with what a file name cannot hold replaced.
pub fn default_folder(model: &str) -> PathBuf {
    let name = Path::new(model).file_name().map_or(model.into(), |name| name.to_string_lossy());
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(safe).collect();
    Path::new("results").join(format!("{}-{}", name.trim_start_matches('.'), info::Date::now().short()))
}

/// Refuses a path that holds something other than a result folder (an empty folder is fine). Worth asking before a long
/// run; [`write()`] asks again.
pub fn check_target(path: &Path) -> Result<()> {
    let refuse = |reason: &str| Err(Error::input(format!("result folder `{}`", path.display()), reason));
    if !path.exists() {
        return Ok(());
    }
    if !path.is_dir() {
        return refuse("it exists and is no folder");
    }
    let empty = fs::read_dir(path).map_err(Error::io(path))?.next().is_none();
    let ours = || from_json::<RunInfo>(&path.join(RUN)).is_ok_and(|info| info.is_ours());
    if empty || ours() { Ok(()) } else { refuse("it exists and is not a result folder; it is left as it is") }
}

/// Writes a whole result folder at `path`, in place of an older result if there is one.
///
/// Everything is built in a temporary folder beside `path` and renamed at the end, so that a partial result never
/// stands where a whole one is looked for.
pub fn write(path: &Path, diagnosis: &Diagnosis, info: &RunInfo) -> Result<()> {
    check_target(path)?;
    let staging = Staging::beside(path)?;
    let at = |name: &str| staging.path().join(name);
    to_json(&at(DIAGNOSIS), diagnosis, false)?;
    save(&at("summary.txt"), &diagnosis.summary())?;
    for (name, table) in tables::all(diagnosis) {
        save(&at(name), &table)?;
    }
    arrays::write(&at(ARRAYS), diagnosis)?;
    figures::draw_all(diagnosis, staging.path())?;
    report::write(staging.path(), diagnosis, info)?;
    to_json(&at(RUN), info, true)?;
    staging.commit()
}

/// The CSV table called `name` (`nll_by_position.csv`), as [`write()`] writes it.
pub fn table(diagnosis: &Diagnosis, name: &str) -> Option<String> {
    tables::all(diagnosis).into_iter().find(|(table, _)| *table == name).map(|(_, text)| text)
}

/// Reads a result folder.
pub fn read(path: &Path) -> Result<(RunInfo, Diagnosis)> {
    let info: RunInfo = from_json(&path.join(RUN))?;
    if !info.is_ours() {
        return Err(Error::malformed(path.join(RUN), "format", "lm-infinite-result", info.format));
    }
    if info.format_version != 1 {
        return Err(Error::malformed(path.join(RUN), "format_version", 1, info.format_version));
    }
    let mut diagnosis: Diagnosis = from_json(&path.join(DIAGNOSIS))?;
    arrays::read(&path.join(ARRAYS), &mut diagnosis)?;
    Ok((info, diagnosis))
}

/// Draws the figures of a result folder again, and writes its report, from what it holds. Returns their paths.
pub fn redraw(path: &Path) -> Result<Vec<PathBuf>> {
    if path.join(long::RESULT).is_file() {
        return long::redraw(path);
    }
    if path.join(bench::RESULT).is_file() {
        return bench::redraw(path);
    }
    if path.join(ablation::RESULT).is_file() {
        return ablation::redraw(path);
    }
    if task::is_task(path) {
        return task::redraw(path);
    }
    let (info, diagnosis) = read(path)?;
    // A name, even where the path is `.`: the new figures are drawn inside the folder and moved up.
    let staging = Staging::beside(&path.join("figures"))?;
    let mut drawn = figures::draw_all(&diagnosis, staging.path())?;
    drawn.push(report::write(staging.path(), &diagnosis, &info)?);
    let names: Vec<_> =
        drawn.iter().filter_map(|figure| figure.file_name()).map(|name| path.join(name)).collect();
    staging.commit_files(path)?;
    Ok(names)
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::io(path))
}

fn to_json(path: &Path, value: &impl Serialize, pretty: bool) -> Result<()> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    save(path, &text.map_err(|e| Error::io(path)(e.into()))?)
}

fn from_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text)
        .map_err(|e| Error::malformed(path, format!("line {}", e.line()), "a result", e))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::diagnose::synthetic;

    fn example() -> (RunInfo, Diagnosis) {
        let diagnosis = synthetic::diagnosis(128, 256, &["vanilla", "lm-infinite:window=64"]);
        let source = |name: &str| Source { name: name.into(), sha256: None };
        let policies = diagnosis.runs.iter().map(|run| (run.policy.clone(), run.attention.clone()));
        let command = vec!["lm-infinite".into(), "diagnose".into()];
        let info = RunInfo::new(command, source("made-up"), source("text"), 256, policies, 7);
        (info, diagnosis)
    }

    fn bits(arrays: &crate::diagnose::RunArrays) -> Vec<u32> {
        arrays
            .entropy
            .iter()
            .chain(&arrays.max_logit)
            .chain(&arrays.nll)
            .map(|value| value.to_bits())
            .collect()
    }

    #[test]
    fn what_is_written_is_read_and_drawn_again() {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = scratch.path().join("run");
        let (info, diagnosis) = example();
        write(&folder, &diagnosis, &info).expect("writes");
        let (read_info, read) = super::read(&folder).expect("reads");
        assert_eq!(read_info, info);
        for (a, b) in read.runs.iter().zip(&diagnosis.runs) {
            assert_eq!(bits(&a.arrays), bits(&b.arrays));
            assert_eq!(read.reference_per_token, diagnosis.reference_per_token);
            assert_eq!(
                (&a.policy, &a.attention, a.buckets.len()),
                (&b.policy, &b.attention, b.buckets.len())
            );
        }
        let csv = fs::read_to_string(folder.join("heads.csv")).expect("is there");
        assert_eq!((table(&diagnosis, "heads.csv"), table(&diagnosis, "nonsense")), (Some(csv), None));
        let figure = folder.join("logits_by_distance.svg");
        let first = fs::read_to_string(&figure).expect("is there");
        fs::remove_file(&figure).expect("is there");
        let drawn = redraw(&folder).expect("draws");
        assert!(drawn.contains(&figure) && drawn.iter().all(|path| path.is_file()));
        assert_eq!(fs::read_to_string(&figure).expect("is there again"), first);
        // Nothing of the making is left.
        let hidden = |folder: &Path| {
            let entries = fs::read_dir(folder).expect("a folder");
            entries
                .filter_map(|entry| entry.ok())
                .any(|entry| entry.file_name().to_string_lossy().starts_with('.'))
        };
        assert!(!hidden(&folder) && folder.parent().is_some_and(|parent| !hidden(parent)));
    }

    #[test]
    fn only_results_and_empty_folders_are_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let (info, diagnosis) = example();
        write(folder, &diagnosis, &info).expect("an empty folder is fine");
        write(folder, &diagnosis, &info).expect("an older result is fine");

        let foreign = tempfile::tempdir().expect("a folder");
        let foreign = foreign.path();
        fs::write(foreign.join("thesis.tex"), "years of work").expect("writes");
        for (name, run) in [("no run.json", None), ("someone else's", Some("{\"format\": \"other\"}"))] {
            if let Some(run) = run {
                fs::write(foreign.join(RUN), run).expect("writes");
            }
            let message = write(foreign, &diagnosis, &info).expect_err(name).to_string();
            assert!(message.contains("not a result folder"), "{message}");
        }
        assert!(foreign.join("thesis.tex").is_file());
        let file = foreign.join("thesis.tex");
        assert!(
            write(&file, &diagnosis, &info).is_err() && write(Path::new("/"), &diagnosis, &info).is_err()
        );
    }

    #[test]
    fn damaged_results_are_errors_that_name_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let (info, diagnosis) = example();
        write(folder, &diagnosis, &info).expect("writes");
        let broken = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            let good = fs::read(&path).expect("is there");
            fs::write(&path, bytes).expect("writes");
            let message = super::read(folder).expect_err(name).to_string();
            fs::write(&path, good).expect("writes");
            assert!(message.contains(name), "{message}");
        };
        let arrays = fs::read(folder.join(ARRAYS)).expect("is there");
        broken(ARRAYS, &arrays[..arrays.len() / 2]);
        broken(ARRAYS, b"");
        broken(RUN, b"{}");
        broken(DIAGNOSIS, b"\xff\xfe");
        let text = fs::read_to_string(folder.join(DIAGNOSIS)).expect("is there");
        broken(DIAGNOSIS, text.replace("\"positions\":[0,", "\"positions\":[5,").as_bytes());
        broken(
            RUN,
            fs::read_to_string(folder.join(RUN)).expect("is there").replace("\": 1,", "\": 9,").as_bytes(),
        );
    }

    #[test]
    fn default_names_are_file_names() {
        let name = |model| default_folder(model).file_name().expect("a name").to_string_lossy().into_owned();
        assert!(name("smollm2").starts_with("smollm2-20"));
        assert!(name("/some/where/a b:c.gguf").starts_with("a-b-c.gguf-"));
        assert!(!name("..").contains(".."));
    }
}
