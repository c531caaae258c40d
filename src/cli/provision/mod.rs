//! `latchgate provision`: makes a new device what the file on its card says.

mod apply;
mod gateway;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use super::output;
use crate::config::Card;
use apply::Place;

/// Stands where the problems of a setup file are told, beside it: whoever wrote the card reads it there.
const ERRORS: &str = "latchgate-setup-errors.txt";
/// What remains of a setup file that was obeyed.
const APPLIED: &str = "# This file was obeyed, and what was secret in it was taken out. To change the device again, write it anew: each key is\n\
                       # explained below. What is not set stays as it is.\n\n";

/// Make a new device what latchgate-setup.toml on its card says (as root, at each start of the image)
///
/// Host name, wireless network, SSH keys, device id, certificate and bridges. The whole file is checked first; if anything is
/// wrong nothing is done, and latchgate-setup-errors.txt beside it says what. Once everything is done its secrets are removed
/// from the card. A file without a setting changes nothing.
#[derive(Debug, clap::Args)]
pub struct ProvisionArgs {
    /// The setup file
    #[arg(required_unless_present = "print_template")]
    file: Option<PathBuf>,

    /// Print the file as it lies on a new card, with every key explained
    #[arg(long)]
    print_template: bool,

    /// Directory in which /etc of the device is
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    root: PathBuf,
}

/// Does what the file says.
pub fn run(args: ProvisionArgs) -> anyhow::Result<ExitCode> {
    let Some(file) = args.file.filter(|_| !args.print_template) else {
        write!(output::stdout(), "{}", Card::template())?;
        return Ok(ExitCode::SUCCESS);
    };
    let errors = file.with_file_name(ERRORS);
    match provision(&file, &args.root) {
        Ok(done) => {
            remove(&errors)?;
            for line in done {
                writeln!(output::stdout(), "{line}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // The error itself matters more than that it could not be written down.
            let _ = apply::write(&errors, format!("{error:#}\n").as_bytes(), 0o600);
            Err(error)
        }
    }
}

/// Checks all of it, then does it; each step can be done again after a power cut. The card is cleared last.
fn provision(file: &Path, root: &Path) -> anyhow::Result<Vec<String>> {
    let (card, text) = Card::load(file)?;
    if card == Card::default() {
        return Ok(Vec::new());
    }
    let place = Place::new(root)?;
    let gateway = gateway::changed(&card, &text, file, &place)?;

    let mut done = Vec::new();
    for named in card.files() {
        let name = named.path.file_name().context("a file without a name")?;
        let bytes = crate::file::read(&named.path, crate::file::PEM)
            .with_context(|| format!("cannot read {}", named.path.display()))?;
        place.for_the_gateway(Path::new(name), &bytes)?;
        done.push(format!("{} taken from the card", name.to_string_lossy()));
    }
    if let Some(configuration) = gateway {
        place.for_the_gateway(Path::new("latchgate.toml"), configuration.as_bytes())?;
        done.push("the configuration of the gateway changed".to_owned());
    }
    done.extend(apply::host(&card, &place)?);
    done.extend(apply::wifi(&card.wifi, &place)?);
    done.extend(apply::ssh(&card.ssh, &place)?);

    apply::write(file, format!("{APPLIED}{}", Card::template()).as_bytes(), 0o600)?;
    for named in card.files() {
        apply::erase(&named.path)?;
    }
    Ok(done)
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}
