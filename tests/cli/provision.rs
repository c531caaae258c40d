//! `provision`: what a card says, in a root directory of the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::Answer;
use crate::support::subject::latchgate;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3Q4T4cT3l3b0b1b2b3b4b5abcdefg me@desk";

struct Device {
    place: tempfile::TempDir,
}

impl Device {
    /// As the package leaves it.
    fn new() -> Self {
        let device = Device { place: tempfile::tempdir().expect("a temporary directory") };
        for folder in ["card", "root/etc/latchgate", "root/var/lib/latchgate"] {
            fs::create_dir_all(device.path(folder)).expect("a directory");
        }
        fs::copy("package/latchgate.toml", device.path("root/etc/latchgate/latchgate.toml"))
            .expect("the package's file");
        fs::write(device.path("root/etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 latchgate\n")
            .expect("hosts");
        // An authority, and what it issued for a bridge and for the device.
        for words in ["pki init", "pki issue cloud --client", "pki issue porch --server --san porch.local"] {
            device.run(&words.split(' ').collect::<Vec<_>>()).exits(0);
        }
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Answer {
        latchgate(self.place.path(), words, "")
    }

    fn card(&self, text: &str) {
        fs::write(self.path("card/latchgate-setup.toml"), text).expect("the card can be written");
    }

    /// Puts a file of the authority on the card.
    fn put(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path("card").join(to)).expect("the file is there");
    }

    fn provision(&self) -> Answer {
        self.run(&["provision", "card/latchgate-setup.toml", "--root", "root"])
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> =
            walk(self.place.path()).into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
        files.sort();
        files
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries
        .filter(|path| !path.is_symlink())
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .collect()
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).expect("the file is there").permissions().mode() & 0o777
}

const WHOLE: &str = r#"
hostname = "porch"
device_id = "b827eb08451e"
[wifi]
ssid = "Home \"network\""
password = "quoted \" and secret"
country = "DE"
[ssh]
keys = ["SSHKEY"]
[certificate]
certificate = "porch.crt"
key = "porch.key"
[[bridge]]
name = "cloud"
address = "mqtts://cloud.example:8883"
password_file = "cloud.password"
username = "porch"
[bridge.tls]
ca = "ca.crt"
certificate = "cloud.crt"
key = "cloud.key"
[[bridge.route]]
topic = "lamp/changed"
direction = "out"
remote_prefix = "devices/{gateway.id}/"
"#;

fn whole() -> Device {
    let device = Device::new();
    device.put("pki/issued/porch.crt", "porch.crt");
    device.put("pki/issued/porch.key", "porch.key");
    device.put("pki/issued/cloud.crt", "cloud.crt");
    device.put("pki/issued/cloud.key", "cloud.key");
    device.put("pki/ca.crt", "ca.crt");
    fs::write(device.path("card/cloud.password"), "a secret of the cloud\n")
        .expect("the card can be written");
    device.card(&WHOLE.replace("SSHKEY", KEY));
    device
}

#[test]
fn a_card_makes_a_device_what_it_says_and_keeps_none_of_its_secrets() {
    let device = whole();
    let answer = device.provision().exits(0);
    assert!(!answer.out.contains("secret") && !answer.err.contains("secret"), "{answer:?}");

    assert_eq!(device.read("root/etc/hostname"), "porch\n");
    assert_eq!(device.read("root/etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 porch\n");
    assert_eq!(device.read("root/etc/ssh/authorized_keys/root"), format!("{KEY}\n"));
    let wifi = "root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf";
    assert!(
        device.read(wifi).contains("country=DE\n")
            && device.read(wifi).contains("psk=\"quoted \" and secret\"\n")
    );
    for secret in [
        wifi,
        "root/etc/latchgate/porch.key",
        "root/etc/latchgate/cloud.key",
        "root/etc/latchgate/cloud.password",
    ] {
        assert_eq!(mode(&device.path(secret)), 0o600, "{secret}");
    }

    // The gateway accepts what was written, and it means what the card said.
    let checked = device.run(&["--config", "root/etc/latchgate/latchgate.toml", "check", "--json"]).exits(0);
    for said in ["b827eb08451e", "cloud.example:8883", "devices/b827eb08451e/"] {
        assert!(checked.out.contains(said), "{said} in {}", checked.out);
    }

    let left: Vec<_> =
        walk(&device.path("card")).iter().map(|file| file.file_name().unwrap().to_owned()).collect();
    assert_eq!(left, ["latchgate-setup.toml"]);
    let card = device.read("card/latchgate-setup.toml");
    assert!(
        card.contains("was obeyed, and asks for nothing any more")
            && !card.contains("and secret")
            && !card.contains("Home \\"),
        "{card}"
    );
}

#[test]
fn once_obeyed_nothing_changes_any_more() {
    let device = whole();
    device.provision().exits(0);
    let before = device.everything();
    assert_eq!(device.provision().exits(0).out, "");
    assert_eq!(device.everything(), before);
}

#[test]
fn what_is_wrong_is_written_on_the_card_and_nothing_is_done() {
    let device = whole();
    let original = device.everything();
    let text = WHOLE.replace("SSHKEY", KEY);
    for (wrong, said) in [
        (
            text.replace("\"porch\"\ndevice", "\"por.ch\"\ndevice"),
            "latchgate-setup.toml:2:12: `hostname` cannot be",
        ),
        (text.replace("country = \"DE\"", "country = \"Germany\""), "two capital letters"),
        // Only the device itself finds these out.
        (text.replace("\"porch.key\"", "\"cloud.key\""), "key"),
        // Bug: no client could have connected.
        (
            text.replace("\"porch.crt\"", "\"cloud.crt\"").replace("\"porch.key\"", "\"cloud.key\""),
            "latchgate-setup.toml:11:15: `certificate.certificate`: card/cloud.crt is no certificate of a server",
        ),
        (text.replace("ca = \"ca.crt\"", "ca = \"cloud.password\""), "cloud.password"),
        (text.replace("direction = \"out\"", "direction = \"up\""), "direction"),
    ] {
        device.card(&wrong);
        let answer = device.provision();
        assert!(answer.code != 0 && answer.err.contains(said), "{said}: {answer:?}");
        assert!(device.read("card/latchgate-setup-errors.txt").contains(said));
        assert!(!answer.err.contains("secret"), "{}", answer.err);
        fs::remove_file(device.path("card/latchgate-setup-errors.txt")).expect("it was there");
        device.card(&text);
        assert_eq!(device.everything(), original, "{said}");
    }
    // What was wrong is forgotten once it is right.
    fs::write(device.path("card/latchgate-setup-errors.txt"), "old").expect("the card can be written");
    device.provision().exits(0);
    assert!(!device.path("card/latchgate-setup-errors.txt").exists());
}

#[test]
fn a_second_card_replaces_what_the_first_one_said() {
    let device = whole();
    device.provision().exits(0);
    device.card("device_id = 'other'\n[[bridge]]\nname = 'second'\naddress = 'mqtt://second.example'\n[[bridge.route]]\ntopic = 'a'\ndirection = 'in'\n");
    device.provision().exits(0);
    let text = device.read("root/etc/latchgate/latchgate.toml");
    assert!(text.contains("second.example") && !text.contains("cloud.example"), "{text}");
    assert!(text.contains("id = \"other\"") && !text.contains("b827eb08451e"), "{text}");
    assert_eq!(device.read("root/etc/hostname"), "porch\n");
}

#[test]
fn a_new_card_asks_for_nothing() {
    let device = Device::new();
    let template = device.run(&["provision", "--print-template"]).exits(0).out;
    device.card(&template);
    let before = device.everything();
    device.provision().exits(0);
    assert_eq!(device.everything(), before);
}

#[test]
fn the_setup_files_of_the_pages_are_right() {
    let readme = include_str!("../../README.md");
    let page = include_str!("../../ansible/README.md");
    for (text, from) in [(readme, "\n## From card to gateway"), (page, "\n## Fifty cards\n")] {
        let section = text.split(from).nth(1).expect("the section is there");
        let block =
            section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a file");
        let block = block.replace("ssh-ed25519 AAAA… me@desk", KEY).replace("NAME", "porch");
        let device = Device::new();
        device.put("pki/issued/cloud.crt", "porch.crt");
        device.put("pki/issued/cloud.key", "porch.key");
        device.put("pki/ca.crt", "cloud-ca.crt");
        // In a list the lines are indented.
        device.card(&block.replace("\n   ", "\n"));
        let said = device.provision().exits(0).out;
        assert!(said.contains("host name porch") && said.contains("wireless network"), "{said}");
    }
}

#[test]
fn a_check_says_what_would_be_done_and_changes_nothing() {
    let device = whole();
    let before = device.everything();
    let check = ["provision", "--check", "card/latchgate-setup.toml"];
    for words in [check.to_vec(), [&check[..], &["--root", "root"]].concat()] {
        let said = device.run(&words).exits(0).out;
        for line in ["nothing was changed", "porch.key taken from the card", "host name porch", "SSH keys: 1"]
        {
            assert!(said.contains(line), "{line}: {said}");
        }
        assert!(!said.contains("secret"), "{said}");
        assert_eq!(device.everything(), before);
    }
    // The same as is said when it is done.
    let would: Vec<_> = device.run(&check).out.lines().skip(1).map(|line| line.trim().to_owned()).collect();
    assert_eq!(would, device.provision().exits(0).out.lines().collect::<Vec<_>>());

    let said = device.run(&check).exits(0).out;
    assert_eq!(said, "card/latchgate-setup.toml: right, and asks for nothing\n");
    device.card("hostname = \"por.ch\"");
    let before = device.everything();
    assert!(device.run(&check).exits(2).err.contains("latchgate-setup.toml:1:12"));
    assert_eq!(device.everything(), before);
}

#[test]
fn bug_what_does_not_go_with_the_configuration_was_told_at_a_line_that_nobody_can_see() {
    let device = whole();
    let file = device.path("root/etc/latchgate/latchgate.toml");
    let text = device.read("root/etc/latchgate/latchgate.toml");
    let other = "\n[[bridge]]\nname = \"cloud\"\naddress = \"mqtt://127.0.0.1:1\"\n[[bridge.route]]\ntopic = \"a\"\ndirection = \"in\"\n";
    fs::write(&file, text + other).expect("the playbook's bridge");
    let first = "[[bridge]]\nname = \"first\"\naddress = \"mqtt://127.0.0.1:2\"\n[[bridge.route]]\ntopic = \"a\"\ndirection = \"in\"\n";
    let card = WHOLE
        .replace("SSHKEY", KEY)
        .replace("[[bridge]]\nname = \"cloud\"", &format!("{first}[[bridge]]\nname = \"cloud\""));
    device.card(&card);
    let line = 1 + card.lines().position(|line| line == "name = \"cloud\"").expect("it is there");
    let said = device.provision().exits(2).err;
    let place = format!("card/latchgate-setup.toml:{line}:8: a second bridge has the name `cloud`");
    assert!(
        said.contains(&place) && said.contains("root/etc/latchgate/latchgate.toml has already"),
        "{said}"
    );
}

#[test]
fn a_setup_file_that_is_not_there_is_told_as_one() {
    let device = Device::new();
    let before = device.everything();
    let said = device.run(&["provision", "nosuch.toml", "--root", "root"]).exits(2).err;
    assert!(
        said.starts_with("nosuch.toml: cannot read the setup file") && said.contains("--print-template"),
        "{said}"
    );
    assert!(!said.contains("--config"), "{said}");
    assert_eq!(device.everything(), before);
}
