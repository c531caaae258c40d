//! The files of a device: written whole, or not at all.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::config::{Card, Ssh, Wifi};

/// The configuration of a device that is new.
const NEW: &str = include_str!("../../../package/latchgate.toml");

/// Where the files of the device are.
pub struct Place {
    root: PathBuf,
    /// The gateway's configuration directory, and who owns what is written there: user and group.
    gateway: PathBuf,
    owner: Option<(u32, u32)>,
    /// Nothing is written: what would be done is only told.
    is_trial: bool,
}

impl Place {
    /// # Errors
    /// If there is no gateway below `root`.
    pub fn new(root: &Path, is_trial: bool) -> anyhow::Result<Self> {
        let gateway = root.join("etc/latchgate");
        let state = root.join("var/lib/latchgate");
        // Its state is the gateway's own; so is what it must read of its secrets.
        let owner = fs::metadata(&state).ok().map(|state| (state.uid(), state.gid()));
        let owner = owner.filter(|_| rustix::process::geteuid().is_root());
        anyhow::ensure!(
            gateway.is_dir(),
            "{} is no directory: the gateway is not installed; `--root` names the root directory of a device, and `--check` needs none",
            gateway.display()
        );
        Ok(Place { root: root.to_owned(), gateway, owner, is_trial })
    }

    /// A device as it is new, which is nowhere: for a trial.
    pub fn nowhere() -> Self {
        Place { root: PathBuf::new(), gateway: PathBuf::new(), owner: None, is_trial: true }
    }

    /// The gateway's configuration file.
    pub fn file(&self) -> PathBuf {
        self.gateway.join("latchgate.toml")
    }

    /// Its text.
    pub fn configuration(&self) -> anyhow::Result<String> {
        match self.gateway.as_os_str().is_empty() {
            true => Ok(NEW.to_owned()),
            false => fs::read_to_string(self.file())
                .with_context(|| format!("cannot read {}", self.file().display())),
        }
    }

    /// Writes a file of the configuration directory that only the gateway may read.
    pub fn for_the_gateway(&self, name: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        match self.is_trial {
            true => Ok(()),
            false => write_as(&self.gateway.join(name), bytes, 0o600, self.owner),
        }
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
        match self.is_trial {
            true => Ok(()),
            false => write(&self.root.join(name), text.as_bytes(), mode),
        }
    }
}

/// Host name and hosts file. A changed name holds at once where this machine itself is meant.
pub fn host(card: &Card, place: &Place) -> anyhow::Result<Option<String>> {
    let Some(name) = &card.hostname else { return Ok(None) };
    place.write("etc/hostname", &format!("{name}\n"), 0o644)?;
    let known = fs::read_to_string(place.root.join("etc/hosts")).unwrap_or_default();
    let mut lines: Vec<_> =
        known.lines().filter(|line| !line.starts_with("127.0.1.1")).map(str::to_owned).collect();
    lines.push(format!("127.0.1.1 {name}"));
    place.write("etc/hosts", &format!("{}\n", lines.join("\n")), 0o644)?;
    if place.root == Path::new("/") && !place.is_trial {
        rustix::system::sethostname(name.as_bytes()).context("the host name cannot be changed")?;
    }
    Ok(Some(format!("host name {name}")))
}

/// The network that wpa_supplicant joins on `wlan0`. A rule of the image's udev starts it where there is that file.
pub fn wifi(wifi: &Wifi, place: &Place) -> anyhow::Result<Option<String>> {
    let (Some(ssid), Some(country)) = (&wifi.ssid, &wifi.country) else { return Ok(None) };
    // As hexadecimal digits any name is right; a passphrase ends at the last quotation mark of its line.
    let ssid_digits: String = ssid.bytes().map(|byte| format!("{byte:02x}")).collect();
    let secret = match &wifi.password {
        Some(password) => format!(
            "    key_mgmt=WPA-PSK SAE\n    ieee80211w=1\n    psk=\"{password}\"\n    sae_password=\"{password}\"\n"
        ),
        None => "    key_mgmt=NONE\n".to_owned(),
    };
    let text = format!(
        "ctrl_interface=/run/wpa_supplicant\ncountry={country}\nnetwork={{\n    ssid={ssid_digits}\n    scan_ssid=1\n{secret}}}\n"
    );
    place.write("etc/wpa_supplicant/wpa_supplicant-wlan0.conf", &text, 0o600)?;
    Ok(Some("wireless network".to_owned()))
}

/// Keys that may come in as root. Those that are there already are replaced.
pub fn ssh(ssh: &Ssh, place: &Place) -> anyhow::Result<Option<String>> {
    if ssh.keys.is_empty() {
        return Ok(None);
    }
    let text = format!("{}\n", ssh.keys.join("\n"));
    place.write("etc/ssh/authorized_keys/root", &text, 0o644)?;
    Ok(Some(format!("SSH keys: {}", ssh.keys.len())))
}

/// Writes `file`; after a power cut it is the old one or the new one.
pub fn write(file: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    write_as(file, bytes, mode, None)
}

fn write_as(file: &Path, bytes: &[u8], mode: u32, owner: Option<(u32, u32)>) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(bytes)?;
        // FAT knows neither.
        let _ = new.as_file().set_permissions(fs::Permissions::from_mode(mode));
        if let Some((user, group)) = owner {
            fchown(new.as_file(), Some(user), Some(group))?;
        }
        new.as_file().sync_all()?;
        new.persist(file)?;
        File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// Overwrites a file and removes it. What a card keeps of it in blocks that it has replaced is beyond reach.
pub fn erase(file: &Path) -> anyhow::Result<()> {
    let erase = || -> std::io::Result<()> {
        let length = fs::metadata(file)?.len().min(1 << 20);
        let mut open = File::options().write(true).open(file)?;
        open.write_all(&vec![0; length as usize])?;
        open.sync_all()?;
        fs::remove_file(file)
    };
    match erase() {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {} from the card", file.display()))
        }
        _ => Ok(()),
    }
}
