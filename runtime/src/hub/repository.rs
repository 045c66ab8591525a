//! What stands behind `hf:`.

use std::fmt;

use crate::error::{Error, Result};

/// A repository of Hugging Face, perhaps at a revision, perhaps one file of it: `org/name`, `org/name@revision`,
/// `org/name:file.gguf`, `org/name@revision:file.gguf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    /// `org/name`.
    pub id: String,
    /// A branch, a tag, or a commit.
    pub revision: String,
    /// The file that is meant.
    pub file: Option<String>,
}

/// The branch where none is named.
const MAIN: &str = "main";

impl Repository {
    /// Refuses anything that no repository has.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |reason: &str| Error::input(format!("model `hf:{text}`"), reason);
        let (front, file) = match text.split_once(':') {
            Some((front, file)) => (front, Some(file)),
            None => (text, None),
        };
        let (id, revision) = front.split_once('@').unwrap_or((front, MAIN));
        let plain = |text: &str, more: &[u8]| {
            (1..=96).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b) || more.contains(&b))
                && !text.starts_with(['.', '-', '/'])
                && !text.ends_with('/')
                && !["..", "//", "/.", "--"]
                    .iter()
                    .any(|part| text.contains(part) && !(*part == "--" && more.contains(&b'/')))
        };
        let named = id
            .split_once('/')
            .is_some_and(|(organization, name)| plain(organization, b"") && plain(name, b""));
        if !named {
            return Err(bad(
                "expected hf:org/name, hf:org/name@revision or hf:org/name:file.gguf (letters, digits, `.`, `_`, `-`)",
            ));
        }
        if !plain(revision, b"/") {
            return Err(bad(
                "expected a branch, a tag or a commit behind `@` (letters, digits, `.`, `_`, `-`, `/`)",
            ));
        }
        if let Some(file) = file {
            if !is_relative(file) {
                return Err(bad("expected the name of a file of the repository behind `:`"));
            }
            if !file.to_ascii_lowercase().ends_with(".gguf") {
                return Err(bad(
                    "a single file can be a .gguf file only; without `:` the whole model is taken",
                ));
            }
        }
        Ok(Self { id: id.to_owned(), revision: revision.to_owned(), file: file.map(str::to_owned) })
    }

    /// Is the revision a commit, which never changes?
    pub fn is_commit(&self) -> bool {
        is_commit(&self.revision)
    }

    /// The repository and its revision, for words.
    pub fn named(&self) -> String {
        if self.revision == MAIN { self.id.clone() } else { format!("{}@{}", self.id, self.revision) }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.named())?;
        self.file.iter().try_for_each(|file| write!(f, ":{file}"))
    }
}

/// 40 hexadecimal digits.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A path that stays inside the folder it is joined to, on every system.
pub(super) fn is_relative(path: &str) -> bool {
    path.len() <= 1024
        && !path.chars().any(|c| c.is_control() || "\\:*?\"<>|".contains(c))
        && path
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(['.', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_two_plain_names() {
        let parsed = |text: &str| Repository::parse(text).expect("a repository");
        let plain = parsed("HuggingFaceTB/SmolLM2-135M");
        assert_eq!(
            (plain.id.as_str(), plain.revision.as_str(), plain.file.as_ref()),
            ("HuggingFaceTB/SmolLM2-135M", "main", None)
        );
        let whole = parsed("a/b@refs/pr/1:sub/x-00001-of-00002.gguf");
        assert_eq!(
            (whole.revision.as_str(), whole.file.as_deref()),
            ("refs/pr/1", Some("sub/x-00001-of-00002.gguf"))
        );
        assert_eq!(
            parsed("a/b@0123456789abcdef0123456789abcdef01234567:F.GGUF").to_string(),
            "hf:a/b@0123456789abcdef0123456789abcdef01234567:F.GGUF"
        );
        assert_eq!(parsed("a/b").to_string(), "hf:a/b");
        for bad in [
            "",
            "name",
            "a/b/c",
            "../x",
            "a/..",
            "a/.b",
            "-a/b",
            "a/b?x",
            "a b/c",
            "a/",
            "/b",
            "é/b",
            "a--b/c",
            "a/b@",
            "a/b@../x",
            "a/b@x//y",
            "a/b@/x",
            "a/b@x/",
            "a/b@x y",
            "a/b:",
            "a/b:../x.gguf",
            "a/b:/x.gguf",
            "a/b:x\\y.gguf",
            "a/b:.x.gguf",
            "a/b:x.bin",
            "a/b:x:y.gguf",
            "a/b:c/../x.gguf",
        ] {
            assert!(Repository::parse(bad).is_err(), "{bad}");
        }
    }
}
