//! `latchgate pki show`: everything that was issued, or what one file says.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::json;
use time::OffsetDateTime;

use super::day;
use crate::cli::console::{Console, shown};
use crate::pki::{Authority, Certificate, State, date, days_left};

/// Largest file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// List what was issued, with the days it has left; or show what the certificates in a file say
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// A file with certificates (PEM or DER), from whichever authority
    file: Option<PathBuf>,
    /// List those too that were replaced
    #[arg(long, conflicts_with = "file")]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows what was asked for.
pub fn execute(
    args: ShowArgs,
    directory: &Path,
    now: OffsetDateTime,
    console: &mut Console,
) -> anyhow::Result<()> {
    match &args.file {
        Some(file) => show_file(file, args.json, now, console),
        None => list(directory, args.all, args.json, now, console),
    }
}

fn list(
    directory: &Path,
    all: bool,
    as_json: bool,
    now: OffsetDateTime,
    console: &mut Console,
) -> anyhow::Result<()> {
    let authority = Authority::open(directory)?;
    let own = authority.certificate();
    let mut list = authority.list(now)?;
    list.retain(|one| all || one.state != State::Replaced);
    if as_json {
        return console.json(&json!({ "authority": with_days(own, now)?, "certificates": list }));
    }
    let text = |state: State| match state {
        State::Valid => "valid",
        State::Expired => "expired",
        State::Revoked => "revoked",
        State::Replaced => "replaced",
    };
    let state = if own.not_after < now.unix_timestamp() { State::Expired } else { State::Valid };
    let left = days_left(own.not_after, now).to_string();
    let name = own.subject.trim_start_matches("CN=").to_owned();
    let mut rows =
        vec![[name, "authority".into(), text(state).into(), left, day(own.not_after), own.serial.clone()]];
    rows.extend(list.into_iter().map(|one| {
        let uses: Vec<_> = one.uses.iter().map(ToString::to_string).collect();
        [
            one.name,
            uses.join(","),
            text(one.state).into(),
            one.days.to_string(),
            day(one.not_after),
            one.serial,
        ]
    }));
    console.table(["NAME", "USE", "STATE", "DAYS", "UNTIL", "SERIAL"], &rows)
}

fn show_file(file: &Path, as_json: bool, now: OffsetDateTime, console: &mut Console) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let failed = || format!("cannot read {}", file.display());
    let opened = std::fs::File::open(file).with_context(failed)?;
    opened.take(LARGEST).read_to_end(&mut bytes).with_context(failed)?;
    let certificates =
        Certificate::read_all(&bytes).map_err(|why| anyhow!("{} cannot be shown: {why}", file.display()))?;
    if as_json {
        let all: Vec<_> = certificates.iter().map(|one| with_days(one, now)).collect::<Result<_, _>>()?;
        return console.json(&all);
    }
    for (at, one) in certificates.iter().enumerate() {
        if at > 0 {
            writeln!(console.out)?;
        }
        let mut uses: Vec<_> = one.uses.iter().map(ToString::to_string).collect();
        uses.extend(one.ca.then(|| "authority".to_owned()));
        let left = match days_left(one.not_after, now) {
            left if left < 0 => format!("ended {} day(s) ago", -left),
            left => format!("{left} day(s) left"),
        };
        for (what, value) in [
            ("subject", &one.subject),
            ("issuer", &one.issuer),
            ("names", &one.sans.join(", ")),
            ("use", &uses.join(", ")),
            ("from", &date(one.not_before)),
            ("until", &format!("{}, {left}", date(one.not_after))),
            ("key", &one.key),
            ("serial", &one.serial),
            ("sha256", &one.fingerprint),
        ] {
            writeln!(console.out, "{what:<8} {}", shown(value))?;
        }
    }
    Ok(())
}

/// A certificate as JSON, with the days it has left.
fn with_days(certificate: &Certificate, now: OffsetDateTime) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(certificate)?;
    value["days"] = days_left(certificate.not_after, now).into();
    Ok(value)
}
