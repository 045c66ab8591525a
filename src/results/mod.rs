//! The result folder
#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    /// An empty folder for one test.
    pub fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lm-infinite-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }
}
