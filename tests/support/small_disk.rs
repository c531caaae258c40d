//! A disk that can be full.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own under the state directory of a server that does not run yet.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where that is not permitted.
    pub fn under(directory: &Path) -> Option<Self> {
        let (state, before) = (directory.join("state"), directory.join("state before"));
        fs::rename(&state, &before).expect("move the state away");
        fs::create_dir(&state).expect("make the state directory");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs"])
            .arg(&state)
            .output();
        let disk = mount.is_ok_and(|output| output.status.success()).then(|| Self(state.clone()));
        for file in fs::read_dir(&before).expect("list the state").map(|file| file.expect("list the state")) {
            if file.file_type().expect("ask for a file's type").is_file() {
                fs::copy(file.path(), state.join(file.file_name())).expect("copy the state");
            }
        }
        if disk.is_none() {
            let _ = writeln!(std::io::stderr(), "skipped: a full disk: mount is not permitted here");
        }
        disk
    }

    /// Leaves no room at all.
    pub fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).expect("make the ballast");
        for size in [64 * 1024, 1024] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Ends that.
    pub fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).expect("remove the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
