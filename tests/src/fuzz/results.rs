//! Result folders as fuzz targets: each file that is read again, and the arrays in `arrays.npz`.
//!
//! A folder is opened, read, said in words, JSON and tables, and, by targets of their own since that takes time and memory,
//! drawn.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lm_infinite::ablation::Ablation;
use lm_infinite::bench::BenchResult;
use lm_infinite::causes::{CauseRuns, Causes};
use lm_infinite::checkpoint;
use lm_infinite::diagnose::{
    Collector, Diagnosis, DiagnosisBuilder, DiagnosisShard, RunInput, head_statements, reference_of_shard,
    run_of_shard,
};
use lm_infinite::evaluate::evaluate;
use lm_infinite::figures;
use lm_infinite::hub::Cache;
use lm_infinite::long_run::{LongResult, Shard};
use lm_infinite::passkey::Answers;
use lm_infinite::policy::PolicySpec;
use lm_infinite::results::task::TaskResult;
use lm_infinite::results::{Part, ResultFolder, RunInfo, Source, Storable, table, write_report};
use lm_infinite::session::Decoder;
use serde_json::{Value as Json, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::seeds::{self, POLICIES};
use super::{Outcome, Target, file};

/// Bytes that a result may take to read and to be said in words, and how many more each of its own bytes may.
const WORDS: [usize; 2] = [8 << 20, 256];

/// The same where figures are drawn: their bitmaps, too.
const PICTURES: [usize; 2] = [768 << 20, 256];

/// Tokens of the diagnosis.
const TOKENS: u32 = 48;

/// The figures of a diagnosis.
const FIGURES: [&str; 12] = [
    "nll_by_position",
    "logits_by_distance",
    "logits_of_start_tokens",
    "entropy_by_length",
    "entropy_bounds",
    "start_mass_by_position",
    "learned_sinks",
    "drift_pca",
    "heads_logits",
    "heads_entropy",
    "attention_maps",
    "causes_shares",
];

/// All targets; their files lie under `folder`.
///
/// # Errors
/// Where `folder` cannot be written.
pub fn targets(folder: &Path) -> io::Result<Vec<Target>> {
    let folder = folder.join("results");
    fs::create_dir_all(&folder)?;
    let mut targets = diagnoses(&folder)?;
    targets.push(shards(&folder)?);
    for (name, kind, file_name, check) in [
        ("bench.json", "bench", BenchResult::FILE, tell::<BenchResult> as fn(&Path) -> Outcome),
        ("ablation.json", "ablation", Ablation::FILE, tell::<Ablation>),
        ("perplexity.json", "perplexity", LongResult::FILE, tell::<LongResult>),
    ] {
        let of_kind = copy_of(&golden(kind), &folder.join(kind))?;
        let path = of_kind.join(file_name);
        let files = vec![fs::read(&path)?];
        targets.push(file(name, path, files, WORDS, move |_| check(&of_kind)));
    }
    let manifest = copy_of(&golden("bench"), &folder.join("manifest"))?;
    let path = manifest.join("run.json");
    let files = vec![fs::read(&path)?, run_json("bench", &["bench.json", "run.json"])];
    targets.push(file("run.json", path, files, WORDS, move |_| tell::<BenchResult>(&manifest)));
    targets.push(charts(&folder)?);
    targets.push(answers(&folder)?);
    Ok(targets)
}

/// What an unfinished `passkey` has answered.
fn answers(folder: &Path) -> io::Result<Target> {
    let folder = folder.join("answers");
    fs::create_dir_all(&folder)?;
    let text = r#"{"format":"lm-infinite passkey answers 1","model":"m","seed":0}
{"policy":"vanilla","length":200,"depth_bits":4607182418800017408,"sample":1,"key":123,"outcome":"found"}
{"policy":"vanilla","length":200,"depth_bits":18446744073709551615,"sample":2,"key":7,"outcome":"not_finite"}
"#;
    let path = folder.join("answers.jsonl");
    Ok(file("answers.jsonl", path, vec![text.into()], WORDS, move |_| {
        match Answers::resume(&folder, "m", 0) {
            Ok(answers) => Outcome::Accepted(answers.len().to_string()),
            Err(error) => Outcome::refused(error),
        }
    }))
}

/// A result of an earlier version that the repository keeps.
fn golden(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/results_format_1").join(kind)
}

fn copy_of(folder: &Path, to: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(to.to_owned())
}

fn run_info() -> RunInfo {
    let source = |name: &str| Source { name: name.into(), sha256: None };
    let command = vec!["lm-infinite".to_owned(), "diagnose".to_owned()];
    RunInfo::new(command, source("tiny"), source("text"), u64::from(TOKENS), [], 0)
}

fn run_json(kind: &str, files: &[&str]) -> Vec<u8> {
    let files = files.iter().map(|&name| name.to_owned()).collect();
    let info = RunInfo { kind: kind.to_owned(), files, ..run_info() };
    serde_json::to_vec(&info).expect("numbers and words")
}

/// A folder of `outcome`, without figures.
fn folder_of<T: Storable>(outcome: &T, at: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(at)?;
    outcome.write(at).expect("the folder of the harness can be written");
    fs::write(at.join("run.json"), run_json(outcome.kind(), &[T::FILE, "run.json"]))?;
    Ok(at.to_owned())
}

fn tiny(folder: &Path) -> Arc<Decoder> {
    let model = folder.join("model");
    fs::create_dir_all(&model).expect("the folder of the harness can be written");
    seeds::tiny("llama", true).write_folder(&model, "F32");
    let reference = model.to_str().expect("the folder of the harness is UTF-8");
    let loaded = checkpoint::load(reference, &Cache::at("no-cache")).expect("a valid model");
    Arc::new(Decoder::new(loaded.config, loaded.weights).expect("a whole model"))
}

fn tokens(decoder: &Decoder) -> Vec<u32> {
    (0..TOKENS).map(|i| (i * i * 31 + i * 7) % decoder.config().vocabulary as u32).collect()
}

/// A diagnosis with causes of a tiny model under two policies.
fn diagnosis(decoder: &Arc<Decoder>) -> Diagnosis {
    let (config, tokens) = (decoder.config(), tokens(decoder));
    let reference = vec![4.0; tokens.len() - 1];
    let mut builder = DiagnosisBuilder::new("tiny", config, tokens.len() as u64, reference, None);
    for text in &POLICIES[..2] {
        let spec = PolicySpec::parse(text, config.trained_length).expect("a policy");
        let mut collector = Collector::new(config, tokens.len() as u64);
        let run = evaluate(decoder, &spec.policy, &tokens, Some(&mut collector), &|_| ()).expect("runs");
        let input = RunInput {
            policy: spec.label,
            attention: spec.policy,
            nll: run.nll,
            prefill_tokens_per_second: 1.0,
            peak_rss_bytes: None,
            kv_cache_bytes: 1,
        };
        builder.push(input, collector.finish().expect("whole")).expect("the same text");
    }
    let mut diagnosis = builder.finish();
    let runs = CauseRuns::measure(decoder, &tokens, &[], &|_, _| ()).expect("runs");
    diagnosis.causes = Some(with_places(&Causes::new(&runs).expect("policies")));
    diagnosis
}

/// The causes, with what only an excess would have: shares, layers, heads and a smallest fix.
fn with_places(causes: &Causes) -> Causes {
    let mut json = serde_json::to_value(causes).expect("numbers and words");
    let share = json!({"share": 0.5, "interval": [0.25, 0.75]});
    let nats = json!({"mean": 1.0, "low": 0.5, "high": 1.5, "n": 32, "block": 4});
    let restored = json!({"nats": nats, "share": share});
    let shares = json!({"distances": share, "keys": share, "start": share});
    if json["factorial"]["effects"].is_object() {
        json["factorial"]["effects"]["shares"] = shares;
        json["factorial"]["effects"]["vanilla"]["shares"] = json!([share, share]);
    }
    json["places"] = json!({"layers": [{"layer": 0, "restored": restored, "lost": null}],
        "heads": [{"layer": 0, "head": 1, "restored": restored}], "seconds": 1.0});
    json["smallest_fix"] = json!({"places": [{"layer": 0, "head": 1}], "of": 2, "restored": restored,
        "random": {"draws": 8, "mean": 0.5, "range": [0.1, 0.9]}, "cache_bytes_vanilla": 2, "cache_bytes": 1,
        "attended_share": 0.5, "runs": 3});
    serde_json::from_value(json).expect("causes")
}

fn diagnoses(folder: &Path) -> io::Result<Vec<Target>> {
    let diagnosis = diagnosis(&tiny(folder));
    let mut targets = Vec::new();
    for (name, file_name) in
        [("diagnosis.json", "diagnosis.json"), ("causes.json", "causes.json"), ("arrays.npz", "arrays.npz")]
    {
        let own = folder_of(&diagnosis, &folder.join(name))?;
        let path = own.join(file_name);
        let files = vec![fs::read(&path)?];
        targets.push(file(name, path, files, WORDS, move |_| tell_diagnosis(&own)));
    }
    for (name, file_name) in [("diagnosis-drawn", "diagnosis.json"), ("causes-drawn", "causes.json")] {
        let own = folder_of(&diagnosis, &folder.join(name))?;
        let path = own.join(file_name);
        let files = vec![fs::read(&path)?];
        targets.push(file(name, path, files, PICTURES, move |path| draw_diagnosis(&own, path)));
    }
    targets.push(arrays(&folder_of(&diagnosis, &folder.join("npy"))?)?);
    Ok(targets)
}

/// One array of `arrays.npz` broken, in an archive that is whole: its checksum is right.
fn arrays(folder: &Path) -> io::Result<Target> {
    const ENTRY: &str = "run0_entropy.npy";
    let path = folder.join("arrays.npz");
    let mut archive = ZipArchive::new(Cursor::new(fs::read(&path)?))?;
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let mut bytes = Vec::new();
        io::copy(&mut entry, &mut bytes)?;
        let name = entry.name().map_err(io::Error::other)?.into_owned();
        entries.push((name, bytes));
    }
    let files = entries.iter().filter(|(name, _)| name == ENTRY).map(|(_, bytes)| bytes.clone()).collect();
    let folder = folder.to_owned();
    let check = move |input: &[u8]| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (name, bytes) in &entries {
            zip.start_file(name.as_str(), options).expect("in memory");
            zip.write_all(if name == ENTRY { input } else { bytes }).expect("in memory");
        }
        let bytes = zip.finish().expect("in memory").into_inner();
        fs::write(&path, bytes).expect("the folder of the harness can be written");
        tell_diagnosis(&folder)
    };
    Ok(Target { name: "npy", files, check: Box::new(check), allowance: WORDS })
}

/// Two shards; the numbers of the second are broken, and both are joined.
fn shards(folder: &Path) -> io::Result<Target> {
    let decoder = tiny(folder);
    let (config, tokens) = (decoder.config(), tokens(&decoder));
    let spec = PolicySpec::parse("lm-infinite:start=1,window=4", config.trained_length).expect("a policy");
    let part = |index| {
        let shard = Shard { index, count: 2 };
        DiagnosisShard {
            model: "tiny".to_owned(),
            config: config.clone(),
            tokens: tokens.len() as u64,
            bucket: None,
            shard,
            documents: vec![0, 3],
            runs: vec![run_of_shard(&decoder, &tokens, &spec, shard, &|_| ()).expect("runs")],
            reference: reference_of_shard(&decoder, &tokens, None, shard, &|_| ()).expect("runs"),
        }
    };
    let first = folder_of(&part(0), &folder.join("shard-0"))?;
    let second = folder_of(&part(1), &folder.join("shard-1"))?;
    let path = second.join("sums.msgpack");
    let files = vec![fs::read(&path)?];
    let part = |folder: &Path| -> lm_infinite::Result<Part<DiagnosisShard>> {
        let (opened, outcome) = read::<DiagnosisShard>(folder)?;
        Ok(Part { folder: folder.to_owned(), info: opened.info().clone(), outcome })
    };
    let joined = move || DiagnosisShard::merge(vec![part(&first)?, part(&second)?]);
    let check = move |_: &Path| match joined() {
        Ok((whole, _)) => Outcome::Accepted(whole.summary()),
        Err(error) => Outcome::refused(error),
    };
    Ok(file("sums.msgpack", path, files, WORDS, check))
}

/// Charts of tasks, drawn.
fn charts(folder: &Path) -> io::Result<Target> {
    let own = copy_of(&golden("passkey"), &folder.join("charts"))?;
    let path = own.join(TaskResult::FILE);
    let chart = json!([["points", {"points": {"title": "t", "note": "n", "x_label": "x", "y_label": "y", "x": ["256", "1k"],
        "logarithmic": true, "from_zero": false, "series": [
            {"name": "a", "values": [3.0, 0.5], "intervals": [[2.0, 4.0], null]}, {"name": "b", "values": [null, 1.0]}]}}],
        ["map", {"heat-map": {"title": "t", "note": "n", "x_label": "x", "y_label": "y", "x": ["256", "1k"], "y": ["0 %"],
            "panels": [{"name": "p", "cells": [[0.5, null]]}]}}]]);
    let task = json!({"task": "passkey", "summary": "s", "data": {"runs": []}, "charts": chart,
        "tables": [{"name": "t", "columns": ["a"], "rows": [["1"]]}]});
    let files = vec![fs::read(&path)?, task.to_string().into_bytes()];
    let check = move |_: &Path| match read::<TaskResult>(&own) {
        Ok((folder, task)) => {
            let told = told(&folder, &task);
            drawn(told, |into| task.draw(folder.info(), into))
        }
        Err(error) => Outcome::refused(error),
    };
    Ok(file("charts", path, files, PICTURES, check))
}

fn read<T: Storable>(folder: &Path) -> lm_infinite::Result<(ResultFolder, T)> {
    let opened = ResultFolder::open(folder)?;
    let outcome = opened.read()?;
    Ok((opened, outcome))
}

fn told<T: Storable>(folder: &ResultFolder, outcome: &T) -> String {
    let json: Json = outcome.to_json(Path::new("out"));
    format!("{} {:?}\n{}{json}", folder.named(), folder.files(), outcome.summary())
}

fn tell<T: Storable>(folder: &Path) -> Outcome {
    match read::<T>(folder) {
        Ok((folder, outcome)) => Outcome::Accepted(told(&folder, &outcome)),
        Err(error) => Outcome::refused(error),
    }
}

/// A diagnosis in words, tables, and a report without figures.
fn tell_diagnosis(folder: &Path) -> Outcome {
    let (opened, diagnosis) = match read::<Diagnosis>(folder) {
        Ok(read) => read,
        Err(error) => return Outcome::refused(error),
    };
    let mut told = told(&opened, &diagnosis);
    for name in Diagnosis::FILES {
        told += &table(&diagnosis, name).unwrap_or_default();
    }
    for run in &diagnosis.runs {
        let _ = write!(told, "{:?}", head_statements(&diagnosis, run, (0, 1)));
    }
    let _ = write!(told, "{:?}", diagnosis.of_head((0, 1)).is_some());
    drawn(told, |into| write_report(into, &diagnosis, opened.info()).map(|path| vec![path]))
}

/// One figure of a diagnosis: which one is told by the length of the broken file.
fn draw_diagnosis(folder: &Path, broken: &Path) -> Outcome {
    match read::<Diagnosis>(folder) {
        Ok((_, diagnosis)) => {
            let length = fs::metadata(broken).map_or(0, |metadata| metadata.len() as usize);
            let name = match broken.ends_with("causes.json") {
                true => ["causes_shares", "causes_heads"][length % 2],
                false => FIGURES[length % FIGURES.len()],
            };
            drawn(name.to_owned(), |into| figures::draw_named(&diagnosis, name, into))
        }
        Err(error) => Outcome::refused(error),
    }
}

/// What was said, and the bytes of what is drawn.
fn drawn(mut told: String, draw: impl FnOnce(&Path) -> lm_infinite::Result<Vec<PathBuf>>) -> Outcome {
    let into = tempfile::tempdir().expect("a folder");
    match draw(into.path()) {
        Ok(paths) => {
            for path in paths {
                let bytes = fs::read(path).expect("was drawn");
                let _ = write!(told, " {}", lm_infinite::digest::sha256(&bytes));
            }
            Outcome::Accepted(told)
        }
        Err(error) => Outcome::refused(error),
    }
}
