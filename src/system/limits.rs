//! Resource limits of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard one: each client takes a file descriptor, and the usual
/// soft limit of 1024 is there for programs that cannot count further. Returns the limit now in force
/// (`u64::MAX`: none).
///
/// # Errors
/// If the system refuses; the old limit then stays.
pub fn raise_open_files() -> std::io::Result<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs itself once more as a child, so that no other test is short of files meanwhile.
    #[test]
    fn the_soft_limit_on_open_files_is_raised_to_the_hard_one() {
        const CHILD: &str = "LATCHGATE_TEST_OPEN_FILES";
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        if std::env::var_os(CHILD).is_some() {
            let lowered = maximum.map_or(256, |most| most.min(256));
            setrlimit(Resource::Nofile, Rlimit { current: Some(lowered), maximum }).unwrap();
            assert_eq!(raise_open_files().unwrap(), maximum.unwrap_or(u64::MAX));
            assert_eq!(getrlimit(Resource::Nofile).current, maximum);
            return;
        }
        let name = "system::limits::tests::the_soft_limit_on_open_files_is_raised_to_the_hard_one";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    }
}
