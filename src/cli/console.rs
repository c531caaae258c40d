//! Where a command reads and writes: the process's own streams, or a test's. Passwords are asked for here,
//! and listings printed.

use std::io::{ErrorKind, IsTerminal, Read, Write};

use anyhow::{Context, anyhow, bail, ensure};

use super::output;
use crate::policy::auth::password::{StoredPassword, hash};

/// Longest password, in bytes: what the length field of a CONNECT can say.
const MAX_PASSWORD: usize = 65_535;

/// The streams of one command.
pub struct Console<'a> {
    /// Standard input.
    pub input: &'a mut dyn Read,
    /// Whether a person types the input.
    pub terminal: bool,
    /// Standard output: what was asked for.
    pub out: &'a mut dyn Write,
    /// Standard error: remarks.
    pub err: &'a mut dyn Write,
}

/// Where a new password comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PasswordArgs {
    /// Read the password from standard input (one newline at its end is not part of it)
    #[arg(long, conflicts_with = "hash")]
    pub password_stdin: bool,
    /// Store this string, as `latchgate hash` or another program made it, in place of asking for a password
    #[arg(long, value_name = "STRING")]
    pub hash: Option<String>,
}

impl Console<'_> {
    /// Runs a command on the process's own streams.
    pub fn of_process<T>(work: impl FnOnce(&mut Console) -> T) -> T {
        let terminal = std::io::stdin().is_terminal();
        work(&mut Console {
            input: &mut std::io::stdin().lock(),
            terminal,
            out: &mut output::lines(),
            err: &mut std::io::stderr(),
        })
    }

    /// Asks for a new password, twice and without echo, if a person is there to answer.
    pub fn ask_new_password(&mut self) -> anyhow::Result<Vec<u8>> {
        let first = ask_secret("New password: ")?;
        let again = ask_secret("The same again: ")?;
        ensure!(first == again, "the two passwords differ; nothing was changed");
        checked(first.into_bytes())
    }

    /// Reads a password from the input. One newline at its end is not part of it.
    pub fn read_password(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut password = Vec::new();
        let limit = MAX_PASSWORD as u64 + 3;
        self.input
            .take(limit)
            .read_to_end(&mut password)
            .context("cannot read the password from standard input")?;
        if password.ends_with(b"\n") {
            password.pop();
            if password.ends_with(b"\r") {
                password.pop();
            }
        }
        checked(password)
    }

    /// The stored form of a new password, from wherever the arguments say.
    pub fn new_stored_password(&mut self, args: &PasswordArgs) -> anyhow::Result<String> {
        let password = match &args.hash {
            Some(text) => {
                StoredPassword::parse(text).context("--hash")?;
                return Ok(text.clone());
            }
            None if args.password_stdin => self.read_password()?,
            None if self.terminal => self.ask_new_password()?,
            None => bail!(
                "no password: standard input is not a terminal to ask on; pipe the password in with --password-stdin, or give a stored form with --hash"
            ),
        };
        Ok(hash(&password)?)
    }

    /// Prints rows in aligned columns under their headings.
    pub fn table<const N: usize>(&mut self, headings: [&str; N], rows: &[[String; N]]) -> anyhow::Result<()> {
        let headings = headings.map(str::to_owned);
        let rows: Vec<[String; N]> = std::iter::once(&headings)
            .chain(rows)
            .map(|row| row.each_ref().map(|cell| shown(cell)))
            .collect();
        let widths: [usize; N] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Prints a value as one JSON document.
    pub fn json(&mut self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        // Made first, so that an error of the output stays one, see `output`.
        Ok(writeln!(self.out, "{}", serde_json::to_string_pretty(value)?)?)
    }
}

/// Asks for something secret on the terminal, without echo.
///
/// # Errors
/// If there is no terminal, or whoever sits there gives up with Ctrl-C. The terminal is then as it was before.
pub fn ask_secret(prompt: &str) -> anyhow::Result<String> {
    // Ctrl-C must not end the process while the terminal has no echo: with a handler it is an error of the reading.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _interrupt = {
        let _within = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?
    };
    rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        ErrorKind::Interrupted => anyhow!("interrupted; nothing was changed"),
        _ => anyhow::Error::new(error).context("cannot read from the terminal"),
    })
}

fn checked(password: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    ensure!(!password.is_empty(), "the password is empty; nothing was changed");
    ensure!(password.len() <= MAX_PASSWORD, "the password is longer than {MAX_PASSWORD} bytes");
    Ok(password)
}

/// Text of a row as it may go to a terminal: control characters could drive it, and an empty cell is a dash.
pub(super) fn shown(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// Runs one command with given input and without a terminal; its result, output and remarks.
#[cfg(test)]
pub(super) fn piped(
    input: &str,
    work: impl FnOnce(&mut Console) -> anyhow::Result<std::process::ExitCode>,
) -> (anyhow::Result<std::process::ExitCode>, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let result =
        work(&mut Console { input: &mut input.as_bytes(), terminal: false, out: &mut out, err: &mut err });
    (result, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> anyhow::Result<Vec<u8>> {
        let mut read = None;
        let (result, _, _) = piped(input, |console| {
            read = Some(console.read_password()?);
            Ok(std::process::ExitCode::SUCCESS)
        });
        result.map(|_| read.unwrap())
    }

    #[test]
    fn one_newline_at_the_end_of_a_piped_password_is_not_part_of_it() {
        assert_eq!(read("secret\n").unwrap(), b"secret");
        assert_eq!(read("secret\r\n").unwrap(), b"secret");
        assert_eq!(read("secret\n\n").unwrap(), b"secret\n");
        assert_eq!(read(" se cret ").unwrap(), b" se cret ");
    }

    #[test]
    fn an_empty_or_endless_password_is_refused() {
        assert!(read("").is_err() && read("\n").is_err());
        assert_eq!(read(&"x".repeat(MAX_PASSWORD)).unwrap().len(), MAX_PASSWORD);
        assert!(read(&"x".repeat(MAX_PASSWORD + 1)).is_err());
        assert!(read(&"x".repeat(1 << 20)).is_err());
    }

    #[test]
    fn columns_are_aligned_and_control_characters_do_not_reach_the_terminal() {
        let rows = [["ä".into(), "1".into()], ["long\x1b[2J".into(), String::new()]];
        let (_, out, _) = piped("", |console| {
            console.table(["NAME", "N"], &rows)?;
            Ok(std::process::ExitCode::SUCCESS)
        });
        assert_eq!(out, "NAME           N\nä              1\nlong\\u{1b}[2J  -\n");
    }
}
