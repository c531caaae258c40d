//! `latchgate hash`: a password in, its stored form out.

use std::process::ExitCode;

use super::console::Console;
use crate::policy::auth::password::{Scheme, hash_as};

/// Print the stored form of a password, as accounts and other programs keep it
#[derive(Debug, clap::Args)]
pub struct HashArgs {
    /// The form to print
    #[arg(long, value_enum, default_value_t)]
    pub scheme: Scheme,
}

/// Reads a password, from the terminal without echo or else from standard input, and prints its stored form.
pub fn run(args: HashArgs) -> anyhow::Result<ExitCode> {
    Console::of_process(|console| execute(args, console))
}

fn execute(args: HashArgs, console: &mut Console) -> anyhow::Result<ExitCode> {
    let password = if console.terminal { console.ask_new_password()? } else { console.read_password()? };
    writeln!(console.out, "{}", hash_as(args.scheme, &password)?)?;
    Ok(ExitCode::SUCCESS)
}

impl clap::ValueEnum for Scheme {
    fn value_variants<'a>() -> &'a [Self] {
        use Scheme::*;
        &[Pbkdf2Sha512, Pbkdf2Sha256, Bcrypt, Argon2id, Mosquitto]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let (name, help) = match self {
            Scheme::Pbkdf2Sha512 => {
                ("pbkdf2-sha512", "PHC string, 210000 iterations: the gateway's own form")
            }
            Scheme::Pbkdf2Sha256 => ("pbkdf2-sha256", "PHC string, 600000 iterations"),
            Scheme::Bcrypt => ("bcrypt", "$2b$ at cost 12; passwords of up to 71 bytes"),
            Scheme::Argon2id => ("argon2id", "PHC string, 19 MiB and two passes"),
            Scheme::Mosquitto => ("mosquitto", "$7$ of Mosquitto's password file, 210000 iterations"),
        };
        Some(clap::builder::PossibleValue::new(name).help(help))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::console::piped;
    use super::*;
    use crate::policy::auth::password::StoredPassword;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: HashArgs,
    }

    #[test]
    fn every_scheme_prints_one_line_that_verifies_the_piped_password() {
        for scheme in ["pbkdf2-sha512", "pbkdf2-sha256", "bcrypt", "argon2id", "mosquitto"] {
            let line = Line::try_parse_from(["hash", "--scheme", scheme]).unwrap();
            let (result, out, _) = piped("secret\n", |console| execute(line.args, console));
            result.unwrap();
            assert_eq!(out.lines().count(), 1);
            assert!(StoredPassword::parse(out.trim_end()).unwrap().verify(b"secret"), "{scheme}: {out}");
        }
    }

    #[test]
    fn the_default_is_our_own_form_and_an_empty_password_is_refused() {
        let line = Line::try_parse_from(["hash"]).unwrap();
        assert_eq!(line.args.scheme, Scheme::Pbkdf2Sha512);
        let (result, out, _) = piped("\n", |console| execute(line.args, console));
        assert!(result.unwrap_err().to_string().contains("empty"));
        assert_eq!(out, "");
    }
}
