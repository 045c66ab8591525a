//! Texts that users hand in: UTF-8 files, plain or packed, folders of them, or standard input. They are read in parts, one
//! after the other, so that memory does not grow with a text.
//!
//! | name ends in (in any case) | what it holds |
//! |---|---|
//! | `.jsonl` | one JSON object per line, its document in the field `text` |
//! | anything else | plain text; documents are set apart by at least two empty lines; `\r\n` is read as `\n` |
//! | `.gz`, `.zst` after either | the same, packed |
//!
//! The text is what the files hold, one after the other, but for a byte order mark; between two files, and between two
//! lines of a `.jsonl` file, stands [`DOCUMENT_BREAK`]. (Where there are several files, line ends around each are left out.)

mod breaks;
mod bytes;
mod documents;
mod index;
mod line_ends;
mod part;
mod reader;
mod source;

use std::io::Read;
use std::path::Path;

pub use documents::{Document, Documents};
pub use part::Part;
pub use reader::{LONGEST_LINE, Reader};
pub use source::{DOCUMENT_BREAK, EMBEDDED_TEXT, EMBEDDED_TEXT_NAME, Text, TextRead};

use crate::digest::Hasher;
use crate::error::{Error, Result};
use index::Index;

impl Text {
    /// Reads it from the beginning.
    pub fn reader(&self) -> Reader {
        Reader::new(self.clone(), None)
    }

    /// [`Text::reader`] that writes down where documents lie, for [`Text::documents`].
    pub fn indexing_reader(&self) -> Reader {
        Reader::new(self.clone(), Some(Index::new()))
    }

    /// The documents that `reader` has found, which has to be at its end.
    ///
    /// # Errors
    /// Where there is none.
    pub fn documents(&self, reader: &mut Reader) -> Result<Documents> {
        Documents::new(self.clone(), reader.take_index().unwrap_or_else(Index::new))
    }

    /// Reads all of it and says what it was, in constant memory.
    ///
    /// # Errors
    /// As [`Reader::next_part`].
    pub fn digest(&self) -> Result<TextRead> {
        let (mut reader, mut hasher, mut bytes) = (self.reader(), Hasher::default(), 0);
        while let Some(part) = reader.next_part()? {
            hasher.update(part.text.as_bytes());
            bytes += part.text.len() as u64;
        }
        Ok(TextRead { bytes, sha256: hasher.finish(), whole: true })
    }

    /// All of it, where that is at most `limit` bytes.
    ///
    /// # Errors
    /// A longer text; as [`Reader::next_part`].
    pub fn read_all(&self, limit: usize) -> Result<String> {
        let (mut reader, mut all) = (self.reader(), String::new());
        while let Some(part) = reader.next_part()? {
            all += &part.text;
            if all.len() > limit {
                let reason = format!("at most {limit} bytes can be taken at once here; this text has more");
                return Err(Error::input(self.name(), reason));
            }
        }
        Ok(all)
    }
}

/// Reads one `source` whole, a file or `-` for standard input.
///
/// # Errors
/// A folder; as [`Text::open`] and [`Reader::next_part`].
pub fn read_text(source: impl AsRef<Path>) -> Result<String> {
    let path = source.as_ref();
    if path.is_dir() {
        return Err(Error::input(path.display().to_string(), "expected a text file, got a folder"));
    }
    Text::open(&[path])?.read_all(usize::MAX)
}

/// [`read_text`] of any reader of plain text; `label` names it in errors.
///
/// # Errors
/// As [`Reader::next_part`].
pub fn read_from(reader: impl Read + Send + 'static, label: &str) -> Result<String> {
    Text::from_reader(label, reader).read_all(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::source::KINDS;
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

    fn open(path: &Path) -> Text {
        Text::open(&[path]).expect("is there")
    }

    fn all(text: &Text) -> Result<String> {
        text.read_all(usize::MAX)
    }

    /// Every document, read by its number.
    fn documents(text: &Text) -> Vec<String> {
        let mut reader = text.indexing_reader();
        while reader.next_part().expect("reads").is_some() {}
        let mut documents = text.documents(&mut reader).expect("documents");
        let count = documents.count();
        let document = |number| {
            let mut document = documents.open(number).expect("a document");
            let mut whole = String::new();
            while let Some(part) = document.next_part().expect("reads") {
                assert_eq!(part.starts_document, whole.is_empty());
                whole += &part.text;
            }
            whole.strip_prefix(DOCUMENT_BREAK).expect("set apart").to_owned()
        };
        (0..count).map(document).collect()
    }

    const LINES: &str =
        "{\"text\": \"one\\n\\n\\n\\nstill one\"}\n\n{\"text\": \" \"}\n{\"text\": \"two\", \"id\": 7}";

    #[test]
    fn packed_files_are_read_like_plain_ones() {
        for (name, bytes, expected) in [
            ("a.txt", b"plain\n".to_vec(), "plain\n"),
            ("a.txt.gz", gzipped("plain\n"), "plain\n"),
            ("a.txt.zst", zstandard("plain\n"), "plain\n"),
            ("a.jsonl", LINES.as_bytes().to_vec(), "one\n\n\n\nstill one\n\n\ntwo"),
            ("A.JSONL.GZ", gzipped(LINES), "one\n\n\n\nstill one\n\n\ntwo"),
            ("a.jsonl.zst", zstandard(&format!("{LINES}\n")), "one\n\n\n\nstill one\n\n\ntwo"),
        ] {
            let (_folder, path) = written(name, &bytes);
            assert_eq!(read_text(&path).expect(name), expected, "{name}");
            let count = if name.to_lowercase().contains("jsonl") { 2 } else { 1 };
            assert_eq!(documents(&open(Path::new(&path))).len(), count, "{name}");
        }
    }

    #[test]
    fn documents_are_ranges_of_the_file() {
        let long = "é word ".repeat(40_000);
        let plain = format!("\u{feff}one\r\n\r\ntwo lines\r\n\r\n\r\n{long}\n\n\n \n\n\n\tthree \n");
        let wanted = ["one\r\n\r\ntwo lines", long.trim(), "three"];
        let read = ["one\n\ntwo lines", long.trim(), "three"];
        let quoted = |text: &&str| serde_json::json!({ "text": text }).to_string();
        let lines = format!("\u{feff}{}\r\n", wanted.iter().map(quoted).collect::<Vec<_>>().join("\r\n\r\n"));
        for (name, bytes) in [
            ("a.txt", plain.clone().into_bytes()),
            ("a.txt.gz", gzipped(&plain)),
            ("a.zst", zstandard(&plain)),
            ("a.jsonl", lines.clone().into_bytes()),
            ("a.jsonl.gz", gzipped(&lines)),
        ] {
            let (folder, path) = written(name, &bytes);
            // Line ends of other systems are those of the file, not those that a document holds.
            let wanted = if name.contains("jsonl") { wanted } else { read };
            assert!(documents(&open(Path::new(&path))) == wanted, "{name}");
            // The same, found in a folder, behind another file.
            std::fs::write(folder.path().join("0.txt"), "zero\n").expect("written");
            let found = documents(&open(folder.path()));
            let known = KINDS.iter().any(|kind| name.ends_with(kind));
            assert_eq!(found.len(), if known { 4 } else { 1 }, "{name}");
            assert_eq!(found[0], "zero");
        }
        assert!(documents(&Text::from_memory("memory", &plain[3..])) == read);
        assert!(documents(&Text::from_reader("pipe", std::io::Cursor::new(plain.clone()))) == read);
        assert!(
            all(&Text::from_reader("pipe", std::io::Cursor::new(plain.clone()))).expect("reads")
                == plain[3..].replace("\r\n", "\n")
        );
    }

    #[test]
    fn a_folder_is_its_texts_by_name_and_nothing_else() {
        let (folder, _) = written("b.TXT", b"second\n");
        for (name, text) in [("a.JSONL", "{\"text\": \"first\"}"), ("c.png", "no text")] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        std::fs::create_dir(folder.path().join("d.txt")).expect("made");
        let text = open(folder.path());
        assert_eq!(all(&text).expect("reads"), "first\n\n\nsecond");
        let notes = text.notes();
        let said = |words: &str| notes.iter().any(|note| note.said.contains(words));
        assert!(
            notes.len() == 2 && said("1 folder in it is not looked into: d.txt") && said(".zst: c.png"),
            "{notes:?}"
        );
        let (other, path) = written("d.txt", b"third");
        let both = Text::open(&[Path::new(&path), folder.path()]).expect("is there");
        assert_eq!(all(&both).expect("reads"), "third\n\n\nfirst\n\n\nsecond");
        std::fs::remove_file(other.path().join("d.txt")).expect("removed");
        let empty = Text::open(&[other.path()]).expect_err("nothing there");
        assert!(empty.to_string().contains("no file that ends in"), "{empty}");
    }

    #[test]
    fn a_file_that_cannot_be_used_does_not_refuse_its_folder() {
        let long = "a word ".repeat(50_000);
        let bad: [(&str, Vec<u8>, &str); 7] = [
            ("1.txt", Vec::new(), "empty"),
            ("2.txt", b"caf\xe9".to_vec(), "0xE9 at offset 3; it is left out"),
            ("3.jsonl", b"{\"text\": \"x\"}\n{\"txt\": 1}".to_vec(), "line 2"),
            ("4.txt.gz", b"not packed".to_vec(), "left out"),
            ("5.txt.zst", b"not packed".to_vec(), "zstd"),
            ("6.txt", [long.as_bytes(), b"\xff"].concat(), "offset 350000; what follows in it is left out"),
            ("7.txt", b"\xff\xfea\0".to_vec(), "UTF-16"),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes, _) in &bad {
            std::fs::write(folder.path().join(name), bytes).expect("written");
        }
        std::fs::write(folder.path().join("8.txt"), "good\n").expect("written");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt;
            let name = std::ffi::OsString::from_vec(b"9 \xff.txt".to_vec());
            std::fs::write(folder.path().join(name), "good, too\n").expect("written");
            std::os::unix::fs::symlink("nowhere", folder.path().join("a.txt")).expect("linked");
        }
        let text = open(folder.path());
        let read = all(&text).expect("what is good is read");
        assert!(read.starts_with("a word") && read.contains("\n\n\ngood") && !read.contains("caf"));
        assert_eq!(cfg!(unix), read.ends_with("\n\n\ngood\n\n\ngood, too"));
        let notes = text.notes();
        for (name, _, reason) in &bad {
            let note = notes.iter().find(|note| note.field.ends_with(name)).expect(name);
            assert!(note.said.contains(reason), "{note}");
        }
        assert_eq!(notes.len(), bad.len() + usize::from(cfg!(unix)), "{notes:?}");
        assert_eq!(all(&text).expect("again"), read);
        assert_eq!(text.notes(), notes, "each is said once");
        assert_eq!(text.digest().expect("reads").sha256, crate::digest::sha256(read.as_bytes()));

        let none = tempfile::tempdir().expect("a folder");
        for (name, bytes, _) in bad.iter().filter(|(name, ..)| *name != "6.txt") {
            std::fs::write(none.path().join(name), bytes).expect("written");
            // Asked for by name, it is refused.
            assert!(read_text(none.path().join(name)).is_err(), "{name}");
        }
        let refused = all(&open(none.path())).expect_err("none is usable").to_string();
        assert!(refused.contains("no file in it can be used") && refused.contains("2.txt"), "{refused}");
    }

    #[test]
    fn lines_have_a_limit() {
        let endless = std::iter::repeat_n(b' ', LONGEST_LINE + 1).collect::<Vec<u8>>();
        let (_folder, path) = written("a.jsonl.gz", &gzipped(std::str::from_utf8(&endless).expect("ASCII")));
        let refused = read_text(&path).expect_err("too long").to_string();
        assert!(refused.contains("line 1") && refused.contains("64 MiB"), "{refused}");
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
