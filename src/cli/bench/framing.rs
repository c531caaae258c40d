//! WebSocket as a client speaks it: a request, then frames around bytes that are MQTT.

use std::io::{Error, ErrorKind};

/// Bytes of one frame's payload at most.
const LARGEST: usize = 32 * 1024;
/// Bytes of the answer to the request at most.
pub const ANSWER: usize = 8 * 1024;
/// A client must mask what it sends. The key protects proxies from scripts in browsers; here are neither.
const KEY: [u8; 4] = [0x5A, 0xC3, 0x0F, 0x96];
/// FIN and binary.
const BINARY: u8 = 0x82;

/// The request that asks `host` for MQTT over WebSocket.
pub fn request(host: &str) -> String {
    format!(
        "GET /mqtt HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGF0Y2hnYXRlIGJlbmNoIQ==\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
}

/// Whether `answer` is complete; nothing may follow it, since the broker has nothing to say before CONNECT.
///
/// # Errors
/// If it refuses, or is too long.
pub fn is_accepted(answer: &[u8]) -> Result<bool, Error> {
    if !answer.ends_with(b"\r\n\r\n") {
        return match answer.len() {
            ..ANSWER => Ok(false),
            _ => Err(Error::other("the broker's answer to the WebSocket request has no end")),
        };
    }
    let first = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if first.starts_with(b"HTTP/1.1 101") {
        return Ok(true);
    }
    let first = String::from_utf8_lossy(first);
    Err(Error::other(format!("the broker refuses the WebSocket: {first:?}")))
}

/// The frames of one connection.
#[derive(Debug, Default)]
pub struct Framing {
    /// Header and masked payload that the socket has not taken yet.
    out: Vec<u8>,
    written: usize,
    /// What has come of a frame's header.
    header: Vec<u8>,
    /// Bytes of the frame that are still to come, and whether they are MQTT.
    left: u64,
    is_data: bool,
}

impl Framing {
    /// What is still to be written.
    pub fn pending(&self) -> &[u8] {
        &self.out[self.written..]
    }

    /// Notes that so much of it was.
    pub fn written(&mut self, count: usize) {
        self.written += count;
        if self.pending().is_empty() {
            self.out.clear();
            self.written = 0;
        }
    }

    /// Frames the beginning of `bytes`, how much of them it says. Nothing may be pending.
    pub fn frame(&mut self, bytes: &[u8]) -> usize {
        let bytes = &bytes[..bytes.len().min(LARGEST)];
        self.out.push(BINARY);
        match bytes.len() {
            length @ 0..=125 => self.out.push(0x80 | length as u8),
            length => {
                self.out.push(0x80 | 126);
                self.out.extend((length as u16).to_be_bytes());
            }
        }
        self.out.extend(KEY);
        let start = self.out.len();
        self.out.extend_from_slice(bytes);
        for (byte, key) in self.out[start..].iter_mut().zip(KEY.iter().cycle()) {
            *byte ^= key;
        }
        bytes.len()
    }

    /// Takes the frames off what was read, in place; how many bytes of MQTT are then at the beginning. Control frames are
    /// passed over: whatever they ask for, a run is over before it is missed.
    ///
    /// # Errors
    /// If the broker masks.
    pub fn strip(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        let (mut at, mut kept) = (0, 0);
        while at < bytes.len() {
            if self.left == 0 {
                self.header.push(bytes[at]);
                at += 1;
                self.read_header()?;
                continue;
            }
            let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
            if self.is_data {
                bytes.copy_within(at..at + count, kept);
                kept += count;
            }
            at += count;
            self.left -= count as u64;
        }
        Ok(kept)
    }

    /// Begins a frame if its header is complete.
    fn read_header(&mut self) -> Result<(), Error> {
        let length = match self.header[..] {
            [_, masked, ..] if masked >= 0x80 => {
                return Err(Error::new(ErrorKind::InvalidData, "the broker masks its frames"));
            }
            [_, short] if short < 126 => u64::from(short),
            [_, 126, a, b] => u64::from(u16::from_be_bytes([a, b])),
            [_, 127, a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return Ok(()),
        };
        // Continuation and binary; the rest is control.
        self.is_data = self.header[0] & 0x0F < 8;
        self.left = length;
        self.header.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_stripped_however_they_are_cut() {
        let long = vec![7; 70_000];
        let mut bytes = vec![0x82, 3, 1, 2, 3, 0x89, 2, 0xFF, 0xFF, 0x82, 0, 0x02, 126, 0, 200];
        bytes.extend(&long[..200]);
        bytes.extend([0x80, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
        bytes.extend(&long);
        let expected = [&[1, 2, 3][..], &long[..200], &long].concat();
        for size in [1, 2, 3, 7, 1000, bytes.len()] {
            let mut framing = Framing::default();
            let mut got = Vec::new();
            for piece in bytes.clone().chunks_mut(size) {
                let kept = framing.strip(piece).unwrap();
                got.extend_from_slice(&piece[..kept]);
            }
            assert_eq!(got, expected, "{size}");
        }
        assert!(Framing::default().strip(&mut [0x82, 0x81, 0]).is_err());
    }

    #[test]
    fn what_is_sent_is_masked_and_bounded() {
        let mut framing = Framing::default();
        assert_eq!(framing.frame(b"hello"), 5);
        let sent = framing.pending().to_vec();
        assert_eq!((&sent[..2], &sent[2..6]), (&[0x82, 0x85][..], &KEY[..]));
        let plain: Vec<u8> = sent[6..].iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        assert_eq!(plain, b"hello");
        framing.written(4);
        assert_eq!(framing.pending(), &sent[4..]);
        framing.written(7);
        assert!(framing.pending().is_empty());
        assert_eq!(framing.frame(&[0; 100_000]), LARGEST);
        assert_eq!(framing.pending().len(), LARGEST + 8);
    }

    #[test]
    fn only_101_is_a_yes() {
        assert!(!is_accepted(b"HTTP/1.1 101 Switch").unwrap());
        assert!(is_accepted(b"HTTP/1.1 101 Switching\r\na: b\r\n\r\n").unwrap());
        let refused = is_accepted(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap_err();
        assert!(refused.to_string().contains("403 Forbidden"));
        assert!(is_accepted(&[b'a'; ANSWER]).is_err());
    }
}
