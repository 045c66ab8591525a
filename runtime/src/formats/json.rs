//! JSON objects looked up by key and type.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::mapped;
use crate::error::{Error, Result};

/// `text` with the words that Python's `json` writes for numbers that JSON cannot hold (`NaN`, `Infinity`, `-Infinity`) as
/// strings: a file that has them where nobody looks is read, and where a number is asked for, the error quotes them.
fn with_constants_quoted(text: &str) -> Cow<'_, str> {
    const CONSTANTS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !CONSTANTS.iter().any(|constant| text.contains(constant)) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 16);
    let (mut rest, mut in_string, mut escaped) = (text, false, false);
    while let Some(next) = rest.chars().next() {
        let constant = CONSTANTS.iter().find(|&&constant| !in_string && rest.starts_with(constant));
        if let Some(constant) = constant {
            quoted.push('"');
            quoted.push_str(constant);
            quoted.push('"');
            rest = &rest[constant.len()..];
            continue;
        }
        in_string ^= next == '"' && !escaped;
        escaped = in_string && next == '\\' && !escaped;
        quoted.push(next);
        rest = &rest[next.len_utf8()..];
    }
    Cow::Owned(quoted)
}

/// A JSON object looked up by key and type; errors name the file and the key. `null` counts as absent.
pub(crate) struct Json {
    path: PathBuf,
    /// Keys above this object, each followed by a dot.
    prefix: String,
    values: Map<String, Value>,
    /// Full names of the keys that were asked for, of all objects of the file.
    asked: Rc<RefCell<BTreeSet<String>>>,
}

impl Json {
    /// Reads a file that holds one object.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = mapped::read_small(path)?;
        let values = serde_json::from_str(&with_constants_quoted(&text))
            .map_err(|e| Error::malformed(path, "file", "a JSON object", e))?;
        Ok(Self { path: path.to_owned(), prefix: String::new(), values, asked: Rc::default() })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Full name of a key, with those of the objects around it.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// An [`Error::Malformed`] about `key`.
    pub(crate) fn malformed(&self, key: &str, expected: impl ToString, got: impl ToString) -> Error {
        Error::malformed(&self.path, self.name(key), expected, got)
    }

    /// Is the key there, be it with `null`?
    pub(crate) fn states(&self, key: &str) -> bool {
        self.note(key);
        self.values.contains_key(key)
    }

    /// Counts all fields as asked for.
    pub(crate) fn ask_for_all(&self) {
        self.values.keys().for_each(|key| self.note(key));
    }

    /// Remembers that somebody asked for `key`.
    fn note(&self, key: &str) {
        self.asked.borrow_mut().insert(self.name(key));
    }

    /// Keys, full names and values of the fields that nobody has asked for so far, with those of the objects that somebody has; not of
    /// objects that are named in `closed`.
    pub(crate) fn unasked(&self, closed: &[&str]) -> Vec<(String, String, Value)> {
        let mut found = Vec::new();
        let mut open = vec![(self.prefix.clone(), &self.values)];
        while let Some((prefix, values)) = open.pop() {
            for (key, value) in values {
                let name = format!("{prefix}{key}");
                match value {
                    _ if !self.asked.borrow().contains(&name) => {
                        found.push((key.clone(), name, value.clone()));
                    }
                    Value::Object(inner) if !closed.contains(&key.as_str()) => {
                        open.push((format!("{name}."), inner));
                    }
                    _ => {}
                }
            }
        }
        found
    }

    /// All fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Has the object no fields?
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value as JSON, unless it is absent or `null`.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.note(key);
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// Is there such a key, be its value `null`?
    pub(crate) fn has(&self, key: &str) -> bool {
        self.states(key)
    }

    /// All keys and values.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| {
            let mut got = value.to_string();
            if got.len() > 60 {
                got = format!("{}…", got.chars().take(60).collect::<String>());
            }
            self.malformed(key, expected, got)
        })
    }

    /// A non-negative integer.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "a non-negative integer", Value::as_u64)
    }

    /// A number.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A boolean.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a boolean", Value::as_bool)
    }

    /// A string.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", Value::as_str)
    }

    /// An object inside this one.
    pub(crate) fn object(&self, key: &str) -> Result<Option<Self>> {
        let values = self.typed(key, "an object", Value::as_object)?;
        Ok(values.map(|values| Self {
            path: self.path.clone(),
            prefix: format!("{}{key}.", self.prefix),
            values: values.clone(),
            asked: Rc::clone(&self.asked),
        }))
    }

    /// `found`, or an error that says the field is missing.
    pub(crate) fn require<T>(&self, key: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| self.malformed(key, "this field", "no such field"))
    }

    /// An integer that must be there.
    pub(crate) fn require_integer(&self, key: &str) -> Result<u64> {
        self.require(key, self.integer(key)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_python_that_json_has_not_are_strings() {
        let text = r#"{"a": [0.0, Infinity], "b": "NaN \\\" Infinity", "c": -Infinity, "NaN": NaN}"#;
        let value: Value = serde_json::from_str(&with_constants_quoted(text)).expect("JSON");
        assert_eq!(value["a"][1], "Infinity");
        assert_eq!(value["b"], "NaN \\\" Infinity");
        assert_eq!((&value["c"], &value["NaN"]), (&Value::from("-Infinity"), &Value::from("NaN")));
        assert!(matches!(with_constants_quoted("{}"), Cow::Borrowed(_)));
    }
}
