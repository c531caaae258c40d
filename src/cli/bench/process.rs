//! What a process on this machine has used, as `/proc` tells it (proc(5)).

use std::time::Duration;

use anyhow::Context as _;

/// Ticks of the counters in a second (`USER_HZ`): 100 on every architecture that Linux and Rust share.
const TICKS: u64 = 100;

/// CPU time and memory of one or several processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all threads, in steps of 10 ms.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
}

impl Usage {
    /// Of all these processes together.
    ///
    /// # Errors
    /// If one is not there.
    pub fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let mut sum = Usage::default();
        for pid in pids {
            let usage = Self::of_one(&pid.to_string())?;
            sum.cpu += usage.cpu;
            sum.resident += usage.resident;
        }
        Ok(sum)
    }

    /// Of this process itself.
    ///
    /// # Errors
    /// If `/proc` is not there.
    pub fn of_self() -> anyhow::Result<Self> {
        Self::of_one("self")
    }

    fn of_one(pid: &str) -> anyhow::Result<Self> {
        let read = |file| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let cpu = cpu_time(&read("stat")?).with_context(|| format!("cannot understand /proc/{pid}/stat"))?;
        // A process without memory of its own (a zombie) has no such line.
        let resident = resident(&read("status")?).unwrap_or(0);
        Ok(Usage { cpu, resident })
    }
}

/// Fields 14 and 15 of `stat`. The second, the name, may hold anything, also blanks and parentheses.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(user.checked_add(system)? * (1000 / TICKS)))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 4 0 1";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_time("42 (a) S 1"), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\n"), Some(1234 * 1024));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::of(&[std::process::id()]).unwrap().resident > 100_000);
        assert_eq!(Usage::of(&[]).unwrap(), Usage::default());
    }
}
