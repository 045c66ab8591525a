//! Folders that hold one GGUF model: a file, or the parts of a split one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::formats::folder::{WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
use crate::formats::gguf::PartName;

/// At most so many files of a folder are named.
const MOST_NAMES: usize = 8;

/// The GGUF model in `folder`: its file, or the first part that is there. `None` of a folder that holds none, or weights in
/// Hugging Face's format.
///
/// # Errors
/// Several models, of which one has to be named; a folder that cannot be listed.
pub(super) fn model_in(folder: &Path) -> Result<Option<PathBuf>> {
    if [WEIGHTS_FILE, WEIGHTS_INDEX_FILE].iter().any(|file| folder.join(file).exists()) {
        return Ok(None);
    }
    // By what the names of the parts of one model have in common.
    let mut models = BTreeMap::<String, String>::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let is_gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if !is_gguf || name.starts_with('.') || !path.is_file() {
            continue;
        }
        let model = PartName::parse(&name).map_or_else(|| name.clone(), |part| part.part(1));
        let first = models.entry(model).or_insert_with(|| name.clone());
        if name < *first {
            *first = name;
        }
    }
    let mut files = models.into_values();
    match (files.next(), files.len()) {
        (None, _) => Ok(None),
        (Some(file), 0) => Ok(Some(folder.join(file))),
        (Some(file), more) => {
            let named: Vec<String> = std::iter::once(file).chain(files.take(MOST_NAMES - 1)).collect();
            let rest = if more >= MOST_NAMES { ", …" } else { "" };
            let reason =
                format!("it holds {} GGUF models; give one of them: {}{rest}", more + 1, named.join(", "));
            Err(Error::input(format!("model `{}`", folder.display()), reason))
        }
    }
}
