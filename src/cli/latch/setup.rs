//! `latchgate latch setup`: the application's identifier and secret, tested and put in their place.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::wait;
use crate::cli::console::{Console, ask_secret};
use crate::config::Config;
use crate::gateway;
use crate::latch::{Client, Error, Id, Secret};

/// Name of the secret's file, beside the configuration.
const SECRET_FILE: &str = "latch.secret";
/// Names of the two operations, as the phone shows them.
const OPERATIONS: [&str; 2] = ["publish", "subscribe"];

/// Begin to use the service: asks for the application's identifier and secret, tests them, makes the two operations
///
/// Both stand on the developers' page of the Latch service, where you make the application first; leave its one-time passwords
/// and its lock on request disabled. Without a terminal they are read from standard input, a line each. Of the
/// configuration, `latch.host`, `api_version`, `timeout` and `ca` count.
#[derive(Debug, clap::Args)]
pub struct SetupArgs {
    /// Where the secret goes, readable by the gateway's user only [default: latch.secret beside the configuration]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Put the lines into the configuration file, in place of printing them only
    #[arg(long)]
    write: bool,
}

pub(super) fn run(args: &SetupArgs, config: &Config, console: &mut Console) -> anyhow::Result<()> {
    let (application, secret) = ask(console)?;
    let client = Client::new(gateway::latch_service(&config.latch, application.clone(), secret.clone()))?;
    let [publish, subscribe] = wait(operations(&client))?.context("nothing was changed")?;
    let folder = config.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let file = args.secret_file.clone().unwrap_or_else(|| folder.join(SECRET_FILE));
    write_secret(&file, &secret, &config.gateway.state)?;
    writeln!(console.err, "the service accepts the application; its secret is in {}", file.display())?;
    // Within the file, paths start at its folder.
    let named = match file.strip_prefix(folder) {
        Ok(beside) => beside.to_owned(),
        Err(_) => std::path::absolute(&file)?,
    };
    let text = |value: &str| toml::Value::String(value.to_owned()).to_string();
    let lines = format!(
        "application_id = {}\nsecret_file = {}\npublish_operation = {}\nsubscribe_operation = {}\n",
        text(application.as_str()),
        text(&named.to_string_lossy()),
        text(publish.as_str()),
        text(subscribe.as_str()),
    );
    match (&config.file, args.write) {
        (Some(file), true) => {
            write_lines(file, &lines)?;
            writeln!(console.err, "{}: [latch] was completed; restart the gateway", file.display())?;
        }
        (None, true) => {
            bail!("there is no configuration file to write to: name one with --config\n[latch]\n{lines}")
        }
        (_, false) => {
            writeln!(console.err, "these lines belong into the configuration:")?;
            write!(console.out, "[latch]\n{lines}")?;
        }
    }
    Ok(())
}

/// Identifier and secret, from whoever can give them.
fn ask(console: &mut Console) -> anyhow::Result<(Id, Secret)> {
    let (id, secret) = if console.terminal {
        write!(console.err, "Application id: ")?;
        console.err.flush()?;
        let mut id = String::new();
        BufReader::new(console.input.take(256))
            .read_line(&mut id)
            .context("cannot read from the terminal")?;
        let secret = ask_secret("Secret: ")?;
        (id, secret)
    } else {
        let mut text = String::new();
        console.input.take(1024).read_to_string(&mut text).context("cannot read standard input")?;
        let mut lines = text.lines();
        let mut line = || lines.next().unwrap_or_default().to_owned();
        (line(), line())
    };
    let id = Id::new(id.trim()).context("the application id has 20 letters and digits")?;
    let secret =
        Secret::new(&secret).context("that is no secret: it has 40 characters; nothing was changed")?;
    Ok((id, secret))
}

/// The two operations; those that exist under their names are used. That any answer comes shows that the service accepts
/// identifier and secret.
async fn operations(client: &Client) -> Result<[Id; 2], Error> {
    let known = client.operations().await?;
    let mut found = Vec::with_capacity(OPERATIONS.len());
    for name in OPERATIONS {
        match known.iter().find(|row| row.name == name) {
            Some(row) => found.push(row.id.clone()),
            None => found.push(client.create_operation(name).await?),
        }
    }
    let [publish, subscribe] = <[Id; 2]>::try_from(found).expect("one was found for each name");
    Ok([publish, subscribe])
}

/// Writes the secret beside its place and moves it there, so that a reader finds an old or a new one, and no other user
/// ever can read it. Root gives it to whom the state directory belongs: that is who runs the gateway.
fn write_secret(path: &Path, secret: &Secret, state: &Path) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".latch")
        .make_in(folder, |path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path))
        .with_context(failed)?;
    writeln!(file, "{}", secret.reveal()).with_context(failed)?;
    if rustix::process::geteuid().is_root()
        && let Ok(owner) = fs::metadata(state)
    {
        fchown(file.as_file(), Some(owner.uid()), Some(owner.gid())).with_context(failed)?;
    }
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).map_err(|error| error.error).with_context(failed)?;
    Ok(())
}

/// Puts `lines` below `[latch]` in the file, which gets that section if it has none. What comes out must be a right
/// configuration.
fn write_lines(path: &Path, lines: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot change {}", path.display());
    // What a link leads to is changed, not the link.
    let path = &path.canonicalize().with_context(failed)?;
    let text = fs::read_to_string(path).with_context(failed)?;
    let changed = completed(&text, lines);
    Config::parse(&changed, path)
        .with_context(|| format!("{}: put these lines below [latch] by hand:\n{lines}", failed()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(changed.as_bytes()).with_context(failed)?;
    let old = fs::metadata(path).with_context(failed)?;
    file.as_file().set_permissions(old.permissions()).with_context(failed)?;
    if rustix::process::geteuid().is_root() {
        fchown(file.as_file(), Some(old.uid()), Some(old.gid())).with_context(failed)?;
    }
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).map_err(|error| error.error).with_context(failed)?;
    Ok(())
}

/// `text` with `lines` in its section.
fn completed(text: &str, lines: &str) -> String {
    let mut out = String::with_capacity(text.len() + lines.len() + 16);
    let mut done = false;
    for line in text.split_inclusive('\n') {
        out.push_str(line);
        if !done && line.trim() == "[latch]" {
            if !line.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(lines);
            done = true;
        }
    }
    if !done {
        let gap = if out.is_empty() || out.ends_with('\n') { "" } else { "\n" };
        out.push_str(&format!("{gap}\n[latch]\n{lines}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "application_id = \"APP\"\nsecret_file = \"s\"\n";

    #[test]
    fn the_lines_go_below_their_section_and_make_one_if_there_is_none() {
        let with = completed("[latch] \nhost = 'https://h'\n[log]\nlevel = 'warn'\n", LINES);
        let config = Config::parse(&with, Path::new("x.toml")).unwrap();
        assert_eq!(
            (config.latch.application_id.as_deref(), config.latch.host.as_str()),
            (Some("APP"), "https://h")
        );
        for before in ["", "[log]\nlevel = 'warn'", "[log]\nlevel = 'warn'\n"] {
            let config = Config::parse(&completed(before, LINES), Path::new("x.toml")).unwrap();
            assert_eq!(config.latch.application_id.as_deref(), Some("APP"), "{before:?}");
        }
    }

    #[test]
    fn a_secret_is_written_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SECRET_FILE);
        fs::write(&path, "older").unwrap();
        write_secret(&path, &Secret::new("0123456789").unwrap(), folder.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Secret::read(&path).unwrap().reveal(), "0123456789");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
