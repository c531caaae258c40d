//! The HTTP request that a WebSocket begins with, and its answer.

use std::{io, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tungstenite::{
    Error,
    error::ProtocolError,
    handshake::{
        machine::TryParse,
        server::{Request, Response, create_response, write_response},
    },
    http::{HeaderValue, header},
};

use super::{Origins, WebSocket};

/// Bytes of the longest request that is read. Browsers send along the cookies of the host, which may be long.
const LONGEST: usize = 16 * 1024;
/// Bytes read at a time.
const CHUNK: usize = 1024;
/// How long what a refused client still sends is read and thrown away, so that it gets its answer.
const LINGER: Duration = Duration::from_secs(1);
/// The names of MQTT, the first preferred [MQTT-6.0.0-3]; the second is MQTT 3.1's, which Mosquitto takes too.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Why a connection did not become a WebSocket. It was answered, if it could be.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The client went away.
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
    /// What it sent asks for no WebSocket that carries MQTT.
    #[error("{0}")]
    Request(&'static str),
    /// It is a web page that may not connect.
    #[error("pages of the origin {0:?} may not connect: see the listener's origins")]
    Origin(String),
}

/// Answers the request, whatever its path. Takes no longer than the client does: the caller bounds it.
///
/// # Errors
/// If the client went away, or was refused; then it was told why, as HTTP does.
pub async fn upgrade<S>(mut stream: S, origins: &Origins) -> Result<WebSocket<S>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = match read_request(&mut stream).await? {
        Ok(bytes) => judge(&bytes, origins),
        Err(answer) => Err(answer),
    };
    match answer {
        Ok(accepted) => {
            stream.write_all(&accepted).await?;
            stream.flush().await?;
            Ok(WebSocket::new(stream))
        }
        Err(no) => {
            // Whether it takes the answer changes nothing.
            let _ = answer_no(&mut stream, &no).await;
            Err(no.why)
        }
    }
}

/// A refusal, and how HTTP puts it.
struct No {
    status: &'static str,
    /// A header line that belongs to the status.
    header: &'static str,
    why: Refused,
}

fn no(status: &'static str, why: &'static str) -> No {
    No { status, header: "", why: Refused::Request(why) }
}

/// Reads up to the empty line.
async fn read_request<S>(stream: &mut S) -> io::Result<Result<Vec<u8>, No>>
where
    S: AsyncRead + Unpin,
{
    let (mut bytes, mut seen) = (Vec::new(), 0_usize);
    loop {
        bytes.reserve(CHUNK);
        if (&mut *stream).take(CHUNK as u64).read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Each byte is looked at once, however small the pieces are.
        let from = seen.saturating_sub(3);
        if let Some(at) = bytes[from..].windows(4).position(|end| end == b"\r\n\r\n") {
            let whole = from + at + 4 == bytes.len();
            // RFC 6455, 4.1: the client waits for the answer.
            return Ok(if whole {
                Ok(bytes)
            } else {
                Err(no("400 Bad Request", "more came than one request"))
            });
        }
        if bytes.len() >= LONGEST {
            return Ok(Err(no("431 Request Header Fields Too Large", "the request is longer than 16 KiB")));
        }
        seen = bytes.len();
    }
}

/// The answer to a whole request.
fn judge(bytes: &[u8], origins: &Origins) -> Result<Vec<u8>, No> {
    let bad = |why| no("400 Bad Request", why);
    let request = match Request::try_parse(bytes) {
        Ok(Some((_, request))) => request,
        Ok(None) => return Err(bad("the request cannot be read")),
        Err(error) => return Err(refusal(&error)),
    };
    let mut response = create_response(&request).map_err(|error| refusal(&error))?;
    let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(host) = text(header::HOST) else { return Err(bad("the request has no Host header")) };
    for origin in request.headers().get_all(header::ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes());
        if !origins.admits(&origin, host) {
            let why = Refused::Origin(origin.chars().take(200).collect());
            return Err(No { status: "403 Forbidden", header: "", why });
        }
    }
    let Some(subprotocol) = subprotocol(&request) else {
        return Err(bad("MQTT over WebSocket is spoken here: offer the subprotocol mqtt"));
    };
    // [MQTT-6.0.0-4]
    let name = HeaderValue::from_static(subprotocol);
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    encode(&response).ok_or_else(|| bad("the request cannot be answered"))
}

fn encode(response: &Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    write_response(&mut bytes, response).ok()?;
    Some(bytes)
}

/// The one that is preferred of those that the client offers.
fn subprotocol(request: &Request) -> Option<&'static str> {
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let offered: Vec<&str> = offers
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    SUBPROTOCOLS.into_iter().find(|name| offered.contains(name))
}

/// What is wrong with a request that tungstenite does not take.
fn refusal(error: &Error) -> No {
    const UPGRADE: &str = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let upgrade = |why| No { header: UPGRADE, ..no("426 Upgrade Required", why) };
    match error {
        Error::Protocol(ProtocolError::WrongHttpMethod) => {
            No { header: "Allow: GET\r\n", ..no("405 Method Not Allowed", "a WebSocket begins with GET") }
        }
        Error::Protocol(ProtocolError::WrongHttpVersion) => {
            no("505 HTTP Version Not Supported", "a WebSocket begins with HTTP/1.1")
        }
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => upgrade("MQTT over WebSocket is spoken here, and this request asks for no WebSocket"),
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            upgrade("WebSocket is spoken here in version 13")
        }
        Error::Protocol(ProtocolError::MissingSecWebSocketKey | ProtocolError::InvalidSecWebSocketKey) => {
            no("400 Bad Request", "Sec-WebSocket-Key must be 16 bytes in base64")
        }
        _ => no("400 Bad Request", "the request cannot be read as HTTP/1.1"),
    }
}

/// Sends the answer, and reads on for a moment: closing a socket with unread bytes would take it back.
async fn answer_no<S>(stream: &mut S, no: &No) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let No { status, header, why } = no;
    // The origin came from the client, so it is not repeated.
    let sentence = match why {
        Refused::Origin(_) => "pages of this origin may not connect".to_owned(),
        why => why.to_string(),
    };
    let length = sentence.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status}\r\n{header}Content-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{sentence}\n"
    );
    let said = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut bytes = [0; CHUNK];
        while stream.read(&mut bytes).await? > 0 {}
        Ok(())
    };
    tokio::time::timeout(LINGER, said).await.unwrap_or(Ok(()))
}
