//! A long run on disk, while it lasts: `state.json`, and the session of the policy that is being run.
//!
//! The session is written first, under a name of its own, and then `state.json`, which names it, is replaced in one step:
//! whenever the process is killed, `state.json` and what it names belong together. Old keys, which all sessions of a policy
//! share, lie in one file that only grows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lm_infinite_runtime::files::{resolve, write_whole};
use lm_infinite_runtime::model::ModelDigest;
use lm_infinite_runtime::policy::AttentionPolicy;
use lm_infinite_runtime::session::Session;
use lm_infinite_runtime::session::{Decoder, Precision};
use serde::{Deserialize, Serialize};

use super::running_totals::RunningTotals;
use super::shard::Shard;
use crate::error::{Error, Result};
use crate::measure::unfinished_run::{FolderLock, file_to_resume};

const FILE: &str = "state.json";
const FORMAT: &str = "lm-infinite long run 3";

/// What a run is a run of. A run goes on only as what it was begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The model: weights, configuration and tokenizer.
    pub model: ModelDigest,
    /// SHA-256 of the whole text, where only a shard of it is read; else each [`Mark`](super::Mark) says what was read.
    pub text_sha256: Option<String>,
    /// The policies, in order.
    pub policies: Vec<AttentionPolicy>,
    /// Tokens to read.
    pub tokens: u64,
    /// Seed of the draws.
    pub seed: u64,
    /// Width of the linear buckets.
    pub bucket: u64,
    /// The part that is read.
    pub shard: Shard,
    /// How weights are multiplied.
    #[serde(default)]
    pub precision: Precision,
}

/// A run that is not finished.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    format: String,
    identity: Identity,
    /// Policies that are done.
    pub done: Vec<RunningTotals>,
    /// The one that is being run.
    pub current: Option<RunningTotals>,
    /// File with its session.
    session: Option<String>,
}

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct Workspace {
    folder: PathBuf,
    identity: Identity,
    _lock: FolderLock,
}

impl Workspace {
    /// In `folder`, which is made.
    ///
    /// # Errors
    /// A folder that another process writes to.
    pub fn new(folder: &Path, identity: Identity) -> Result<Self> {
        let folder = resolve(folder)?;
        let lock = FolderLock::take(&folder)?;
        Ok(Self { folder, identity, _lock: lock })
    }

    /// Whether `folder` holds a run that is not finished.
    pub fn is_begun(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// What is there.
    ///
    /// # Errors
    /// No unfinished run, a damaged one, or one of another model, text, policy, length, seed or bucket.
    pub fn load(&self) -> Result<State> {
        let path = file_to_resume(&self.folder, FILE, "run")?;
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let state: State = serde_json::from_str(&text)
            .map_err(|e| Error::malformed(&path, format!("line {}", e.line()), "an unfinished run", e))?;
        if state.format != FORMAT {
            return Err(Error::malformed(&path, "format", FORMAT, state.format));
        }
        let (was, is) = (&state.identity, &self.identity);
        let differ = |field: &str, was: String, is: String| Err(Error::malformed(&path, field, is, was));
        if let Some(part) = is.model.difference(&was.model) {
            return differ(&format!("model ({part})"), was.model.whole(), is.model.whole());
        }
        if was.shard != is.shard {
            return differ("shard", was.shard.to_string(), is.shard.to_string());
        }
        if was.text_sha256 != is.text_sha256 {
            let words = |sha256: &Option<String>| sha256.clone().unwrap_or("none".into());
            return differ("text (SHA-256)", words(&was.text_sha256), words(&is.text_sha256));
        }
        if was.policies != is.policies {
            let words = |all: &[AttentionPolicy]| {
                all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
            };
            return differ("policies", words(&was.policies), words(&is.policies));
        }
        if was.precision != is.precision {
            return differ("precision", was.precision.to_string(), is.precision.to_string());
        }
        for (field, was, is) in [
            ("tokens", was.tokens, is.tokens),
            ("seed", was.seed, is.seed),
            ("bucket", was.bucket, is.bucket),
        ] {
            if was != is {
                return differ(field, was.to_string(), is.to_string());
            }
        }
        if state.done.len() > is.policies.len() {
            let got = format!("{} finished ones", state.done.len());
            return Err(Error::malformed(&path, "policies", is.policies.len(), got));
        }
        Ok(state)
    }

    /// The session of the policy that was being run, and what it had counted; `None` between two policies.
    ///
    /// # Errors
    /// A session that is missing, damaged, or at another position.
    pub fn resumed(
        &self,
        state: State,
        decoder: Arc<Decoder>,
        policy: AttentionPolicy,
    ) -> Result<Option<(RunningTotals, Session)>> {
        let path = self.folder.join(FILE);
        let (Some(name), Some(totals)) = (state.session, state.current) else {
            self.remove_sessions_but(&[])?;
            return Ok(None);
        };
        // A name, not a way out of the folder.
        if Path::new(&name).components().count() != 1 || name == ".." {
            return Err(Error::malformed(&path, "session", "the name of a file here", name));
        }
        let file = self.folder.join(&name);
        let session = Session::restore(decoder, policy, &file)?;
        if session.position() != totals.position {
            return Err(Error::malformed(&file, "position", totals.position, session.position()));
        }
        // What was written after this snapshot, and never committed, would stand in the way.
        self.remove_sessions_but(&[&name, &pages_name(&session)])?;
        Ok(Some((totals, session)))
    }

    /// Puts the run down, between two policies or within one.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn save(
        &self,
        done: &[RunningTotals],
        current: Option<(&RunningTotals, &mut Session)>,
    ) -> Result<()> {
        let mut kept = Vec::new();
        let mut totals = None;
        if let Some((current, session)) = current {
            let name = format!("session-{}-{}.safetensors", done.len(), current.position);
            session.checkpoint(&self.folder.join(&name), &format!("session-{}.pages", done.len()))?;
            kept = vec![name, pages_name(session)];
            totals = Some(current.clone());
        }
        let state = State {
            format: FORMAT.into(),
            identity: self.identity.clone(),
            done: done.to_vec(),
            current: totals,
            session: kept.first().cloned(),
        };
        let json = serde_json::to_string(&state).map_err(|e| Error::input(FILE, e))?;
        write_whole(&self.folder.join(FILE), json.as_bytes())?;
        self.remove_sessions_but(&kept.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Takes away what only an unfinished run needs.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn finish(&self) -> Result<()> {
        let path = self.folder.join(FILE);
        std::fs::remove_file(&path).map_err(Error::io(&path))?;
        self.remove_sessions_but(&[])
    }

    fn remove_sessions_but(&self, kept: &[&str]) -> Result<()> {
        for entry in std::fs::read_dir(&self.folder).map_err(Error::io(&self.folder))? {
            let entry = entry.map_err(Error::io(&self.folder))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if is_session(&name) && !kept.contains(&&*name) {
                std::fs::remove_file(entry.path()).map_err(Error::io(entry.path()))?;
            }
        }
        Ok(())
    }
}

/// Name of the file with the session's old keys; empty where it has none.
fn pages_name(session: &Session) -> String {
    let name = session.pages_file().and_then(Path::file_name);
    name.map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

/// Is `name` one that [`Workspace::save`] gives to a session or to a session's old keys, or what a killed process left half
/// written under it?
fn is_session(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let old_keys = name.strip_prefix("session-").and_then(|rest| rest.strip_suffix(".pages"));
    if old_keys.is_some_and(number) {
        return true;
    }
    let Some((numbers, rest)) =
        name.strip_prefix("session-").and_then(|rest| rest.split_once(".safetensors"))
    else {
        return false;
    };
    let whole = rest.strip_suffix(".part").unwrap_or(rest);
    // A digest and `pages`, and the number of the process that was writing.
    let parts: Vec<&str> = whole.split('.').skip(1).collect();
    let digest = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let known = match parts[..] {
        [] => true,
        [process] => number(process) && rest.ends_with(".part"),
        [digits, "pages"] => digest(digits),
        _ => false,
    };
    numbers.split_once('-').is_some_and(|(done, position)| number(done) && number(position))
        && (whole.is_empty() || whole.starts_with('.'))
        && known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_is_of_a_run() {
        for ours in [
            "session-0-4096.safetensors",
            "session-0.pages",
            "session-12.pages",
            "session-1-8192.safetensors.77.part",
            "session-1-8192.safetensors.00ff00ff00ff00ff.pages",
            "session-1-8192.safetensors.77.pages.part",
        ] {
            assert!(is_session(ours), "{ours}");
        }
        for other in [
            "session-notes.safetensors",
            "session-1-2.safetensors.bak",
            "session-1-2.safetensors.77",
            "session-1-2.safetensorsx",
            "session-notes.pages",
            "session-1-2.txt",
            "session--2.safetensors",
            "my-session-1-2.safetensors",
            "state.json",
        ] {
            assert!(!is_session(other), "{other}");
        }
    }
}
