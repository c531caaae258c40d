//! `latchgate setup`: what a new gateway needs before it can let anybody in.

use std::{
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use time::OffsetDateTime;
use tracing::level_filters::LevelFilter;

use super::{context::Context, output};
use crate::{
    clock,
    config::Config,
    gateway::{self, recovery},
    pki::{Authority, Founding, Issued, Order, San, Use, date},
    store::AccountsDb,
    system::log,
};

/// Name of the certificate: `pki/issued/gateway.crt` and `.key` in the state directory.
const NAME: &str = "gateway";
/// How long certificate and authority are valid. The clock of a board without a battery may be years behind when they are made.
const DAYS: u32 = 3650;
/// How long the first administrator's password works: whoever sets the device up may read it days later.
const FIRST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The same where the clock is not set: the week may be over the moment it is.
const UNDATED: Duration = Duration::from_secs(DAYS as u64 * 24 * 60 * 60);

/// Prepare a new gateway: a certificate for its listeners, and a first administrator
///
/// What is there stays: run again, it does nothing. If a listener has `pki/issued/gateway.crt` of the state directory as its
/// certificate, that one is made, and an authority in `pki` which signs it; clients trust `pki/ca.crt`. If there is no
/// account, an administrator is made, whose password is shown and works once: within a week, or, where the clock is not set, until it
/// was used.
#[derive(Debug, clap::Args)]
pub struct SetupArgs {
    /// A DNS name or IP address by which the gateway is reached; may be repeated [default: host name, host name.local,
    /// localhost, 127.0.0.1 and ::1]
    #[arg(long = "san", value_name = "DNS|IP", num_args = 1..)]
    sans: Vec<San>,
}

/// Does what is not done yet.
pub fn run(args: SetupArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    // Whatever the configuration says: what is shown here must reach the console.
    log::start(LevelFilter::INFO, log::Target::Text)?;
    let state = &config.gateway.state;
    as_the_gateway(state)?;
    gateway::compare_clock(state);
    // It makes the state directory too.
    let accounts = AccountsDb::open(state)?;
    let authority = state.join("pki");
    let mut out = output::stdout();
    if is_wanted(&config, &authority) {
        let sans = if args.sans.is_empty() { own_names() } else { args.sans };
        let issued = certify(&authority, sans.clone(), clock::known())?;
        let names: Vec<_> = sans.iter().map(San::to_string).collect();
        writeln!(out, "certificate made for {}, valid until {}", names.join(", "), date(issued.not_after))?;
        writeln!(out, "clients trust {}", authority.join("ca.crt").display())?;
    }
    out.flush()?;
    if accounts.users()?.is_empty() {
        let lifetime = if clock::check().is_ok() { FIRST } else { UNDATED + behind() };
        recovery::make_administrator_for(lifetime, &accounts, "first start")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// By how much the clock is behind what has been, so that it makes no odds when it is set.
fn behind() -> Duration {
    (clock::known() - OffsetDateTime::now_utc()).try_into().unwrap_or_default()
}

/// Root must not leave files behind that the gateway cannot read.
fn as_the_gateway(state: &Path) -> anyhow::Result<()> {
    let Ok(directory) = std::fs::metadata(state) else { return Ok(()) };
    let we = rustix::process::geteuid();
    if we.is_root() && directory.uid() != we.as_raw() {
        bail!(
            "{} belongs to the gateway's user (number {}): run this as that user, as in `sudo -u latchgate latchgate setup`",
            state.display(),
            directory.uid()
        );
    }
    Ok(())
}

/// Whether a listener shows the certificate that is made here, and it is not there.
fn is_wanted(config: &Config, authority: &Path) -> bool {
    let file = |end: &str| -> PathBuf { authority.join("issued").join(format!("{NAME}.{end}")) };
    let (certificate, key) = (file("crt"), file("key"));
    let shows = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let is_named = shows.into_iter().any(|tls| tls.certificate.path == certificate && tls.key.path == key);
    is_named && !certificate.exists()
}

/// Makes the authority, unless it is there, and the certificate.
fn certify(directory: &Path, sans: Vec<San>, now: OffsetDateTime) -> anyhow::Result<Issued> {
    let mut authority = match directory.join("ca.crt").exists() {
        true => Authority::open(directory)?,
        false => {
            let name = super::pki::new_name()?;
            Authority::init(directory, &Founding { name, days: DAYS, force: false }, now)?
        }
    };
    // A key without a certificate is left over from an attempt that was cut off; nobody has used it.
    let order = Order { uses: vec![Use::Server], sans, days: DAYS, request: None, force: true };
    let name = NAME.parse().expect("it is a name");
    authority.issue(&name, &order, now).context("the gateway's certificate cannot be made")
}

/// The names by which the gateway is most likely reached.
fn own_names() -> Vec<San> {
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let local = format!("{host}.local");
    let mut names: Vec<San> = Vec::new();
    for name in [host.as_str(), local.as_str(), "localhost", "127.0.0.1", "::1"] {
        // A host may have a name that is none for a certificate.
        let Ok(name) = name.parse::<San>() else { continue };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
