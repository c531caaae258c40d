//! Where log events go and how they look.
//!
//! Much of what is logged was chosen by strangers (client identifiers, user names, topics). In the text form
//! every control character is escaped, so that nobody can write lines of their own into the log or work the
//! reader's terminal; that is also why there are no colours.

use std::fmt;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Where events go, and in what form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A line of text on standard error.
    Text,
    /// A JSON object a line on standard error.
    Json,
    /// The systemd journal, with each field as a field of its own.
    Journal,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal's socket cannot be reached.
    #[error("cannot reach the systemd journal (without systemd, log to standard error)")]
    Journal(#[source] std::io::Error),
    /// [`start`] was called a second time.
    #[error("the log was started already")]
    Started,
}

/// Starts the log of the process. Events less severe than `level` cost next to nothing.
///
/// # Errors
/// See [`Error`]; nothing is logged then.
pub fn start(level: LevelFilter, target: Target) -> Result<(), Error> {
    let layer = match target {
        Target::Journal => tracing_journald::layer().map_err(Error::Journal)?.boxed(),
        Target::Json => json(std::io::stderr),
        Target::Text => text(stderr_is_the_journal(), std::io::stderr),
    };
    Registry::default().with(layer.with_filter(level)).try_init().map_err(|_| Error::Started)
}

/// Whether standard error is a stream to the journal. `$JOURNAL_STREAM` names its device and inode; comparing
/// them tells the stream that systemd gave from one that was redirected since (`systemd.exec(5)`).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

type Output = Box<dyn Layer<Registry> + Send + Sync>;

fn json<W>(writer: W) -> Output
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer).boxed()
}

/// `journal`: without the time, which the journal knows, and with the severity as it reads it.
fn text<W>(journal: bool, writer: W) -> Output
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let compact = format::format().compact();
    if journal {
        layer.event_format(Line { event: compact.without_time(), priority: true }).boxed()
    } else {
        layer.event_format(Line { event: compact, priority: false }).boxed()
    }
}

/// An event as exactly one line of printable text.
struct Line<F> {
    event: F,
    /// Whether the line begins with its syslog priority in the form of `sd-daemon(3)`.
    priority: bool,
}

impl<S, N, F> FormatEvent<S, N> for Line<F>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.event.format_event(ctx, Writer::new(&mut line), event)?;
        if self.priority {
            write!(out, "<{}>", priority(*event.metadata().level()))?;
        }
        for c in line.trim_end().chars() {
            if c.is_control() { write!(out, "{}", c.escape_default())? } else { out.write_char(c)? }
        }
        out.write_char('\n')
    }
}

/// The syslog priority of a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::io;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a layer made of `events` writes.
    fn written(layer: impl FnOnce(Captured) -> Output, level: LevelFilter, events: impl FnOnce()) -> String {
        let captured = Captured::default();
        let subscriber = Registry::default().with(layer(captured.clone()).with_filter(level));
        tracing::subscriber::with_default(subscriber, events);
        String::from_utf8(captured.0.lock().clone()).unwrap()
    }

    fn plain(captured: Captured) -> Output {
        text(false, move || captured.clone())
    }

    #[test]
    fn text_has_time_level_target_message_and_fields() {
        let line = written(plain, LevelFilter::INFO, || tracing::warn!(client = "porch", "refused"));
        assert!(line.starts_with("20") && line.contains("Z "), "{line}");
        assert!(line.contains(" WARN "), "{line}");
        assert!(line.ends_with("latchgate::system::log::tests: refused client=\"porch\"\n"), "{line}");
    }

    #[test]
    fn for_the_journal_the_severity_stands_in_front_and_the_time_is_left_out() {
        let journal = |captured: Captured| text(true, move || captured.clone());
        let lines = written(journal, LevelFilter::DEBUG, || {
            tracing::error!("one");
            tracing::info!("two");
            tracing::debug!("three");
        });
        let starts: Vec<&str> =
            lines.lines().map(|line| line.split("latchgate").next().unwrap().trim_end()).collect();
        assert_eq!(starts, ["<3>ERROR", "<6> INFO", "<7>DEBUG"]);
    }

    #[test]
    fn nobody_can_forge_a_line_of_the_log() {
        let line = written(plain, LevelFilter::INFO, || {
            let span = tracing::info_span!("connection", client = %"a\nb\u{1b}[2J");
            span.in_scope(|| tracing::info!(topic = %"x\r\n2026 INFO admitted", "refused\nyes\u{9b}"));
        });
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.trim_end().contains(char::is_control), "{line}");
        assert!(line.contains("topic=x\\r\\n2026"), "{line}");
    }

    #[test]
    fn json_is_one_object_a_line_with_the_fields_beside_the_message() {
        let json_layer = |captured: Captured| json(move || captured.clone());
        let line = written(json_layer, LevelFilter::INFO, || tracing::info!(topic = "a\nb", "refused"));
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&event["message"], &event["topic"]), (&"refused".into(), &"a\nb".into()));
        assert_eq!((line.lines().count(), &event["level"]), (1, &"INFO".into()));
    }

    #[test]
    fn less_severe_events_are_left_out() {
        assert_eq!(written(plain, LevelFilter::WARN, || tracing::info!("quiet")), "");
    }

    #[test]
    fn a_stream_is_the_journal_only_if_it_is_the_one_that_was_given() {
        // The child of this test runs with a standard error that is the stream, or is not.
        const CHILD: &str = "LATCHGATE_TEST_JOURNAL";
        if let Ok(expected) = std::env::var(CHILD) {
            assert_eq!(stderr_is_the_journal().to_string(), expected);
            return;
        }
        let name = "system::log::tests::a_stream_is_the_journal_only_if_it_is_the_one_that_was_given";
        let file = tempfile::tempfile().unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        for (stream, expected) in
            [(format!("{}:{}", stat.st_dev, stat.st_ino), "true"), ("1:1".to_owned(), "false")]
        {
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name, "--nocapture"])
                .env("JOURNAL_STREAM", stream)
                .env(CHILD, expected)
                .stdout(std::process::Stdio::null())
                .stderr(file.try_clone().unwrap())
                .status()
                .unwrap();
            assert!(status.success());
        }
    }
}
