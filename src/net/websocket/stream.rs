//! A WebSocket as a stream of bytes.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::frame::coding::CloseCode;

use super::incoming::{End, Incoming};

/// Bytes of payload in one of our frames: as many as a header of four bytes can say. Answers to the client's control
/// frames go between two frames, so these are not made longer.
const FRAME: usize = u16::MAX as usize;
/// Pieces of payload handed to the stream below at a time, besides the header.
const PIECES: usize = 16;

const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8A;

/// The server's side of a WebSocket whose handshake is done. Reading gives the payload of binary frames; pings and
/// Close are answered on the way. What is written goes out in binary frames of at most 65,535 bytes. Shutting down
/// sends Close and waits for the client's, without end: the caller bounds it.
///
/// Whoever has begun to write something must go on with it, as with an encrypted stream: its length was announced.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
    incoming: Incoming,
    /// The header of our frame, right-aligned.
    header: [u8; 4],
    /// Bytes of `header` not written yet.
    header_left: usize,
    /// Bytes of payload that our frame still needs.
    body_left: usize,
    /// Control frames of ours, not written yet. At most one pong and one Close.
    control: Vec<u8>,
    /// Whether control frames were written that may lie in a buffer below.
    unflushed: bool,
    /// Whether Close is written, or in `control`: nothing comes after it.
    closed: bool,
    /// Whether the stream below is shut down.
    shut: bool,
}

impl<S> WebSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// A WebSocket on a stream whose HTTP request was answered.
    pub(super) fn new(stream: S) -> Self {
        WebSocket {
            stream,
            incoming: Incoming::default(),
            header: [0; 4],
            header_left: 0,
            body_left: 0,
            control: Vec::new(),
            unflushed: false,
            closed: false,
            shut: false,
        }
    }

    /// Writes the control frames that are due and flushes them, unless a frame of ours is half written: then the end of
    /// that frame does it.
    fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.body_left == 0 {
            if self.control.is_empty()
                && !self.closed
                && let Some(ping) = self.incoming.ping.take()
            {
                self.control = control_frame(PONG, &ping);
            }
            if self.control.is_empty() {
                break;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.control))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.control.drain(..written);
            self.unflushed = true;
        }
        if self.control.is_empty() {
            // An idle connection owns no memory.
            self.control = Vec::new();
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// As [`WebSocket::poll_control`], but nobody waits for it: the task is woken when there is room.
    fn try_control(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_control(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Has Close sent, once.
    fn close(&mut self, code: CloseCode) {
        if !self.closed {
            self.closed = true;
            self.control.extend(control_frame(CLOSE, &u16::from(code).to_be_bytes()));
        }
    }

    /// Writes payload in the frame that was begun, or a new one.
    fn poll_payload(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        if self.body_left == 0 {
            ready!(self.poll_control(cx))?;
            if self.closed {
                // Nobody reads after Close. What is here was sent too late, as if it had been lost on the way.
                return Poll::Ready(Ok(length));
            }
            self.begin(length.min(FRAME));
        }
        loop {
            let mut slices = [IoSlice::new(&[]); 1 + PIECES];
            slices[0] = IoSlice::new(&self.header[self.header.len() - self.header_left..]);
            let mut room = self.body_left;
            let pieces = pieces.iter().filter(|piece| !piece.is_empty());
            for (slice, piece) in slices[1..].iter_mut().zip(pieces) {
                *slice = IoSlice::new(&piece[..piece.len().min(room)]);
                room -= slice.len();
            }
            let from = usize::from(self.header_left == 0);
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[from..]))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            let of_header = written.min(self.header_left);
            self.header_left -= of_header;
            self.body_left -= written - of_header;
            if self.body_left == 0 {
                self.try_control(cx)?;
            }
            if written > of_header {
                return Poll::Ready(Ok(written - of_header));
            }
        }
    }

    /// Begins a frame of ours with `length` bytes of payload [MQTT-6.0.0-1].
    fn begin(&mut self, length: usize) {
        let [high, low] = (length as u16).to_be_bytes();
        (self.header, self.header_left) = match length {
            0..126 => ([0, 0, BINARY, low], 2),
            _ => ([BINARY, 126, high, low], 4),
        };
        self.body_left = length;
    }
}

/// A control frame of at most 125 bytes of payload.
fn control_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, payload.len() as u8];
    frame.extend(payload);
    frame
}

impl<S> AsyncRead for WebSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.try_control(cx)?;
        loop {
            match this.incoming.end {
                Some(End::Closed(code)) => {
                    this.close(code);
                    this.try_control(cx)?;
                    return Poll::Ready(Ok(()));
                }
                Some(End::Fault(code, what)) => {
                    this.close(code);
                    this.try_control(cx)?;
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
                None => {}
            }
            if buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let kept = this.incoming.decode(&mut buf.filled_mut()[before..]);
            buf.set_filled(before + kept);
            this.try_control(cx)?;
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S> AsyncWrite for WebSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_payload(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_payload(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_control(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Sends Close, ends the stream below, and reads until the client has said Close too or is gone.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.shut {
            this.close(CloseCode::Normal);
            ready!(this.poll_control(cx))?;
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.shut = true;
        }
        while !matches!(this.incoming.end, Some(End::Closed(_))) {
            let mut space = [MaybeUninit::uninit(); 1024];
            let mut buf = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {
                    this.incoming.decode(buf.filled_mut());
                }
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
