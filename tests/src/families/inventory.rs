//! No family lacks a kind of proof: the program's own list of families is held against the fixtures, and against the table of the
//! documents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::json;

use super::gguf::{architecture, is_written};
use super::{CASES, Stored};
use crate::fixtures::{GgufFile, write_json};
use crate::support::{cache, golden, load, read_npy};

/// A checkpoint has at most so many bytes.
const LARGEST: u64 = 300_000;

/// Families that llama.cpp's converter does not write, and why.
const WITHOUT_GGUF: [(&str, &str); 1] = [("gptj", "llama.cpp has no such architecture")];

/// What is said of a checkpoint of a kind that is not known.
fn refusal(path: &Path) -> String {
    let loaded = lm_infinite::checkpoint::load(path.to_str().expect("UTF-8"), &cache());
    loaded.expect_err("refused").to_string()
}

/// Values of `model_type` that the program reads, as it says itself.
fn model_types() -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    write_json(&folder.path().join("config.json"), &json!({"model_type": "surprise"}));
    let said = refusal(folder.path());
    let list = said.split("supported are ").nth(1).expect("a list");
    list.split(", ").map(|name| name.trim().to_owned()).collect()
}

/// GGUF architectures that the program reads, as it says itself.
fn architectures() -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let mut file = GgufFile::new();
    file.set("general.architecture", "surprise");
    file.write(&path);
    let said = refusal(&path);
    let list = said.split("supported are ").nth(1).expect("a list");
    list.split(", ").map(|name| name.trim_matches(['`', ' ']).to_owned()).collect()
}

#[test]
fn every_family_has_a_checkpoint_and_its_answers() {
    let mut cases: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in CASES {
        let model_type = Stored::read(name).config["model_type"].as_str().expect("a name").to_owned();
        cases.entry(model_type).or_default().push(name);
        let folder = golden(&format!("families/{name}"));
        let size = fs::metadata(folder.join("model.safetensors")).expect("weights").len();
        assert!(size <= LARGEST, "{name}: {size} bytes");
        let logits = read_npy::<f32>(&format!("families/{name}/logits.npy"));
        assert_eq!(logits.shape(), [40, 97], "{name}");
        assert_eq!(read_npy::<u32>(&format!("families/{name}/greedy.npy")).len(), 40, "{name}");
        // Windows are passed within the text, so that it is read below, at and beyond them.
        for window in load(Stored::read(name).write().path()).config.sliding_windows.into_iter().flatten() {
            assert!((2..20).contains(&window), "{name}: a window of {window}");
        }
    }
    let covered: BTreeSet<String> = cases.keys().cloned().collect();
    assert_eq!(covered, model_types(), "families with a checkpoint, and families that are read");
    for file in ["build.py", "versions.json"] {
        assert!(golden("families").join(file).is_file(), "{file}");
    }
    let script = fs::read_to_string(golden("families/build.py")).expect("the script");
    for name in CASES {
        assert!(script.contains(&format!("    \"{name}\": (")), "{name} is not in build.py");
    }
}

#[test]
fn every_family_that_llama_cpp_writes_is_tried_as_gguf() {
    let mut tried = BTreeSet::new();
    for model_type in model_types() {
        let cases =
            CASES.iter().filter(|name| Stored::read(name).config["model_type"] == model_type.as_str());
        let named: BTreeSet<&str> = cases.filter_map(|name| architecture(name)).collect();
        let why = WITHOUT_GGUF.iter().find(|(name, _)| *name == model_type);
        assert_eq!(named.is_empty(), why.is_some(), "{model_type}: {named:?}");
        tried.extend(named.into_iter().map(str::to_owned));
    }
    assert_eq!(tried, architectures(), "architectures that are tried, and those that are read");
    // Where llama.cpp takes for granted what the file does not say, a test of its own gives the configuration that says so.
    let with_own_test = ["gemma2", "gemma3_text", "smollm3"];
    for architecture_name in tried {
        let is_held = CASES.iter().any(|name| {
            architecture(name) == Some(architecture_name.as_str())
                && (is_written(name) || with_own_test.contains(name))
        });
        assert!(is_held, "no logits of {architecture_name} are compared");
    }
}

#[test]
fn every_family_has_a_row_in_the_documents() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/families.md");
    let text = fs::read_to_string(path).expect("the document");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.matches('|').count() == 8)
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let names =
        |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| names(row[2])).collect();
    for model_type in model_types() {
        assert!(listed.contains(&model_type), "{model_type} has no row");
    }
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| names(row[3])).collect();
    for architecture in architectures() {
        assert!(listed.contains(&architecture), "{architecture} has no row");
    }
    let versions = fs::read_to_string(golden("families/versions.json")).expect("versions");
    let versions: serde_json::Value = serde_json::from_str(&versions).expect("JSON");
    let version = versions["transformers"].as_str().expect("a version");
    let short = version.rsplit_once('.').expect("a version of three numbers").0;
    for row in rows.iter().skip(1) {
        assert!(row[7].contains(&format!("transformers {short}")), "{row:?}");
    }
}
