//! `[listener.tls]`: the certificates of a listener, and what it asks of its clients.

use std::path::PathBuf;

use super::error::Problem;
use super::scalar::{OneOf, Scalar, words};
use super::section::{Entry, Reader, Setting, comment, section};
use super::text::RelativePath;

words! {
    /// Whether clients show a certificate.
    pub enum ClientCertificate {
        /// They are not asked for one.
        None = "none",
        /// They may; one that is shown must be right.
        Optional = "optional",
        /// They must.
        Required = "required",
    }
}

words! {
    /// What a client's certificate says of its user name.
    pub enum UsernameFrom {
        /// Nothing: the client logs in as it would without one.
        None = "none",
        /// The common name of its subject is the user name.
        CommonName = "common-name",
        /// Its whole subject is the user name.
        Subject = "subject",
    }
}

section! {
    /// TLS 1.2 and 1.3 on this listener. All files are PEM; they are read again when they change.
    pub struct Tls {
        /// The gateway's certificate, followed by those of the authorities in between, if there are any.
        pub certificate: NamedFile => TlsFile = NamedFile::default(),

        /// The private key of the certificate, not encrypted. Nobody but the gateway's user should be able to read it.
        pub key: NamedFile => TlsFile = NamedFile::default(),

        /// Certificates of the authorities that clients' certificates must come from.
        pub client_ca: Option<NamedFile> => OptionalFile = None,

        /// Whether clients show a certificate. "none": they are not asked; "optional": one that is shown must be
        /// right; "required": without one there is no connection.
        pub client_certificate: ClientCertificate => OneOf<ClientCertificate> = ClientCertificate::None,

        /// What a certificate says of the user name. "none": nothing. "common-name": the common name of its subject is
        /// the user name. "subject": the whole subject is, most specific part first, as `CN=lamp,O=Home`. A client
        /// with such a certificate needs no password, and a user name it brings is ignored.
        pub username_from: UsernameFrom => OneOf<UsernameFrom> = UsernameFrom::None,

        /// Lists of revoked client certificates. A certificate whose authority has no list in this file is refused.
        pub crl: Option<NamedFile> => OptionalFile = None,
    }
}

/// A file that the configuration names, with the place where it does.
#[derive(Clone, Debug)]
pub struct NamedFile {
    /// The file.
    pub path: PathBuf,
    key: String,
    place: Problem,
}

/// The place is no part of what is configured: a comment above a listener changes nothing about it.
impl PartialEq for NamedFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, &self.key) == (&other.path, &other.key)
    }
}

impl Eq for NamedFile {}

impl Default for NamedFile {
    fn default() -> Self {
        let place = Problem::new("", 0..0, String::new(), String::new());
        NamedFile { path: PathBuf::new(), key: String::new(), place }
    }
}

impl NamedFile {
    /// The problem that something is wrong with the file: `what` is a predicate to follow its name.
    pub fn wrong(&self, what: impl std::fmt::Display, help: impl Into<String>) -> Problem {
        let what = format!("`{}`: {} {what}", self.key, self.path.display());
        self.place.clone().saying(what, help.into())
    }

    pub(super) fn read(entry: Entry<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let place = reader.place(entry.value.span());
        let key = entry.path.clone();
        let path = <RelativePath as Setting>::read(entry, reader, &PathBuf::new());
        (!path.as_os_str().is_empty()).then_some(NamedFile { path, key, place })
    }
}

/// Describes a file's key by an example.
fn describe_file(key: &str, doc: &[&str], out: &mut String) {
    let example = match key {
        "certificate" => "server.crt",
        "key" => "server.key",
        "crl" => "revoked.pem",
        "secret_file" => "latch.secret",
        "file" => "pwdb.cdb",
        "path" => "mqtt.db",
        "socket" => "/run/server.sock",
        "client_secret_file" => "oauth2.secret",
        "password_file" => "passwd",
        "acl_file" => "acl",
        _ => "ca.crt",
    };
    out.push('\n');
    comment(doc, out);
    out.push_str(&format!("# {key} = {}\n", RelativePath::show(&example.into())));
}

/// A file that must be given.
enum TlsFile {}

impl Setting for TlsFile {
    type Value = NamedFile;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, fallback: &NamedFile) -> NamedFile {
        NamedFile::read(entry, reader).unwrap_or_else(|| fallback.clone())
    }

    fn describe(_: &str, key: &str, doc: &[&str], _: &NamedFile, out: &mut String) {
        describe_file(key, doc, out);
    }
}

/// A file that may be left out.
pub(super) enum OptionalFile {}

impl Setting for OptionalFile {
    type Value = Option<NamedFile>;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, _: &Option<NamedFile>) -> Option<NamedFile> {
        NamedFile::read(entry, reader)
    }

    fn describe(_: &str, key: &str, doc: &[&str], _: &Option<NamedFile>, out: &mut String) {
        describe_file(key, doc, out);
    }
}

/// `[listener.tls]`, which may be left out.
pub(super) enum OptionalTls {}

impl Setting for OptionalTls {
    type Value = Option<Tls>;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, _: &Option<Tls>) -> Option<Tls> {
        let section = entry.section(reader)?;
        for (key, example) in [("certificate", "server.crt"), ("key", "server.key")] {
            if section.span_of(key).is_none() {
                let what = format!("`listener.tls` has no `{key}`");
                reader.wrong(section.span.clone(), what, format!("add one, as {key} = \"{example}\""));
            }
        }
        let places = ["client_ca", "client_certificate", "username_from", "crl"]
            .map(|key| section.span_of(key).unwrap_or(section.span.clone()));
        let tls = Tls::read_keys(section, reader, &Tls::default());
        let [ca_place, asks_place, name_place, crl_place] = places;
        let asks = tls.client_certificate != ClientCertificate::None;
        if asks && tls.client_ca.is_none() {
            let help =
                "name the file with the certificates of the authorities that clients' certificates come from";
            reader.wrong(asks_place, "client certificates cannot be checked without `client_ca`", help);
        }
        let help = "clients are asked for one by client_certificate = \"optional\" or \"required\"";
        let without = [
            (tls.client_ca.is_some(), ca_place, "client_ca"),
            (tls.username_from != UsernameFrom::None, name_place, "username_from"),
            (tls.crl.is_some(), crl_place, "crl"),
        ];
        for (_, place, key) in without.into_iter().filter(|(given, ..)| *given && !asks) {
            reader.wrong(place, format!("`{key}` means nothing while no client shows a certificate"), help);
        }
        Some(tls)
    }

    fn describe(path: &str, key: &str, _: &[&str], _: &Option<Tls>, out: &mut String) {
        let mut keys = String::new();
        Tls::default().describe_keys(path, &mut keys);
        out.push('\n');
        comment(Tls::ABOUT, out);
        out.push_str(&format!("# [{path}.{key}]\n"));
        for line in keys.lines() {
            let bare = !line.is_empty() && !line.starts_with('#');
            out.push_str(if bare { "# " } else { "" });
            out.push_str(line);
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, ConfigError};
    use super::*;

    fn parse(tls: &str) -> Result<Config, ConfigError> {
        let text = format!("[[listener]]\nname = 'a'\naddress = '127.0.0.1:1'\n[listener.tls]\n{tls}");
        Config::parse(&text, Path::new("/etc/gate/gate.toml"))
    }

    fn problems(tls: &str) -> Vec<String> {
        let error = parse(tls).expect_err("it is wrong");
        error.problems().iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.what)).collect()
    }

    #[test]
    fn every_key_is_read_and_its_file_knows_its_place() {
        let config = parse(
            "certificate = 's.crt'\nkey = '/k/s.key'\nclient_ca = 'ca.crt'\nclient_certificate = 'optional'\n\
             username_from = 'subject'\ncrl = 'r.pem'\n",
        );
        let tls = config.unwrap().listeners[0].tls.clone().unwrap();
        assert_eq!(tls.certificate.path, Path::new("/etc/gate/s.crt"));
        assert_eq!(tls.key.path, Path::new("/k/s.key"));
        assert_eq!(
            (tls.client_certificate, tls.username_from),
            (ClientCertificate::Optional, UsernameFrom::Subject)
        );
        let problem = tls.crl.unwrap().wrong("is empty", "fill it");
        assert_eq!((problem.line, problem.column), (10, 7));
        assert_eq!(problem.what, "`listener.tls.crl`: /etc/gate/r.pem is empty");
    }

    #[test]
    fn a_listener_that_only_moved_in_its_file_is_the_same() {
        let tls = "certificate = 'c'\nkey = 'k'\n";
        let (here, lower) = (parse(tls).unwrap(), parse(&format!("# New.\n\n{tls}")).unwrap());
        assert_eq!(here.listeners, lower.listeners);
        let other = parse(&tls.replace("'k'", "'x'")).unwrap();
        assert_ne!(here.listeners, other.listeners);
    }

    #[test]
    fn keys_that_need_each_other_are_missed_at_their_place() {
        assert_eq!(
            problems("client_certificate = 'required'\n"),
            [
                "4:1: `listener.tls` has no `certificate`",
                "4:1: `listener.tls` has no `key`",
                "5:22: client certificates cannot be checked without `client_ca`",
            ]
        );
        assert_eq!(
            problems(
                "certificate = 'c'\nkey = 'k'\nclient_ca = 'a'\nusername_from = 'common-name'\ncrl = 'l'\n"
            ),
            [
                "7:13: `client_ca` means nothing while no client shows a certificate",
                "8:17: `username_from` means nothing while no client shows a certificate",
                "9:7: `crl` means nothing while no client shows a certificate",
            ]
        );
        assert_eq!(problems("certificate = ''\nkey = 3\n").len(), 2);
    }

    #[test]
    fn the_printed_reference_without_its_comment_marks_is_a_right_section() {
        let reference = super::super::reference();
        let (_, section) = reference.split_once("# [listener.tls]\n").unwrap();
        let keys: Vec<&str> = section
            .lines()
            .take_while(|line| !line.contains('['))
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')))
            .collect();
        assert_eq!(keys.len(), 6, "{section}");
        let text =
            keys.join("\n").replace("client_certificate = \"none\"", "client_certificate = \"required\"");
        parse(&text).unwrap();
    }
}
