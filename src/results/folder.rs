//! A folder that is either whole or not there: it is built beside its place and renamed into it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A folder under construction; removed if it is dropped before it is put in place.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// Begins a folder that will become `target`. Whoever builds one leaves `target` as it is until [`Staging::commit`].
    pub fn beside(target: &Path) -> Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            Error::input(
                format!("result folder `{}`", target.display()),
                "expected a path that ends in a name",
            )
        })?;
        let parent =
            target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let path = parent.join(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id()));
        if path.exists() {
            // Left over by a process of the same number that was killed.
            fs::remove_dir_all(&path).map_err(Error::io(&path))?;
        }
        fs::create_dir(&path).map_err(Error::io(&path))?;
        Ok(Self { path, target: target.to_owned() })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the folder in place of `target`, which may hold an older one. If that fails, the older one is put back.
    pub fn commit(self) -> Result<()> {
        let mut older = self.path.clone().into_os_string();
        older.push("-older");
        let older = PathBuf::from(older);
        let replaced = self.target.exists();
        if replaced {
            fs::rename(&self.target, &older).map_err(Error::io(&self.target))?;
        }
        if let Err(failure) = fs::rename(&self.path, &self.target) {
            if replaced {
                fs::rename(&older, &self.target).map_err(Error::io(&older))?;
            }
            return Err(Error::io(&self.target)(failure));
        }
        if replaced {
            fs::remove_dir_all(&older).map_err(Error::io(&older))?;
        }
        Ok(())
    }

    /// Moves every file into `folder`, over files of the same name.
    pub fn commit_files(self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(&self.path).map_err(Error::io(&self.path))? {
            let entry = entry.map_err(Error::io(&self.path))?;
            let target = folder.join(entry.file_name());
            fs::rename(entry.path(), &target).map_err(Error::io(target))?;
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a commit there is nothing left but an empty folder or none; a failure here has no one to tell.
        let _ = fs::remove_dir_all(&self.path);
    }
}
