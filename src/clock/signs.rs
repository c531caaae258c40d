//! What the machine says of its clock.

use std::{fs, path::Path};

/// Where systemd-timesyncd keeps what it knows while it runs.
const TIMESYNCD: &str = "/run/systemd/timesync";
/// Hardware clocks.
const HARDWARE: &str = "/sys/class/rtc";

/// Signs that the clock is set, or is yet to be.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Whether systemd-timesyncd has set it since the machine started; `None` where that does not run.
    pub synchronised: Option<bool>,
    /// What hardware clocks say, in seconds since 1970.
    pub hardware: Vec<i64>,
}

impl Signs {
    /// Reads a few small files, none of a disk.
    pub fn read() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        let below = |path: &str| root.join(path.trim_start_matches('/'));
        let timesyncd = below(TIMESYNCD);
        let synchronised = timesyncd.is_dir().then(|| timesyncd.join("synchronized").exists());
        let clocks = fs::read_dir(below(HARDWARE)).into_iter().flatten().flatten();
        let hardware = clocks
            .filter_map(|clock| {
                fs::read_to_string(clock.path().join("since_epoch")).ok()?.trim().parse().ok()
            })
            .collect();
        Signs { synchronised, hardware }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timesyncd_and_hardware_clocks_are_found_where_they_are_and_missed_where_not() {
        let root = tempfile::tempdir().unwrap();
        let none = Signs::below(root.path());
        assert_eq!((none.synchronised, none.hardware.as_slice()), (None, &[][..]));

        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("run/systemd/timesync")).unwrap();
        for (name, says) in [("rtc0", "1764000000\n"), ("rtc1", "nonsense")] {
            fs::create_dir_all(at("sys/class/rtc").join(name)).unwrap();
            fs::write(at("sys/class/rtc").join(name).join("since_epoch"), says).unwrap();
        }
        let waiting = Signs::below(root.path());
        assert_eq!((waiting.synchronised, waiting.hardware), (Some(false), vec![1_764_000_000]));
        fs::write(at("run/systemd/timesync/synchronized"), "").unwrap();
        assert_eq!(Signs::below(root.path()).synchronised, Some(true));
    }
}
