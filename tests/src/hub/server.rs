//! A hub on this machine: a list of files, and each of them in ranges, as well as the manners of bad servers and lines.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

pub const COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";
pub const REPOSITORY: &str = "acme/tiny-llama";

/// How a server treats those who ask.
#[derive(Clone, Default)]
pub struct Manner {
    /// It accepts connections and says nothing.
    pub silent: bool,
    /// Transfers of a file end after so many bytes.
    pub ends_after: Option<(&'static str, usize)>,
    /// The same once only: later ones end at once.
    pub then_nothing: bool,
    /// Transfers of a file stop after so many bytes, and the connection stays.
    pub stops_after: Option<(&'static str, usize)>,
    /// A file is said to have more or fewer bytes than it has.
    pub claims: Option<(&'static str, i64)>,
    /// A file is called by the digest of another content.
    pub wrong_digest: Option<&'static str>,
    /// It sends whole files, whatever range is asked for.
    pub no_ranges: bool,
    /// Whoever lacks it is refused.
    pub token: Option<&'static str>,
    /// Files lie on another server.
    pub elsewhere: Option<String>,
}

/// A request: path, `Range`, `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

/// A server on a port of its own, which lives as long as the program.
pub struct Server {
    pub endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

struct Shared {
    folder: PathBuf,
    manner: Manner,
    requests: Arc<Mutex<Vec<Request>>>,
    /// Transfers of each file so far.
    transfers: Mutex<HashMap<String, usize>>,
}

impl Server {
    /// Serves the files of `folder`.
    pub fn new(folder: PathBuf, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let shared =
            Arc::new(Shared { folder, manner, requests: requests.clone(), transfers: Mutex::default() });
        let listen = move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that goes away ends its own thread alone.
                let answer = move || drop(shared.answer_all(stream));
                std::thread::Builder::new().name("hub connection".into()).spawn(answer).expect("a thread");
            }
        };
        std::thread::Builder::new().name("hub".into()).spawn(listen).expect("a thread");
        Self { endpoint, requests }
    }

    /// All that was asked.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }

    /// The ranges in which a file was asked for, but for the first byte.
    pub fn ranges(&self, file: &str) -> Vec<String> {
        let of_file = self.requests().into_iter().filter(|request| request.path.ends_with(file));
        let ranges = of_file.map(|request| request.range.unwrap_or_else(|| "all".to_owned()));
        ranges.filter(|range| range != "bytes=0-0").collect()
    }
}

impl Shared {
    fn answer_all(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut out = stream.try_clone()?;
        let mut lines = BufReader::new(stream).lines();
        while let Some(line) = lines.next().transpose()? {
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let mut request = Request { path, range: None, authorization: None };
            for line in lines.by_ref() {
                let line = line?;
                match line.split_once(": ") {
                    None => break,
                    Some((name, value)) if name.eq_ignore_ascii_case("range") => {
                        request.range = Some(value.into())
                    }
                    Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                        request.authorization = Some(value.into());
                    }
                    Some(_) => {}
                }
            }
            self.requests.lock().expect("no panic").push(request.clone());
            if self.manner.silent {
                std::thread::sleep(Duration::from_secs(120));
            }
            if !self.answer(&mut out, &request)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// True if the connection stays.
    fn answer(&self, out: &mut TcpStream, request: &Request) -> std::io::Result<bool> {
        let manner = &self.manner;
        if let Some(token) = manner.token
            && request.authorization.as_deref() != Some(&format!("Bearer {token}"))
        {
            write!(out, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        let revision = |prefix: &str| {
            let rest = request.path.strip_prefix(prefix)?;
            ["main", "v1", COMMIT].into_iter().find_map(|revision| rest.strip_prefix(revision))
        };
        if revision(&format!("/api/models/{REPOSITORY}/revision/")) == Some("") {
            let names = fs::read_dir(&self.folder)?.map(|entry| entry.map(|entry| entry.file_name()));
            let names = names.collect::<Result<Vec<_>, _>>()?;
            let siblings: Vec<Value> =
                names.iter().map(|name| json!({"rfilename": name.to_string_lossy()})).collect();
            let body = json!({"siblings": siblings, "sha": COMMIT}).to_string();
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
            return Ok(true);
        }
        let name = revision(&format!("/{REPOSITORY}/resolve/")).and_then(|rest| rest.strip_prefix('/'));
        let Some((name, Ok(bytes))) = name.map(|name| (name, fs::read(self.folder.join(name)))) else {
            write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        };
        self.send(out, request, name, &bytes)
    }

    fn send(
        &self,
        out: &mut TcpStream,
        request: &Request,
        name: &str,
        bytes: &[u8],
    ) -> std::io::Result<bool> {
        let manner = &self.manner;
        let of = |of: Option<(&str, usize)>| of.filter(|(file, _)| *file == name).map(|(_, count)| count);
        // As the hub: files in Git have short digests, large ones the SHA-256 of their content; here one digest will do.
        let content: &[u8] = if manner.wrong_digest == Some(name) { b"other" } else { bytes };
        let etag = lm_infinite::digest::sha256(content);
        let claimed = manner.claims.filter(|(file, _)| *file == name).map_or(0, |(_, more)| more);
        let total = bytes.len() as i64 + claimed;
        if let Some(server) = &manner.elsewhere {
            write!(
                out,
                "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {server}{}\r\nX-Linked-Size: {total}\r\n\
                 X-Linked-Etag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\nETag: \"of-the-redirection\"\r\n\r\n",
                request.path
            )?;
            return Ok(true);
        }
        let range = request.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (low, high) = range.filter(|_| !manner.no_ranges).unwrap_or(("0", ""));
        let low: usize = low.parse().unwrap_or(0);
        let end = high.parse::<usize>().map_or(bytes.len(), |high| (high + 1).min(bytes.len()));
        if low > 0 && low >= bytes.len() {
            write!(out, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        let part = &bytes[low.min(bytes.len())..end];
        let whole = high.is_empty();
        let length = part.len() as i64 + if whole { claimed } else { 0 };
        let status = if manner.no_ranges { "200 OK" } else { "206 Partial Content" };
        let last = low as i64 + length - 1;
        write!(
            out,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {COMMIT}\r\n"
        )?;
        if !manner.no_ranges {
            write!(out, "Content-Range: bytes {low}-{last}/{total}\r\n")?;
        }
        out.write_all(b"\r\n")?;
        let mut transfers = self.transfers.lock().expect("no panic");
        let before = transfers.entry(name.to_owned()).or_default();
        *before += usize::from(whole);
        let again = whole && *before > 1;
        drop(transfers);
        if let Some(count) = of(manner.ends_after).filter(|_| whole) {
            let count = if again && manner.then_nothing { 0 } else { count };
            out.write_all(&part[..count.min(part.len())])?;
            return Ok(count >= part.len());
        }
        if let Some(count) = of(manner.stops_after).filter(|_| whole) {
            let count = if again { 0 } else { count };
            out.write_all(&part[..count.min(part.len())])?;
            std::thread::sleep(Duration::from_secs(120));
        }
        out.write_all(part)?;
        // More was claimed than there is: the client waits for it, until the connection is closed.
        Ok(claimed <= 0 || !whole)
    }
}
