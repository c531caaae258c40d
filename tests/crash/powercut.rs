//! A power cut: after a kill the state directory is what is guaranteed to be on the disk, as
//! `tests/peers/powercut` has kept it, and not what the system's cache holds.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::random::Random;
use crate::support::subject::Settings;

/// Names in the directory of the server.
const STATE: &str = "state";
const SHADOW: &str = "shadow";

/// What a disk writes at a time, in bytes.
const SECTOR: usize = 512;

/// What becomes of writes that no fsync was waited for.
#[derive(Clone, Debug)]
pub enum Unsynced {
    Lost,
    /// Each sector and each length is the old or the new one, as chance has it.
    Torn(Random),
}

/// The library, built once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/powercut/powercut.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Another test binary may build it at the same time.
        let (fresh, built) =
            (folder.join(format!("powercut-{}.so", std::process::id())), folder.join("powercut.so"));
        let status = Command::new("cc")
            .args(["-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
            .args([&fresh, &source])
            .arg("-ldl")
            .status()
            .expect("cc is installed: run tests/run once");
        assert!(status.success(), "cc cannot build {}", source.display());
        fs::rename(&fresh, &built).expect("put the library into its place");
        built
    })
}

/// The server is to run under the eye of the library; each fsync takes `slow` microseconds longer.
pub fn watched(settings: Settings, slow: u64) -> Settings {
    settings
        .environment("LD_PRELOAD", library().to_str().expect("the build folder has a name in UTF-8"))
        .environment("POWERCUT_DIRECTORY", STATE)
        .environment("POWERCUT_SHADOW", SHADOW)
        .environment("POWERCUT_SLOW", &slow.to_string())
}

/// Makes the state directory what is on the disk. The server has been killed.
pub fn cut(directory: &Path, unsynced: &mut Unsynced) {
    let (state, shadow) = (directory.join(STATE), directory.join(SHADOW));
    let mut disk = Vec::new();
    let names = files(&shadow.join("names"));
    for name in &names {
        let key = fs::read_to_string(shadow.join("names").join(name)).expect("read the shadow");
        // A name without content: the file was made, and never written for good.
        let synced = fs::read(shadow.join("data").join(&key)).unwrap_or_default();
        let now = state.join(name);
        let same = fs::metadata(&now).is_ok_and(|about| key_of(&about) == key);
        disk.push((
            name.clone(),
            match unsynced {
                Unsynced::Torn(random) if same => {
                    torn(&synced, &fs::read(&now).expect("read the state"), random)
                }
                _ => synced,
            },
        ));
    }
    if let Unsynced::Torn(random) = unsynced {
        for name in files(&state).iter().filter(|name| !names.contains(name)) {
            if random.one_in(2) {
                disk.push((
                    name.clone(),
                    torn(&[], &fs::read(state.join(name)).expect("read the state"), random),
                ));
            }
        }
    }
    for name in files(&state) {
        fs::remove_file(state.join(name)).expect("remove what was not on the disk");
    }
    for (name, bytes) in disk {
        fs::write(state.join(name), bytes).expect("write what was on the disk");
    }
    fs::remove_dir_all(&shadow).expect("remove the shadow");
}

/// Whether what is on the disk holds these bytes.
pub fn is_on_disk(directory: &Path, bytes: &[u8]) -> bool {
    let data = directory.join(SHADOW).join("data");
    files(&data).iter().any(|name| {
        let file = fs::read(data.join(name)).unwrap_or_default();
        file.windows(bytes.len()).any(|window| window == bytes)
    })
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("list a folder");
    let entries = entries.map(|entry| entry.expect("list a folder"));
    let files = entries.filter(|entry| entry.file_type().expect("ask for a file's type").is_file());
    files.map(|entry| entry.file_name().into_string().expect("names are in UTF-8")).collect()
}

/// As the library names a file.
fn key_of(about: &fs::Metadata) -> String {
    let birth = about.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let birth = birth.unwrap_or_default();
    format!("{}.{}.{}", about.ino(), birth.as_secs(), birth.subsec_nanos())
}

fn torn(old: &[u8], new: &[u8], random: &mut Random) -> Vec<u8> {
    let length = random.pick(&[old.len(), new.len()]);
    let mut bytes = Vec::with_capacity(length);
    for start in (0..length).step_by(SECTOR) {
        let end = (start + SECTOR).min(length);
        let one = random.pick(&[old, new]);
        let there = one.get(start.min(one.len())..end.min(one.len())).expect("both ends lie in it");
        bytes.extend(there);
        bytes.resize(end, 0);
    }
    bytes
}
