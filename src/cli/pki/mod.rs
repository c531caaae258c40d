//! `latchgate pki …`: a small certificate authority for gateways, bridges and clients.

mod show;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use time::OffsetDateTime;

use super::console::Console;
use super::context::BadUsage;
use crate::pki::{Authority, Founding, Issued, Name, Order, PkiError, Request, San, Use, date, days_left};

/// Largest request that is read, in bytes.
const LARGEST_REQUEST: u64 = 1 << 20;

/// A small certificate authority for gateways, bridges and clients
#[derive(Debug, clap::Args)]
pub struct PkiArgs {
    /// Directory of the authority: ca.crt, ca.key, index.json, revoked.pem, issued/
    #[arg(long, global = true, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,

    #[command(subcommand)]
    command: PkiCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PkiCommand {
    /// Make an authority: its key and certificate, and an empty revocation list
    Init {
        /// Its common name [default: "Latchgate CA" and eight random letters and digits]
        #[arg(long)]
        name: Option<Name>,
        /// How many days it is valid
        #[arg(long, default_value_t = 3650, value_parser = days())]
        days: u32,
        /// Replace the authority that is there; what it issued is then worth nothing
        #[arg(long)]
        force: bool,
    },
    Issue(IssueArgs),
    /// Give certificates new dates; keys, names and uses stay
    Renew {
        /// Whose; without it, everyone's that ends soon
        name: Option<Name>,
        /// Without NAME: renew what ends within so many days
        #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = days(), conflicts_with = "name")]
        within: u32,
        /// How many days it is valid [default: as many as before; the authority 3650]
        #[arg(long, value_parser = days())]
        days: Option<u32>,
        /// Renew the authority's own certificate; what it issued stays valid
        #[arg(long, conflicts_with_all = ["name", "within"])]
        ca: bool,
    },
    /// Take back what was issued to a name, and write revoked.pem anew (a listener reads it as its crl)
    Revoke {
        /// Whose; all its certificates that have not ended
        name: Name,
        /// Only those in whose place another was issued
        #[arg(long)]
        replaced: bool,
    },
    Show(show::ShowArgs),
}

/// Issue a certificate, with a new key or for a device's request
///
/// Writes issued/NAME.crt and issued/NAME.key.
#[derive(Debug, clap::Args)]
struct IssueArgs {
    /// Common name; for a client it can be the user name (listener.tls: username_from = "common-name")
    name: Name,
    /// For a server: a gateway's listener
    #[arg(long)]
    server: bool,
    /// For a client (default)
    #[arg(long)]
    client: bool,
    /// For a bridge, which is a client
    #[arg(long)]
    bridge: bool,
    /// A DNS name or IP address by which the server is reached; may be repeated [default: NAME]
    #[arg(long = "san", value_name = "DNS|IP", requires = "server", num_args = 1..)]
    sans: Vec<San>,
    /// How many days it is valid, at most as long as the authority
    #[arg(long, default_value_t = 825, value_parser = days())]
    days: u32,
    /// Sign this request (PEM or DER), made where the key is; only its public key is taken
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Replace certificate and key of that name
    #[arg(long)]
    force: bool,
}

/// A century is enough for anybody, and what the dates of a certificate can hold.
fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=36_500)
}

/// Does what was asked with the authority in its directory.
pub fn run(args: PkiArgs) -> anyhow::Result<ExitCode> {
    Console::of_process(|console| execute(args, OffsetDateTime::now_utc(), console))
}

fn execute(args: PkiArgs, now: OffsetDateTime, console: &mut Console) -> anyhow::Result<ExitCode> {
    let directory = args.dir;
    match args.command {
        PkiCommand::Init { name, days, force } => {
            let name = name.map_or_else(new_name, Ok)?;
            let authority = Authority::init(&directory, &Founding { name, days, force }, now)?;
            let end = day(authority.certificate().not_after);
            writeln!(
                console.out,
                "authority {:?} made in {}, valid until {end}",
                authority.certificate().subject.trim_start_matches("CN="),
                directory.display()
            )?;
            writeln!(
                console.err,
                "keep {} to yourself: whoever has it can be anybody",
                directory.join("ca.key").display()
            )?;
        }
        PkiCommand::Issue(issue) => {
            let (name, order) = order(issue)?;
            let issued = Authority::open(&directory)?.issue(&name, &order, now)?;
            report(&issued, "issued to", console)?;
            if issued.replaces {
                writeln!(
                    console.err,
                    "an earlier certificate of {name:?} is still valid; to take it back: latchgate pki revoke {name:?} --replaced",
                    name = name.as_str()
                )?;
            }
        }
        PkiCommand::Renew { ca: true, days, .. } => {
            let mut authority = Authority::open(&directory)?;
            authority.renew_own(days.unwrap_or(3650), now)?;
            let end = day(authority.certificate().not_after);
            writeln!(console.out, "authority renewed, valid until {end}: give ca.crt to those who trust it")?;
        }
        PkiCommand::Renew { name: Some(name), days, .. } => {
            let issued = Authority::open(&directory)?.renew(&name, days, now)?;
            report(&issued, "renewed for", console)?;
        }
        PkiCommand::Renew { name: None, within, days, .. } => {
            return renew_all(&directory, within, days, now, console);
        }
        PkiCommand::Revoke { name, replaced } => {
            let mut authority = Authority::open(&directory)?;
            let count = authority.revoke(&name, replaced, now)?;
            let list = authority.directory().join("revoked.pem");
            writeln!(
                console.out,
                "{count} certificate(s) of {:?} revoked in {}",
                name.as_str(),
                list.display()
            )?;
        }
        PkiCommand::Show(args) => show::execute(args, &directory, now, console)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Renews everything that ends soon. One that cannot be renewed does not keep the others from it.
fn renew_all(
    directory: &Path,
    within: u32,
    days: Option<u32>,
    now: OffsetDateTime,
    console: &mut Console,
) -> anyhow::Result<ExitCode> {
    let mut authority = Authority::open(directory)?;
    let ending = authority.ending(within, now)?;
    if ending.is_empty() {
        writeln!(console.out, "nothing ends within {within} days")?;
    }
    let mut status = ExitCode::SUCCESS;
    for name in ending {
        match authority.renew(&name, days, now) {
            Ok(issued) => report(&issued, "renewed for", console)?,
            Err(error) => {
                writeln!(console.err, "latchgate: {error}")?;
                status = ExitCode::from(super::FAILED);
            }
        }
    }
    let left = days_left(authority.certificate().not_after, now);
    if left < i64::from(within) {
        writeln!(console.err, "the authority itself ends in {left} days: latchgate pki renew --ca")?;
    }
    Ok(status)
}

fn report(issued: &Issued, what: &str, console: &mut Console) -> anyhow::Result<()> {
    let end = day(issued.not_after);
    writeln!(console.out, "certificate {what} {:?}, valid until {end}", issued.name)?;
    writeln!(console.out, "{}", issued.certificate.display())?;
    if let Some(key) = &issued.key {
        writeln!(console.out, "{}", key.display())?;
    }
    if issued.shortened {
        writeln!(
            console.err,
            "it ends with the authority: no certificate is valid for longer than its authority"
        )?;
    }
    Ok(())
}

/// The day of a time.
fn day(seconds: i64) -> String {
    date(seconds).chars().take_while(|c| *c != 'T').collect()
}

/// A name for an authority that none other is likely to have.
pub(super) fn new_name() -> anyhow::Result<Name> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(PkiError::from)?;
    Ok(format!("Latchgate CA {:08x}", u32::from_be_bytes(bytes)).parse()?)
}

fn order(args: IssueArgs) -> anyhow::Result<(Name, Order)> {
    let IssueArgs { name, server, client, bridge, mut sans, days, csr, force } = args;
    let mut uses = Vec::new();
    if server {
        uses.push(Use::Server);
    }
    if client || bridge || !server {
        uses.push(Use::Client);
    }
    if server && sans.is_empty() {
        // What clients compare with the address they connect to are these names, not the common name.
        sans.push(name.as_str().parse().map_err(|_| {
            BadUsage(format!(
                "{:?} is no DNS name or IP address: say with --san how the server is reached",
                name.as_str()
            ))
        })?);
    }
    let request = csr.map(|path| read_request(&path)).transpose()?;
    Ok((name, Order { uses, sans, days, request, force }))
}

fn read_request(path: &Path) -> anyhow::Result<Request> {
    let mut bytes = Vec::new();
    let file =
        std::fs::File::open(path).with_context(|| format!("cannot open the request {}", path.display()))?;
    file.take(LARGEST_REQUEST)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the request {}", path.display()))?;
    Ok(Request::parse(&bytes, path)?)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
