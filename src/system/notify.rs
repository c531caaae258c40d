//! What the service manager is told (systemd's notification protocol, `sd_notify(3)`).
//!
//! Every function does nothing when the process was not started by a service manager that asks for
//! notifications (`$NOTIFY_SOCKET`). A manager that cannot be reached is logged and never in the way.

use std::time::Duration;

use sd_notify::NotifyState;

/// The gateway is up; `status` is one line for `systemctl status`. Also ends a reload.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// The configuration is being read again. [`ready`] must follow, also when the reload failed.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot tell the service manager of the reload"),
    }
}

/// The gateway is going down.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Changes the line shown by `systemctl status`.
pub fn status(status: &str) {
    send(&[NotifyState::Status(&one_line(status))]);
}

/// Within what time the service manager wants a sign of life (`WatchdogSec=`); without it kills the process. `None`: it wants none.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|within| !within.is_zero())
}

/// The sign of life that [`watchdog`] asks for.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// A line break would begin another assignment of the protocol.
fn one_line(status: &str) -> String {
    status.replace(char::is_control, " ")
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot reach the service manager");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    /// Runs itself once more as a child, since only a new process can be given another environment safely.
    #[test]
    fn the_service_manager_is_told_of_start_reload_and_stop() {
        const CHILD: &str = "LATCHGATE_TEST_NOTIFY";
        if std::env::var_os(CHILD).is_some() {
            ready("listening\nMAINPID=1");
            reloading();
            status("again");
            assert_eq!(watchdog(), Some(Duration::from_millis(1500)));
            alive();
            stopping();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let name = "system::notify::tests::the_service_manager_is_told_of_start_reload_and_stop";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(CHILD, "1")
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1500000")
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));

        let mut buffer = [0; 256];
        let mut next = || {
            let size = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..size]).trim_end().to_owned()
        };
        assert_eq!(next(), "READY=1\nSTATUS=listening MAINPID=1");
        assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(next(), "STATUS=again");
        assert_eq!(next(), "WATCHDOG=1");
        assert_eq!(next(), "STOPPING=1");
    }
}
