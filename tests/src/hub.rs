//! Models of Hugging Face: pulled from a server on this machine, found in its cache, and called by the names that users
//! know them by.

mod client;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::quantized::GgmlDType;
use lm_infinite::checkpoint;
use lm_infinite::hub::Cache;
use serde_json::{Value, json};

use self::server::{COMMIT, Manner, REPOSITORY, Server};
use crate::fixtures::{TinyConfig, TinyLlama};
use crate::support::program;

fn tiny() -> TinyLlama {
    TinyLlama::random(TinyConfig::default(), 0)
}

/// The program with a hub of its own.
fn with_hub(endpoint: &str, home: &Path) -> Command {
    let mut program = program();
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_TOKEN",
        "HF_TOKEN_PATH",
    ] {
        program.env_remove(name);
    }
    program.env("HF_ENDPOINT", endpoint).env("HF_HOME", home).env("LM_INFINITE_CACHE", home.join("ours"));
    program
}

#[track_caller]
fn json_of(command: &mut Command) -> Value {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_repository_is_pulled_and_then_used_without_a_network() {
    let (served, home) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    tiny().write_sharded_folder(served.path(), "F32", 2);
    let endpoint = Server::new(served.path().to_owned(), Manner::default()).endpoint;
    let reference = format!("hf:{REPOSITORY}");

    let pulled = json_of(with_hub(&endpoint, home.path()).args(["models", "pull", &reference, "--json"]));
    let expected = home.path().join("hub/models--acme--tiny-llama/snapshots").join(COMMIT);
    assert_eq!(pulled, json!({"name": reference, "path": expected}));
    for entry in fs::read_dir(served.path()).expect("reads") {
        let name = entry.expect("reads").file_name();
        let (from, to) = (fs::read(served.path().join(&name)), fs::read(expected.join(&name)));
        assert_eq!(from.expect("served"), to.expect("pulled"), "{name:?}");
    }

    // Nobody listens there any more: what was pulled is enough.
    let nowhere = "http://127.0.0.1:9";
    let arguments = ["perplexity", "--model", &reference, "--tokens", "32", "--policy", "vanilla", "--json"];
    let read = json_of(with_hub(nowhere, home.path()).args(arguments));
    assert_eq!(read["model"], reference.as_str());
    let again = json_of(with_hub(nowhere, home.path()).args(["models", "pull", &reference, "--json"]));
    assert_eq!(again, pulled);

    // The snapshot by its path, and by a dot inside it.
    let snapshot = expected.to_str().expect("UTF-8");
    let arguments = ["perplexity", "--model", snapshot, "--tokens", "32", "--policy", "vanilla", "--json"];
    assert_eq!(json_of(program().args(arguments))["model"], REPOSITORY);
    let arguments = ["models", "inspect", ".", "--json"];
    assert_eq!(json_of(program().current_dir(&expected).args(arguments))["name"], REPOSITORY);
}

#[test]
fn a_repository_that_is_not_there_is_refused_in_words() {
    let (served, home) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let endpoint = Server::new(served.path().to_owned(), Manner::default()).endpoint;
    for (name, reason) in [
        ("hf:acme/other", "hf:acme/other"),
        ("hf:acme/tiny-llama", "the repository has no config.json"),
        ("hf:tiny-llama", "expected hf:org/name"),
    ] {
        let output =
            with_hub(&endpoint, home.path()).args(["models", "pull", name]).output().expect("starts");
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains(reason) && output.stdout.is_empty(), "{words}");
    }
}

/// Files behind links, as Hugging Face's cache and people's own folders have them, keep the names that were written.
#[cfg(unix)]
#[test]
fn names_are_never_those_of_what_a_link_points_to() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().expect("a folder");
    let repository = folder.path().join("models--acme--tiny-llama");
    let (blobs, snapshot) = (repository.join("blobs"), repository.join("snapshots").join(COMMIT));
    for folder in [&blobs, &snapshot] {
        fs::create_dir_all(folder).expect("made");
    }
    let whole = tempfile::tempdir().expect("a folder");
    tiny().write_folder(whole.path(), "F32");
    tiny().gguf(GgmlDType::F32).write(&whole.path().join("tiny.Q8_0.gguf"));
    let mut gguf_blob = PathBuf::new();
    for entry in fs::read_dir(whole.path()).expect("reads") {
        let name = entry.expect("reads").file_name();
        let bytes = fs::read(whole.path().join(&name)).expect("reads");
        let digest = lm_infinite::digest::sha256(&bytes);
        fs::write(blobs.join(&digest), bytes).expect("written");
        symlink(Path::new("../../blobs").join(&digest), snapshot.join(&name)).expect("linked");
        if name == "tiny.Q8_0.gguf" {
            gguf_blob = blobs.join(&digest);
        }
    }
    let mine = folder.path().join("my-model.gguf");
    symlink(&gguf_blob, &mine).expect("linked");
    let my_folder = folder.path().join("my-folder");
    symlink(&snapshot, &my_folder).expect("linked");
    for (path, name) in [
        (snapshot.clone(), REPOSITORY),
        (snapshot.join("tiny.Q8_0.gguf"), "tiny.Q8_0.gguf"),
        (gguf_blob, REPOSITORY),
        (mine, "my-model.gguf"),
        (my_folder, "my-folder"),
    ] {
        let reference = path.to_str().expect("UTF-8");
        let cache = Cache::at("no-cache");
        assert_eq!(checkpoint::load(reference, &cache).expect("loads").name, name, "{reference}");
        assert_eq!(checkpoint::inspect(reference, &cache).expect("reads").name, name, "{reference}");
    }
}
