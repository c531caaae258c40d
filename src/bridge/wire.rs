//! A connection's bytes: those that came and are not handled yet, and those on their way out.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Stream;

/// Bytes that are read from the socket at a time.
const CHUNK: usize = 16 * 1024;
/// Buffers that have grown beyond this are given back once they are empty.
const LARGE: usize = 256 * 1024;

/// One connection to a remote broker.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// What came and is not handled yet.
    pub incoming: Vec<u8>,
    /// What the socket is given, and how much of it it has taken.
    outgoing: Vec<u8>,
    written: usize,
    flushed: bool,
    /// Whether the socket took nothing more when it was last asked.
    full: bool,
}

/// What sending came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// The socket took something.
    pub some: bool,
    /// It took everything.
    pub all: bool,
    /// The far end has taken something: the socket was full and is no longer. That it takes a few bytes says nothing.
    pub relieved: bool,
}

impl Wire {
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Wire { stream, incoming: Vec::new(), outgoing: Vec::new(), written: 0, flushed: true, full: false }
    }

    /// Reads what is there; 0: the far end has closed.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.incoming.is_empty() && self.incoming.capacity() > LARGE {
            self.incoming = Vec::new();
        }
        // Else a read would take no more than the few bytes by which a vector grows.
        if self.incoming.capacity() - self.incoming.len() < CHUNK / 2 {
            self.incoming.reserve(CHUNK);
        }
        pin!(self.stream.read_buf(&mut self.incoming)).poll(cx)
    }

    /// Writes `out`, after what was to be written before, as far as the socket takes it.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn poll_send(&mut self, out: &mut Vec<u8>, cx: &mut Context<'_>) -> io::Result<Sent> {
        let mut sent = Sent::default();
        loop {
            if self.written == self.outgoing.len() && !out.is_empty() {
                self.take(out);
            }
            let stream = Pin::new(&mut *self.stream);
            if self.written < self.outgoing.len() {
                match stream.poll_write(cx, &self.outgoing[self.written..])? {
                    Poll::Pending => break self.full = true,
                    Poll::Ready(0) => {
                        let why = "the remote broker takes nothing more";
                        return Err(io::Error::new(io::ErrorKind::WriteZero, why));
                    }
                    Poll::Ready(count) => self.written += count,
                }
                sent.some = true;
            } else if self.flushed {
                sent.all = true;
                break;
            } else {
                match stream.poll_flush(cx)? {
                    Poll::Pending => break self.full = true,
                    Poll::Ready(()) => self.flushed = true,
                }
            }
            sent.relieved |= std::mem::take(&mut self.full);
        }
        Ok(sent)
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        self.outgoing.clear();
        self.written = 0;
        if self.outgoing.capacity() > LARGE {
            self.outgoing = Vec::new();
        }
        std::mem::swap(&mut self.outgoing, out);
        self.flushed = false;
    }

    /// Writes all of it and closes.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        std::future::poll_fn(|cx| match self.poll_send(out, cx) {
            Ok(Sent { all: false, .. }) => Poll::Pending,
            outcome => Poll::Ready(outcome),
        })
        .await?;
        self.stream.shutdown().await
    }
}
