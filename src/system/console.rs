//! The machine's own console: what a screen or a serial cable at the device shows.

use std::{fs::File, io::Write, os::unix::fs::OpenOptionsExt};

/// Writes a line to the console, if the process may and there is one; whether it did. Does not wait for a console that is
/// slow. Characters that could work a terminal are escaped.
pub fn show(line: &str) -> bool {
    let open = || {
        let flags = rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        File::options().write(true).custom_flags(flags).open("/dev/console")
    };
    let line = line.replace(char::is_control, " ");
    open().and_then(|mut console| console.write_all(format!("\r\n{line}\r\n").as_bytes())).is_ok()
}
