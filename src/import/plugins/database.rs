//! Databases of others: where they are, and the questions they are asked.

use super::{Changed, Desk, NotNeeded, NotPossible, Options, Translated, pyauth::is_secret};
use crate::import::{document::Part, report::Line};

/// The keys of a plugin for one database, and what is called otherwise here.
pub(super) struct Source<'a> {
    pub backend: &'static str,
    pub head: &'static str,
    /// Option and our key. What is called `…_file` here is a secret that goes to a file.
    pub keys: &'a [(String, &'static str)],
    /// What a `PBKDF2$` string means by its salt.
    pub salt: &'static str,
    pub superusers: bool,
    pub subscribe_as_read: bool,
    pub dollar_topics: bool,
}

/// Writes the section of a database; whether there is one.
pub(super) fn translate(source: &Source<'_>, options: &Options<'_>, desk: &mut Desk<'_>) -> bool {
    let mut found: Vec<(&'static str, toml::Value, Line)> = Vec::new();
    for (key, ours) in source.keys {
        let Some(option) = options.get(key) else { continue };
        let text = option.value.trim();
        let value: toml::Value = match *ours {
            "port" | "database" if source.backend == "redis" || *ours == "port" => {
                match text.parse::<i64>() {
                    Ok(number) => number.into(),
                    Err(_) => {
                        desk.report.say(option.line, NotPossible, "it is no number; its default counts");
                        continue;
                    }
                }
            }
            "password_file" => {
                let file = desk.homes.file(source.backend, "password", format!("{text}\n").into_bytes());
                desk.report.say(
                    option.line,
                    Translated,
                    format!("auth.{}.password_file: {file}", source.backend),
                );
                found.push((ours, file.into(), option.line));
                continue;
            }
            "ca" | "certificate" | "key" | "path" => desk.path(text).to_string_lossy().as_ref().into(),
            _ => text.into(),
        };
        debug_assert!(!is_secret(key) || *ours == "key", "{key} is a secret");
        desk.report.say(option.line, Translated, format!("auth.{}.{ours}", source.backend));
        found.push((ours, value, option.line));
    }
    let Some(part) = desk.homes.take(source.backend, source.head) else {
        for (.., line) in found {
            desk.report.say(
                line,
                NotPossible,
                "another listener has such a backend already: there is one of each kind",
            );
        }
        return false;
    };
    write(source, found, part);
    true
}

fn write(source: &Source<'_>, found: Vec<(&'static str, toml::Value, Line)>, part: &mut Part) {
    for (key, value, line) in found {
        part.set(key, value, &[line]);
    }
    part.set("salt", source.salt, &[]);
    if !source.superusers {
        part.set("superusers", false, &[]);
    }
    if source.subscribe_as_read {
        part.set("subscribe_as_read", true, &[]);
    }
    if source.dollar_topics {
        part.set("dollar_topics", true, &[]);
    }
}

/// `tls` of a database, by the words of its drivers; none where ours decides by the address.
pub(super) fn tls_word(mode: &str) -> (Option<&'static str>, &'static str) {
    match mode {
        "disable" | "false" | "DISABLED" => (Some("off"), "auth.….tls"),
        "verify-full" | "VERIFY_IDENTITY" | "true" => (Some("required"), "auth.….tls"),
        _ => (Some("required"), "the server's certificate is verified, chain and name"),
    }
}

/// Says of a mode of TLS what became of it, and sets it.
pub(super) fn tls(backend: &'static str, key: &str, options: &Options<'_>, desk: &mut Desk<'_>) {
    let Some(option) = options.get(key) else { return };
    let (word, note) = tls_word(option.value.trim());
    let exact = note.starts_with("auth");
    desk.report.say(option.line, if exact { Translated } else { Changed }, note.replace('…', backend));
    if let Some(word) = word
        && let Some((_, part)) = desk.homes.backends.iter_mut().find(|(name, _)| *name == backend)
    {
        part.set("tls", word, &[option.line]);
    }
}

/// Options of drivers that mean nothing here.
pub(super) fn drivers(prefix: &str, options: &Options<'_>, desk: &mut Desk<'_>) {
    for key in [
        "connect_tries",
        "max_life_time",
        "allow_native_passwords",
        "protocol",
        "opt_reconnect",
        "auto_connect",
    ] {
        options.say(
            &format!("{prefix}{key}"),
            NotNeeded,
            "connections are made, kept and made anew as needed",
            desk.report,
        );
    }
}
