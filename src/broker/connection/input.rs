//! Bytes that were read and not yet understood.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Read at most this many bytes at a time.
const CHUNK: usize = 64 * 1024;

thread_local! {
    /// A buffer for the connections of this worker that have nothing pending: an idle one owns none.
    static SPARE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The read buffer of a connection. It owns memory only while a packet is incomplete.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// Bytes read since somebody took the number.
    pub received: u64,
}

impl Input {
    /// Whether bytes are left that were not understood yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes not understood yet.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the bytes out, to be given back by [`Input::keep`].
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Gives bytes back, the first `used` of which are done with.
    pub fn keep(&mut self, mut bytes: Vec<u8>, used: usize) {
        if used == bytes.len() {
            bytes.clear();
            lend(bytes);
        } else if bytes.capacity() >= CHUNK && bytes.len() - used < CHUNK / 4 {
            self.bytes = bytes[used..].to_vec();
            bytes.clear();
            lend(bytes);
        } else {
            bytes.drain(..used);
            self.bytes = bytes;
        }
    }

    /// Reads once and appends. Grows with what really arrives, never with what a header announces.
    /// Returns the bytes read; 0 is the end of the stream.
    pub fn poll_fill<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        S: AsyncRead + Unpin,
    {
        let mut buffer = std::mem::take(&mut self.bytes);
        if buffer.capacity() < CHUNK {
            let mut spare = SPARE.take().unwrap_or_default();
            spare.extend_from_slice(&buffer);
            buffer = spare;
        }
        buffer.reserve(CHUNK.max(buffer.len()));
        let outcome = poll_read_buf(Pin::new(stream), cx, &mut buffer);
        match outcome {
            Poll::Ready(Ok(count)) => {
                self.bytes = buffer;
                self.received += count as u64;
            }
            Poll::Ready(Err(_)) | Poll::Pending => self.keep(buffer, 0),
        }
        outcome
    }
}

fn lend(buffer: Vec<u8>) {
    if buffer.capacity() <= 4 * CHUNK {
        SPARE.set(Some(buffer));
    }
}
