//! The bytes of one file: plain or packed, UTF-8 checked, in blocks.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::error::{Error, Result};

/// Bytes that are read at once.
pub(super) const BLOCK: usize = 1 << 16;

/// Bytes of a pipe that are kept in memory; what is beyond goes to a temporary file.
const KEPT: usize = 4 << 20;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstandard,
}

impl Packing {
    /// Reads `packed`.
    pub fn reader(self, packed: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        match self {
            Self::None => Box::new(packed),
            Self::Gzip => {
                Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(BLOCK, packed)))
            }
            Self::Zstandard => Box::new(Frames::new(packed)),
        }
    }
}

/// The frames of a zstd archive, one after the other. (The library's own reader stops behind the first.)
struct Frames<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    begun: bool,
}

impl<R: Read> Frames<R> {
    fn new(source: R) -> Self {
        Self { source: BufReader::with_capacity(BLOCK, source), decoder: FrameDecoder::new(), begun: false }
    }

    /// Begins the next frame; false at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !(self.begun && self.source.fill_buf()?.is_empty()) {
            let reset = self.decoder.reset(&mut self.source);
            self.begun = true;
            match reset {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(reason) => return Err(io::Error::other(format!("not a zstd archive: {reason}"))),
            }
        }
        Ok(false)
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.begun && self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.begun && !self.decoder.is_finished() {
                let blocks = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, blocks).map_err(io::Error::other)?;
            } else if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}

/// What can be read once only (standard input, a pipe), kept so that it can be read again: the beginning in memory, more in
/// a temporary file. Nothing is read before it is asked for.
pub(super) struct Spool {
    source: Box<dyn Read + Send>,
    kept: tempfile::SpooledTempFile,
    length: u64,
}

impl Spool {
    pub fn new(source: Box<dyn Read + Send>) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { source, kept: tempfile::SpooledTempFile::new(KEPT), length: 0 }))
    }

    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if at < self.length {
            self.kept.seek(SeekFrom::Start(at))?;
            let most = usize::try_from(self.length - at).map_or(buffer.len(), |left| left.min(buffer.len()));
            return self.kept.read(&mut buffer[..most]);
        }
        let count = self.source.read(buffer)?;
        self.kept.seek(SeekFrom::Start(self.length))?;
        self.kept.write_all(&buffer[..count])?;
        self.length += count as u64;
        Ok(count)
    }
}

/// Reads a [`Spool`] from any place.
pub(super) struct SpoolReader {
    pub spool: Arc<Mutex<Spool>>,
    pub at: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
        let count = spool.read_at(self.at, buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Opens a file at a place.
pub(super) fn open_at(path: &Path, at: u64) -> Result<File> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    if at > 0 {
        file.seek(SeekFrom::Start(at)).map_err(Error::io(path))?;
    }
    Ok(file)
}

/// UTF-8 text in blocks of about [`BLOCK`] bytes, none of which cuts a character.
pub(super) struct Blocks {
    source: Box<dyn Read + Send>,
    label: PathBuf,
    /// The first bytes of a character whose last ones have not been read yet.
    carry: Vec<u8>,
    /// Place of the next byte, the carry included.
    at: u64,
    /// Nothing was read yet, and a byte order mark may come.
    fresh: bool,
    ended: bool,
}

impl Blocks {
    /// From the beginning of a file, where a byte order mark is no part of the text.
    pub fn new(source: Box<dyn Read + Send>, label: &Path) -> Self {
        Self { source, label: label.to_owned(), carry: Vec::new(), at: 0, fresh: true, ended: false }
    }

    /// From the place `at` of a file, behind a byte order mark.
    pub fn behind_mark(source: Box<dyn Read + Send>, label: &Path, at: u64) -> Self {
        Self { at, fresh: false, ..Self::new(source, label) }
    }

    /// Whether it is known already that nothing more comes.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next block and the place of its first byte in the file; `None` at the end.
    ///
    /// # Errors
    /// What cannot be read or unpacked; bytes that are no UTF-8, with the offset of the first.
    pub fn next(&mut self) -> Result<Option<(u64, String)>> {
        while !self.ended {
            let mut bytes = std::mem::take(&mut self.carry);
            let whole = BLOCK + bytes.len();
            let count = self.source.by_ref().take(BLOCK as u64).read_to_end(&mut bytes);
            count.map_err(Error::io(&self.label))?;
            self.ended = bytes.len() < whole;
            let mut at = self.at;
            if std::mem::take(&mut self.fresh) {
                if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
                    let reason = "expected UTF-8, got UTF-16 (by its byte order mark); convert it first, \
                                  for example with `iconv -f UTF-16 -t UTF-8`";
                    return Err(Error::input(self.label.display().to_string(), reason));
                }
                if bytes.starts_with(UTF8_MARK) {
                    bytes.drain(..UTF8_MARK.len());
                    at = UTF8_MARK.len() as u64;
                }
            }
            let text = match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => {
                    let (valid, bad) = (error.utf8_error().valid_up_to(), error.utf8_error().error_len());
                    let mut bytes = error.into_bytes();
                    if bad.is_some() || self.ended {
                        let offset = at + valid as u64;
                        let reason =
                            format!("expected UTF-8, got byte 0x{:02X} at offset {offset}", bytes[valid]);
                        return Err(Error::input(self.label.display().to_string(), reason));
                    }
                    self.carry = bytes.split_off(valid);
                    // What is before the first bad byte is valid, so that nothing is replaced here.
                    String::from_utf8_lossy(&bytes).into_owned()
                }
            };
            self.at = at + text.len() as u64;
            if !text.is_empty() {
                return Ok(Some((at, text)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slow(std::io::Cursor<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn blocks(bytes: &[u8]) -> Result<String> {
        let source = Box::new(Slow(std::io::Cursor::new(bytes.to_vec())));
        let mut blocks = Blocks::new(source, Path::new("text"));
        let (mut all, mut end) = (String::new(), None);
        while let Some((at, text)) = blocks.next()? {
            assert!(end.is_none_or(|end| end == at), "blocks follow one another");
            end = Some(at + text.len() as u64);
            all += &text;
        }
        Ok(all)
    }

    #[test]
    fn characters_are_not_cut_and_marks_are_no_text() {
        let long = "é€😀a".repeat(BLOCK / 3);
        assert_eq!(blocks(long.as_bytes()).expect("UTF-8"), long);
        assert_eq!(blocks(format!("\u{feff}{long}").as_bytes()).expect("UTF-8"), long);
        assert_eq!(blocks("a\u{feff}b".as_bytes()).expect("UTF-8"), "a\u{feff}b", "inside, it is text");
        assert_eq!(blocks(b"\xef\xbb\xbf").expect("UTF-8"), "");
        assert_eq!(blocks(b"").expect("UTF-8"), "");
        for mark in UTF16_MARKS {
            let refused = blocks(&[mark, b"a\0b\0"].concat()).expect_err("UTF-16").to_string();
            assert!(refused.contains("UTF-16") && refused.contains("iconv"), "{refused}");
        }
        let mut cut = long.clone().into_bytes();
        cut.extend([0xe2, 0x82]);
        let offset = format!("offset {}", long.len());
        assert!(blocks(&cut).expect_err("cut").to_string().contains(&offset));
        cut.extend(b"..");
        assert!(blocks(&cut).expect_err("bad").to_string().contains(&offset));
    }

    #[test]
    fn all_frames_of_an_archive_are_read() {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        let frame = |text: &str| compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
        let skippable = [&0x184D_2A50_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"abc"].concat();
        let archive = [frame("one "), skippable.clone(), frame(""), frame("two"), skippable].concat();
        let read = |bytes: Vec<u8>| {
            let mut text = String::new();
            Frames::new(std::io::Cursor::new(bytes)).read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(read(archive.clone()).expect("unpacks"), "one two");
        assert!(read(archive[..archive.len() - 1].to_vec()).is_err(), "the last frame is cut");
        assert!(read(Vec::new()).is_err(), "nothing is no archive");
        assert!(read([&frame("one")[..], b"rest"].concat()).is_err(), "something else lies behind it");
    }

    #[test]
    fn a_pipe_is_read_once_and_given_often() {
        let bytes: Vec<u8> = (0..KEPT + 1000).map(|at| (at % 251) as u8).collect();
        let spool = Spool::new(Box::new(std::io::Cursor::new(bytes.clone())));
        let mut first = [0; 10];
        SpoolReader { spool: spool.clone(), at: 0 }.read_exact(&mut first).expect("reads");
        assert_eq!(spool.lock().expect("it").length, 10, "no more than was asked for");
        for _ in 0..2 {
            let mut all = Vec::new();
            SpoolReader { spool: spool.clone(), at: 0 }.read_to_end(&mut all).expect("reads");
            assert!(all == bytes);
        }
        let mut late = Vec::new();
        SpoolReader { spool, at: KEPT as u64 }.read_to_end(&mut late).expect("reads");
        assert!(late == bytes[KEPT..]);
    }
}
