//! The clock: whether it was ever set, and what certificates say to it. A board without a battery begins somewhere in the
//! past; then certificates are "not valid yet", and a token's or schedule's times mean nothing.

use std::{collections::BTreeSet, path::Path, process::Command};

use time::OffsetDateTime;

use super::finding::Findings;
use crate::clock;
use crate::config::{Config, NamedFile};
use crate::gateway::compare_clock;
use crate::pki::{Certificate, EARLIEST, date, days_left};
use crate::store::last_written;

/// How far a file's time may be ahead, in seconds: file systems round, and a clock that is set may jump a little.
const AHEAD: i64 = 60;
/// Days left on which the end of a certificate is told.
const SOON: i64 = 30;

/// Compares the clock with what is known of the time.
pub fn look(config: &Config, findings: &mut Findings) {
    let now = OffsetDateTime::now_utc();
    let seconds = now.unix_timestamp();
    compare_clock(&config.gateway.state);
    let written = last_written(&config.gateway.state).filter(|(_, at)| *at > seconds + AHEAD);
    let unset = clock::check().err();
    let help = match &written {
        Some(_) => format!("{}; {}", clock::HELP, clock::AHEAD_ONCE),
        None => clock::HELP.to_owned(),
    };
    let what = match (&written, unset) {
        _ if seconds < EARLIEST => Some(format!(
            "the clock is not set: it says {}, before this program existed: it was never set",
            date(seconds)
        )),
        (Some((file, at)), unset) => {
            let unset = if unset.is_some() { "the clock is not set: " } else { "" };
            Some(format!("{unset}it says {}, but {file} was written at {}", date(seconds), date(*at)))
        }
        (None, Some(why)) => Some(why.to_string()),
        (None, None) => None,
    };
    match what {
        Some(what) if unset.is_some() => {
            let what = format!(
                "{what}. Until it is set nothing is connected over TLS, and no client's certificate is taken"
            );
            findings.wrong("the clock", what, help);
        }
        Some(what) => findings.warn("the clock", format!("{what}: it is behind, or was ahead then"), help),
        None => synchronisation(seconds, findings),
    }
    // Nor are certificates judged here.
    if unset.is_some() {
        return;
    }
    for (file, is_server) in certificates(config) {
        // A file that is no certificate was told with the configuration.
        let Ok(all) = crate::file::read(&file.path, crate::file::PEM)
            .map_err(|_| ())
            .and_then(|bytes| Certificate::read_all(&bytes).map_err(|_| ()))
        else {
            continue;
        };
        for certificate in all {
            term(file, &certificate, is_server, now, findings);
        }
    }
}

/// Whether a time server sets the clock, as far as systemd knows.
fn synchronisation(now: i64, findings: &mut Findings) {
    let asked = Path::new("/run/systemd/system").exists().then(|| {
        Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output().ok()
    });
    match asked.flatten().as_ref().map(|output| output.stdout.trim_ascii()) {
        Some(b"no") => findings.warn(
            "the clock",
            format!(
                "it says {} and is not synchronised: no time server has set it since the start",
                date(now)
            ),
            clock::HELP,
        ),
        Some(b"yes") => findings.fine("the clock", format!("{}, synchronised", date(now))),
        _ => findings.fine("the clock", date(now)),
    }
}

/// Every file of certificates that the configuration names, once; and whether it is one that is shown by us.
fn certificates(config: &Config) -> Vec<(&NamedFile, bool)> {
    let mut all: Vec<(&NamedFile, bool)> = Vec::new();
    for tls in config.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
        all.push((&tls.certificate, true));
        all.extend(tls.client_ca.iter().map(|file| (file, false)));
    }
    for bridge in &config.bridges {
        all.extend(bridge.tls.certificate.iter().map(|file| (file, true)));
        all.extend(bridge.tls.ca.iter().map(|file| (file, false)));
    }
    all.extend(config.latch.ca.iter().map(|file| (file, false)));
    let mut seen = BTreeSet::new();
    all.retain(|(file, _)| seen.insert(&file.path));
    all
}

/// What the clock makes of one certificate.
fn term(
    file: &NamedFile,
    certificate: &Certificate,
    is_ours: bool,
    now: OffsetDateTime,
    findings: &mut Findings,
) {
    let Certificate { subject, not_before, not_after, .. } = certificate;
    let (place, seconds) = (file.path.display(), now.unix_timestamp());
    let renew = if is_ours {
        "renew it: `latchgate pki renew`, or whoever issued it"
    } else {
        "get the authority's new one"
    };
    let days = days_left(*not_after, now);
    if seconds < *not_before {
        let what =
            format!("{subject} is valid from {} on, and the clock says {}", date(*not_before), date(seconds));
        findings.wrong(
            place,
            what,
            format!("if the clock is wrong: {}; else renew the certificate", clock::HELP),
        );
    } else if seconds > *not_after {
        findings.wrong(place, format!("{subject} expired on {}", date(*not_after)), renew);
    } else if days < SOON {
        findings.warn(place, format!("{subject} expires in {days} days, on {}", date(*not_after)), renew);
    } else {
        findings.fine(place, format!("{subject} is valid until {}", date(*not_after)));
    }
}
