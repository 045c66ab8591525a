//! Files of a result folder: texts, JSON and MessagePack.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// What every result folder has.
pub const RUN: &str = "run.json";

/// Writes a text.
pub fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::io(path))
}

/// Writes `value` as JSON.
pub fn to_json(path: &Path, value: &impl Serialize, pretty: bool) -> Result<()> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    save(path, &text.map_err(|e| Error::io(path)(e.into()))?)
}

/// Reads JSON.
pub fn from_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text)
        .map_err(|e| Error::malformed(path, format!("line {}", e.line()), "a result", e))
}

/// Writes `value` as MessagePack.
pub fn to_msgpack(path: &Path, value: &impl Serialize) -> Result<()> {
    let bytes = rmp_serde::to_vec(value).map_err(|e| Error::io(path)(std::io::Error::other(e)))?;
    fs::write(path, bytes).map_err(Error::io(path))
}

/// Reads MessagePack, of which `field` is `expected`.
pub fn from_msgpack<T: DeserializeOwned>(path: &Path, field: &str, expected: &str) -> Result<T> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    rmp_serde::from_slice(&bytes).map_err(|e| Error::malformed(path, field, expected, e))
}
