//! `latchgate-setup.toml`: what a new device shall be, written on its card before it starts for the first time.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bridge::{Bridge, Bridges};
use super::error::{ConfigError, Problem, quoted};
use super::scalar::{Fault, List, Scalar};
use super::section::{Reader, Section, section};
use super::source;
use super::text::Identity;
use super::tls::{NamedFile, OptionalFile};

/// Names that no file beside the setup file may have: it would be taken for another one, there or on the device. FAT knows no
/// case.
const OWN: [&str; 3] = ["latchgate.toml", "latchgate-setup.toml", "latchgate-setup-errors.txt"];

section! {
    /// What this device shall be. It is read when the device starts and finds this file changed; what is wrong with it is written
    /// beside it, and then nothing of it is done. All of it may be left out. Files that are named here lie beside this file,
    /// and are moved from the card.
    pub struct Card {
        /// Its name in the network; it is reached as NAME.local.
        pub hostname: Option<String> => HostName = None,

        /// The name of the gateway in topics and in client identifiers of bridges. Default: the MAC address of the wired interface.
        pub device_id: Option<String> => OptionalIdentity = None,

        /// The wireless network.
        pub wifi: Wifi => Wifi = Wifi::default(),

        /// Who may come in by SSH, as root.
        pub ssh: Ssh => Ssh = Ssh::default(),

        /// The certificate that clients are shown. Default: one that the device makes.
        pub certificate: CardCertificate => CardCertificate = CardCertificate::default(),

        /// Bridges, as in the configuration of the gateway.
        pub bridge: Vec<Bridge> => Bridges = Vec::new(),
    }
}

section! {
    /// The wireless network.
    pub struct Wifi {
        /// Its name.
        pub ssid: Option<String> => Ssid = None,

        /// Its password (WPA2 or WPA3); taken off the card once it is read.
        pub password: Option<String> => WifiPassword = None,

        /// The country where the device is, two letters: what may be sent on which channel differs.
        pub country: Option<String> => Country = None,
    }
}

section! {
    /// Who may come in by SSH.
    pub struct Ssh {
        /// Public keys, as in a file `id_ed25519.pub`. Nobody comes in by password.
        pub keys: Vec<String> => List<PublicKey, 0> = Vec::new(),
    }
}

section! {
    /// The certificate that clients are shown.
    pub struct CardCertificate {
        /// The certificate, in PEM; its chain follows it.
        pub certificate: Option<NamedFile> => OptionalFile = None,

        /// Its key; taken off the card once it is read.
        pub key: Option<NamedFile> => OptionalFile = None,
    }
}

impl Card {
    /// Reads the file and checks everything that can be checked without the device. With its text.
    ///
    /// # Errors
    /// As for the configuration: every problem with its place.
    pub fn load(file: &Path) -> Result<(Card, String), ConfigError> {
        let help = "give the path of latchgate-setup.toml; `latchgate provision --print-template` prints one to begin with";
        let text = source::read_a("setup file", help, file)?;
        // Editors of other systems begin a file with a mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut reader = Reader::new(text, folder);
        let card = match DeTable::parse(text) {
            Ok(table) => Card::read_card(Section::root(table), &mut reader),
            Err(error) => {
                let what = error.message().lines().collect::<Vec<_>>().join("; ");
                reader.wrong(
                    error.span().unwrap_or(0..0),
                    what,
                    "text stands in quotes; more at https://toml.io",
                );
                Card::default()
            }
        };
        match reader.finish(card, file) {
            Ok(card) => Ok((card, text.to_owned())),
            // It is shown on the console, and kept in the journal.
            Err(error) => Err(error.hiding("password")),
        }
    }

    fn read_card(root: Section<'_>, reader: &mut Reader<'_>) -> Card {
        let wifi = root.span_of("wifi").unwrap_or(0..0);
        let certificate = root.span_of("certificate").unwrap_or(0..0);
        // Whether they are there: one with a wrong value was told of already.
        let given = |section, key| root.gives(section, key);
        let (ssid, country) = (given("wifi", "ssid"), given("wifi", "country"));
        let has_password = given("wifi", "password");
        let is_half = given("certificate", "certificate") != given("certificate", "key");
        let card = Card::read_keys(root, reader, &Card::default());
        if ssid != country {
            let what = "`wifi` has one of `ssid` and `country`, and not the other";
            reader.wrong(wifi.clone(), what, "add the other one, as country = \"DE\"");
        }
        if has_password && !ssid {
            reader.wrong(
                wifi,
                "`wifi` has a password and no `ssid`",
                "add the network's name, as ssid = \"Home\"",
            );
        }
        if is_half {
            let what = "`certificate` has one of `certificate` and `key`, and not the other";
            reader.wrong(certificate, what, "add the other one");
        }
        for named in card.files() {
            let beside = named.path.parent() == Some(reader.folder);
            let name = named.path.file_name().unwrap_or_default();
            if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                let what = "has the name of a file of the device's own";
                reader.add(named.wrong(what, "give it another name"));
            } else if !beside {
                reader.add(
                    named.wrong("is not beside the setup file", "put it there, and name it without a folder"),
                );
            } else if !named.path.is_file() {
                reader.add(named.wrong("is not there", "put it on the card, beside the setup file"));
            }
        }
        card
    }

    /// Something that is wrong with the bridge number `index` of the setup file `file`, told at its name.
    pub fn wrong_bridge(file: &Path, text: &str, index: usize, what: String, help: String) -> ConfigError {
        let table = DeTable::parse(text).ok();
        let bridge = table.as_ref().and_then(|table| table.get_ref().get("bridge")?.get_ref().get(index));
        let span = bridge.map(|bridge| bridge.get_ref().get("name").map_or(bridge.span(), Spanned::span));
        let problems = vec![Problem::new(text, span.unwrap_or(0..0), what, help)];
        ConfigError::Wrong { file: file.to_owned(), problems, more: 0 }
    }

    /// The files that it names.
    pub fn files(&self) -> Vec<&NamedFile> {
        let mut files: Vec<_> =
            [&self.certificate.certificate, &self.certificate.key].into_iter().flatten().collect();
        for Bridge { password_file, tls, .. } in &self.bridge {
            files.extend([password_file, &tls.ca, &tls.certificate, &tls.key].into_iter().flatten());
        }
        files
    }

    /// The file as it lies on a new card: every key with what it is for, and nothing set.
    pub fn template() -> String {
        let mut keys = String::new();
        Card::default().describe_keys("", &mut keys);
        let mut out = String::new();
        super::section::comment(Card::ABOUT, &mut out);
        out.push_str(&keys);
        out
    }
}

/// A string with a condition on it, which may be left out.
macro_rules! optional {
    ($(#[doc = $about:literal])* $Kind:ident, $example:literal, $holds:expr, $help:literal) => {
        $(#[doc = $about])*
        enum $Kind {}

        impl Scalar for $Kind {
            type Value = Option<String>;

            fn parse(value: &DeValue<'_>, _: &Path) -> Result<Option<String>, Fault> {
                let text = value.as_str().ok_or_else(|| Fault::wrong_type("a string", value, $help))?;
                let holds: fn(&str) -> bool = $holds;
                if holds(text) { Ok(Some(text.to_owned())) } else { Err(Fault::new(said(stringify!($Kind), text), $help)) }
            }

            fn show(value: &Option<String>) -> String {
                toml::Value::String(value.clone().unwrap_or_default()).to_string()
            }

            const EXAMPLE: Option<&'static str> = Some($example);
        }
    };
}

/// What a wrong value is told; a password is not shown.
fn said(kind: &str, text: &str) -> String {
    if kind == "WifiPassword" {
        "is no password of a wireless network".to_owned()
    } else {
        format!("cannot be {}", quoted(text))
    }
}

optional! {
    /// A host name, RFC 1123 2.1: one label.
    HostName, "porch", |name| {
        (1..=63).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !name.starts_with('-') && !name.ends_with('-')
    }, "1 to 63 letters, digits and hyphens, as \"porch\"; it does not begin or end with a hyphen, and has no dots"
}
optional! {
    /// A network's name, IEEE 802.11: up to 32 bytes.
    Ssid, "Home", |name| (1..=32).contains(&name.len()) && !name.contains('\0'), "1 to 32 bytes, in quotes"
}
optional! {
    /// A passphrase, IEEE 802.11 J.4.
    WifiPassword, "at least eight characters",
    |word| (8..=63).contains(&word.len()) && word.bytes().all(|b| (32..=126).contains(&b)),
    "8 to 63 letters, digits and other characters of ASCII, in quotes"
}
optional! {
    /// A country, ISO 3166-1 alpha-2.
    Country, "DE", |code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()), "two capital letters, as \"DE\""
}

/// `gateway.id`, which may be left out.
enum OptionalIdentity {}

impl Scalar for OptionalIdentity {
    type Value = Option<String>;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Option<String>, Fault> {
        Identity::parse(value, folder).map(Some)
    }

    fn show(value: &Option<String>) -> String {
        value.as_ref().map(Identity::show).unwrap_or_default()
    }

    const EXAMPLE: Option<&'static str> = Identity::EXAMPLE;
}

/// A public key as in `authorized_keys`, without options.
enum PublicKey {}

impl Scalar for PublicKey {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        const HELP: &str = "the one line of a file that ends in .pub, as \"ssh-ed25519 AAAA… me@desk\"";
        let line = value.as_str().ok_or_else(|| Fault::wrong_type("a string", value, HELP))?.trim();
        let mut words = line.split(' ');
        let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let known = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519", "sk-ecdsa-sha2-"];
        let is_key = known.iter().any(|known| kind.starts_with(known))
            && key.len() > 40
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
            && !line.chars().any(char::is_control);
        match (is_key, line.contains("PRIVATE KEY")) {
            (true, _) => Ok(line.to_owned()),
            (_, true) => Err(Fault::new(
                "holds a private key",
                "give the public one, and keep the private one to yourself",
            )),
            _ => Err(Fault::new(format!("cannot hold {}", quoted(line)), HELP)),
        }
    }

    fn show(value: &String) -> String {
        toml::Value::String(value.clone()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Card, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("latchgate-setup.toml");
        for beside in ["device.crt", "device.key", "ca.crt"] {
            std::fs::write(folder.path().join(beside), "").unwrap();
        }
        std::fs::write(&file, text).unwrap();
        Card::load(&file).map(|(card, _)| card).map_err(|error| error.to_string())
    }

    #[test]
    fn the_template_asks_for_nothing_and_shows_every_key() {
        let card = load(&Card::template()).unwrap();
        assert_eq!(card, Card::default());
        for key in ["hostname", "device_id", "ssid", "country", "keys", "certificate", "[[bridge]]"] {
            assert!(Card::template().contains(key), "{key}");
        }
    }

    #[test]
    fn everything_is_read() {
        let card = load(
            "hostname = 'porch'\ndevice_id = 'd1'\n[wifi]\nssid = 'Home'\npassword = 'eight chars'\ncountry = 'DE'\n\
             [ssh]\nkeys = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3Q4T4cT3l3b0b1b2b3b4b5 me@desk']\n\
             [certificate]\ncertificate = 'device.crt'\nkey = 'device.key'\n\
             [[bridge]]\nname = 'cloud'\naddress = 'mqtts://cloud.example'\n[bridge.tls]\nca = 'ca.crt'\n\
             [[bridge.route]]\ntopic = 'a/#'\ndirection = 'out'\n",
        )
        .unwrap();
        assert_eq!((card.hostname.as_deref(), card.wifi.ssid.as_deref()), (Some("porch"), Some("Home")));
        assert_eq!((card.files().len(), card.bridge.len()), (3, 1));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_no_password_is_shown() {
        for (text, said) in [
            ("hostname = 'a.b'", ":1:12: `hostname` cannot be `a.b`"),
            ("hostnme = 'a'", "did you mean `hostname`?"),
            ("[wifi]\nssid = 'Home'", "one of `ssid` and `country`"),
            ("[certificate]\ncertificate = 'device.crt'", "one of `certificate` and `key`"),
            ("[wifi]\npassword = 'verysecret'", "a password and no `ssid`"),
            ("[wifi]\nssid='a'\ncountry='de'", "two capital letters"),
            ("[ssh]\nkeys = ['-----BEGIN OPENSSH PRIVATE KEY-----']", "holds a private key"),
            ("[ssh]\nkeys = ['command=\"x\" ssh-ed25519 AAAA']", "cannot hold"),
            ("[certificate]\nkey = 'device.key'", "one of `certificate` and `key`"),
            (
                "[certificate]\nkey = 'device.key'\ncertificate = '/etc/passwd'",
                "is not beside the setup file",
            ),
            ("[certificate]\nkey = 'device.key'\ncertificate = 'none.crt'", "is not there"),
            ("[certificate]\nkey = 'Latchgate.toml'\ncertificate = 'device.crt'", "the device's own"),
            ("[[bridge]]\nname = 'x'\n", "address"),
            ("hostname = ", ":1:"),
        ] {
            let error = load(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
        // Bug: a key with a wrong value was called missing as well.
        for (text, other) in [
            ("[wifi]\nssid = 'Home'\ncountry = 'Germany'", "one of"),
            ("[wifi]\nssid = ''\ncountry = 'DE'\npassword = 'eight chars'", "no `ssid`"),
            ("[certificate]\nkey = 'device.key'\ncertificate = 5", "one of"),
        ] {
            let error = load(text).expect_err(text);
            assert!(!error.contains(other), "{text}: {error}");
        }
        let error = load("[wifi]\nssid='a'\ncountry='DE'\npassword='short7'").unwrap_err();
        assert!(
            error.contains(":4:10: `wifi.password` is no password") && !error.contains("short7"),
            "{error}"
        );
        let error = load("[wifi]\nssid='a'\ncountry='DE'\npassword='unclosed").unwrap_err();
        assert!(error.contains(":4:") && !error.contains("unclosed"), "{error}");
    }
}
