//! Memory that the process no longer needs.

/// Gives memory that was freed back to the system. The allocator of glibc does so by itself only at the end of its
/// heap, so that after ten thousand clients have come and gone most of what they took stays with the process.
///
/// Takes a few milliseconds when there is much to give back, and next to none otherwise. Does nothing where the
/// allocator is another one.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "a function of the C library; it has no preconditions")]
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // Says whether there was anything: nobody wants to know.
        let _ = malloc_trim(0);
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// In bytes.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    #[test]
    fn what_was_freed_below_something_that_stays_goes_back_to_the_system() {
        const SIZE: usize = 64 << 20;
        let many: Vec<Box<[u8]>> = (0..SIZE / 1024).map(|_| vec![1; 1024].into()).collect();
        let stays: Box<[u8]> = vec![1; 1024].into();
        drop(many);
        let held = resident();
        give_back();
        // Other tests of this process allocate meanwhile, but not that much.
        assert!(resident() + SIZE / 2 < held, "{} of {held} bytes are still there", resident());
        drop(stays);
    }
}
