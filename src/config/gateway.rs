//! `[gateway]`: who this gateway is and where it keeps its state.

use std::fs;
use std::path::{Path, PathBuf};

use super::number::Seconds16;
use super::section::section;
use super::text::{Folder, Identity};

section! {
    /// This gateway.
    pub struct Gateway {
        /// The name of this gateway, as other machines see it: in topics and in the client identifiers of bridges.
        /// Default: the MAC address of the first wired network interface, else the host name.
        pub id: String => Identity = machine_id(Path::new("/sys/class/net"), &rustix::system::uname().nodename().to_string_lossy()),

        /// The folder of the databases (and later of whatever else must survive a restart). Default:
        /// `latchgate-state` in the folder of this file; without a file, in the working directory.
        pub state: PathBuf => Folder = PathBuf::from(Gateway::STATE),

        /// Seconds between two publications of what the gateway says of itself under `$SYS/broker/`; 0: it says
        /// nothing.
        pub sys_interval: u16 => Seconds16 = 10,
    }
}

impl Gateway {
    /// Name of the state folder where none is given.
    const STATE: &str = "latchgate-state";

    /// The defaults for a file in `folder`.
    pub(super) fn beside(folder: &Path) -> Self {
        Gateway { state: folder.join(Gateway::STATE), ..Gateway::default() }
    }
}

/// The MAC address of the first wired interface listed in `interfaces`, else the host name. The latter does not come from `/proc`:
/// a service sees little of that.
fn machine_id(interfaces: &Path, host_name: &str) -> String {
    if let Some(mac) = first_wired_mac(interfaces) {
        return mac;
    }
    let host: String = host_name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        .take(64)
        .collect();
    if host.is_empty() { "latchgate".to_owned() } else { host }
}

/// Lower-case hexadecimal digits without colons.
fn first_wired_mac(interfaces: &Path) -> Option<String> {
    let wired = fs::read_dir(interfaces).ok()?.filter_map(|entry| wired_interface(&entry.ok()?.path()));
    wired.min().map(|(_, mac)| mac)
}

/// Index and MAC address of the interface, if it is Ethernet hardware and not wireless.
fn wired_interface(interface: &Path) -> Option<(u32, String)> {
    const ETHERNET: &str = "1"; // ARPHRD_ETHER
    let read = |name: &str| fs::read_to_string(interface.join(name)).ok();
    // Bridges, tunnels and the like have no device behind them.
    let hardware = interface.join("device").exists();
    let wireless = interface.join("wireless").exists() || interface.join("phy80211").exists();
    if !hardware || wireless || read("type")?.trim() != ETHERNET {
        return None;
    }
    let mac: String = read("address")?.trim().split(':').collect::<String>().to_ascii_lowercase();
    let real =
        mac.len() == 12 && mac.bytes().all(|b| b.is_ascii_hexdigit()) && mac.bytes().any(|b| b != b'0');
    real.then_some((read("ifindex")?.trim().parse().ok()?, mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(root: &Path, name: &str, index: u32, mac: &str, kinds: &[&str]) {
        let folder = root.join(name);
        fs::create_dir(&folder).unwrap();
        for kind in kinds {
            fs::create_dir(folder.join(kind)).unwrap();
        }
        fs::write(folder.join("type"), if name == "lo" { "772\n" } else { "1\n" }).unwrap();
        fs::write(folder.join("address"), format!("{mac}\n")).unwrap();
        fs::write(folder.join("ifindex"), format!("{index}\n")).unwrap();
    }

    #[test]
    fn the_id_is_the_mac_of_the_first_wired_interface() {
        let root = tempfile::tempdir().unwrap();
        interface(root.path(), "lo", 1, "00:00:00:00:00:00", &["device"]);
        interface(root.path(), "wlan0", 2, "b8:27:eb:00:00:02", &["device", "wireless", "phy80211"]);
        interface(root.path(), "docker0", 3, "02:42:00:00:00:03", &[]);
        interface(root.path(), "eth10", 12, "B8:27:EB:00:00:12", &["device"]);
        interface(root.path(), "eth2", 4, "B8:27:EB:08:45:1E", &["device"]);
        assert_eq!(machine_id(root.path(), "porch"), "b827eb08451e");
    }

    #[test]
    fn without_a_wired_interface_the_id_is_the_host_name() {
        let root = tempfile::tempdir().unwrap();
        interface(root.path(), "wlan0", 2, "b8:27:eb:00:00:02", &["device", "wireless"]);
        assert_eq!(machine_id(root.path(), "porch/+#pi.local\n"), "porchpi.local");
        assert_eq!(machine_id(Path::new("/nonexistent"), ""), "latchgate");
    }
}
