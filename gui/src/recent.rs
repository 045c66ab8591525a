//! Models, texts and result folders that were used last, the newest first.

use serde::{Deserialize, Serialize};

/// So many of each.
const MOST: usize = 8;

/// What was used last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recent {
    /// Names or paths.
    pub models: Vec<String>,
    /// Paths.
    pub texts: Vec<String>,
    /// Paths of result folders.
    pub folders: Vec<String>,
}

/// The newest comes first, and none is there twice.
pub fn used(list: &mut Vec<String>, name: &str) {
    if list.first().is_some_and(|first| first == name) || name.is_empty() {
        return;
    }
    list.retain(|known| known != name);
    list.insert(0, name.to_owned());
    list.truncate(MOST);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_comes_first_and_none_is_there_twice() {
        let mut list = Vec::new();
        ["a", "b", "a", "", "c"].iter().for_each(|name| used(&mut list, name));
        assert_eq!(list, ["c", "a", "b"]);
        (0..20).for_each(|at| used(&mut list, &at.to_string()));
        assert_eq!((list.len(), list[0].as_str()), (MOST, "19"));
    }
}
