//! Hostile and broken input: every kind ends in an error that names the file, the field, what was expected and what
//! was got.

mod config;
mod gguf;
mod safetensors;
mod substitutes;
mod text;
mod tokenizer;

use std::path::{Path, PathBuf};

use lm_infinite::checkpoint;
use lm_infinite::hub::Cache;

use crate::fixtures::{GgufFile, TinyConfig, TinyLlama};

/// The error of loading `path`, which must contain all of `parts`.
#[track_caller]
fn refused(path: &Path, parts: &[&str]) {
    let reference = path.to_str().expect("UTF-8");
    let error = checkpoint::load(reference, &Cache::at("no-cache")).expect_err("a broken model was accepted");
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// Writes bytes as a GGUF file.
fn write(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).expect("written");
    path
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn tiny() -> TinyLlama {
    TinyLlama::random(TinyConfig::default(), 0)
}

/// The error of loading the tiny model as GGUF after `change`.
#[track_caller]
fn refused_gguf(change: impl FnOnce(&mut GgufFile), parts: &[&str]) {
    let mut file = tiny().gguf(candle_core::quantized::GgmlDType::F32);
    change(&mut file);
    let folder = folder();
    refused(&write(&folder, &file.bytes()), &[&["model.gguf"], parts].concat());
}

/// The error of loading the tiny model's folder after `change`.
#[track_caller]
fn refused_folder(change: impl FnOnce(&Path), parts: &[&str]) {
    let folder = folder();
    tiny().write_folder(folder.path(), "F32");
    change(folder.path());
    refused(folder.path(), parts);
}
