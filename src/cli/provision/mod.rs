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
/// Begins a setup file that was obeyed.
const APPLIED: &str = "# This file was obeyed, and asks for nothing any more: all that it said was taken out of it, and the files that it named are\n\
                       # on the device. To change the device again, write it anew: each key is explained below. What is not set stays as it is.\n\n";
/// Begins a line of it for each file that is still to be taken off the card.
const LEFT: &str = "# Still to be taken off the card: ";

/// Make a new device what latchgate-setup.toml on its card says (as root, at each start of the image)
///
/// Host name, wireless network, SSH keys, device id, certificate and bridges. The whole file is checked first; if anything is
/// wrong nothing is done, and latchgate-setup-errors.txt beside it says what. Once everything is done all that the file said is
/// taken out of it, and the files that it named are removed from the card. A file without a setting changes nothing.
#[derive(Debug, clap::Args)]
pub struct ProvisionArgs {
    /// The setup file
    #[arg(required_unless_present = "print_template")]
    file: Option<PathBuf>,

    /// Print the file as it lies on a new card, with every key explained
    #[arg(long)]
    print_template: bool,

    /// Change nothing, neither here nor on the card: say what would be done, or what is wrong. Without --root the device
    /// is a new one, so this can be asked anywhere
    #[arg(long, conflicts_with = "print_template")]
    check: bool,

    /// Directory in which /etc of the device is [default: /]
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
}

/// Does what the file says.
pub fn run(args: ProvisionArgs) -> anyhow::Result<ExitCode> {
    let Some(file) = args.file.filter(|_| !args.print_template) else {
        write!(output::stdout(), "{}", Card::template())?;
        return Ok(ExitCode::SUCCESS);
    };
    if args.check {
        return check(&file, args.root.as_deref());
    }
    let errors = file.with_file_name(ERRORS);
    match provision(&file, &args.root.unwrap_or_else(|| "/".into())) {
        Ok(done) => {
            remove(&errors)?;
            for line in done {
                writeln!(output::stdout(), "{line}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if !file.exists() => Err(error),
        Err(error) => {
            // The error itself matters more than that it could not be written down.
            let _ = apply::write(&errors, format!("{error:#}\n").as_bytes(), 0o600);
            Err(error)
        }
    }
}

/// Says what [`provision`] would do.
fn check(file: &Path, root: Option<&Path>) -> anyhow::Result<ExitCode> {
    let (card, text) = Card::load(file)?;
    let place = root.map_or_else(|| Ok(Place::nowhere()), |root| Place::new(root, true))?;
    let mut said = match card == Card::default() {
        true => format!("{}: right, and asks for nothing\n", file.display()),
        false => format!("{}: right; nothing was changed, and this would be done:\n", file.display()),
    };
    for line in apply(&card, &text, file, &place)? {
        said.push_str(&format!("  {line}\n"));
    }
    output::print(&said)?;
    Ok(ExitCode::SUCCESS)
}

/// Checks all of it, then does it; each step can be done again after a power cut. The card is cleared last.
fn provision(file: &Path, root: &Path) -> anyhow::Result<Vec<String>> {
    let done = obey(file, root)?;
    // Also what an earlier start left, if the power was cut just then.
    clear(file)?;
    Ok(done)
}

/// Does what the file says, and has it say nothing any more but which files are still to be taken off the card.
fn obey(file: &Path, root: &Path) -> anyhow::Result<Vec<String>> {
    let (card, text) = Card::load(file)?;
    if card == Card::default() {
        return Ok(Vec::new());
    }
    let done = apply(&card, &text, file, &Place::new(root, false)?)?;
    let names = card.files().into_iter().filter_map(|named| named.path.file_name()?.to_str());
    let left: String = names.map(|name| format!("{LEFT}{name}\n")).collect();
    apply::write(file, cleared(&left).as_bytes(), 0o600)?;
    Ok(done)
}

/// Makes the device at `place` what the card says; a line for each thing done.
fn apply(card: &Card, text: &str, file: &Path, place: &Place) -> anyhow::Result<Vec<String>> {
    let gateway = gateway::changed(card, text, file, place)?;
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
    done.extend(apply::host(card, place)?);
    done.extend(apply::wifi(&card.wifi, place)?);
    done.extend(apply::ssh(&card.ssh, place)?);
    Ok(done)
}

/// Takes the files off the card that a setup file which was obeyed still names.
fn clear(file: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix(LEFT)).collect();
    for name in &names {
        // Whoever may write there could have it name anything.
        anyhow::ensure!(
            Path::new(name).file_name().is_some_and(|own| own == *name),
            "{name:?} is no file beside it"
        );
        apply::erase(&file.with_file_name(name))?;
    }
    if names.is_empty() { Ok(()) } else { apply::write(file, cleared("").as_bytes(), 0o600) }
}

/// What remains of a setup file that was obeyed.
fn cleared(left: &str) -> String {
    format!("{APPLIED}{left}{}", Card::template())
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_cut_before_the_card_is_cleared_leaves_no_secret_on_it_for_ever() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for folder in ["card", "root/etc/latchgate", "root/var/lib/latchgate"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("root/etc/latchgate/latchgate.toml"), "").unwrap();
        fs::write(at("card/cloud.password"), "a secret of the cloud").unwrap();
        let bridge = "[[bridge]]\nname = 'cloud'\naddress = 'mqtt://cloud.example'\nusername = 'porch'\n\
                      password_file = 'cloud.password'\n[[bridge.route]]\ntopic = 'a'\ndirection = 'out'\n";
        let (file, root) = (at("card/latchgate-setup.toml"), at("root"));
        fs::write(&file, bridge).unwrap();
        // Here the power is cut.
        assert!(!obey(&file, &root).unwrap().is_empty());
        assert!(at("root/etc/latchgate/cloud.password").exists() && at("card/cloud.password").exists());

        assert!(provision(&file, &root).unwrap().is_empty(), "it was obeyed");
        assert!(!at("card/cloud.password").exists());
        let card = fs::read_to_string(&file).unwrap();
        assert!(card.contains("was obeyed") && !card.contains("cloud.password"), "{card}");
        assert!(provision(&file, &root).unwrap().is_empty());
        assert_eq!(fs::read_to_string(&file).unwrap(), card);
    }

    #[test]
    fn only_what_lies_beside_the_setup_file_is_taken_off_the_card() {
        let place = tempfile::tempdir().unwrap();
        let (file, precious) =
            (place.path().join("card/latchgate-setup.toml"), place.path().join("precious"));
        fs::create_dir(place.path().join("card")).unwrap();
        fs::write(&precious, "").unwrap();
        fs::write(&file, format!("{LEFT}../precious\n")).unwrap();
        assert!(provision(&file, place.path()).is_err() && precious.exists());
    }
}
