//! What the reader opens or drops on the window: looked at, and read, on a thread of its own.

use std::path::{Path, PathBuf};

use lm_infinite::diagnose::Diagnosis;
use lm_infinite::results::{self, RunInfo};

use crate::task::{Task, Wake, Worker};

/// What is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A result folder.
    Results(PathBuf),
    /// Files that were let go over the window: models, result folders, or else texts.
    Dropped(Vec<PathBuf>),
}

/// A result folder, read.
pub struct Results {
    /// Name of the folder.
    pub name: String,
    /// Where it is; empty where a name cannot be kept as text.
    pub path: String,
    /// What it says of itself.
    pub info: RunInfo,
    /// What it holds.
    pub diagnosis: Diagnosis,
}

/// What it is.
pub enum Opened {
    /// A result folder, read.
    Results(Box<Results>),
    /// Name of a model.
    Model(String),
    /// Path of a text.
    Text(String),
}

/// The newest request.
pub struct Opening(Task<Request, Vec<Opened>, Opened>);

impl Default for Opening {
    fn default() -> Self {
        Self(Task::gathering("opening", 4, |all: Option<Vec<_>>, next| {
            let mut all = all.unwrap_or_default();
            all.push(next);
            all
        }))
    }
}

impl Opening {
    /// Begins to look and to read.
    pub fn start(&mut self, request: Request, wake: Wake) {
        self.0.ask(request, wake, |request, worker| match request {
            Request::Results(path) => open(&path, worker),
            Request::Dropped(paths) => paths.into_iter().try_for_each(|path| dropped(path, worker)),
        });
    }

    /// Takes what has come.
    pub fn newest(&mut self) -> Vec<Opened> {
        self.0.poll();
        self.0.take().map_or_else(Vec::new, |(_, all)| all)
    }

    /// Whether something is being read.
    pub fn is_running(&self) -> bool {
        self.0.is_running()
    }

    /// Why it could not be read.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure()
    }

    /// Nothing is being opened, and nothing went wrong.
    pub fn forget(&mut self) {
        self.0.forget();
    }
}

fn open(path: &Path, worker: &Worker<Opened>) -> anyhow::Result<()> {
    let (info, diagnosis) = results::read(path)?;
    // A path that ends in `..` has no name.
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let absolute = path.canonicalize().ok().and_then(|path| Some(path.to_str()?.to_owned()));
    let path = absolute.unwrap_or_default();
    worker.send(Opened::Results(Box::new(Results { name, path, info, diagnosis })));
    Ok(())
}

fn dropped(path: PathBuf, worker: &Worker<Opened>) -> anyhow::Result<()> {
    if path.join("run.json").is_file() {
        return open(&path, worker);
    }
    let name = path.display().to_string();
    let gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let model = gguf || path.join("config.json").is_file();
    worker.send(if model { Opened::Model(name) } else { Opened::Text(name) });
    Ok(())
}
