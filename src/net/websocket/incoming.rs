//! What a client sends: frames. Their payload is left, the framing is taken out. Sans I/O.

use std::io::Cursor;

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// Bytes of the longest frame header of a client.
const HEADER: usize = 14;
/// Bytes of the longest payload of a control frame.
const CONTROL: u64 = 125;

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client said Close; the code is the answer.
    Closed(CloseCode),
    /// The client broke the protocol; the code tells it.
    Fault(CloseCode, &'static str),
}

/// The frame whose payload comes next.
#[derive(Debug)]
struct Frame {
    /// `None`: its payload is MQTT.
    control: Option<Control>,
    /// Turned so that its first byte is for the next byte of the payload.
    mask: [u8; 4],
    /// Bytes of the payload still to come.
    left: u64,
}

/// The state between two reads.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The beginning of a header that has not come whole.
    header: [u8; HEADER],
    have: usize,
    frame: Option<Frame>,
    /// Whether a message has begun whose last frame has not.
    unfinished: bool,
    /// Payload of a control frame, as far as it came; at most 125 bytes.
    control: Vec<u8>,
    /// Payload of the last ping, until it is answered: older ones need no answer (RFC 6455, 5.5.3).
    pub ping: Option<Vec<u8>>,
    /// Set when nothing more is to be read.
    pub end: Option<End>,
}

impl Incoming {
    /// Takes the framing out of `bytes`, which follow those of the last call. What is left is at their front; returns
    /// how many.
    pub fn decode(&mut self, bytes: &mut [u8]) -> usize {
        let (mut from, mut kept) = (0, 0);
        while from < bytes.len() && self.end.is_none() {
            match &mut self.frame {
                None => from += self.read_header(&bytes[from..]),
                Some(frame) => {
                    let length =
                        usize::try_from(frame.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    let to = bytes.len().min(from + length);
                    unmask(&mut bytes[from..to], &mut frame.mask);
                    frame.left -= (to - from) as u64;
                    if frame.control.is_some() {
                        self.control.extend_from_slice(&bytes[from..to]);
                    } else {
                        bytes.copy_within(from..to, kept);
                        kept += to - from;
                    }
                    from = to;
                }
            }
            // Also for a frame without a payload, which ends with its header.
            if let Some(frame) = self.frame.take_if(|frame| frame.left == 0) {
                self.finish(&frame);
            }
        }
        kept
    }

    /// Reads (more of) a header; returns the bytes used.
    fn read_header(&mut self, bytes: &[u8]) -> usize {
        let have = self.have;
        let most = bytes.len().min(HEADER - have);
        self.header[have..have + most].copy_from_slice(&bytes[..most]);
        let mut cursor = Cursor::new(&self.header[..have + most]);
        let parsed = FrameHeader::parse(&mut cursor);
        let end = cursor.position() as usize;
        match parsed {
            Ok(None) => {
                self.have += most;
                most
            }
            Ok(Some((header, length))) => {
                self.have = 0;
                match self.begin(&header, length) {
                    Ok(frame) => self.frame = Some(frame),
                    Err(end) => self.end = Some(end),
                }
                end - have
            }
            Err(_) => {
                self.end = Some(End::Fault(CloseCode::Protocol, "a frame of a reserved kind"));
                most
            }
        }
    }

    fn begin(&mut self, header: &FrameHeader, length: u64) -> Result<Frame, End> {
        let fault = |what| Err(End::Fault(CloseCode::Protocol, what));
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return fault("a frame with a reserved bit set");
        }
        let Some(mask) = header.mask else { return fault("a frame without a mask") };
        if length > i64::MAX as u64 {
            return fault("a frame whose length has its highest bit set");
        }
        let control = match header.opcode {
            OpCode::Control(_) if !header.is_final => return fault("a control frame in pieces"),
            OpCode::Control(_) if length > CONTROL => return fault("a control frame of more than 125 bytes"),
            OpCode::Control(control) => Some(control),
            // [MQTT-6.0.0-1]
            OpCode::Data(Data::Text) => {
                return Err(End::Fault(
                    CloseCode::Unsupported,
                    "a text frame: MQTT is sent in binary frames",
                ));
            }
            OpCode::Data(Data::Continue) if !self.unfinished => {
                return fault("a continuation of no message");
            }
            OpCode::Data(Data::Binary) if self.unfinished => {
                return fault("a message inside another");
            }
            OpCode::Data(_) => {
                self.unfinished = !header.is_final;
                None
            }
        };
        Ok(Frame { control, mask, left: length })
    }

    fn finish(&mut self, frame: &Frame) {
        let Some(control) = frame.control else { return };
        let payload = std::mem::take(&mut self.control);
        match control {
            Control::Ping => self.ping = Some(payload),
            Control::Close => self.end = Some(close(&payload)),
            // A pong that nobody asked for needs no answer.
            _ => {}
        }
    }
}

/// What a Close frame says: a code is answered by itself.
fn close(payload: &[u8]) -> End {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => End::Closed(CloseCode::Normal),
            _ => End::Fault(CloseCode::Protocol, "a close frame with half a code"),
        };
    };
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if !code.is_allowed() {
        return End::Fault(CloseCode::Protocol, "a close frame with a code that may not be sent");
    }
    match std::str::from_utf8(reason) {
        Ok(_) => End::Closed(code),
        Err(_) => End::Fault(CloseCode::Invalid, "a close frame whose reason is not UTF-8"),
    }
}

/// Removes the mask, and turns it for the byte after these.
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(bytes.len() % 4);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One frame of a client.
    fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | length as u8),
            length @ 126..=0xFFFF => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// What is left of `bytes` when they come in pieces of these sizes, again and again.
    fn decode(bytes: &[u8], pieces: &[usize]) -> (Vec<u8>, Incoming) {
        let (mut incoming, mut out, mut rest) = (Incoming::default(), Vec::new(), bytes);
        for size in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(*size));
            let mut piece = piece.to_vec();
            let kept = incoming.decode(&mut piece);
            out.extend(&piece[..kept]);
            rest = after;
        }
        (out, incoming)
    }

    proptest! {
        #[test]
        fn payload_comes_out_as_it_went_in_however_it_is_framed_and_read(
            parts in prop::collection::vec((0..300_usize, any::<[u8; 4]>(), any::<bool>(), any::<bool>()), 1..20),
            pieces in prop::collection::vec(1..400_usize, 1..8),
        ) {
            let (mut bytes, mut sent, mut unfinished) = (Vec::new(), Vec::new(), false);
            for (size, mask, last, ping) in parts {
                let payload: Vec<u8> = (0..size).map(|n| (sent.len() + n * 7) as u8).collect();
                let opcode = if unfinished { 0 } else { 2 };
                bytes.extend(frame(if last { 0x80 | opcode } else { opcode }, mask, &payload));
                unfinished = !last;
                sent.extend(payload);
                if ping {
                    bytes.extend(frame(0x89, mask, b"still there?"));
                }
            }
            let (out, incoming) = decode(&bytes, &pieces);
            prop_assert_eq!(out, sent);
            prop_assert_eq!(incoming.end, None);
            prop_assert!(incoming.ping.is_none_or(|ping| ping == b"still there?"));
        }

        #[test]
        fn whatever_comes_nothing_grows_beyond_a_control_frame(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            pieces in prop::collection::vec(1..50_usize, 1..5),
        ) {
            let (out, incoming) = decode(&bytes, &pieces);
            prop_assert!(out.len() <= bytes.len());
            prop_assert!(incoming.control.len() <= 125);
        }
    }

    #[test]
    fn what_stands_before_a_fault_is_still_handed_on() {
        let mask = [1, 2, 3, 4];
        let bytes = [frame(0x82, mask, b"good"), frame(0x81, mask, b"text")].concat();
        let (out, incoming) = decode(&bytes, &[1000]);
        assert_eq!(out, b"good");
        assert!(matches!(incoming.end, Some(End::Fault(CloseCode::Unsupported, _))));
    }

    #[test]
    fn a_close_is_answered_with_its_own_code_and_a_bad_one_is_a_fault() {
        let end = |payload: &[u8]| decode(&frame(0x88, [9; 4], payload), &[3]).1.end;
        assert_eq!(end(b""), Some(End::Closed(CloseCode::Normal)));
        assert_eq!(end(b"\x03\xE9bye"), Some(End::Closed(CloseCode::Away)));
        for bad in [&b"\x03"[..], b"\x03\xED", b"\x00\x00", b"\x03\xE8\xFF"] {
            assert!(matches!(end(bad), Some(End::Fault(..))), "{bad:?}");
        }
    }
}
