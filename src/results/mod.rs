//! Result folders: everything a run measured, readable without this program and enough to draw its figures again.
//!
//! A [`ResultFolder`] is of one kind. [`Storable`] says once for its kind what the files are; the table of kinds is in
//! `kinds`. [`Target`] is asked before the work whether a result may be written to a place, and [`ResultFolder::write`]
//! puts it there as a whole: whenever the process is killed, the older result or the new one is there.
//!
//! | file | what |
//! |---|---|
//! | `run.json` | what kind of result it is, how to repeat the run, and which files belong to it: [`RunInfo`] |
//! | `diagnosis.json` | the whole [`Diagnosis`] but for its arrays |
//! | `summary.txt` | what broke first and where |
//! | `*.csv` | tables with a header row and units in the names |
//! | `arrays.npz` | values per token and per head |
//! | `*.svg`, `*.png` | figures |
//! | `report.html` | all of it in words, figures and tables, in one file |
//!
//! Other kinds have files of their own; `run.json` is in every folder.

mod ablation;
mod arrays;
mod bench;
mod calibration;
mod calibration_shard;
mod captions;
mod causes;
mod diagnosis;
mod diagnosis_shard;
mod exchange;
mod folder;
mod info;
mod kinds;
mod leftovers;
mod long;
mod manifest;
mod marks;
mod merge;
mod move_up;
mod prediction;
mod report;
mod shards;
mod staging;
mod storable;
mod store;
mod tables;
mod target;
pub mod task;

use std::path::{Path, PathBuf};

pub use diagnosis::table;
pub use folder::ResultFolder;
pub use info::{Machine, RunInfo, Source};
pub use merge::{Merged, merge_folders};
pub use report::write as write_report;
pub use storable::{Part, Storable};
pub use target::{Target, check, default_folder};

use crate::diagnose::Diagnosis;
use crate::error::Result;

/// Reads the folder of a diagnosis.
///
/// # Errors
/// As [`ResultFolder::open`] and [`ResultFolder::read`].
pub fn read(path: &Path) -> Result<(RunInfo, Diagnosis)> {
    let folder = ResultFolder::open(path)?;
    let diagnosis = folder.read()?;
    Ok((folder.info().clone(), diagnosis))
}

/// Draws the figures of a result folder again, and writes its report, from what it holds. Returns their paths.
///
/// # Errors
/// As [`ResultFolder::open`] and [`ResultFolder::redraw`].
pub fn redraw(path: &Path) -> Result<Vec<PathBuf>> {
    ResultFolder::open(path)?.redraw()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use super::store::{RUN, save, to_json};
    use super::*;
    use crate::bench::{BenchResult, BenchRun};
    use crate::diagnose::synthetic;
    use crate::machine::Limits;

    pub(super) fn example() -> (RunInfo, Diagnosis) {
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
        ResultFolder::write(&folder, &diagnosis, &info).expect("writes");
        let (read_info, read) = super::read(&folder).expect("reads");
        let RunInfo { kind, files, .. } = read_info.clone();
        assert_eq!(RunInfo { kind: String::new(), files: Vec::new(), ..read_info }, info);
        // All that one may have, but for causes and a prediction, which were not asked for.
        let asked = |name: &&&str| !name.starts_with("causes") && !name.starts_with("predicted");
        let expected = Diagnosis::FILES.iter().filter(asked).count() + 1;
        assert_eq!((kind.as_str(), files.len()), ("diagnosis", expected));
        assert!(files.iter().all(|name| name == RUN || Diagnosis::FILES.contains(&name.as_str())));
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

    /// A bench is small and quickly drawn.
    pub(super) fn bench(length: usize) -> BenchResult {
        let run = BenchRun {
            policy: "vanilla".into(),
            length,
            prefill_tokens_per_second: 10.0,
            decode_tokens_per_second: 1.0,
            kv_cache_bytes: 1000,
            peak_rss_bytes: None,
        };
        let machine = Limits { gemm_gflops: 1.0, copy_gbps: 1.0, threads: 1 };
        BenchResult {
            model: "m".into(),
            trained_length: 64,
            machine,
            repeated_from: None,
            notes: Vec::new(),
            runs: vec![run],
        }
    }

    #[test]
    fn files_of_others_stay_and_are_never_in_the_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let (info, _) = example();
        let notes =
            [("thesis.tex", "years of work"), ("sub/deep.txt", "more"), ("session-a.safetensors", "x")];
        fs::create_dir(folder.join("sub")).expect("made");
        for (name, text) in notes {
            fs::write(folder.join(name), text).expect("written");
        }
        for length in [100, 200] {
            ResultFolder::write(folder, &bench(length), &info).expect("beside the notes");
            let opened = ResultFolder::open(folder).expect("opens");
            assert_eq!(opened.read::<BenchResult>().expect("reads"), bench(length));
            for (name, text) in notes {
                assert_eq!(fs::read_to_string(folder.join(name)).expect(name), text);
                assert!(!opened.files().contains(&name.to_owned()));
            }
            assert_eq!(fs::read_dir(folder).expect("a folder").count(), opened.files().len() + 3);
        }
        // What the older result alone had goes with it.
        let mut older = RunInfo::read(folder).expect("reads");
        older.files.push("of_the_older.csv".into());
        to_json(&folder.join(RUN), &older, true).expect("writes");
        save(&folder.join("of_the_older.csv"), "1").expect("writes");
        ResultFolder::write(folder, &bench(300), &info).expect("writes");
        assert!(!folder.join("of_the_older.csv").exists() && folder.join("thesis.tex").exists());

        let taken = tempfile::tempdir().expect("a folder");
        fs::write(taken.path().join("bench.csv"), "mine").expect("written");
        for done in [check::<BenchResult>(taken.path(), "bench"), {
            ResultFolder::write(taken.path(), &bench(1), &info).map(|_| ())
        }] {
            let message = done.expect_err("in the way").to_string();
            assert!(message.contains("bench.csv") && message.contains("not of the result"), "{message}");
        }
        assert_eq!(fs::read_to_string(taken.path().join("bench.csv")).expect("there"), "mine");
        assert_eq!(fs::read_dir(taken.path()).expect("a folder").count(), 1);
        assert!(check::<Diagnosis>(taken.path(), "diagnosis").is_ok(), "no diagnosis has such a file");
    }

    #[test]
    fn another_kind_of_result_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r");
        let (info, diagnosis) = example();
        ResultFolder::write(&path, &bench(1), &info).expect("writes");
        let message = ResultFolder::write(&path, &diagnosis, &info).expect_err("a bench").to_string();
        for word in ["a benchmark", "a diagnosis", "choose another folder"] {
            assert!(message.contains(word), "{message}");
        }
        assert_eq!(check::<Diagnosis>(&path, "diagnosis").expect_err("a bench").to_string(), message);
        let message = super::read(&path).expect_err("a bench").to_string();
        assert!(message.contains("it holds a benchmark; a diagnosis is needed here"), "{message}");
        let opened = ResultFolder::open(&path).expect("as it was");
        assert_eq!(opened.read::<BenchResult>().expect("whole"), bench(1));

        // Somebody else's run.json, a damaged one, one of a later version.
        let ours = fs::read_to_string(path.join(RUN)).expect("there");
        for (run, why) in [
            ("{\"format\": \"other\"}".to_owned(), "run.json"),
            ("{".to_owned(), "run.json"),
            (ours.replace("\"format_version\": 2", "\"format_version\": 3"), "format_version"),
            (ours.replace("\"kind\": \"bench\"", "\"kind\": \"of tomorrow\""), "of tomorrow"),
            (ours.replace("\"bench.csv\"", "\"../bench.csv\""), "../bench.csv"),
        ] {
            fs::write(path.join(RUN), &run).expect("written");
            let message = check::<BenchResult>(&path, "bench").expect_err(why).to_string();
            assert!(message.contains(why) && message.contains("left as it is"), "{message}");
            assert_eq!(fs::read_to_string(path.join(RUN)).expect("there"), run);
        }
        let file = path.join("bench.csv");
        assert!(ResultFolder::write(&file, &bench(1), &info).is_err());
        let message = check::<BenchResult>(Path::new("/"), "bench").expect_err("the root").to_string();
        assert!(message.contains("root of a file system"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_never_replaced() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let (info, _) = example();
        fs::create_dir(at("disk")).expect("made");
        symlink("disk", at("out")).expect("a link");
        symlink("disk/later", at("dangling")).expect("a link");
        for (link, real) in [("out", "disk"), ("dangling", "disk/later")] {
            for length in [1, 2] {
                ResultFolder::write(&at(link), &bench(length), &info).expect("writes");
                assert!(fs::symlink_metadata(at(link)).expect("there").file_type().is_symlink());
                let opened = ResultFolder::open(&at(real)).expect("opens");
                assert_eq!(opened.read::<BenchResult>().expect("reads"), bench(length));
            }
        }
        assert!(at("disk/later/bench.json").is_file(), "it lies in the first and is not of it");
        // A link in place of a file of the result.
        fs::rename(at("disk/bench.csv"), at("moved.csv")).expect("moved");
        symlink(at("moved.csv"), at("disk/bench.csv")).expect("a link");
        for refused in [
            ResultFolder::write(&at("out"), &bench(3), &info).map(|_| ()),
            redraw(&at("out")).map(|_| ()),
            check::<BenchResult>(&at("out"), "bench"),
        ] {
            let message = refused.expect_err("a link").to_string();
            assert!(message.contains("bench.csv") && message.contains("is a link"), "{message}");
        }
        assert_eq!(
            ResultFolder::open(&at("disk")).expect("opens").read::<BenchResult>().expect("old"),
            bench(2)
        );
    }

    #[test]
    fn damaged_results_are_errors_that_name_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let (info, diagnosis) = example();
        ResultFolder::write(folder, &diagnosis, &info).expect("writes");
        let broken = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            let good = fs::read(&path).expect("is there");
            fs::write(&path, bytes).expect("writes");
            let message = super::read(folder).expect_err(name).to_string();
            fs::write(&path, good).expect("writes");
            assert!(message.contains(name), "{message}");
        };
        let arrays = fs::read(folder.join("arrays.npz")).expect("is there");
        broken("arrays.npz", &arrays[..arrays.len() / 2]);
        broken("arrays.npz", b"");
        broken(RUN, b"{}");
        broken(Diagnosis::FILE, b"\xff\xfe");
        let text = fs::read_to_string(folder.join(Diagnosis::FILE)).expect("is there");
        broken(Diagnosis::FILE, text.replace("\"positions\":[0,", "\"positions\":[5,").as_bytes());
        broken(
            RUN,
            fs::read_to_string(folder.join(RUN))
                .expect("is there")
                .replace("version\": 2,", "version\": 9,")
                .as_bytes(),
        );
    }

    #[test]
    fn arrays_of_other_heads_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let (info, diagnosis) = example();
        ResultFolder::write(folder, &diagnosis, &info).expect("writes");
        let refused = |change: &dyn Fn(&mut Diagnosis)| {
            let mut other = diagnosis.clone();
            change(&mut other);
            to_json(&folder.join(Diagnosis::FILE), &other, false).expect("writes");
            super::read(folder).expect_err("another shape").to_string()
        };
        let more = refused(&|other| other.config.layers += 1);
        assert!(more.contains("heads of run 0"), "{more}");
        let many = refused(&|other| other.config.layers = usize::MAX);
        assert!(many.contains("heads of run 0"), "{many}");
        let swapped = refused(&|other| {
            (other.config.layers, other.config.heads) = (1, other.config.layers * other.config.heads);
        });
        assert!(swapped.contains("run0_max_logit") && swapped.contains("1 layers of"), "{swapped}");
    }

    #[test]
    fn default_names_are_file_names() {
        let name = |model| default_folder(model).file_name().expect("a name").to_string_lossy().into_owned();
        assert!(name("smollm2").starts_with("smollm2-20"));
        assert!(name("/some/where/a b:c.gguf").starts_with("a-b-c.gguf-"));
        assert!(!name("..").contains(".."));
    }
}
