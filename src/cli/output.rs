//! Standard output, for commands whose output is read by other programs.

use std::io::{self, BufWriter, StdoutLock, Write};

/// Standard output, buffered and locked; to be flushed at the end (dropping would hide an error). A reader that
/// has gone away becomes an error which ends the command quietly.
pub fn stdout() -> impl Write {
    BufWriter::new(Stdout(io::stdout().lock()))
}

/// Standard output, locked; each line leaves at once, and so before a remark about it on standard error.
pub(super) fn lines() -> impl Write {
    Stdout(io::stdout().lock())
}

/// Writes text to standard output.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = stdout();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Remarks something on standard error. Nobody may be reading there, which ends no command.
pub fn note(what: &str) {
    let _ = writeln!(io::stderr(), "note: {what}");
}

/// Writes a value to standard output as JSON for people and programs alike.
pub fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

/// Whether the error is that nobody reads our output any more. A network connection that broke is not.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.is_some_and(|inner| inner.is::<Closed>())
    })
}

/// The reader of our output has gone away.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output")]
struct Closed;

struct Stdout(StdoutLock<'static>);

/// Tells a closed standard output from every other broken pipe.
fn mark(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe { io::Error::other(Closed) } else { error }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(mark)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_output_is_told_from_a_broken_connection() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed(&anyhow::Error::new(mark(broken())).context("cannot list")));
        assert!(!is_closed(&anyhow::Error::new(broken())));
        assert!(!is_closed(&anyhow::Error::new(mark(io::Error::other("x")))));
    }
}
