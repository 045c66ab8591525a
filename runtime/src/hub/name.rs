//! What a model is called that is named by its path.

use std::ffi::OsStr;
use std::path::{Component, Path};

/// Last part of `path` as the user wrote it, links not followed; of `.`, `..` and `/`, last part of the folder meant.
///
/// Folders of Hugging Face's cache, `models--ORG--NAME/snapshots/COMMIT`, are called `ORG/NAME`, and so are their blobs:
/// a digest is no name.
pub(crate) fn name_of_path(path: &Path) -> String {
    let full = match path.components().next_back() {
        Some(Component::Normal(_)) => std::path::absolute(path),
        _ => path.canonicalize(),
    };
    let full = full.unwrap_or_else(|_| path.to_owned());
    if let Some(repository) = repository(&full) {
        return repository;
    }
    full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned()
}

/// `ORG/NAME`, if `path` is a snapshot or a blob of Hugging Face's cache.
fn repository(path: &Path) -> Option<String> {
    let mut parts = path.components().rev().map(Component::as_os_str);
    let (digest, kind, folder) = (parts.next()?, parts.next()?, parts.next()?);
    let is_digest = digest.len() >= 40 && digest.to_str()?.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_kept = is_digest && (kind == OsStr::new("snapshots") || kind == OsStr::new("blobs"));
    let name = folder.to_str()?.strip_prefix("models--").filter(|_| is_kept)?;
    // `--` between the two parts; names without an organization have one part.
    Some(name.replacen("--", "/", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn names_are_those_that_were_written() {
        for (path, name) in [
            ("model.gguf".into(), "model.gguf"),
            ("some/folder/".into(), "folder"),
            ("../some/folder/.".into(), "folder"),
            (format!("hub/models--acme--tiny-llama/snapshots/{COMMIT}"), "acme/tiny-llama"),
            (format!("/hub/models--acme--tiny--llama/snapshots/{COMMIT}/"), "acme/tiny--llama"),
            (format!("/hub/models--gpt2/blobs/{COMMIT}{}", &COMMIT[..24]), "gpt2"),
            (format!("/hub/models--acme--tiny-llama/snapshots/{COMMIT}/q4.gguf"), "q4.gguf"),
            (format!("/mine/snapshots/{COMMIT}"), COMMIT),
            ("/hub/models--acme--tiny-llama/snapshots/mine".into(), "mine"),
        ] {
            assert_eq!(name_of_path(Path::new(&path)), name, "{path}");
        }
        assert_eq!(name_of_path(Path::new("/")), "/");
    }

    #[test]
    fn a_dot_is_the_folder_that_it_means() {
        let here = std::env::current_dir().expect("a folder");
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(name_of_path(Path::new(".")), name(&here));
        assert_eq!(name_of_path(Path::new("..")), name(here.parent().expect("a parent")));
    }
}
