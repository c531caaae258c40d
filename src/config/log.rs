//! `[log]`: what is written where.

use super::scalar::{OneOf, words};
use super::section::section;

words! {
    /// The least severe events that are written.
    pub enum Level {
        /// What failed.
        Error = "error",
        /// What an operator should look at.
        Warn = "warn",
        /// What happened, refusals included.
        Info = "info",
        /// Each step.
        Debug = "debug",
        /// Each packet.
        Trace = "trace",
    }
}

words! {
    /// Where the log goes.
    pub enum LogTarget {
        /// Standard error.
        Stderr = "stderr",
        /// The systemd journal, with every field as a field of its own.
        Journal = "journal",
    }
}

words! {
    /// How events look on standard error.
    pub enum LogFormat {
        /// One line of text.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

section! {
    /// The log.
    pub struct Log {
        /// The least severe events that are written. Refusals are at "info".
        pub level: Level => OneOf<Level> = Level::Info,

        /// "stderr" is right under systemd too; "journal" keeps every field of an event as a field of its own.
        pub target: LogTarget => OneOf<LogTarget> = LogTarget::Stderr,

        /// How events look on standard error: a line of text, or a JSON object a line.
        pub format: LogFormat => OneOf<LogFormat> = LogFormat::Text,
    }
}
