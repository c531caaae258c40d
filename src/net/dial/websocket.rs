//! WebSocket to a remote broker: the request, and the frames around MQTT as a client sends them.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::config::RemoteAddress;

/// Bytes of one of our frames at most.
const FRAME: usize = 16 * 1024;
/// Bytes of the answer to the request at most.
const ANSWER: usize = 8 * 1024;
/// Bytes of a control frame at most.
const CONTROL: u64 = 125;

const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8A;

/// Asks for a WebSocket.
///
/// # Errors
/// If the server does not want one.
pub async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    address: &RemoteAddress,
) -> io::Result<WebSocket<S>> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let key = STANDARD.encode(nonce);
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
        address.path,
        address.authority()
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER {
            return Err(refused("its answer has no end"));
        }
        // Nothing may follow it: the server has nothing to say before CONNECT.
        answer.push(stream.read_u8().await?);
    }
    check(&String::from_utf8_lossy(&answer), &key)?;
    Ok(WebSocket { stream, out: Vec::new(), written: 0, incoming: Incoming::default(), closed: false })
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("no WebSocket: {why}"))
}

/// Whether the answer grants what was asked for under `key`.
fn check(answer: &str, key: &str) -> io::Result<()> {
    let mut lines = answer.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101") {
        let status: String = status.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(refused(&format!("the server answers {status}")));
    }
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let header = |name: &str| headers.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
    let expected = STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    if header("sec-websocket-accept") != Some(&expected) {
        return Err(refused("the server's answer is not to this request"));
    }
    if header("sec-websocket-protocol").is_some_and(|name| name != "mqtt") {
        return Err(refused("the server does not speak MQTT over it"));
    }
    Ok(())
}

/// A WebSocket as a stream of bytes; the client's side.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
    /// Frames that the stream has not taken yet.
    out: Vec<u8>,
    written: usize,
    incoming: Incoming,
    /// Whether Close was put into `out`.
    closed: bool,
}

/// The frames that come.
#[derive(Debug, Default)]
struct Incoming {
    /// What has come of a frame's header.
    header: Vec<u8>,
    /// Bytes of the frame that are still to come.
    left: u64,
    /// Its first byte.
    kind: u8,
    /// What has come of a control frame.
    control: Vec<u8>,
    /// Control frames to be answered.
    answers: Vec<u8>,
    ended: bool,
}

impl Incoming {
    /// Takes the frames off `bytes` in place; how many bytes of payload are then at the beginning.
    ///
    /// # Errors
    /// If the server breaks the protocol.
    fn strip(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() && !self.ended {
            if self.left == 0 {
                self.header.push(bytes[at]);
                at += 1;
                if self.begin()? && self.left == 0 {
                    self.end();
                }
                continue;
            }
            let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
            if self.kind & 0x08 != 0 {
                self.control.extend_from_slice(&bytes[at..at + count]);
            } else {
                bytes.copy_within(at..at + count, kept);
                kept += count;
            }
            at += count;
            self.left -= count as u64;
            if self.left == 0 {
                self.end();
            }
        }
        Ok(kept)
    }

    /// Begins a frame if its header is complete; whether it is.
    fn begin(&mut self) -> io::Result<bool> {
        let wrong =
            |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, format!("WebSocket: {what}")));
        let left = match self.header[..] {
            [_, masked, ..] if masked >= 0x80 => return wrong("the server masks its frames"),
            [_, short] if short < 126 => u64::from(short),
            [_, 126, a, b] => u64::from(u16::from_be_bytes([a, b])),
            [_, 127, a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return Ok(false),
        };
        self.kind = self.header[0];
        self.header.clear();
        match self.kind {
            0x00 | 0x02 | 0x80 | 0x82 => {}
            0x88..=0x8A if left <= CONTROL => {}
            _ => return wrong("a frame that MQTT does not have"),
        }
        self.left = left;
        Ok(true)
    }

    /// Ends a frame.
    fn end(&mut self) {
        let payload = std::mem::take(&mut self.control);
        match self.kind {
            // One answer is enough for pings that come faster than they can be answered.
            0x89 if self.answers.len() < 4 * CONTROL as usize => frame(PONG, &payload, &mut self.answers),
            0x88 => self.ended = true,
            _ => {}
        }
    }
}

/// Appends a masked frame.
fn frame(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    // It protects proxies from scripts in browsers; any will do, but it must not be foreseen.
    let mut mask = [0x5A, 0xC3, 0x0F, 0x96];
    let _ = getrandom::fill(&mut mask);
    out.push(kind);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Writes the frames that are there.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.out.len() {
                self.out.clear();
                self.written = 0;
                if self.incoming.answers.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                std::mem::swap(&mut self.out, &mut self.incoming.answers);
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.incoming.ended || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let kept = this.incoming.strip(&mut buf.filled_mut()[before..])?;
            buf.set_filled(before + kept);
            if !this.incoming.answers.is_empty() {
                // Nobody waits for it.
                if let Poll::Ready(Err(error)) = this.poll_out(cx) {
                    return Poll::Ready(Err(error));
                }
            }
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_out(cx))?;
        let count = bytes.len().min(FRAME);
        let mut out = std::mem::take(&mut self.out);
        frame(BINARY, &bytes[..count], &mut out);
        self.out = out;
        match self.poll_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // The frame is ours now: it is written with what comes after, or when flushed.
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.closed, true) {
            let mut out = std::mem::take(&mut self.out);
            frame(CLOSE, &1000u16.to_be_bytes(), &mut out);
            self.out = out;
        }
        ready!(self.poll_out(cx))?;
        let this = &mut *self;
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        // The server closes once it has read it.
        let mut space = [MaybeUninit::uninit(); 1024];
        loop {
            let mut buf = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Pin::new(&mut this.stream).poll_shutdown(cx),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_stripped_however_they_are_cut_and_pings_answered() {
        let long = vec![7; 70_000];
        let mut bytes = vec![0x82, 3, 1, 2, 3, 0x89, 2, 9, 9, 0x82, 0, 0x02, 126, 0, 200];
        bytes.extend(&long[..200]);
        bytes.extend([0x80, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
        bytes.extend(&long);
        bytes.extend([0x88, 2, 3, 0xE8, 0x82, 1, 1]);
        let expected = [&[1, 2, 3][..], &long[..200], &long].concat();
        for size in [1, 2, 3, 7, 1000, bytes.len()] {
            let mut incoming = Incoming::default();
            let mut got = Vec::new();
            for piece in bytes.clone().chunks_mut(size) {
                let kept = incoming.strip(piece).unwrap();
                got.extend_from_slice(&piece[..kept]);
            }
            assert!(got == expected && incoming.ended, "{size}");
            let [PONG, 0x82, a, b, _, _, x, y] = incoming.answers[..] else {
                panic!("{:?}", incoming.answers)
            };
            assert_eq!((x ^ a, y ^ b), (9, 9));
        }
        for wrong in [&mut [0x82, 0x81, 0][..], &mut [0x81, 1, 0], &mut [0x89, 126, 0, 126], &mut [0xC2, 1]] {
            assert!(Incoming::default().strip(wrong).is_err());
        }
    }

    #[test]
    fn only_the_right_answer_is_a_yes() {
        // RFC 6455 section 1.3
        let answer = |accept: &str| {
            let text = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            check(&text, "dGhlIHNhbXBsZSBub25jZQ==")
        };
        assert!(answer("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").is_ok());
        assert!(answer("s3pPLMBiTxaQ9kYGzzhZRbK+xOp=").is_err());
        assert!(
            check("HTTP/1.1 403 Forbidden\r\n\r\n", "").unwrap_err().to_string().contains("403 Forbidden")
        );
    }
}
