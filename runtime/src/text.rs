//! Texts that users hand in: UTF-8 files, plain or packed, folders of them, or standard input.
//!
//! | name ends in | what it holds |
//! |---|---|
//! | `.jsonl` | one JSON object per line, its document in the field `text` |
//! | anything else | plain text; documents are set apart by at least two empty lines |
//! | `.gz`, `.zst` after either | the same, packed |

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::corpus::DOCUMENT_BREAK;
use crate::error::{Error, Result};

/// A public-domain text that is compiled in, so that everything works without a file.
pub const EMBEDDED_TEXT: &str = include_str!("../assets/text/sample.txt");
/// What it is.
pub const EMBEDDED_TEXT_NAME: &str = "embedded: CIA World Factbook";

/// Names that a folder is searched for.
const KINDS: [&str; 6] = [".txt", ".txt.gz", ".txt.zst", ".jsonl", ".jsonl.gz", ".jsonl.zst"];

/// Reads every source, a file, a folder or `-` for standard input, and joins their documents in this order. Files of a
/// folder (not of folders in it) come by name, those alone that the table above knows by `.txt` or `.jsonl`.
///
/// Errors: no source, unreadable, not UTF-8 (with the offset of the first bad byte), empty, a broken archive or line.
pub fn read_texts(sources: &[String]) -> Result<String> {
    let mut texts = Vec::new();
    for source in sources {
        let path = Path::new(source);
        if source != "-" && path.is_dir() {
            for file in files_of(path)? {
                texts.push(read_text(&file.to_string_lossy())?);
            }
        } else {
            texts.push(read_text(source)?);
        }
    }
    match texts.len() {
        0 => Err(Error::input("text", "there is none")),
        1 => Ok(texts.remove(0)),
        _ => Ok(texts.iter().map(|text| text.trim_matches('\n')).collect::<Vec<_>>().join(DOCUMENT_BREAK)),
    }
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() && KINDS.iter().any(|kind| name.ends_with(kind)) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let reason = format!("the folder has no file that ends in {}", KINDS.join(", "));
        return Err(Error::input(folder.display().to_string(), reason));
    }
    Ok(files)
}

/// Reads one `source`, a file or `-` for standard input. Errors as for [`read_texts`].
pub fn read_text(source: &str) -> Result<String> {
    if source == "-" {
        return read_from(io::stdin().lock(), "standard input");
    }
    let path = Path::new(source);
    let file = File::open(path).map_err(Error::io(path))?;
    if file.metadata().map_err(Error::io(path))?.is_dir() {
        return Err(Error::input(source, "expected a text file, got a folder"));
    }
    let (text, name) = if let Some(name) = source.strip_suffix(".gz") {
        (read_from(flate2::read::MultiGzDecoder::new(file), source)?, name)
    } else if let Some(name) = source.strip_suffix(".zst") {
        let unpacked = ruzstd::decoding::StreamingDecoder::new(file)
            .map_err(|e| Error::malformed(path, "header", "a zstd archive", e))?;
        (read_from(unpacked, source)?, name)
    } else {
        (read_from(file, source)?, source)
    };
    if name.ends_with(".jsonl") { documents_of_lines(&text, path) } else { Ok(text) }
}

/// [`read_text`] of any reader of plain text; `label` names it in errors.
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

/// The documents of JSON lines, set apart as in plain text.
fn documents_of_lines(text: &str, path: &Path) -> Result<String> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
    }
    let mut documents = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let expected = "a JSON object with a string in `text`";
        let line: Line = serde_json::from_str(line)
            .map_err(|e| Error::malformed(path, format!("line {}", number + 1), expected, e))?;
        documents.push(line.text);
    }
    if documents.iter().all(|document| document.trim().is_empty()) {
        return Err(Error::input(path.display().to_string(), "it has no document with a text"));
    }
    Ok(documents.join(DOCUMENT_BREAK))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let path = path.to_string_lossy().into_owned();
        (folder, path)
    }

    fn gzipped(text: &str) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).expect("packs");
        packer.finish().expect("packs")
    }

    fn zstandard(text: &str) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn packed_files_are_read_like_plain_ones() {
        let lines = "{\"text\": \"one\"}\n\n{\"text\": \"two\", \"id\": 7}\n";
        for (name, bytes, expected) in [
            ("a.txt", b"plain\n".to_vec(), "plain\n"),
            ("a.txt.gz", gzipped("plain\n"), "plain\n"),
            ("a.txt.zst", zstandard("plain\n"), "plain\n"),
            ("a.jsonl", lines.as_bytes().to_vec(), "one\n\n\ntwo"),
            ("a.jsonl.gz", gzipped(lines), "one\n\n\ntwo"),
            ("a.jsonl.zst", zstandard(lines), "one\n\n\ntwo"),
        ] {
            let (_folder, path) = written(name, &bytes);
            assert_eq!(read_text(&path).expect(name), expected, "{name}");
        }
    }

    #[test]
    fn a_folder_is_its_texts_by_name_and_nothing_else() {
        let (folder, _) = written("b.txt", b"second\n");
        for (name, text) in [("a.jsonl", "{\"text\": \"first\"}"), ("c.png", "no text")] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        let folder = folder.path().to_string_lossy().into_owned();
        assert_eq!(read_texts(std::slice::from_ref(&folder)).expect("reads"), "first\n\n\nsecond");
        let (other, path) = written("d.txt", b"third");
        assert_eq!(read_texts(&[path, folder]).expect("reads"), "third\n\n\nfirst\n\n\nsecond");
        std::fs::remove_file(other.path().join("d.txt")).expect("removed");
        let empty = read_texts(&[other.path().to_string_lossy().into_owned()]).expect_err("nothing there");
        assert!(empty.to_string().contains("no file that ends in"), "{empty}");
    }

    #[test]
    fn broken_archives_and_lines_are_named() {
        for (name, bytes, reason) in [
            ("a.gz", b"not packed".to_vec(), "a.gz"),
            ("a.zst", b"not packed".to_vec(), "a zstd archive"),
            ("a.jsonl", b"{\"text\": \"one\"}\n{\"txt\": 1}".to_vec(), "line 2"),
            ("b.jsonl", b"{\"text\": 5}".to_vec(), "line 1"),
            ("c.jsonl", b"{\"text\": \" \"}".to_vec(), "no document"),
            ("d.txt", b"ok \xff".to_vec(), "offset 3"),
            ("e.txt.gz", gzipped(""), "empty"),
        ] {
            let (_folder, path) = written(name, &bytes);
            let error = read_text(&path).expect_err(name).to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
        let mut cut = gzipped(&"a long text ".repeat(100));
        cut.truncate(20);
        let (_folder, path) = written("cut.txt.gz", &cut);
        assert!(read_text(&path).is_err());
    }
}
