//! Metadata of a GGUF file under the prefix of its architecture.

use std::cell::RefCell;

use super::check;
use crate::error::{Error, Result};
use crate::formats::gguf::Metadata;

/// Metadata under the prefix of an architecture.
pub(super) struct Keys<'a> {
    pub metadata: &'a Metadata,
    pub architecture: &'a str,
    /// Which were not there, and what was taken.
    pub absent: RefCell<Vec<String>>,
}

impl<'a> Keys<'a> {
    pub fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    /// An integer, or one for each layer, where all are equal.
    pub fn integer(&self, key: &str) -> Result<Option<u64>> {
        let name = self.name(key);
        if !self.metadata.is_array(&name) {
            return self.metadata.integer(&name);
        }
        let all = self.metadata.integers(&name)?.unwrap_or_default();
        let first = all.first().and_then(|&first| u64::try_from(first).ok());
        match first.filter(|_| all.iter().all(|one| *one == all[0])) {
            Some(value) => Ok(Some(value)),
            None => {
                let expected = "an integer, or an array of the same one for every layer";
                let got: String = format!("an array: {all:?}").chars().take(60).collect();
                Err(self.malformed(key, expected, got))
            }
        }
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.metadata.number(&self.name(key))
    }

    /// A number, or what llama.cpp takes where there is none; that is told.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.number(key)?.unwrap_or_else(|| {
            self.tell_default(key, default);
            default
        }))
    }

    /// Remembers what is taken for a key that is not there.
    pub fn tell_default(&self, key: &str, taken: impl ToString) {
        self.absent.borrow_mut().push(format!("{} = {}", self.name(key), taken.to_string()));
    }

    pub fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.metadata.boolean(&self.name(key))
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.metadata.text(&self.name(key))
    }

    pub fn require_integer(&self, key: &str) -> Result<u64> {
        self.metadata.require(&self.name(key), self.integer(key)?)
    }

    pub fn width(&self, key: &str) -> Result<usize> {
        check::size(self.metadata.path(), &self.name(key), self.require_integer(key)?, check::WIDTHS)
    }

    pub fn unsupported(&self, key: &str, got: impl ToString) -> Error {
        let detail = format!("{}: it is {}", self.metadata.path().display(), got.to_string());
        Error::unsupported(format!("`{}`", self.name(key)), detail)
    }

    pub fn malformed(&self, key: &str, expected: impl ToString, got: impl ToString) -> Error {
        self.metadata.malformed(&self.name(key), expected, got)
    }
}
