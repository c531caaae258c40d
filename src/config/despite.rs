//! Where the state is, of a file that is otherwise wrong.
//!
//! A running gateway does not look at its file, so a slip in it must not keep an operator from closing that gateway.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::gateway::Gateway;
use super::section::{Reader, Section, Setting, nearest};
use super::source;
use super::text::RelativePath;

impl ConfigError {
    /// The state folder, if the file tells it in spite of the error. `None` if it cannot be told for certain: a
    /// guess might lead to another gateway's state.
    pub fn state(&self) -> Option<PathBuf> {
        let text = source::read(self.file()).ok()?;
        state(text.strip_prefix('\u{feff}').unwrap_or(&text), self.file())
    }
}

fn state(text: &str, file: &Path) -> Option<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let (text, is_whole) = match DeTable::parse(text) {
        Ok(_) => (text, true),
        Err(error) => (before(text, error.span()?.start)?, false),
    };
    let mut root = Section::root(DeTable::parse(text).ok()?);
    let gateway = root.take("gateway").map(|(_, entry)| entry);
    // What is known of the sections is not asked: only a key that may have been meant to name the state matters.
    let is_meant = root.unread().any(|(key, value)| match value {
        DeValue::Table(keys) => nearest(key, &["gateway"]).is_some() || keys.contains_key("state"),
        DeValue::Array(_) => false,
        _ => true,
    });
    let mut reader = Reader::new(text, folder);
    let Some(gateway) = gateway else {
        return (is_whole && !is_meant).then(|| Gateway::beside(folder).state);
    };
    let mut gateway = gateway.section(&mut reader)?;
    if let Some((_, entry)) = gateway.take("state") {
        let read = <RelativePath as Setting>::read(entry, &mut reader, &PathBuf::new());
        return reader.finish(read, file).ok();
    }
    let is_other = gateway.unread().any(|(key, _)| !["id", "sys_interval"].contains(&key));
    (is_whole && !is_meant && !is_other).then(|| Gateway::beside(folder).state)
}

/// The lines before the one that holds byte `place`, if nothing from there on may name the state once more.
fn before(text: &str, place: usize) -> Option<&str> {
    let line = text.get(..place)?.rfind('\n').map_or(0, |newline| newline + 1);
    let (readable, rest) = text.split_at(line);
    let names_state = |line: &str| {
        line.split('#').next().unwrap_or_default().split('=').next().is_some_and(|key| key.contains("state"))
    };
    (!rest.lines().any(names_state)).then_some(readable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_told_where_the_file_tells_it_and_never_guessed() {
        for (text, told) in [
            ("[gateway]\nstate = 's'\nfoo = 1\n", Some("/etc/gate/s")),
            ("foo = 1\n[gateway]\nstate = '/var/s'\n", Some("/var/s")),
            ("[limits]\nfoo = 1\n", Some("/etc/gate/latchgate-state")),
            ("[gateway]\nid = ''\n[foo]\n", Some("/etc/gate/latchgate-state")),
            ("[gateway]\nstate = 's'\n[limits\n", Some("/etc/gate/s")),
            ("[gateway]\nstate = 's'\n[log]\nlevel = \"info\n", Some("/etc/gate/s")),
            // The state may have been meant.
            ("[gateway]\nstaet = 's'\n", None),
            ("[gatevay]\nid = 's'\n", None),
            ("[gw]\nstate = 's'\n", None),
            ("state_dir = 's'\n", None),
            ("gateway = 1\n", None),
            ("[gateway]\nstate = ''\n", None),
            ("[gateway]\nstate = 1\n", None),
            // It may come later, or twice.
            ("[limits\n[gateway]\nstate = 's'\n", None),
            ("[gateway]\nid = \"x\nstate = 's'\n", None),
            ("[gateway]\nstate = 's'\nstate = 't'\n", None),
            ("[gateway]\nstate = 's\n", None),
            ("[limits\n", None),
        ] {
            assert_eq!(state(text, "/etc/gate/latchgate.toml".as_ref()), told.map(PathBuf::from), "{text:?}");
        }
    }
}
