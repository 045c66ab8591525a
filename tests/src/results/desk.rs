//! The program in a folder of its own, and what it is expected to say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{program, tiny};

/// A folder with a text in it, in which the program is run.
pub struct Desk {
    pub folder: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(20);
        fs::write(folder.path().join("text.txt"), text).expect("written");
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `COMMAND --model … MORE` in the folder.
    pub fn command(&self, command: &str, more: &[&str]) -> Command {
        let mut program = program();
        program.arg(command).arg("--model").arg(tiny("tied")).args(more).current_dir(self.folder.path());
        program
    }

    pub fn run(&self, command: &str, more: &[&str]) -> Output {
        self.command(command, more).output().expect("the program starts")
    }

    pub fn diagnose(&self, tokens: &str, out: &str) -> Command {
        let text = ["--text", "text.txt", "--policy", "vanilla"];
        self.command("diagnose", &[&text[..], &["--tokens", tokens, "--out", out]].concat())
    }

    pub fn plot(&self, folder: &str) -> Output {
        program().args(["plot", folder]).current_dir(self.folder.path()).output().expect("the program starts")
    }
}

pub fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub fn done(output: &Output) {
    assert!(output.status.success(), "{}", words(&output.stderr));
}

#[track_caller]
pub fn refused(output: &Output, reasons: &[&str]) {
    let said = words(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for reason in reasons {
        assert!(said.contains(reason), "`{reason}` is not in: {said}");
    }
}

/// Every file below `folder` by its path in it.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                all.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    all
}
