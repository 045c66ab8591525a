//! Words, names and headers of HTTP.

use std::time::Duration;

use ureq::Body;
use ureq::http::{Response, StatusCode};

/// Reasons in words.
pub(super) type Outcome<T> = std::result::Result<T, String>;

/// Longest wait for a name, a connection, an answer, or the next bytes of one.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A place that may be given without its server.
pub(super) fn absolute(from: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let server = from.split('/').take(3).collect::<Vec<_>>().join("/");
    format!("{server}/{}", location.trim_start_matches('/'))
}

/// Did something take too long?
pub(super) fn is_timeout(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Timeout(_) => true,
        ureq::Error::Io(e) => {
            let inner = e.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
            matches!(e.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock)
                || inner.is_some_and(is_timeout)
        }
        _ => false,
    }
}

/// An error of the network in words.
pub(super) fn unreachable(place: &str, error: &ureq::Error) -> String {
    match is_timeout(error) {
        true => format!("{place}: no answer within {} s", PATIENCE.as_secs()),
        false => format!("{place}: {error}"),
    }
}

/// A header of an answer.
pub(super) fn header(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// What is wrong, where the status says that something is.
pub(super) fn refuse_status(response: &Response<Body>, has_token: bool) -> Outcome<()> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let words = match (status, has_token) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, false) => {
            "there is none of this name, or it needs a token: set HF_TOKEN"
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, true) => "the token in HF_TOKEN may not read it",
        (StatusCode::NOT_FOUND, _) => "there is no such repository, revision or file",
        (StatusCode::TOO_MANY_REQUESTS, _) => "too many requests; try again later",
        _ => "the server refused",
    };
    let said = header(response, "x-error-message").map(|said| format!(": {said}")).unwrap_or_default();
    Err(format!("{words} (HTTP {}){said}", status.as_u16()))
}

/// A name in a URL; `folders`: slashes stay.
pub(super) fn encoded(name: &str, folders: bool) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'/' if folders => out.push('/'),
            byte if byte.is_ascii_alphanumeric() || b"._-~".contains(&byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded() {
        assert_eq!(encoded("refs/pr/1", false), "refs%2Fpr%2F1");
        assert_eq!(encoded("a b/é.gguf", true), "a%20b/%C3%A9.gguf");
    }
}
