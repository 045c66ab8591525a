//! The key/value part of a GGUF file, looked up by key and type.
//!
//! Arrays stay in the mapping: their lengths are walked once, and they are read when asked for. A value that is not what its
//! type says is no error until somebody asks for it: files carry many that nobody needs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::cursor::{Cursor, UTF8, invalid_byte};
use crate::error::{Error, Result};
use crate::model::weights::Bytes;
use crate::note::Note;

/// Arrays of arrays deeper than this are refused; no known key has any.
const DEEPEST_ARRAY: usize = 4;

/// At most so many values that are passed over are named one by one.
const MOST_NOTES: usize = 8;

/// Ids that say "no such token": −1, and the same in 32 bits without a sign.
const NO_TOKEN: [i128; 2] = [-1, u32::MAX as i128];

/// A metadata value.
#[derive(Clone, Debug)]
enum Value {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(String),
    Array {
        element: u32,
        count: usize,
        range: Range<usize>,
    },
    /// No value of its type, or one of several under the same key.
    Bad {
        expected: &'static str,
        got: String,
    },
}

/// Metadata of one file.
pub struct Metadata {
    path: PathBuf,
    bytes: Bytes,
    values: BTreeMap<String, Value>,
    /// Keys that somebody asked for.
    asked: Mutex<BTreeSet<String>>,
}

impl Metadata {
    /// Reads `count` pairs.
    pub(super) fn read(path: &Path, bytes: &Bytes, cursor: &mut Cursor<'_>, count: u64) -> Result<Self> {
        // The shortest pair: an empty key (8 bytes), a type (4) and a value of one byte.
        let count = cursor.check_count(count, 13, "metadata count")?;
        let mut values = BTreeMap::new();
        for index in 0..count {
            // A key that is no UTF-8 is none that anybody asks for.
            let key = cursor.skip_text(&format!("key of metadata pair {index}"))?;
            let key = cursor.lossy(key);
            let value_type = cursor.u32(&key)?;
            let value = read_value(cursor, &key, value_type)?;
            if let Some(held) = values.get_mut(&key) {
                *held = Value::Bad { expected: "each key once", got: "a second one".into() };
            } else {
                values.insert(key, value);
            }
        }
        Ok(Self { path: path.to_owned(), bytes: bytes.clone(), values, asked: Mutex::default() })
    }

    /// Values that are not what their type says; a reader who needs one of them gets an error instead.
    pub(super) fn notes(&self) -> Vec<Note> {
        let mut bad = self.values.iter().filter_map(|(key, value)| match value {
            Value::Bad { expected, got } => Some((key, expected, got)),
            _ => None,
        });
        let said = |(key, expected, got): (&String, &&str, &String)| {
            Note::new(key, format!("passed over, since nothing needs it: expected {expected}, got {got}"))
        };
        let mut notes: Vec<Note> = bad.by_ref().take(MOST_NOTES).map(said).collect();
        let more = bad.count();
        if more > 0 {
            notes.push(Note::new("metadata", format!("{more} more values like these were passed over")));
        }
        notes
    }

    /// The file, for errors about its contents.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An [`Error::Malformed`] about `key`.
    pub fn malformed(&self, key: &str, expected: impl ToString, got: impl ToString) -> Error {
        Error::malformed(&self.path, key, expected, got)
    }

    /// Is the key there, whatever its type?
    pub fn contains(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// A non-negative integer of any width.
    pub fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.lookup(key, "a non-negative integer", |value| match value {
            Value::Integer(i) => u64::try_from(*i).ok(),
            _ => None,
        })
    }

    /// Is there an array under this key?
    pub fn is_array(&self, key: &str) -> bool {
        matches!(self.values.get(key), Some(Value::Array { .. }))
    }

    /// A token id, whatever it is; `None` where the file has none or says so by −1.
    pub fn token(&self, key: &str) -> Result<Option<i128>> {
        let id = self.lookup(key, "an integer", |value| match value {
            Value::Integer(i) => Some(*i),
            _ => None,
        });
        Ok(id?.filter(|id| !NO_TOKEN.contains(id)))
    }

    /// A float of either width, or an integer.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.lookup(key, "a number", |value| match value {
            Value::Float(v) => Some(*v),
            Value::Integer(i) => Some(*i as f64),
            _ => None,
        })
    }

    /// A boolean.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>> {
        self.lookup(key, "a boolean", |value| match value {
            Value::Bool(v) => Some(*v),
            _ => None,
        })
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.lookup(key, "a string", |value| match value {
            Value::Text(v) => Some(v.as_str()),
            _ => None,
        })
    }

    /// An array of strings, borrowed from the mapping.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.array(key, "an array of strings", &[STRING], |cursor, _| cursor.text(key))
    }

    /// An array of integers of any width.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i128>>> {
        let types = [U8, I8, U16, I16, U32, I32, U64, I64];
        self.array(key, "an array of integers", &types, |cursor, element| {
            match read_value(cursor, key, element)? {
                Value::Integer(i) => Ok(i),
                other => Err(self.malformed(key, "an integer", kind(&other))),
            }
        })
    }

    /// An array of booleans.
    pub fn booleans(&self, key: &str) -> Result<Option<Vec<bool>>> {
        self.array(key, "an array of booleans", &[BOOL], |cursor, element| {
            match read_value(cursor, key, element)? {
                Value::Bool(v) => Ok(v),
                other => Err(self.malformed(key, "a boolean", kind(&other))),
            }
        })
    }

    /// An array of floats, or of integers.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let types = [F32, F64, U8, I8, U16, I16, U32, I32, U64, I64];
        self.array(key, "an array of floats", &types, |cursor, element| {
            match read_value(cursor, key, element)? {
                Value::Float(v) => Ok(v),
                Value::Integer(i) => Ok(i as f64),
                other => Err(self.malformed(key, "a float", kind(&other))),
            }
        })
    }

    /// `found`, or an error that says the key is missing.
    pub fn require<T>(&self, key: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| self.malformed(key, "this key", "no such key"))
    }

    /// Keys with this beginning that nobody has asked for so far, and what they hold, where something is switched on by it.
    pub fn unasked(&self, beginning: &str) -> Vec<(&str, String)> {
        let is_off = |value: &Value| match value {
            Value::Integer(number) => *number == 0,
            Value::Float(number) => *number == 0.0,
            Value::Bool(flag) => !flag,
            Value::Text(text) => text.is_empty() || text == "none",
            Value::Array { count, .. } => *count == 0,
            // Told already.
            Value::Bad { .. } => true,
        };
        let asked = self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let left = self.values.iter().filter(|(key, value)| {
            key.starts_with(beginning) && !asked.contains(key.as_str()) && !is_off(value)
        });
        left.map(|(key, value)| (key.as_str(), kind(value))).collect()
    }

    fn note(&self, key: &str) {
        self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key.to_owned());
    }

    fn lookup<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        self.note(key);
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Bad { expected, got }) => Err(self.malformed(key, expected, got)),
            Some(value) => read(value).map(Some).ok_or_else(|| self.malformed(key, expected, kind(value))),
        }
    }

    fn array<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        types: &[u32],
        read: impl Fn(&mut Cursor<'a>, u32) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        self.note(key);
        let Some(value) = self.values.get(key) else { return Ok(None) };
        match value {
            Value::Array { element, count, range } if types.contains(element) => {
                let mut cursor = Cursor::new(&self.path, &(*self.bytes).as_ref()[range.clone()]);
                // `count` elements were walked when the file was opened, so each has its bytes.
                (0..*count).map(|_| read(&mut cursor, *element)).collect::<Result<_>>().map(Some)
            }
            Value::Bad { expected, got } => Err(self.malformed(key, expected, got)),
            other => Err(self.malformed(key, expected, kind(other))),
        }
    }
}

const U8: u32 = 0;
const I8: u32 = 1;
const U16: u32 = 2;
const I16: u32 = 3;
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const U64: u32 = 10;
const I64: u32 = 11;
const F64: u32 = 12;

fn kind(value: &Value) -> String {
    match value {
        Value::Integer(i) => format!("the integer {i}"),
        Value::Float(v) => format!("the float {v}"),
        Value::Bool(v) => format!("the boolean {v}"),
        Value::Text(_) => "a string".into(),
        Value::Array { element, count, .. } => format!("an array of {count} values of type {element}"),
        Value::Bad { got, .. } => got.clone(),
    }
}

fn read_value(cursor: &mut Cursor<'_>, key: &str, value_type: u32) -> Result<Value> {
    Ok(match value_type {
        U8 => Value::Integer(cursor.u8(key)?.into()),
        I8 => Value::Integer(i8::from_le_bytes([cursor.u8(key)?]).into()),
        U16 => Value::Integer(cursor.u16(key)?.into()),
        I16 => Value::Integer(cursor.u16(key)?.cast_signed().into()),
        U32 => Value::Integer(cursor.u32(key)?.into()),
        I32 => Value::Integer(cursor.u32(key)?.cast_signed().into()),
        U64 => Value::Integer(cursor.u64(key)?.into()),
        I64 => Value::Integer(cursor.u64(key)?.cast_signed().into()),
        F32 => Value::Float(f32::from_bits(cursor.u32(key)?).into()),
        F64 => Value::Float(f64::from_bits(cursor.u64(key)?)),
        BOOL => match cursor.u8(key)? {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            other => Value::Bad { expected: "a boolean of 0 or 1", got: other.to_string() },
        },
        STRING => {
            let range = cursor.skip_text(key)?;
            match cursor.utf8(range) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(at) => Value::Bad { expected: UTF8, got: invalid_byte(at) },
            }
        }
        ARRAY => {
            let element = cursor.u32(key)?;
            let count = cursor.u64(key)?;
            let start = cursor.position();
            let count = skip_array(cursor, key, element, count, 1)?;
            Value::Array { element, count, range: start..cursor.position() }
        }
        other => return Err(cursor.malformed(key, "a value type from 0 to 12", other)),
    })
}

/// Walks over an array, checking every length in it.
fn skip_array(cursor: &mut Cursor<'_>, key: &str, element: u32, count: u64, depth: usize) -> Result<usize> {
    let least = match element {
        U8 | I8 | BOOL => 1,
        U16 | I16 => 2,
        U32 | I32 | F32 => 4,
        U64 | I64 | F64 | STRING => 8,
        ARRAY => 12,
        other => return Err(cursor.malformed(key, "an element type from 0 to 12", other)),
    };
    let items = cursor.check_count(count, least, key)?;
    match element {
        STRING => {
            for _ in 0..items {
                cursor.skip_text(key)?;
            }
        }
        ARRAY if depth == DEEPEST_ARRAY => {
            return Err(cursor.malformed(key, format!("arrays at most {DEEPEST_ARRAY} deep"), "deeper ones"));
        }
        ARRAY => {
            for _ in 0..items {
                let element = cursor.u32(key)?;
                let count = cursor.u64(key)?;
                skip_array(cursor, key, element, count, depth + 1)?;
            }
        }
        _ => {
            cursor.skip(count * least, key)?;
        }
    }
    Ok(items)
}
