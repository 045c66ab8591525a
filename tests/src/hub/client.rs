//! Bad lines, bad servers, and what is in the cache already.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use candle_core::quantized::GgmlDType;
use serde_json::json;

use super::server::{COMMIT, Manner, REPOSITORY, Server};
use super::{tiny, with_hub};

const WEIGHTS: &str = "model.safetensors";

/// A folder that is served, and one for the cache.
struct Hub {
    served: tempfile::TempDir,
    home: tempfile::TempDir,
}

impl Hub {
    fn new() -> Self {
        let hub = Self {
            served: tempfile::tempdir().expect("a folder"),
            home: tempfile::tempdir().expect("a folder"),
        };
        tiny().write_folder(hub.served.path(), "F32");
        hub
    }

    fn serve(&self, manner: Manner) -> Server {
        Server::new(self.served.path().to_owned(), manner)
    }

    fn cached(&self) -> PathBuf {
        self.home.path().join("hub/models--acme--tiny-llama")
    }

    fn pull(&self, server: &Server, name: &str) -> Output {
        with_hub(&server.endpoint, self.home.path()).args(["models", "pull", name]).output().expect("starts")
    }

    #[track_caller]
    fn pulled(&self, server: &Server, name: &str) -> String {
        let output = self.pull(server, name);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}");
        words
    }

    #[track_caller]
    fn refused(&self, server: &Server, name: &str, parts: &[&str]) {
        let output = self.pull(server, name);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}");
        for part in parts {
            assert!(words.contains(part), "{part:?} in {words}");
        }
    }
}

fn main() -> String {
    format!("hf:{REPOSITORY}")
}

fn perplexity(command: &mut Command, model: &str) -> Output {
    let arguments = ["perplexity", "--model", model, "--tokens", "32", "--policy", "vanilla"];
    command.args(arguments).output().expect("starts")
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    let hub = Hub::new();
    let length = fs::metadata(hub.served.path().join(WEIGHTS)).expect("served").len();
    // Of every transfer a third arrives.
    let third = length as usize / 3 + 1;
    let server = hub.serve(Manner { ends_after: Some((WEIGHTS, third)), ..Manner::default() });
    let words = hub.pulled(&server, &main());
    let ranges = ["all".to_owned(), format!("bytes={third}-"), format!("bytes={}-", 2 * third)];
    assert_eq!(server.ranges(WEIGHTS), ranges);
    assert!(words.contains("1/") && words.contains("config.json") && words.contains(WEIGHTS), "{words}");
    let snapshot = hub.cached().join("snapshots").join(COMMIT).join(WEIGHTS);
    assert_eq!(
        fs::read(snapshot).expect("pulled"),
        fs::read(hub.served.path().join(WEIGHTS)).expect("served")
    );

    // The same from one program to the next.
    let hub = Hub::new();
    let bad =
        hub.serve(Manner { ends_after: Some((WEIGHTS, 1000)), then_nothing: true, ..Manner::default() });
    hub.refused(&bad, &main(), &[WEIGHTS, "1000 of", "are kept, from which the next attempt goes on"]);
    assert!(!hub.cached().join("snapshots").join(COMMIT).join(WEIGHTS).exists());
    let good = hub.serve(Manner::default());
    hub.pulled(&good, &main());
    assert_eq!(good.ranges(WEIGHTS), ["bytes=1000-"]);
    assert_eq!(good.ranges("config.json"), Vec::<String>::new(), "it was there");

    // A server that knows nothing of ranges starts again.
    let hub = Hub::new();
    hub.refused(
        &hub.serve(Manner { ends_after: Some((WEIGHTS, 1000)), then_nothing: true, ..Manner::default() }),
        &main(),
        &[],
    );
    hub.pulled(&hub.serve(Manner { no_ranges: true, ..Manner::default() }), &main());
}

#[test]
fn a_silent_server_is_not_waited_for() {
    let begin = Instant::now();
    let hub = Hub::new();
    hub.refused(
        &hub.serve(Manner { silent: true, ..Manner::default() }),
        &main(),
        &["no answer within 10 s"],
    );
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[test]
fn a_server_that_stops_in_the_middle_is_not_waited_for() {
    let begin = Instant::now();
    let hub = Hub::new();
    let server = hub.serve(Manner { stops_after: Some((WEIGHTS, 5000)), ..Manner::default() });
    hub.refused(&server, &main(), &[WEIGHTS, "no answer within 10 s", "5000 of"]);
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
}

#[test]
fn lengths_and_digests_are_checked() {
    for (manner, part) in [
        (Manner { claims: Some((WEIGHTS, 100)), ..Manner::default() }, "expected"),
        (Manner { claims: Some((WEIGHTS, -100)), ..Manner::default() }, "SHA-256"),
        (Manner { claims: Some((WEIGHTS, i64::MAX / 2)), ..Manner::default() }, "expected"),
        (Manner { wrong_digest: Some(WEIGHTS), ..Manner::default() }, "expected content with SHA-256"),
    ] {
        let hub = Hub::new();
        hub.refused(&hub.serve(manner), &main(), &[WEIGHTS, part]);
        let snapshot = hub.cached().join("snapshots").join(COMMIT);
        assert!(!snapshot.join(WEIGHTS).exists() && snapshot.join("config.json").exists(), "{part}");
    }
}

#[test]
fn what_the_cache_has_is_not_asked_for() {
    let hub = Hub::new();
    // Files instead of links, as some programs leave them.
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let snapshot = hub.cached().join("snapshots").join(commit);
    fs::create_dir_all(hub.cached().join("refs")).expect("made");
    fs::create_dir_all(&snapshot).expect("made");
    fs::write(hub.cached().join("refs/main"), commit).expect("written");
    tiny().write_folder(&snapshot, "F32");
    let silent = hub.serve(Manner { silent: true, ..Manner::default() });
    let (home, cache) = (hub.home.path(), hub.home.path().join("hub"));
    let elsewhere = Path::new("/nonexistent");
    let begin = Instant::now();
    for command in [
        &mut with_hub(&silent.endpoint, home),
        with_hub(&silent.endpoint, home).env("HF_HUB_OFFLINE", "1"),
        with_hub(&silent.endpoint, elsewhere).env("HF_HUB_CACHE", &cache),
        with_hub(&silent.endpoint, elsewhere).env("HUGGINGFACE_HUB_CACHE", &cache),
    ] {
        let output = perplexity(command, &main());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let at = perplexity(&mut with_hub(&silent.endpoint, home), &format!("{}@{commit}", main()));
    assert!(at.status.success(), "{}", String::from_utf8_lossy(&at.stderr));
    // The folder of the repository by its path; a snapshot without refs/main, while there is one only.
    let path = hub.cached();
    let path = path.to_str().expect("UTF-8");
    assert!(perplexity(&mut with_hub(&silent.endpoint, elsewhere), path).status.success());
    fs::remove_file(hub.cached().join("refs/main")).expect("removed");
    assert!(perplexity(&mut with_hub(&silent.endpoint, elsewhere), path).status.success());
    fs::create_dir_all(hub.cached().join("snapshots").join(COMMIT)).expect("made");
    let several = perplexity(&mut with_hub(&silent.endpoint, elsewhere), path);
    let words = String::from_utf8_lossy(&several.stderr);
    assert!(words.contains("2 without refs/main"), "{words}");

    // What is not there is not asked for either, when the network must not be used.
    let output = perplexity(with_hub(&silent.endpoint, home).env("HF_HUB_OFFLINE", "yes"), "hf:acme/other");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("HF_HUB_OFFLINE is set") && words.contains("acme/other"), "{words}");
    assert!(words.contains("has nothing of it"), "{words}");
    fs::write(hub.cached().join("refs/main"), commit).expect("written");
    let file = format!("{}:tiny.gguf", main());
    let output = perplexity(with_hub(&silent.endpoint, home).env("HF_HUB_OFFLINE", "1"), &file);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("does not have tiny.gguf"), "{words}");
    assert_eq!(silent.requests(), []);
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn revisions_and_single_files_are_taken() {
    let hub = Hub::new();
    tiny().gguf(GgmlDType::F32).write(&hub.served.path().join("tiny-F32.gguf"));
    let server = hub.serve(Manner::default());
    let name = format!("{}@v1:tiny-F32.gguf", main());
    hub.pulled(&server, &name);
    let asked: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(
        asked,
        [
            format!("/api/models/{REPOSITORY}/revision/v1"),
            format!("/{REPOSITORY}/resolve/v1/tiny-F32.gguf"),
            format!("/{REPOSITORY}/resolve/v1/tiny-F32.gguf")
        ]
    );
    assert_eq!(fs::read_to_string(hub.cached().join("refs/v1")).expect("noted"), COMMIT);
    let nowhere = Server::new(PathBuf::from("/nonexistent"), Manner::default());
    let output = perplexity(&mut with_hub(&nowhere.endpoint, hub.home.path()), &name);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(nowhere.requests(), []);
    hub.refused(&server, &format!("{}:other.gguf", main()), &["has no other.gguf", "tiny-F32.gguf"]);
    hub.refused(&server, &format!("{}:model.safetensors", main()), &["can be a .gguf file only"]);
    hub.refused(&server, &format!("{}@v2", main()), &["no such repository, revision or file (HTTP 404)"]);
}

#[test]
fn repositories_without_weights_that_are_read_say_what_they_have() {
    let hub = Hub::new();
    fs::rename(hub.served.path().join(WEIGHTS), hub.served.path().join("pytorch_model.bin"))
        .expect("renamed");
    hub.refused(&hub.serve(Manner::default()), &main(), &["pytorch_model.bin", "save_pretrained"]);
    fs::remove_file(hub.served.path().join("config.json")).expect("removed");
    fs::write(hub.served.path().join("a.Q4_0.gguf"), "GGUF").expect("written");
    hub.refused(
        &hub.serve(Manner::default()),
        &main(),
        &["no config.json, but .gguf files", "hf:acme/tiny-llama:a.Q4_0.gguf"],
    );
    fs::write(hub.served.path().join("config.json"), "{}").expect("written");
    fs::remove_file(hub.served.path().join("tokenizer.json")).expect("removed");
    hub.refused(&hub.serve(Manner::default()), &main(), &["tokenizer.json, tokenizer.model, or vocab.json"]);
}

#[test]
fn a_token_goes_to_its_server_and_to_no_other() {
    let hub = Hub::new();
    let store = hub.serve(Manner::default());
    let manner =
        Manner { token: Some("secret"), elsewhere: Some(store.endpoint.clone()), ..Manner::default() };
    let server = hub.serve(manner);
    hub.refused(&server, &main(), &["set HF_TOKEN (HTTP 401)"]);
    let wrong = with_hub(&server.endpoint, hub.home.path())
        .env("HF_TOKEN", "wrong")
        .args(["models", "pull", &main()])
        .output()
        .expect("starts");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("may not read it"), "{wrong:?}");
    fs::write(hub.home.path().join("token"), "secret\n").expect("written");
    hub.pulled(&server, &main());
    let blobs = fs::read_dir(hub.cached().join("blobs")).expect("reads").count();
    assert!(blobs >= 3, "{blobs}: called by X-Linked-Etag, not by what a redirection says of itself");
    let asked = store.requests();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.authorization.is_none()), "{asked:?}");
}

#[test]
fn pointers_of_git_lfs_are_called_by_their_name() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    let folder = tempfile::tempdir().expect("a folder");
    let check = |path: &Path, file: &str| {
        let output = perplexity(&mut crate::support::program(), path.to_str().expect("UTF-8"));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            words.contains(file)
                && words.contains("a Git LFS pointer, not the file; fetch it with `git lfs pull`"),
            "{words}"
        );
    };
    for file in [WEIGHTS, "tokenizer.json", "config.json"] {
        tiny().write_folder(folder.path(), "F32");
        fs::write(folder.path().join(file), pointer).expect("written");
        check(folder.path(), file);
    }
    tiny().write_folder(folder.path(), "F32");
    fs::remove_file(folder.path().join("tokenizer.json")).expect("removed");
    fs::write(folder.path().join("tokenizer.model"), pointer).expect("written");
    check(folder.path(), "tokenizer.model");
    let gguf = folder.path().join("model.gguf");
    fs::write(&gguf, pointer).expect("written");
    check(&gguf, "model.gguf");
    // A shard, too.
    let folder = tempfile::tempdir().expect("a folder");
    tiny().write_sharded_folder(folder.path(), "F32", 2);
    fs::write(folder.path().join("model-00002-of-00002.safetensors"), pointer).expect("written");
    check(folder.path(), "model-00002-of-00002.safetensors");
}

#[test]
fn weights_in_other_forms() {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |dtype: &str| {
        tiny().write_folder(folder.path(), dtype);
        let loaded = crate::support::load(folder.path());
        let notes: Vec<String> = loaded.notes.iter().map(ToString::to_string).collect();
        (loaded.digest().expect("a digest").weights, notes.join("\n"))
    };
    let (doubles, said) = read("F64");
    assert!(said.contains("stored as F64; they are rounded to F32"), "{said}");
    assert_eq!(read("F32").0, doubles);
    // One file goes before several.
    let index = json!({"weight_map": {"x": "y.safetensors"}});
    fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).expect("written");
    let (both, said) = read("F32");
    assert!(said.contains("model.safetensors is read; model.safetensors.index.json"), "{said}");
    assert_eq!(both, doubles);
    for (name, parts) in [
        ("pytorch_model.bin", &["pytorch_model.bin", "save_pretrained"][..]),
        ("weights.safetensors", &["neither, but weights.safetensors"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        tiny().write_folder(folder.path(), "F32");
        fs::rename(folder.path().join(WEIGHTS), folder.path().join(name)).expect("renamed");
        let output = perplexity(&mut crate::support::program(), folder.path().to_str().expect("UTF-8"));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(parts.iter().all(|part| words.contains(part)), "{words}");
    }
}
