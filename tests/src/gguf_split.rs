//! GGUF models in several files, and folders that hold one model.

use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use lm_infinite::checkpoint;
use lm_infinite::hub::Cache;
use tempfile::TempDir;

use crate::fixtures::{GgufFile, TinyConfig, TinyLlama, Value};
use crate::support::load;

fn whole() -> GgufFile {
    TinyLlama::random(TinyConfig::default(), 11).gguf(GgmlDType::F32)
}

/// Writes the parts under their own names.
fn written(parts: &[GgufFile]) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |index| folder.path().join(format!("tiny-{:05}-of-{:05}.gguf", index + 1, parts.len()));
    let paths: Vec<PathBuf> = (0..parts.len()).map(path).collect();
    for (part, path) in parts.iter().zip(&paths) {
        part.write(path);
    }
    (folder, paths)
}

fn refused(path: &Path) -> String {
    checkpoint::load(path.to_str().expect("UTF-8"), &Cache::at("no-cache")).expect_err("refused").to_string()
}

#[test]
fn any_part_gives_the_whole_model() {
    let (folder, one) = (tempfile::tempdir().expect("a folder"), whole());
    let path = folder.path().join("whole.gguf");
    one.write(&path);
    let expected = load(&path).digest().expect("a digest");
    let mut parts = one.split(3);
    let (_kept, paths) = written(&parts);
    for path in &paths {
        assert_eq!(load(path).digest().expect("a digest"), expected, "{}", path.display());
    }
    // The first part may hold metadata alone.
    let first = std::mem::take(&mut parts[0].tensors);
    parts[1].tensors.extend(first);
    let (_kept, paths) = written(&parts);
    assert_eq!(load(&paths[2]).digest().expect("a digest"), expected);
    // And one part is the whole.
    let (_kept, paths) = written(&one.split(1));
    assert_eq!(load(&paths[0]).digest().expect("a digest"), expected);
}

#[test]
fn missing_parts_are_named() {
    let (_kept, paths) = written(&whole().split(3));
    std::fs::remove_file(&paths[0]).expect("removed");
    let message = refused(&paths[1]);
    assert!(message.contains("split.count") && message.contains("tiny-00001-of-00003.gguf"), "{message}");
    std::fs::remove_file(&paths[2]).expect("removed");
    let message = refused(&paths[1]);
    assert!(message.contains("tiny-00001-of-00003.gguf, tiny-00003-of-00003.gguf"), "{message}");
    let inspection = checkpoint::inspect(paths[1].to_str().expect("UTF-8"), &Cache::at("no-cache"));
    let inspection = inspection.expect("what is there is described");
    assert_eq!(inspection.problem, Some(message));
    assert!(inspection.bytes > 0);
}

#[test]
fn a_part_under_another_name_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    whole().split(2)[0].write(&path);
    let message = refused(&path);
    assert!(message.contains("-00001-of-00002.gguf") && message.contains("under another name"), "{message}");
    // A link to a part is that part.
    #[cfg(unix)]
    {
        let (kept, paths) = written(&whole().split(2));
        let link = kept.path().join("model.gguf");
        std::os::unix::fs::symlink(&paths[0], &link).expect("linked");
        assert_eq!(load(&link).config.layers, 2);
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let changed = |change: &dyn Fn(&mut [GgufFile])| {
        let mut parts = whole().split(2);
        change(&mut parts);
        let (_kept, paths) = written(&parts);
        refused(&paths[0])
    };
    for (key, value, words) in [
        ("split.count", Value::U16(3), ["split.count", "expected 2", "got 3"]),
        ("split.no", Value::U16(0), ["split.no", "expected 1", "got 0"]),
        ("split.no", Value::I32(-1), ["split.no", "non-negative", "-1"]),
    ] {
        let message = changed(&|parts| parts[1].set(key, value.clone()));
        for word in words {
            assert!(message.contains(word) && message.contains("00002-of-00002"), "{word}: {message}");
        }
    }
    let message = changed(&|parts| parts[1].remove("split.no"));
    assert!(message.contains("split.no") && message.contains("no such key"), "{message}");
    let message = changed(&|parts| parts[0].set("split.count", Value::U16(5)));
    assert!(message.contains("as in the name of the file"), "{message}");
    let message = changed(&|parts| parts[0].set("split.count", Value::I32(i32::MAX)));
    assert!(message.contains("at most 65535"), "{message}");
    let message = changed(&|parts| parts[0].set("split.no", Value::U16(1)));
    assert!(message.contains("split.no") && message.contains("expected 0"), "{message}");
    let message = changed(&|parts| parts[0].set("split.tensors.count", Value::I32(7)));
    assert!(message.contains("split.tensors.count") && message.contains("got 7"), "{message}");
    let message = changed(&|parts| {
        let tensor = parts[0].tensors[0].clone();
        parts[1].tensors.push(tensor);
    });
    assert!(message.contains("a second one"), "{message}");
}

#[test]
fn a_folder_with_one_model_is_that_model() {
    let (folder, paths) = written(&whole().split(2));
    std::fs::write(folder.path().join("README.md"), "a model").expect("written");
    assert_eq!(load(folder.path()).config.layers, 2);
    let name = folder.path().file_name().expect("a name").to_string_lossy();
    assert_eq!(load(folder.path()).name, name);

    // Two models: which one is asked.
    whole().write(&folder.path().join("other.GGUF"));
    let message = refused(folder.path());
    assert!(
        message.contains("2 GGUF models") && message.contains("other.GGUF, tiny-00001-of-00002.gguf"),
        "{message}"
    );
    for path in &paths {
        std::fs::remove_file(path).expect("removed");
    }
    assert_eq!(load(folder.path()).config.layers, 2);

    // A configuration beside it does not make a folder of Hugging Face's weights; weights do.
    std::fs::write(folder.path().join("config.json"), "{}").expect("written");
    assert_eq!(load(folder.path()).config.layers, 2);
    std::fs::write(folder.path().join("model.safetensors"), "").expect("written");
    assert!(refused(folder.path()).contains("config.json"));
}

#[test]
fn a_folder_with_weights_of_both_formats_says_which_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let tiny = TinyLlama::random(TinyConfig::default(), 2);
    tiny.write_folder(folder.path(), "F32");
    assert_eq!(load(folder.path()).notes, []);
    tiny.gguf(GgmlDType::F32).write(&folder.path().join("tiny.gguf"));
    let notes = load(folder.path()).notes;
    assert!(notes.len() == 1 && notes[0].said.contains("`tiny.gguf`, which is not read"), "{notes:?}");
}

#[test]
fn a_folder_without_a_model_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(refused(folder.path()).contains("config.json"));
}
