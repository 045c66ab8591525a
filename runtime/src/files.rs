//! Writing files so that a reader sees the old one or the new one, never half of one, and so that whatever is no plain
//! file stays what it is.
//!
//! | at the path is | what [`write_whole`] does |
//! |---|---|
//! | nothing, or a file | writes a temporary neighbour, flushes it to disk, renames it |
//! | a link | the same at the place that it points to; the link stays |
//! | a pipe | waits up to [`PATIENCE`] for a reader, and writes to it |
//! | a character device, `/dev/stdout`, `/dev/fd/N` | writes to it |
//! | a folder, a block device, a socket | refuses it |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

/// How long a pipe is waited on until a program reads it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Links that are followed, as many as Linux follows.
const MOST_LINKS: usize = 40;

/// Writes `bytes` to `path`, as the table above says.
///
/// # Errors
/// Where the file or its folder cannot be written, and for what is refused.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    Sink::open(path)?.write(bytes)
}

/// A place that can be written to. It is opened before the work whose outcome it will take, so that a place that takes
/// nothing is refused first.
#[derive(Debug)]
pub struct Sink {
    /// As it was asked for.
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A file that is or will be here, links followed.
    File(PathBuf),
    /// A pipe or a device, open.
    Stream(File),
}

impl Sink {
    /// The place called `path`. Nothing is written yet.
    ///
    /// # Errors
    /// A folder, block device or socket; a pipe that nobody reads; a folder that does not exist.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), place: Place::at(path)? })
    }

    /// Writes `bytes` and closes the place. A reader that has left a pipe is no error.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(self, bytes: &[u8]) -> Result<()> {
        match self.place {
            Place::File(file) => replace(&file, bytes),
            Place::Stream(mut stream) => match stream.write_all(bytes) {
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => written.map_err(Error::io(&self.path)),
            },
        }
    }
}

impl Place {
    fn at(path: &Path) -> Result<Self> {
        let refuse = |what: &str| {
            Err(Error::input(format!("`{}`", path.display()), format!("expected a file, got {what}")))
        };
        let place = resolve(path)?;
        if let Some(stream) = descriptor::open(&place) {
            return Ok(Self::Stream(stream.map_err(Error::io(path))?));
        }
        let kind = match fs::metadata(&place) {
            Ok(metadata) => metadata.file_type(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let folder = folder_of(&place);
                if folder.is_dir() && place.file_name().is_some() {
                    return Ok(Self::File(place));
                }
                return refuse(&format!("a name in `{}`, which is no folder", folder.display()));
            }
            Err(e) => return Err(Error::io(path)(e)),
        };
        if kind.is_file() {
            return Ok(Self::File(place));
        }
        if kind.is_dir() {
            return refuse("a folder");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileTypeExt;
            if kind.is_fifo() {
                return open_pipe(&place, PATIENCE).map(Self::Stream).map_err(Error::io(path));
            }
            if kind.is_char_device() {
                let opened = OpenOptions::new().write(true).open(&place);
                return opened.map(Self::Stream).map_err(Error::io(path));
            }
            if kind.is_block_device() {
                return refuse("a block device, which would be overwritten");
            }
        }
        refuse("something else")
    }
}

/// Where `path` leads once every link at its end is followed, whether or not something is there.
///
/// # Errors
/// Links in a circle; a folder on the way that cannot be read.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    // Without a slash at the end, which would hide that the last name is a link.
    let mut place: PathBuf = path.components().collect();
    for _ in 0..MOST_LINKS {
        if descriptor::number(&place).is_some() {
            return Ok(place);
        }
        match fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.file_type().is_symlink() => {
                let target = fs::read_link(&place).map_err(Error::io(&place))?;
                place = folder_of(&place).join(target).components().collect();
            }
            Ok(_) => return Ok(place),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(place),
            Err(e) => return Err(Error::io(path)(e)),
        }
    }
    Err(Error::input(format!("`{}`", path.display()), "its links lead in a circle"))
}

/// The folder that `path` lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Flushes the names in `folder`, so that a file is found by its name after a loss of power. Where folders cannot be opened
/// (Windows), the file system's own journal has to do.
///
/// # Errors
/// As the system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    File::open(folder)?.sync_all()
}

/// [`sync_folder`] of the folder that `path` lies in.
///
/// # Errors
/// As the system says.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    sync_folder(folder_of(path))
}

/// [`write_whole`] for what is too large to be held: `write` is given the path of the temporary neighbour and writes it.
/// Links are followed; what is no file is refused.
///
/// # Errors
/// What `write` returns, and where the file cannot be flushed or renamed.
pub fn write_whole_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    match Place::at(path)? {
        Place::File(file) => replace_with(&file, write),
        Place::Stream(_) => {
            Err(Error::input(format!("`{}`", path.display()), "expected a file, got a pipe or a device"))
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_with(path, |temporary| fs::write(temporary, bytes).map_err(Error::io(path)))
}

fn replace_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let temporary = path.with_file_name(name);
    let commit = || {
        if let Ok(old) = fs::metadata(path) {
            fs::set_permissions(&temporary, old.permissions())?;
        }
        OpenOptions::new().write(true).open(&temporary)?.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder_of(path)
    };
    write(&temporary).and_then(|()| commit().map_err(Error::io(path))).inspect_err(|_| {
        // Nothing to lose: the old file is untouched.
        let _ = fs::remove_file(&temporary);
    })
}

/// Opens a pipe once a program reads it. (A plain `open` would wait for ever.)
#[cfg(unix)]
fn open_pipe(path: &Path, patience: Duration) -> io::Result<File> {
    use rustix::fs::{OFlags, fcntl_setfl};
    use std::os::unix::fs::OpenOptionsExt;

    let start = std::time::Instant::now();
    loop {
        let flags = OFlags::NONBLOCK.bits() as i32;
        match OpenOptions::new().write(true).custom_flags(flags).open(path) {
            Ok(pipe) => {
                fcntl_setfl(&pipe, OFlags::empty())?;
                return Ok(pipe);
            }
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                if start.elapsed() >= patience {
                    let words = format!("no program has read this pipe for {} s", patience.as_secs());
                    return Err(io::Error::other(words));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(e) => return Err(e),
        }
    }
}

/// Names of files that are open already, such as `/dev/stdout`: what they lead to is written to as it is, since a file
/// that a shell redirected to would lose what was written to it if another one took its name.
#[cfg(unix)]
mod descriptor {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::folder_of;

    /// The number behind `/proc/PID/fd/N`, and whether it is one of this process.
    pub fn number(place: &Path) -> Option<(u32, bool)> {
        let number = place.file_name()?.to_str()?.parse().ok()?;
        let folder = folder_of(place).canonicalize().ok()?;
        let rest = folder.strip_prefix("/proc").ok()?;
        let mut names = rest.components().map(|name| name.as_os_str().to_string_lossy().into_owned());
        let process: u32 = names.next()?.parse().ok()?;
        (names.next_back()? == "fd").then_some((number, process == std::process::id()))
    }

    /// Opens it, if `place` is such a name.
    pub fn open(place: &Path) -> Option<io::Result<File>> {
        let clone = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned().map(File::from);
        Some(match number(place)? {
            (1, true) => clone(&io::stdout()),
            (2, true) => clone(&io::stderr()),
            _ => OpenOptions::new().append(true).open(place),
        })
    }
}

#[cfg(not(unix))]
mod descriptor {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub fn number(_: &Path) -> Option<(u32, bool)> {
        None
    }

    pub fn open(_: &Path) -> Option<io::Result<File>> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, symlink};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn pipe(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    }

    #[test]
    fn links_stay_and_what_they_point_to_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("disk")).expect("made");
        fs::write(at("disk/old"), "old").expect("written");
        for (link, target) in [("plain", "disk/old"), ("dangling", "disk/new"), ("second", "plain")] {
            symlink(target, at(link)).expect("a link");
            write_whole(&at(link), link.as_bytes()).expect("writes");
            assert!(fs::symlink_metadata(at(link)).expect("there").file_type().is_symlink(), "{link}");
            assert_eq!(fs::read_to_string(at(link)).expect("there"), link);
        }
        assert_eq!(fs::read_to_string(at("disk/old")).expect("there"), "second");
        assert_eq!(fs::read_dir(at("disk")).expect("a folder").count(), 2, "nothing temporary is left");
        symlink("round", at("about")).expect("a link");
        symlink("about", at("round")).expect("a link");
        symlink("nowhere/file", at("lost")).expect("a link");
        symlink("disk", at("folder")).expect("a link");
        for (refused, words) in [("round", "circle"), ("lost", "no folder"), ("folder", "a folder")] {
            let message = write_whole(&at(refused), b"x").expect_err(refused).to_string();
            assert!(message.contains(words) && message.contains(refused), "{message}");
        }
    }

    #[test]
    fn a_pipe_is_written_to_and_stays_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        pipe(&path);
        // More than a pipe holds, so that writing has to wait for the reader.
        let bytes = vec![7; 300_000];
        let read = {
            let path = path.clone();
            move || {
                std::thread::sleep(Duration::from_millis(100));
                let mut all = Vec::new();
                File::open(path).and_then(|mut pipe| pipe.read_to_end(&mut all)).expect("reads");
                all
            }
        };
        let reader = std::thread::Builder::new().name("reader".into()).spawn(read).expect("a thread");
        write_whole(&path, &bytes).expect("writes");
        assert_eq!(reader.join().expect("reads"), bytes);
        assert!(fs::metadata(&path).expect("there").file_type().is_fifo());

        let refused = open_pipe(&path, Duration::from_millis(50)).expect_err("nobody reads");
        assert!(refused.to_string().contains("no program has read this pipe"), "{refused}");

        let sink = std::thread::scope(|scope| {
            scope.spawn(|| File::open(&path).expect("a reader that leaves at once"));
            Sink::open(&path).expect("it was there")
        });
        sink.write(&bytes).expect("a reader that has left is no error");
    }

    #[test]
    fn devices_are_written_to_or_refused() {
        write_whole(Path::new("/dev/null"), b"gone").expect("writes");
        assert!(fs::metadata("/dev/null").expect("there").file_type().is_char_device());
        let folder = tempfile::tempdir().expect("a folder");
        let block = folder.path().join("disk");
        let made = mknodat(CWD, &block, FileType::BlockDevice, Mode::RUSR | Mode::WUSR, 0x700);
        if made.is_ok() {
            let message = write_whole(&block, b"x").expect_err("refused").to_string();
            assert!(message.contains("block device"), "{message}");
        }
        let message = write_whole(folder.path(), b"x").expect_err("refused").to_string();
        assert!(message.contains("a folder"), "{message}");
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        assert!(write_whole(&socket, b"x").is_err());
    }

    #[test]
    fn an_open_file_is_written_where_it_is() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut file = File::create(&path).expect("made");
        file.write_all(b"before ").expect("written");
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        if Path::new(&name).exists() {
            write_whole(Path::new(&name), b"after").expect("writes");
            assert_eq!(fs::read_to_string(&path).expect("there"), "before after");
        }
    }

    #[test]
    fn permissions_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("private");
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        write_whole(&path, b"new").expect("writes");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
