//! The little of Hugging Face's HTTP interface that a download needs: the list of a repository's files, and a file, resumed
//! where it broke off. Nothing waits for a silent server longer than the time limits.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::cache::{CANCELLED, Cache, Progress};
use super::hf_cache::{HuggingFace, RepositoryFolder};
use super::http::{Outcome, PATIENCE, absolute, encoded, header, is_timeout, refuse_status, unreachable};
use super::repository::{Repository, is_commit, is_relative};
use crate::digest;

/// Longest list of files that is read.
const LONGEST_LIST: u64 = 64 << 20;

/// Attempts that bring no byte, after which a download is given up.
const ATTEMPTS: usize = 3;

/// Redirections between the name of a file and its place.
const REDIRECTIONS: usize = 5;

/// A client of one server.
pub(super) struct Client<'a> {
    agent: Agent,
    hub: &'a HuggingFace,
    cache: &'a Cache,
}

/// What a repository has at a revision.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    /// The commit.
    #[serde(rename = "sha")]
    pub commit: String,
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Listing {
    /// The names of the files; those that would lie outside the folder are no names.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.siblings.iter().map(|sibling| sibling.rfilename.as_str()).filter(|name| is_relative(name))
    }
}

/// A file as the server describes it.
struct Described {
    /// Digest of its content, by which its blob is called.
    etag: String,
    bytes: u64,
    /// The commit, where the server says it.
    commit: Option<String>,
}

/// Why an attempt at a file failed.
enum Failure {
    /// It will fail again.
    Final(String),
    /// It may go on where it broke off.
    Broken(String),
    /// Nothing came for too long.
    Silent(String),
}

impl<'a> Client<'a> {
    pub fn new(hub: &'a HuggingFace, cache: &'a Cache) -> Self {
        let config = Agent::config_builder()
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_send_request(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .timeout_per_write(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects_will_error(false)
            .user_agent(concat!("lm-infinite/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), hub, cache }
    }

    /// Asks for a place; `redirected`: redirections are followed, without the token where they lead to another server.
    fn get(
        &self,
        url: &str,
        range: Option<String>,
        redirected: bool,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let mut request = self.agent.get(url).config();
        if !redirected {
            request = request.max_redirects(0);
        }
        let mut request = request.build();
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        if let Some(token) = self.hub.token.as_ref().filter(|_| self.is_ours(url)) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        request.call()
    }

    /// Whether `url` is a place of the server that the token is for, and not of one whose name begins alike.
    fn is_ours(&self, url: &str) -> bool {
        url.strip_prefix(self.hub.endpoint.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The files of `repository`.
    pub fn list(&self, repository: &Repository) -> Outcome<Listing> {
        let url = format!(
            "{}/api/models/{}/revision/{}",
            self.hub.endpoint,
            repository.id,
            encoded(&repository.revision, false)
        );
        let mut response = self.get(&url, None, true).map_err(|e| unreachable(&self.hub.endpoint, &e))?;
        refuse_status(&response, self.hub.token.is_some())?;
        let body = response.body_mut().with_config().limit(LONGEST_LIST).read_to_string();
        let body = body.map_err(|e| unreachable(&self.hub.endpoint, &e))?;
        let listing: Listing = serde_json::from_str(&body)
            .map_err(|e| format!("{url}: expected a commit and a list of files, got {e}"))?;
        if !is_commit(&listing.commit) {
            return Err(format!("{url}: sha: expected a commit, got {:?}", listing.commit));
        }
        Ok(listing)
    }

    /// Brings `file` of `repository` at `commit` into `folder`, unless it is there. `place`: it is so many of so many files.
    pub fn fetch(
        &self,
        repository: &Repository,
        commit: &str,
        folder: &RepositoryFolder,
        file: &str,
        place: [usize; 2],
    ) -> Outcome<PathBuf> {
        let link = folder.snapshot(commit).join(file);
        if link.is_file() {
            return Ok(link);
        }
        if self.cache.is_cancelled() {
            return Err(CANCELLED.to_owned());
        }
        let url = format!(
            "{}/{}/resolve/{}/{}",
            self.hub.endpoint,
            repository.id,
            encoded(&repository.revision, false),
            encoded(file, true)
        );
        let Described { etag, bytes, commit: served } = self.describe(&url)?;
        if let Some(served) = served.filter(|served| served != commit) {
            return Err(format!(
                "expected it of commit {commit}, got {served}: the repository changed meanwhile; try again"
            ));
        }
        self.cache.tell(Progress::File { name: file, number: place[0], of: place[1], bytes });
        let blob = folder.blobs().join(&etag);
        let in_words = |path: &Path| {
            let path = path.to_owned();
            move |e: std::io::Error| format!("{}: {e}", path.display())
        };
        if !fs::metadata(&blob).is_ok_and(|blob| blob.len() == bytes) {
            fs::create_dir_all(folder.blobs()).map_err(in_words(&folder.blobs()))?;
            let partial = folder.blobs().join(format!("{etag}.incomplete"));
            let options = OpenOptions::new().read(true).append(true).create(true).open(&partial);
            let mut out = options.map_err(in_words(&partial))?;
            if let Err(TryLockError::WouldBlock) = out.try_lock() {
                return Err(format!("{}: another program is downloading it", partial.display()));
            }
            self.download(&url, &mut out, bytes)?;
            out.sync_all().map_err(in_words(&partial))?;
            // Large files are called by the SHA-256 of their content, small ones by another digest.
            let is_sha256 = etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_sha256 {
                let digest = digest::sha256_of_files(&[&partial]).map_err(|e| e.to_string())?;
                if !digest.eq_ignore_ascii_case(&etag) {
                    fs::remove_file(&partial).map_err(in_words(&partial))?;
                    return Err(format!("expected content with SHA-256 {etag}, got {digest}"));
                }
            }
            drop(out);
            fs::rename(&partial, &blob).map_err(in_words(&blob))?;
        }
        link_to(&blob, &link, file).map_err(in_words(&link))?;
        Ok(link)
    }

    /// Length and digest of the file at `url`.
    fn describe(&self, url: &str) -> Outcome<Described> {
        let (mut at, mut etag, mut bytes, mut commit) = (url.to_owned(), None, None, None);
        for _ in 0..REDIRECTIONS {
            let response =
                self.get(&at, Some("bytes=0-0".into()), false).map_err(|e| unreachable(&at, &e))?;
            let leads_on = response.status().is_redirection();
            if !leads_on {
                refuse_status(&response, self.hub.token.is_some())?;
            }
            // What a redirection says of itself is not what it says of the file.
            let own = |name: &str| if leads_on { None } else { header(&response, name) };
            commit = commit.or(header(&response, "x-repo-commit"));
            etag = etag.or(header(&response, "x-linked-etag")).or(own("etag"));
            let length = |text: String| text.parse::<u64>().ok();
            bytes = bytes.or(header(&response, "x-linked-size").and_then(length));
            bytes =
                bytes.or(own("content-range").and_then(|range| length(range.rsplit_once('/')?.1.to_owned())));
            if response.status() == StatusCode::OK {
                bytes = bytes.or(own("content-length").and_then(length));
            }
            match (header(&response, "location"), &etag, bytes) {
                (Some(location), None, _) | (Some(location), _, None) if leads_on => {
                    at = absolute(&at, &location)
                }
                _ => break,
            }
        }
        let etag = etag.ok_or_else(|| format!("{url}: expected an ETag of the file, got none"))?;
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
        if !(1..=128).contains(&etag.len())
            || !etag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        {
            return Err(format!("{url}: expected an ETag of letters and digits, got {etag:?}"));
        }
        let bytes = bytes.ok_or_else(|| format!("{url}: expected the length of the file, got none"))?;
        Ok(Described { etag, bytes, commit })
    }

    /// Writes what `out` lacks of the `bytes` at `url`.
    fn download(&self, url: &str, out: &mut File, bytes: u64) -> Outcome<()> {
        // A server may send the same part again and again: only what goes beyond all before counts.
        let (mut idle, mut best) = (0, 0);
        loop {
            let length = |out: &File| out.metadata().map(|file| file.len()).map_err(|e| e.to_string());
            let before = length(out)?;
            if before > bytes {
                out.set_len(0).map_err(|e| e.to_string())?;
                continue;
            }
            self.cache.tell(Progress::Bytes { done: before, total: bytes });
            if before == bytes {
                return Ok(());
            }
            let (reason, silent) = match self.receive(url, out, before, bytes) {
                Ok(()) => continue,
                Err(Failure::Final(reason)) => return Err(reason),
                Err(Failure::Broken(reason)) => (reason, false),
                Err(Failure::Silent(reason)) => (reason, true),
            };
            let after = length(out)?;
            idle = if after > best.max(before) { 0 } else { idle + 1 };
            best = after.max(best).max(before);
            if idle >= ATTEMPTS || (silent && idle > 0) {
                return Err(format!(
                    "expected {bytes} bytes: {reason}; {after} of {bytes} bytes are kept, from which the next \
                     attempt goes on"
                ));
            }
        }
    }

    /// One attempt, from byte `from` on.
    fn receive(
        &self,
        url: &str,
        out: &mut File,
        mut from: u64,
        bytes: u64,
    ) -> std::result::Result<(), Failure> {
        let local = |e: std::io::Error| Failure::Final(format!("the file cannot be written: {e}"));
        let failed = |e: &ureq::Error| match is_timeout(e) {
            true => Failure::Silent(unreachable(url, e)),
            false => Failure::Broken(unreachable(url, e)),
        };
        let range = (from > 0).then(|| format!("bytes={from}-"));
        let mut response = self.get(url, range, true).map_err(|e| failed(&e))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let expected = format!("bytes {from}-{}/{bytes}", bytes - 1);
                let got = header(&response, "content-range").unwrap_or_default();
                if got != expected {
                    return Err(Failure::Final(format!("expected {expected}, got {got:?} from the server")));
                }
            }
            StatusCode::OK => {
                // It does not know of ranges: from the beginning.
                out.set_len(0).and_then(|()| out.seek(SeekFrom::Start(0))).map_err(local)?;
                from = 0;
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                out.set_len(0).map_err(local)?;
                return Err(Failure::Broken(format!("the server has nothing from byte {from} on")));
            }
            _ => {
                refuse_status(&response, self.hub.token.is_some()).map_err(Failure::Final)?;
                return Err(Failure::Final(format!("the server answered {}", response.status())));
            }
        }
        let rest = bytes - from;
        let announced = header(&response, "content-length").and_then(|length| length.parse::<u64>().ok());
        if let Some(announced) = announced.filter(|&announced| announced != rest) {
            return Err(Failure::Final(format!("expected {rest} bytes, the server announces {announced}")));
        }
        let mut body = response.body_mut().as_reader().take(rest + 1);
        let mut buffer = vec![0; 1 << 16];
        let mut done = from;
        loop {
            if self.cache.is_cancelled() {
                let kept = format!(
                    "{CANCELLED}; {done} of {bytes} bytes are kept, from which the next attempt goes on"
                );
                return Err(Failure::Final(kept));
            }
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(failed(&ureq::Error::from(e))),
            };
            if done + count as u64 > bytes {
                return Err(Failure::Final(format!("expected {bytes} bytes, the server sends more")));
            }
            out.write_all(&buffer[..count]).map_err(local)?;
            done += count as u64;
            self.cache.tell(Progress::Bytes { done, total: bytes });
        }
        match done == bytes {
            true => Ok(()),
            false => Err(Failure::Broken(format!("the server ended after {done}"))),
        }
    }
}

/// Makes `link`, which is `file` in a snapshot, a link to `blob`; where there are no links, the blob is moved there.
fn link_to(blob: &Path, link: &Path, file: &str) -> std::io::Result<()> {
    if let Some(folder) = link.parent() {
        fs::create_dir_all(folder)?;
    }
    #[cfg(unix)]
    {
        let up = "../".repeat(2 + file.matches('/').count());
        let name = blob.file_name().unwrap_or_default();
        // A link whose blob is gone is in the way.
        if link.is_symlink() {
            fs::remove_file(link)?;
        }
        if std::os::unix::fs::symlink(Path::new(&up).join("blobs").join(name), link).is_ok() {
            return Ok(());
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    fs::rename(blob, link)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const BYTES: usize = 1 << 22;

    /// A server of one file, which sends the first quarter of it and then waits until the other side is gone.
    fn slow_server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let serve = move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let lines = BufReader::new(stream.try_clone().expect("a copy")).lines();
                let head: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let described = head.iter().any(|line| line.to_lowercase().starts_with("range: bytes=0-0"));
                let (status, range, length) = match described {
                    true => ("206 Partial Content", format!("Content-Range: bytes 0-0/{BYTES}\r\n"), 1),
                    false => ("200 OK", String::new(), BYTES),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nETag: \"abc\"\r\n{range}Content-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let sent = stream.write_all(head.as_bytes());
                let sent =
                    sent.and_then(|()| stream.write_all(&vec![7; if described { 1 } else { BYTES / 4 }]));
                if sent.is_ok() && !described {
                    // Ends when the other side closes.
                    let _ = stream.read(&mut [0]);
                }
            }
        };
        std::thread::Builder::new().name("server".into()).spawn(serve).expect("a thread");
        endpoint
    }

    #[test]
    fn a_download_that_nobody_wants_any_more_ends_and_keeps_what_came() {
        let folder = tempfile::tempdir().expect("a folder");
        let hub = HuggingFace {
            cache: folder.path().to_owned(),
            offline: false,
            endpoint: slow_server(),
            token: None,
        };
        let enough = Arc::new(AtomicBool::new(false));
        let (seen, asked) = (enough.clone(), enough);
        let cache = Cache::at(folder.path().join("ours"))
            .with_progress(move |progress| {
                if matches!(progress, Progress::Bytes { done, .. } if done > 0) {
                    seen.store(true, Ordering::Relaxed);
                }
            })
            .with_cancel(move || asked.load(Ordering::Relaxed));
        let repository = Repository::parse("acme/tiny").expect("a name");
        let target = hub.folder(&repository);
        let client = Client::new(&hub, &cache);
        let begin = std::time::Instant::now();
        let words =
            client.fetch(&repository, COMMIT, &target, "model.safetensors", [1, 1]).expect_err("ended");
        assert!(words.starts_with("cancelled; ") && words.contains(" of 4194304 bytes are kept"), "{words}");
        assert!(begin.elapsed() < PATIENCE);
        let kept = fs::metadata(target.blobs().join("abc.incomplete")).expect("kept").len();
        assert!(kept > 0 && words.contains(&format!("; {kept} of ")), "{words}");
        // Another file is not begun.
        let words = client.fetch(&repository, COMMIT, &target, "config.json", [1, 1]).expect_err("ended");
        assert_eq!(words, "cancelled");
    }
}
