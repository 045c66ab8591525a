//! A folder's files, listed on a thread of its own: what the list of files shows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::task::{Task, Wake};

/// Entries that a list shows at most.
const MOST: usize = 20_000;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Folders stand first.
    pub is_file: bool,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A folder, with what is in it; and how many more it holds than a list shows.
    Folder(PathBuf, Vec<Entry>, usize),
    /// A file.
    File(PathBuf),
}

/// Which folder to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was typed, or double-clicked.
    pub path: PathBuf,
    /// Where nothing is at that path, the nearest folder above is listed.
    pub nearest: bool,
    /// Files with this ending alone; all where there is none.
    pub ending: Option<&'static str>,
    /// Folders alone.
    pub folders: bool,
}

/// The newest list.
pub struct Listing(Task<Request, Found>);

impl Default for Listing {
    fn default() -> Self {
        Self(Task::newest("list of files"))
    }
}

impl Listing {
    /// Begins to list; the list that is shown stays until there is another.
    pub fn start(&mut self, request: Request, wake: Wake) {
        self.0.ask(request, wake, |request, worker| {
            worker.send(find(&request)?);
            Ok(())
        });
    }

    /// Takes what has come; true if there was something.
    pub fn poll(&mut self) -> bool {
        self.0.poll()
    }

    /// What was found last.
    pub fn found(&self) -> Option<&Found> {
        self.0.answer().map(|(_, found)| found)
    }

    /// Why there is no list.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure()
    }
}

fn find(request: &Request) -> anyhow::Result<Found> {
    let typed = request.path.as_path();
    let exists = |path: &&Path| path.is_dir() || (!request.nearest && path.is_file());
    let place = if request.nearest { typed.ancestors().find(exists) } else { Some(typed).filter(exists) };
    // An absolute path, so that the list can be left upwards.
    let path = match place {
        Some(path) if !path.as_os_str().is_empty() => std::path::absolute(path)?,
        _ if request.nearest => std::env::current_dir()?,
        _ => anyhow::bail!("There is nothing at {}.", typed.display()),
    };
    if path.is_file() {
        return Ok(Found::File(path));
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(&path).with_context(|| path.display().to_string())? {
        let path = entry?.path();
        let is_file = !path.is_dir();
        let fits = |ending: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending));
        if is_file && (request.folders || !request.ending.is_none_or(fits)) {
            continue;
        }
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        entries.push(Entry { is_file, name, path });
    }
    entries.sort();
    let more = entries.len().saturating_sub(MOST);
    entries.truncate(MOST);
    Ok(Found::Folder(path, entries, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &Path) -> Request {
        Request { path: path.to_owned(), nearest: false, ending: None, folders: false }
    }

    #[test]
    fn folders_stand_first_and_endings_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        fs::write(at.join("a.txt"), "").expect("writes");
        fs::write(at.join("b.GGUF"), "").expect("writes");
        fs::create_dir(at.join("z")).expect("makes");
        let names = |request: &Request| match find(request) {
            Ok(Found::Folder(_, entries, 0)) => entries.into_iter().map(|entry| entry.name).collect(),
            found => vec![format!("{found:?}")],
        };
        assert_eq!(names(&request(at)), ["z", "a.txt", "b.GGUF"]);
        assert_eq!(names(&Request { ending: Some("gguf"), ..request(at) }), ["z", "b.GGUF"]);
        assert_eq!(names(&Request { folders: true, ..request(at) }), ["z"]);
        let missing = at.join("not").join("there");
        assert_eq!(names(&Request { nearest: true, folders: true, ..request(&missing) }), ["z"]);
        let words = find(&request(&missing)).expect_err("nothing is there").to_string();
        assert!(words.contains("There is nothing at") && words.contains("there"), "{words}");
        assert_eq!(find(&request(&at.join("a.txt"))).expect("a file"), Found::File(at.join("a.txt")));
        assert!(matches!(find(&request(Path::new("."))), Ok(Found::Folder(path, ..)) if path.is_absolute()));
    }
}
