//! Shows a folder in the system's file manager.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::task::{Task, Wake};

/// The program that opens folders.
const OPENER: &str = if cfg!(target_vendor = "apple") {
    "open"
} else if cfg!(windows) {
    "explorer"
} else {
    "xdg-open"
};

/// The newest folder that was to be shown.
pub struct Reveal(Task<PathBuf, ()>);

impl Default for Reveal {
    fn default() -> Self {
        Self(Task::newest("file manager"))
    }
}

impl Reveal {
    /// Has the file manager show it; a file by the folder that it is in.
    pub fn start(&mut self, path: PathBuf, wake: Wake) {
        self.start_with(OPENER.as_ref(), path, wake);
    }

    fn start_with(&mut self, opener: &OsStr, path: PathBuf, wake: Wake) {
        let opener = opener.to_owned();
        self.0.ask(path, wake, move |path, _| open(&opener, &path));
    }

    /// Takes what has come of it; true if there is something new.
    pub fn poll(&mut self) -> bool {
        self.0.poll()
    }

    /// Why no file manager shows it.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure()
    }

    /// What went wrong is said no more.
    pub fn forget(&mut self) {
        self.0.forget();
    }
}

fn open(opener: &OsStr, path: &Path) -> anyhow::Result<()> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    // A relative path may be taken for an address.
    let folder = std::path::absolute(folder)?;
    let mut command = Command::new(opener);
    command.arg(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let name = opener.to_string_lossy();
    match command.status() {
        // That of Windows says 1 whatever it did.
        Ok(status) if status.success() || cfg!(windows) => Ok(()),
        Ok(status) => anyhow::bail!("no file manager shows {}: {name} ended with {status}", folder.display()),
        Err(e) => anyhow::bail!("no file manager shows {}: {name} cannot be begun: {e}", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn failure_of(opener: &str, path: &Path) -> Option<String> {
        let mut reveal = Reveal::default();
        reveal.start_with(opener.as_ref(), path.to_owned(), Arc::new(|| ()));
        let start = Instant::now();
        while reveal.0.is_running() && start.elapsed() < Duration::from_secs(20) {
            reveal.poll();
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(!reveal.0.is_running(), "it ends");
        reveal.failure().map(str::to_owned)
    }

    #[test]
    #[cfg(unix)]
    fn a_file_is_shown_by_its_folder_and_failures_are_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let (opener, told) = (folder.path().join("opener"), folder.path().join("told"));
        let file = folder.path().join("a figure.svg");
        std::fs::write(&file, "").expect("written");
        std::fs::write(&opener, format!("#!/bin/sh\nprintf %s \"$1\" > '{}'\n", told.display()))
            .expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&opener, mode).expect("a program");
        let opener = opener.display().to_string();
        for path in [file.as_path(), folder.path()] {
            assert_eq!(failure_of(&opener, path), None);
            assert_eq!(std::fs::read_to_string(&told).expect("told"), folder.path().display().to_string());
        }
        let words = failure_of("no-such-opener-anywhere", &file).expect("words");
        assert!(words.contains("no-such-opener-anywhere cannot be begun"), "{words}");
        let words = failure_of("false", &file).expect("words");
        assert!(words.contains("false ended with exit status: 1"), "{words}");
    }
}
