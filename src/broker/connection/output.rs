//! Bytes to be written. Small packets are copied together; a large payload is written from where it lies, so
//! that it is held once however many subscribers it goes to.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use crate::broker::message::Message;

/// Payloads of at least this many bytes are not copied.
const LARGE: usize = 8 * 1024;
/// How many pieces are handed to the system at a time.
const PIECES: usize = 16;
/// Written bytes that are cut off even if others follow them.
const COMPACT: usize = 64 * 1024;
/// A buffer larger than this is not kept for reuse.
const KEPT: usize = 256 * 1024;

thread_local! {
    /// A buffer for the connections of this worker: one that has nothing to write owns none.
    static SPARE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Payload(Arc<Message>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Bytes(bytes) => bytes,
            Piece::Payload(message) => &message.payload,
        }
    }
}

/// What is to be written, in order.
#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: VecDeque<Piece>,
    tail: Vec<u8>,
    /// Bytes of the first piece that are written already.
    written: usize,
    len: usize,
    flushed: bool,
    /// Bytes written since somebody took the number.
    pub sent: u64,
}

impl Output {
    /// Bytes still to be written.
    pub fn len(&self) -> usize {
        self.len + self.tail.len() - self.written
    }

    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where small things are appended.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        if self.tail.capacity() == 0 {
            self.tail = SPARE.take().unwrap_or_default();
        }
        &mut self.tail
    }

    /// Appends a payload.
    pub fn payload(&mut self, message: &Arc<Message>) {
        if message.payload.len() < LARGE {
            self.tail().extend_from_slice(&message.payload);
        } else {
            self.close_tail();
            self.len += message.payload.len();
            self.pieces.push_back(Piece::Payload(message.clone()));
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.len += self.tail.len();
            self.pieces.push_back(Piece::Bytes(std::mem::take(&mut self.tail)));
        }
    }

    /// Writes and flushes as much as the stream takes; ready when nothing is left.
    pub fn poll_write<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while !self.is_empty() {
            self.flushed = false;
            let count = if self.pieces.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, &self.tail[self.written..]))?
            } else {
                self.close_tail();
                let mut slices = [IoSlice::new(&[]); PIECES];
                let mut used = 0;
                for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                    let skip = if used == 0 { self.written } else { 0 };
                    *slice = IoSlice::new(&piece.bytes()[skip..]);
                    used += 1;
                }
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..used]))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
        }
        if !self.flushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, count: usize) {
        self.written += count;
        self.sent += count as u64;
        while let Some(first) = self.pieces.front() {
            let length = first.bytes().len();
            if self.written < length {
                return;
            }
            self.written -= length;
            self.len -= length;
            self.pieces.pop_front();
        }
        if self.pieces.is_empty() && self.written >= COMPACT && self.written < self.tail.len() {
            // A link that never takes all of it must not let it grow.
            self.tail.drain(..self.written);
            self.written = 0;
        }
        if self.written == self.tail.len() {
            self.written = 0;
            self.tail.clear();
            let tail = std::mem::take(&mut self.tail);
            if tail.capacity() <= KEPT {
                SPARE.set(Some(tail));
            }
            if self.pieces.capacity() > PIECES {
                self.pieces = VecDeque::new();
            }
        }
    }
}
