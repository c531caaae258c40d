//! Talking to the running gateway: HTTP/1.0 over the admin socket in its state directory.

use std::{
    io::{ErrorKind, Read, Write},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::admin;

/// How long the gateway may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The HTTP status that says that the configuration is wrong.
const WRONG: u16 = 422;

/// What the gateway said of its configuration; exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongConfiguration(String);

/// Asks the gateway that uses `state`; its answer. `body` is sent as JSON.
///
/// # Errors
/// If there is none, if it may not be talked to, or if it answers with an error, which then is the message. If the connection
/// ends before the answer, it may have been done all the same, and the message says so.
pub fn ask(state: &Path, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    ask_within(PATIENCE, state, method, path, body)
}

/// The same, of something that may take as long as `patience`.
///
/// # Errors
/// As [`ask`].
pub fn ask_within(
    patience: Duration,
    state: &Path,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let mut stream = admin::connect(state).map_err(|error| {
        let socket = admin::path(state);
        let what = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                "no gateway is running with this state directory; start one with `latchgate run`, or name its configuration with --config"
            }
            ErrorKind::PermissionDenied => "the gateway's user, its group and root may talk to it: try with sudo",
            _ => "the gateway cannot be reached",
        };
        anyhow::Error::new(error).context(format!("{}: {what}", socket.display()))
    })?;
    let lost = || lost(state, method, path);
    stream.set_read_timeout(Some(patience)).with_context(lost)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: latchgate\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).with_context(lost)?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer).with_context(lost)?;
    let (status, body) = parse(&answer).with_context(lost)?;
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if status != 200 {
        match value["error"].as_str() {
            Some(what) if status == WRONG => return Err(WrongConfiguration(what.to_owned()).into()),
            Some(what) => bail!("{what}"),
            None => bail!("the gateway answers {path} with HTTP status {status}: is it of another version?"),
        }
    }
    Ok(value)
}

/// What is said if no answer came, or half of one.
fn lost(state: &Path, method: &str, path: &str) -> String {
    let lost = format!("the gateway at {} gave no answer; is it stopping?", admin::path(state).display());
    let look = match path {
        _ if method == "GET" => return lost,
        "/lock/close" | "/lock/open" | "/lock/release" => "latchgate lock status",
        "/bans/lift" => "latchgate ban list",
        "/panel/press" => "latchgate panel status",
        "/reload" => "latchgate check --diff",
        _ => return lost,
    };
    format!("{lost} What was asked may have been done: `{look}` says so once it runs")
}

/// Status and body of an answer.
fn parse(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, &answer[end + 4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_told_apart() {
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\na: b\r\n\r\n{}"), Some((200, &b"{}"[..])));
        assert_eq!(parse(b"HTTP/1.1 404 Not Found\r\n\r\n"), Some((404, &b""[..])));
        for wrong in
            [&b"HTTP/1.0 200 OK\r\n"[..], b"", b"HTTP/1.0\r\n\r\n", b"\xff\r\n\r\n", b"x 200\r\n\r\n"]
        {
            assert_eq!(parse(wrong), None);
        }
    }
}
