//! What the window remembers from one start to the next, as JSON in the user's folder for settings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::notes::Marks;
use crate::recent::Recent;
use crate::settings::Settings;
use crate::workbench::Panels;

/// How the window was left. What is missing, or what a later version wrote otherwise, is as at the first start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Dark, or light; `None` follows the system.
    pub dark: Option<bool>,
    /// Zoom of everything; 1 is usual.
    pub zoom: Option<f32>,
    /// Width and height of the window, in points at the usual size.
    pub size: Option<[f32; 2]>,
    /// Name of the tile in front.
    pub tab: Option<String>,
    /// Name of the layout that was chosen last.
    pub layout: Option<String>,
    /// How the tiles were arranged: a [`Saved`](crate::workbench::Saved), read apart, so that damage to it loses nothing else.
    pub tiles: Option<serde_json::Value>,
    /// Which side panels were open.
    pub panels: Panels,
    /// What the run bar said.
    pub settings: Option<Settings>,
    /// The text was pasted: it is not kept.
    pub text_was_pasted: bool,
    /// Models, texts and folders that were used last.
    pub recent: Recent,
    /// Marks in texts.
    pub marks: Marks,
    /// Heads that are compared.
    pub pins: Vec<(usize, usize)>,
    /// The tour was offered.
    pub tour_offered: bool,
}

impl Memory {
    /// Where it is kept; `None` for a user without a home.
    pub fn path() -> Option<PathBuf> {
        let folders = directories::ProjectDirs::from("", "", "lm-infinite")?;
        Some(folders.config_dir().join("window.json"))
    }

    /// Reads it; a file that is missing or damaged remembers nothing, and of damage there are words.
    pub fn read(path: &Path) -> (Self, Option<String>) {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return (Self::default(), None),
            Err(e) => return (Self::default(), Some(damaged(path, &e.to_string()))),
        };
        match serde_json::from_slice(&bytes) {
            Ok(memory) => (memory, None),
            Err(e) => (Self::default(), Some(damaged(path, &e.to_string()))),
        }
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// As the system says.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let json = serde_json::to_string_pretty(self)?;
        lm_infinite::files::write_whole(path, json.as_bytes()).map_err(io::Error::other)
    }

    /// Size of the window, where it is one that can be used.
    pub fn usable_size(&self) -> Option<[f32; 2]> {
        self.size.filter(|size| size.iter().all(|side| (300.0..=10_000.0).contains(side)))
    }
}

fn damaged(path: &Path, reason: &str) -> String {
    format!(
        "How the window was left could not be read, so it opens as at the first start. {}: {reason}",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_a_first_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deeper").join("window.json");
        assert_eq!(Memory::read(&path), (Memory::default(), None), "the first start");
        let memory = Memory {
            dark: Some(false),
            size: Some([900.0, 700.0]),
            tab: Some("Theory".into()),
            tour_offered: true,
            ..Memory::default()
        };
        memory.write(&path).expect("writes");
        assert_eq!(Memory::read(&path), (memory.clone(), None));
        assert_eq!(fs::read_dir(folder.path().join("deeper")).expect("a folder").count(), 1);
        fs::write(&path, "{\"dark\": true, \"later\": 1}").expect("writes");
        assert_eq!(Memory::read(&path), (Memory { dark: Some(true), ..Memory::default() }, None));
        fs::write(&path, "{\"dark\": \"no\"").expect("writes");
        let (memory_of_damage, words) = Memory::read(&path);
        assert_eq!(memory_of_damage, Memory::default());
        assert!(words.is_some_and(|words| words.contains("window.json") && words.contains("line 1")));
        assert_eq!(Memory { size: Some([f32::NAN, 5.0]), ..memory }.usable_size(), None);
    }
}
