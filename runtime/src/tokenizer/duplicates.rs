//! Keys that stand twice in an object of a `tokenizer.json`. What is checked takes the last of them; the `tokenizers` crate reads all, and
//! may stumble over one that was never looked at.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result};

/// Lists and tables of tokens, whose keys are no names.
const TOKENS: [&str; 2] = ["vocab", "merges"];

/// Refuses `text`, a JSON file at `path`, if an object in it has a key twice, tables of tokens left out.
pub(super) fn check(path: &Path, text: &str) -> Result<()> {
    match serde_json::from_str(text) {
        Ok(Once) => Ok(()),
        Err(e) => Err(Error::malformed(path, "file", "JSON whose objects have each key once", e)),
    }
}

/// A value in which every key stands once.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Looking)
    }
}

struct Looking;

impl<'de> Visitor<'de> for Looking {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Once, M::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if TOKENS.contains(&key.as_str()) {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value::<Once>()?;
            }
            if let Some(twice) = seen.replace(key) {
                return Err(M::Error::custom(format!("{twice:?} stands twice")));
            }
        }
        Ok(Once)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> std::result::Result<Once, S::Error> {
        while let Some(Once) = sequence.next_element()? {}
        Ok(Once)
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Once, E> {
        Ok(Once)
    }

    fn visit_unit<E>(self) -> std::result::Result<Once, E> {
        Ok(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_named() {
        let check = |text: &str| check(Path::new("tokenizer.json"), text);
        for good in [
            "{}",
            "[1, -1, 1.5, true, null, \"a\", {\"a\": {\"a\": 1}}]",
            "{\"a\": {\"b\": 1}, \"b\": {\"b\": 2}}",
            "{\"model\": {\"vocab\": {\"a\": 0, \"a\": 1}, \"merges\": []}}",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "{\"b\": 1, \"a\": 2, \"b\": 3}",
            "{\"x\": [{\"b\": {}, \"b\": {}}]}",
            "{\"x\": {\"\\u0062\": 0, \"b\": 0}}",
            "{\"vocab\": {}, \"vocab\": {}}",
        ] {
            let said = check(bad).expect_err("refused").to_string();
            assert!(said.contains("stands twice"), "{said}");
        }
        assert!(check("{").is_err());
    }
}
