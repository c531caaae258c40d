//! `[auth.python]`: a module that was written for mosquitto_pyauth.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::auth::OnError;
use super::error::quoted;
use super::number::{Bound, Seconds32, Span, Wait};
use super::scalar::{Fault, List, OneOf, Scalar, Switch, words};
use super::section::{Entry, Reader, Setting, comment, section};
use super::text::{OptionalUser, Plain, Prefix, RelativePath};
use super::tls::NamedFile;

words! {
    /// As what a module is asked about a subscription.
    pub enum Subscribing {
        /// Access 4 if its `acl_check` takes the payload, else 1.
        Auto = "auto",
        /// Access 1.
        Read = "read",
        /// Access 4.
        Subscribe = "subscribe",
    }
}

section! {
    /// The backend `python`: a module written for mosquitto_pyauth, unchanged, in a process of its own that has neither the
    /// gateway's environment nor its open files; without `user` it can read what the gateway can. What its functions return is
    /// yes if it is true; if not, the next backend is
    /// asked. An exception is a no. A process that ends, or does not answer in time, is replaced. Verdicts of an `acl_check`
    /// with five arguments depend on the payload and are asked for each message.
    pub struct AuthPython {
        /// The module's name, as in `import NAME`.
        pub module: String => Module = String::new(),

        /// Folders in which modules are looked for, before the folder of this file and what Python brings along.
        pub path: Vec<PathBuf> => List<RelativePath, 0> = Vec::new(),

        /// The interpreter, Python 3.
        pub interpreter: String => Plain = "python3".to_owned(),

        /// How many processes there are. Each is asked one thing after the other. A module that keeps something in memory
        /// between calls needs 1.
        pub workers: u32 => Seconds32 = 1,

        /// The longest time for an answer. A process that takes longer is killed. For its start it has 30 s.
        pub timeout: Duration => Wait = Duration::from_secs(5),

        /// The system user that the processes run as, of /etc/passwd; it takes a gateway that is started as root. Without this
        /// key it is the gateway's own.
        pub user: Option<String> => SystemUser = None,

        /// The most memory (address space) of a process in bytes. 0: no limit.
        pub memory: usize => Bound = 1 << 30,

        /// As what a subscription is asked about: access 1 (read) or 4 (subscribe). "auto": 4 if `acl_check` has five
        /// arguments, else 1, as older brokers did.
        pub subscribe: Subscribing => OneOf<Subscribing> = Subscribing::Auto,

        /// What counts when it does not answer in time: "deny", "next" or "stale", as for `http`. An exception is always no.
        pub on_error: OnError => OneOf<OnError> = OnError::Deny,

        /// How long an answer counts for "stale", beyond its time in [auth.cache].
        pub stale: Duration => Span = Duration::from_secs(3600),

        /// User names `PREFIX_NAME` go to this backend alone. Empty: there is no such prefix.
        pub prefix: String => Prefix = String::new(),

        /// Whether the prefix and its underscore are no part of the name that this backend knows.
        pub strip_prefix: bool => Switch = false,

        /// What `plugin_init` gets: what stood in mosquitto.conf as `auth_opt_KEY VALUE` (without `pyauth_module`).
        pub opts: Vec<(String, String)> => Opts = Vec::new(),

        /// The same for secrets: the value is what the file holds, without the end of its last line.
        pub opts_files: Vec<(String, NamedFile)> => OptFiles = Vec::new(),
    }
}

/// A dotted name that can be imported.
enum Module {}

impl Scalar for Module {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        const HELP: &str = "the name alone, as \"my_auth\": no folder (see `path`) and no .py";
        let Some(name) = value.as_str() else { return Err(Fault::wrong_type("a string", value, HELP)) };
        let part = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !part.starts_with(|c: char| c.is_ascii_digit())
        };
        match name.split('.').all(part) && !name.ends_with(".py") {
            true => Ok(name.to_owned()),
            false => Err(Fault::new(format!("cannot be {}", quoted(name)), HELP)),
        }
    }

    fn show(_: &String) -> String {
        "\"\"".to_owned()
    }

    const EXAMPLE: Option<&'static str> = Some("my_auth");
}

/// A user of the system, which may be left out.
enum SystemUser {}

impl Scalar for SystemUser {
    type Value = Option<String>;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Option<String>, Fault> {
        OptionalUser::parse(value, folder)
    }

    fn show(value: &Option<String>) -> String {
        OptionalUser::show(value)
    }

    const EXAMPLE: Option<&'static str> = Some("nobody");
}

/// A table whose keys are the module's business.
fn table<T>(
    entry: Entry<'_>,
    reader: &mut Reader<'_>,
    mut read: impl FnMut(Entry<'_>, &mut Reader<'_>) -> Option<T>,
) -> Vec<(String, T)> {
    let Some(mut section) = entry.section(reader) else { return Vec::new() };
    let keys: Vec<String> = section.unread().map(|(key, _)| key.to_owned()).collect();
    let mut list = Vec::new();
    for key in keys {
        if let Some((_, entry)) = section.take(&key)
            && let Some(value) = read(entry, reader)
        {
            list.push((key, value));
        }
    }
    list
}

fn describe_table(path: &str, key: &str, doc: &[&str], example: &str, out: &mut String) {
    out.push_str(&format!("\n[{path}.{key}]\n"));
    comment(doc, out);
    out.push_str(&format!("# {example}\n"));
}

/// Options as text. They may be secrets, so no error repeats one.
enum Opts {}

impl Setting for Opts {
    type Value = Vec<(String, String)>;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, _: &Self::Value) -> Self::Value {
        table(entry, reader, |entry, reader| match entry.value.get_ref().as_str() {
            Some(text) if !text.contains('\0') => Some(text.to_owned()),
            Some(_) => {
                let what = format!("`{}` holds a NUL character", entry.path);
                reader.wrong(
                    entry.value.span(),
                    what,
                    "take it out: no option of mosquitto.conf could hold one",
                );
                None
            }
            None => {
                let what = format!("`{}` must be a string", entry.path);
                reader.wrong(entry.value.span(), what, "in quotes: the module gets text, as it did before");
                None
            }
        })
    }

    fn describe(path: &str, key: &str, doc: &[&str], _: &Self::Value, out: &mut String) {
        describe_table(path, key, doc, "db_host = \"localhost\"", out);
    }
}

/// Options that are in files.
enum OptFiles {}

impl Setting for OptFiles {
    type Value = Vec<(String, NamedFile)>;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, _: &Self::Value) -> Self::Value {
        table(entry, reader, NamedFile::read)
    }

    fn describe(path: &str, key: &str, doc: &[&str], _: &Self::Value, out: &mut String) {
        describe_table(path, key, doc, "db_password = \"db.secret\"", out);
    }
}

impl AuthPython {
    /// Notes what is missing for a backend that is used.
    pub(super) fn check(&self, span: std::ops::Range<usize>, reader: &mut Reader<'_>) {
        if self.module.is_empty() {
            let what = "the backend \"python\" has no `module` in [auth.python]";
            reader.wrong(span.clone(), what, "name the module, as module = \"my_auth\"");
        }
        if !(1..=64).contains(&self.workers) {
            let what = "`auth.python.workers` is out of range";
            reader.wrong(span, what, "give a number from 1 to 64");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parse(text: &str) -> Result<AuthPython, Vec<String>> {
        let text = format!("[auth]\nbackends = ['python']\n[auth.python]\n{text}");
        match Config::parse(&text, Path::new("/etc/gate/gate.toml")) {
            Ok(config) => Ok(config.auth.python),
            Err(error) => Err(error.problems().iter().map(|problem| problem.what.clone()).collect()),
        }
    }

    #[test]
    fn options_are_text_and_files_know_their_place() {
        let python = parse(
            "module = 'shop.auth'\npath = ['py']\n[auth.python.opts]\nhost = 'h'\nport = '1'\n[auth.python.opts_files]\npw = 's'",
        )
        .unwrap();
        assert_eq!(python.path, [Path::new("/etc/gate/py")]);
        assert_eq!(python.opts, [("host".to_owned(), "h".to_owned()), ("port".to_owned(), "1".to_owned())]);
        assert_eq!(python.opts_files[0].1.path, Path::new("/etc/gate/s"));
        let problems = parse("module = 'x'\n[auth.python.opts]\nsecret = 12345").unwrap_err();
        assert_eq!(problems, ["`auth.python.opts.secret` must be a string"]);
        let problems = parse("module = 'x'\n[auth.python.opts]\nsecret = \"a\\u0000b\"").unwrap_err();
        assert_eq!(problems, ["`auth.python.opts.secret` holds a NUL character"]);
    }

    #[test]
    fn a_module_is_a_name_and_no_file() {
        assert!(parse("module = 'a'").is_ok());
        for wrong in ["", "a.py", "/a/b", "a b", "1a", "a..b", "a;b"] {
            assert!(parse(&format!("module = '{wrong}'")).is_err(), "{wrong}");
        }
        assert!(parse("").unwrap_err()[0].contains("has no `module`"));
        for wrong in ["workers = 0", "workers = 65", "timeout = '0s'", "memory = -1"] {
            assert!(parse(&format!("module = 'a'\n{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_backend_that_is_not_available_is_told_from_a_slip() {
        let what = |name: &str| {
            let text = format!("[auth]\nbackends = ['sqlite', '{name}']");
            let error = Config::parse(&text, Path::new("/etc/gate/gate.toml")).unwrap_err();
            error.problems()[0].what.clone()
        };
        for name in ["ldap", "jwt", "psk"] {
            assert_eq!(what(name), format!("`auth.backends` names {name:?}, which is not available"));
        }
        assert_eq!(what("pyton"), "`auth.backends` cannot be `pyton`");
    }
}
