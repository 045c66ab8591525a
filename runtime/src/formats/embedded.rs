//! Models that are compiled in: their files answer to paths that begin with `embedded:`, so that whoever reads a Hugging
//! Face folder reads these too.

use std::path::{Path, PathBuf};

/// What a path to a file of an embedded model begins with; the model's name and the file's follow.
const SCHEME: &str = "embedded:";

/// A model that is compiled in.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedModel {
    /// What users write.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// SPDX expression.
    pub licence: &'static str,
    /// Name and content of each file of its Hugging Face folder.
    files: lm_infinite_models::Folder,
}

/// The file of `tiny-rope` of this name.
macro_rules! tiny_rope {
    ($file:literal) => {
        ($file, include_bytes!(concat!("../../assets/models/tiny-rope/", $file)))
    };
}

static TINY_ROPE: lm_infinite_models::Folder = &[
    tiny_rope!("config.json"),
    tiny_rope!("model.safetensors"),
    tiny_rope!("tokenizer.json"),
    tiny_rope!("tokenizer_config.json"),
];

/// All embedded models; the first is the default of every command.
pub static EMBEDDED: [EmbeddedModel; 3] = [
    EmbeddedModel {
        name: DEFAULT_MODEL,
        description: "1.3M parameters, RoPE, training length 256",
        licence: LICENCE,
        files: TINY_ROPE,
    },
    EmbeddedModel {
        name: "tiny-alibi",
        description: "1.3M parameters, ALiBi, training length 256",
        licence: LICENCE,
        files: lm_infinite_models::TINY_ALIBI,
    },
    EmbeddedModel {
        name: "tiny-nope",
        description: "1.3M parameters, no position encoding, training length 256",
        licence: LICENCE,
        files: lm_infinite_models::TINY_NOPE,
    },
];

/// Of all of them.
const LICENCE: &str = "MIT OR Apache-2.0";

/// The model that commands take where none is named.
pub const DEFAULT_MODEL: &str = "tiny-rope";

impl EmbeddedModel {
    /// Where its folder would be: a path that only the reader of files in this crate knows.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(format!("{SCHEME}{}", self.name))
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, content)| content.len() as u64).sum()
    }
}

/// The embedded model of this name.
pub fn embedded(name: &str) -> Option<&'static EmbeddedModel> {
    EMBEDDED.iter().find(|model| model.name == name)
}

/// The content of the file of an embedded model, if `path` is one.
pub fn embedded_file(path: &Path) -> Option<&'static [u8]> {
    let (name, file) = path.to_str()?.strip_prefix(SCHEME)?.split_once('/')?;
    embedded(name)?.files.iter().find(|(known, _)| *known == file).map(|(_, content)| *content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_their_own_paths_are_answered() {
        for model in &EMBEDDED {
            assert!(
                embedded_file(&model.folder().join("config.json")).is_some_and(|json| json.starts_with(b"{"))
            );
            assert!(embedded_file(&model.folder().join("other.json")).is_none());
            assert!(embedded_file(&Path::new(model.name).join("config.json")).is_none());
            assert!(model.bytes() <= 6_000_000, "{}: {} bytes", model.name, model.bytes());
        }
        for path in
            ["", "embedded:", "embedded:tiny-rope", "embedded:other/config.json", "embedded:/config.json"]
        {
            assert!(embedded_file(Path::new(path)).is_none(), "{path}");
        }
    }
}
