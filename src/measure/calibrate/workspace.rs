//! A calibration on disk, while it lasts: `begun.json`, which says of what, and a file for each case that is judged.
//!
//! Each file is written beside its place and put there in one step: whenever the process is killed, what is there is whole.

use std::path::{Path, PathBuf};

use lm_infinite_runtime::files::{resolve, write_whole};
use serde::{Deserialize, Serialize};

use super::case::{CaseKey, Measured};
use super::identity::{Difference, Identity};
use crate::error::{Error, Result};
use crate::long_run::Shard;
use crate::measure::unfinished_run::{FolderLock, file_to_resume};

const FILE: &str = "begun.json";
const FORMAT: &str = "lm-infinite calibration 1";

/// `begun.json`
#[derive(Debug, Serialize, Deserialize)]
struct State {
    format: String,
    shard: Shard,
    identity: Identity,
}

/// The folder of a calibration that is not finished.
#[derive(Debug)]
pub struct Workspace {
    folder: PathBuf,
    _lock: FolderLock,
}

impl Workspace {
    /// Whether `folder` holds a calibration that is not finished.
    pub fn is_begun(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Begins a calibration in `folder`, which is made.
    ///
    /// # Errors
    /// A folder that cannot be written; a folder that another process writes to.
    pub fn begin(folder: &Path, identity: &Identity, shard: Shard) -> Result<Self> {
        let folder = resolve(folder)?;
        let lock = FolderLock::take(&folder)?;
        let state = State { format: FORMAT.into(), shard, identity: identity.clone() };
        let json = serde_json::to_string(&state).map_err(|e| Error::input(FILE, e))?;
        let this = Self { folder, _lock: lock };
        // Of an earlier one that was killed when it had its result.
        this.remove_cases()?;
        write_whole(&this.folder.join(FILE), json.as_bytes())?;
        Ok(this)
    }

    /// Goes on with the calibration in `folder`. Returns the cases that are judged.
    ///
    /// # Errors
    /// No unfinished calibration, a damaged one, or another than `identity` and `shard`; a folder that another process writes to.
    pub fn resume(folder: &Path, identity: &Identity, shard: Shard) -> Result<(Self, Vec<Measured>)> {
        let folder = resolve(folder)?;
        let path = file_to_resume(&folder, FILE, "calibration")?;
        let lock = FolderLock::take(&folder)?;
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let state: State = serde_json::from_str(&text).map_err(|e| {
            Error::malformed(&path, format!("line {}", e.line()), "an unfinished calibration", e)
        })?;
        if state.format != FORMAT {
            return Err(Error::malformed(&path, "format", FORMAT, state.format));
        }
        if let Some(Difference { field, this, other }) = identity.difference(&state.identity) {
            return Err(Error::malformed(&path, field, this, other));
        }
        if state.shard != shard {
            return Err(Error::malformed(&path, "shard", shard, state.shard));
        }
        let this = Self { folder, _lock: lock };
        let mut cases = Vec::new();
        for (name, key) in this.names()? {
            let Some(key) = key else { continue };
            let path = this.folder.join(name);
            let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
            let case: Measured = rmp_serde::from_slice(&bytes)
                .map_err(|e| Error::malformed(&path, "case", "a case of a calibration", e))?;
            if case.key() != key || !identity.has(key) {
                let got = format!("one of text {} in row {}", case.text, case.case.row);
                return Err(Error::malformed(
                    &path,
                    "case",
                    "one of this calibration, named by text and row",
                    got,
                ));
            }
            cases.push(case);
        }
        Ok((this, cases))
    }

    /// Keeps a case.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn save(&self, case: &Measured) -> Result<()> {
        let (text, row) = case.key();
        let path = self.folder.join(format!("case-{text}-{row}.msgpack"));
        let bytes = rmp_serde::to_vec(case).map_err(|e| Error::io(&path)(std::io::Error::other(e)))?;
        write_whole(&path, &bytes).map_err(Error::from)
    }

    /// Takes away what only an unfinished calibration needs.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn finish(self) -> Result<()> {
        // First what says that it is not finished: cases that are left are removed by whoever begins here next.
        let path = self.folder.join(FILE);
        std::fs::remove_file(&path).map_err(Error::io(&path))?;
        self.remove_cases()
    }

    fn remove_cases(&self) -> Result<()> {
        for (name, _) in self.names()? {
            let path = self.folder.join(name);
            std::fs::remove_file(&path).map_err(Error::io(&path))?;
        }
        Ok(())
    }

    /// Files of cases here, with what they are of; without it, what a killed process left half written.
    fn names(&self) -> Result<Vec<(String, Option<CaseKey>)>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(Error::io(&self.folder))? {
            let entry = entry.map_err(Error::io(&self.folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match kind_of(&name) {
                Kind::Case(key) => names.push((name, Some(key))),
                Kind::Half => names.push((name, None)),
                Kind::Other => {}
            }
        }
        Ok(names)
    }
}

/// What a name says of a file.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// A case, by text and row.
    Case(CaseKey),
    /// One that was being written.
    Half,
    /// Nothing of a calibration.
    Other,
}

fn kind_of(name: &str) -> Kind {
    let Some((numbers, rest)) = name.strip_prefix("case-").and_then(|name| name.split_once(".msgpack"))
    else {
        return Kind::Other;
    };
    // As they are written: no sign and no zeros before.
    let number = |text: &str| text.parse::<usize>().ok().filter(|number| number.to_string() == text);
    let key = numbers.split_once('-').and_then(|(text, row)| Some((number(text)?, number(row)?)));
    let process = rest.strip_prefix('.').and_then(|rest| rest.strip_suffix(".part"));
    match (key, rest, process.and_then(number)) {
        (Some(key), "", _) => Kind::Case(key),
        (Some(_), _, Some(_)) => Kind::Half,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_removed_is_of_a_calibration() {
        assert_eq!(kind_of("case-0-12.msgpack"), Kind::Case((0, 12)));
        assert_eq!(kind_of("case-3-1.msgpack.77.part"), Kind::Half);
        for other in [
            "case-3.msgpack",
            "case-3-1.msgpack.part",
            "case-3-1.msgpack.bak",
            "case-+3-1.msgpack",
            "case-03-1.msgpack",
            "case--1.msgpack",
            "my-case-3-1.msgpack",
            "case-3-1.json",
            "begun.json",
        ] {
            assert_eq!(kind_of(other), Kind::Other, "{other}");
        }
    }
}
