//! Answers on disk while a run lasts, a line of `answers.jsonl` each: whenever the process is killed, what is answered is kept.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use lm_infinite_runtime::files::{resolve, write_whole};
use serde::{Deserialize, Serialize};

use super::{Outcome, Place, Prompt};
use crate::error::{Error, Result};
use crate::measure::unfinished_run::{FolderLock, file_to_resume};

const FILE: &str = "answers.jsonl";
const FORMAT: &str = "lm-infinite passkey answers 1";

/// The first line: what all answers are of.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    format: String,
    /// Digest of weights, configuration and tokenizer.
    model: String,
    seed: u64,
}

/// Any other line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// The method as written, with every default spelled out.
    policy: String,
    #[serde(flatten)]
    place: Place,
    /// The number that was asked for: a program that draws other prompts cannot go on.
    key: u64,
    outcome: Outcome,
}

/// The answers of a run that is not finished.
#[derive(Debug)]
pub struct Answers {
    path: PathBuf,
    file: File,
    known: HashMap<(String, Place), (u64, Outcome)>,
    _lock: FolderLock,
}

impl Answers {
    /// Whether `folder` holds the answers of a run that is not finished.
    pub fn are_begun(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Begins a run of `model` (its digest) in `folder`, which is made.
    ///
    /// # Errors
    /// A folder that cannot be written; one that another process writes to.
    pub fn begin(folder: &Path, model: &str, seed: u64) -> Result<Self> {
        let folder = resolve(folder)?;
        let lock = FolderLock::take(&folder)?;
        let path = folder.join(FILE);
        let head = Head { format: FORMAT.into(), model: model.into(), seed };
        let line = serde_json::to_string(&head).map_err(|e| Error::input(FILE, e))?;
        write_whole(&path, format!("{line}\n").as_bytes())?;
        Self::open(path, HashMap::new(), lock)
    }

    /// Goes on with the run in `folder`.
    ///
    /// # Errors
    /// No unfinished run, a damaged one, or one of another model or seed; a folder that another process writes to.
    pub fn resume(folder: &Path, model: &str, seed: u64) -> Result<Self> {
        let folder = resolve(folder)?;
        let path = file_to_resume(&folder, FILE, "run")?;
        let lock = FolderLock::take(&folder)?;
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        // A line without its end was being written when the process was killed.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        if whole.len() < text.len() {
            write_whole(&path, whole.as_bytes())?;
        }
        let mut lines = whole.lines().enumerate();
        let damaged = |line: usize, e: serde_json::Error| {
            Error::malformed(&path, format!("line {}", line + 1), "a line of passkey answers", e)
        };
        let (_, first) =
            lines.next().ok_or_else(|| Error::malformed(&path, "line 1", FORMAT, "an empty file"))?;
        let head: Head = serde_json::from_str(first).map_err(|e| damaged(0, e))?;
        let differs = |field: &str, this: &dyn ToString, other: &dyn ToString| {
            Err(Error::malformed(&path, field, this.to_string(), other.to_string()))
        };
        match () {
            () if head.format != FORMAT => return differs("format", &FORMAT, &head.format),
            () if head.model != model => return differs("model", &model, &head.model),
            () if head.seed != seed => return differs("seed", &seed, &head.seed),
            () => {}
        }
        let mut known = HashMap::new();
        for (at, line) in lines {
            let Line { policy, place, key, outcome } =
                serde_json::from_str(line).map_err(|e| damaged(at, e))?;
            known.insert((policy, place), (key, outcome));
        }
        Self::open(path, known, lock)
    }

    fn open(
        path: PathBuf,
        known: HashMap<(String, Place), (u64, Outcome)>,
        lock: FolderLock,
    ) -> Result<Self> {
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file, known, _lock: lock })
    }

    /// The answer of `policy` to `prompt`, where it is known.
    ///
    /// # Errors
    /// Where another number was hidden in that prompt.
    pub fn known(&self, policy: &str, prompt: &Prompt) -> Result<Option<Outcome>> {
        match self.known.get(&(policy.to_owned(), prompt.place)) {
            Some((key, _)) if *key != prompt.key => {
                let field =
                    format!("key of prompt {} at {} tokens", prompt.place.sample, prompt.place.length);
                Err(Error::malformed(&self.path, field, prompt.key, key))
            }
            known => Ok(known.map(|(_, outcome)| *outcome)),
        }
    }

    /// Keeps an answer.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn push(&mut self, policy: &str, prompt: &Prompt, outcome: Outcome) -> Result<()> {
        let line = Line { policy: policy.into(), place: prompt.place, key: prompt.key, outcome };
        let json = serde_json::to_string(&line).map_err(|e| Error::input(FILE, e))?;
        self.file.write_all(format!("{json}\n").as_bytes()).map_err(Error::io(&self.path))?;
        self.known.insert((line.policy, line.place), (line.key, outcome));
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes away what only an unfinished run needs.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn finish(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(Error::io(&self.path))
    }
}
