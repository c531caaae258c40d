//! The index: every certificate that was ever signed for, so that each can be listed and revoked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::certificate::Use;
use super::folder::{Folder, PUBLIC};
use super::{Name, PkiError};

/// Its file.
pub(super) const FILE: &str = "index.json";
/// The version of the form that this code reads and writes.
const VERSION: u32 = 1;

/// What was signed for. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Serial number in hexadecimal, lower case.
    pub serial: String,
    /// To whom.
    pub name: String,
    /// What for.
    pub uses: Vec<Use>,
    /// Names and addresses of a server.
    pub sans: Vec<String>,
    /// First second it is valid.
    pub not_before: i64,
    /// Last second it is valid.
    pub not_after: i64,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<i64>,
}

/// The index as it lies on the disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    version: u32,
    /// The number of the revocation list written last.
    pub crl_number: u64,
    /// In the order of signing.
    pub certificates: Vec<Entry>,
}

impl Index {
    /// The index of an authority that has signed for nothing.
    pub fn new() -> Self {
        Index { version: VERSION, crl_number: 0, certificates: Vec::new() }
    }

    /// Reads the index. There must be one: without it a new revocation list would forget what was revoked.
    pub fn read(folder: &Folder) -> Result<Self, PkiError> {
        let path = folder.path(FILE);
        let bytes = folder.read(FILE)?.ok_or_else(|| {
            PkiError::broken(
                &path,
                "it is missing, and with it what was issued and revoked: restore it from a backup",
            )
        })?;
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|error| PkiError::broken(&path, format!("{error}; restore it from a backup")))?;
        if index.version != VERSION {
            let why = format!("it has version {}, this program knows {VERSION}", index.version);
            return Err(PkiError::broken(&path, why));
        }
        for entry in &index.certificates {
            // They become file names, messages and numbers.
            let sound = entry.name.parse::<Name>().is_ok() && serial_bytes(&entry.serial).is_some();
            if !sound {
                let why =
                    format!("the entry with serial {:?} is damaged; restore it from a backup", entry.serial);
                return Err(PkiError::broken(&path, why));
            }
        }
        Ok(index)
    }

    /// Writes the index; it is on the disk when this returns.
    pub fn write(&self, folder: &Folder) -> Result<(), PkiError> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| PkiError::broken(&folder.path(FILE), error.to_string()))?;
        folder.put(FILE, PUBLIC, &text)
    }

    /// The entry with this serial number.
    pub fn find(&self, serial: &str) -> Option<&Entry> {
        self.certificates.iter().find(|entry| entry.serial == serial)
    }

    /// The entries of each name, in the order of signing.
    pub fn by_name(&self) -> BTreeMap<&str, Vec<&Entry>> {
        let mut names: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in &self.certificates {
            names.entry(&entry.name).or_default().push(entry);
        }
        names
    }
}

/// The bytes of a serial number, 1 to 20 of them (RFC 5280 4.1.2.2).
pub(super) fn serial_bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) || !(2..=40).contains(&hex.len()) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

/// A serial number's hexadecimal form.
pub(super) fn serial_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index_of(text: &str) -> Result<Index, PkiError> {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(FILE), text).unwrap();
        Index::read(&Folder::open(place.path()).unwrap())
    }

    #[test]
    fn an_index_is_read_as_it_was_written() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let mut index = Index::new();
        index.certificates.push(Entry {
            serial: "40ff".into(),
            name: "lamp".into(),
            uses: vec![Use::Client],
            sans: vec![],
            not_before: 1,
            not_after: 2,
            revoked: Some(3),
        });
        index.write(&folder).unwrap();
        assert_eq!(Index::read(&folder).unwrap().certificates, index.certificates);
    }

    #[test]
    fn a_missing_damaged_or_newer_index_is_an_error_in_words() {
        let place = tempfile::tempdir().unwrap();
        let error = Index::read(&Folder::open(place.path()).unwrap()).unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");
        let entry = |name: &str, serial: &str| {
            format!(
                r#"{{"version":1,"crl_number":1,"certificates":[{{"serial":"{serial}","name":"{name}","uses":[],"sans":[],"not_before":0,"not_after":0}}]}}"#
            )
        };
        assert!(index_of(&entry("a", "0a")).is_ok());
        for (text, words) in [
            ("{", "restore"),
            (r#"{"version":2,"crl_number":1,"certificates":[]}"#, "version 2"),
            (&entry("../../etc/passwd", "0a"), "damaged"),
            (&entry("a", "xyz"), "damaged"),
            (&entry("a", "üü"), "damaged"),
        ] {
            let error = index_of(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn serial_numbers_survive_their_text() {
        assert_eq!(serial_bytes(&serial_text(&[0x40, 0, 0xff])), Some(vec![0x40, 0, 0xff]));
        assert_eq!(serial_bytes(""), None);
        assert_eq!(serial_bytes(&"00".repeat(21)), None);
    }
}
