//! Texts that users hand in: a UTF-8 file or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Result};

/// Reads `source`, a file or `-` for standard input. Errors: unreadable, not UTF-8 (with the offset of the first bad
/// byte), empty.
pub fn read_text(source: &str) -> Result<String> {
    if source == "-" {
        return read_from(io::stdin().lock(), "standard input");
    }
    let path = Path::new(source);
    let file = File::open(path).map_err(Error::io(path))?;
    if file.metadata().map_err(Error::io(path))?.is_dir() {
        return Err(Error::input(source, "expected a text file, got a folder"));
    }
    read_from(file, source)
}

/// [`read_text`] of any reader; `label` names it in errors.
pub fn read_from(mut reader: impl Read, label: &str) -> Result<String> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(Error::io(label))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let byte = e.as_bytes()[at];
        Error::input(label, format!("expected UTF-8, got byte 0x{byte:02X} at offset {at}"))
    })?;
    if text.is_empty() {
        return Err(Error::input(label, "the text is empty"));
    }
    Ok(text)
}
