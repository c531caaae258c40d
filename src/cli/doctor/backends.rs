//! The backends that logins and rights are asked of.

use super::finding::Findings;
use crate::clock;
use crate::config::Config;
use crate::gateway;
use crate::policy::auth::{
    backend::Answer,
    backends::Kind,
    desk::{Desk, NOBODY, Probed},
};

/// Opens every backend, and asks those elsewhere about somebody who does not exist.
pub async fn look(config: &Config, findings: &mut Findings) {
    // Wrong files were told with the configuration, at their place.
    let Ok(settings) = gateway::open_policy_settings(config) else {
        return findings.wrong(
            "[auth]",
            "the backends cannot be opened",
            "see what is said of the configuration",
        );
    };
    for backend in &settings.backends.list {
        let place = format!("backend {:?}", &*backend.name);
        match &backend.kind {
            Kind::Asked(desk) => ask(desk, backend.superusers, &place, findings).await,
            Kind::Sqlite => findings.fine(place, "accounts.db in the state directory"),
            Kind::Files(_) => findings.fine(place, "its files are read and understood"),
        }
    }
}

/// `superusers`: whether what it says of them counts.
async fn ask(desk: &Desk, superusers: bool, place: &str, findings: &mut Findings) {
    let probed = match desk.probe().await {
        Ok(probed) => probed,
        Err(error) => {
            return findings.wrong(place, format!("no random numbers: {error}"), "see the system's log");
        }
    };
    for Probed { question, outcome } in probed {
        match outcome {
            _ if question == "superuser" && !superusers => {}
            Err(failure) if failure.undated => findings.wrong(
                place,
                format!("it cannot be asked ({question}): {}", failure.what),
                clock::HELP,
            ),
            Err(failure) => findings.wrong(
                place,
                format!("it does not answer ({question}): {}", failure.what),
                "does it run, and is its address in the configuration right? until it answers, `on_error` says what counts",
            ),
            Ok((Answer::Allow, why)) if question != "rights" => findings.wrong(
                place,
                format!("it says yes to anybody ({question}): {NOBODY:?} with a password of chance was allowed: {why}"),
                "what answers is not the service that was meant, or it is open to all: compare the address and `answer`",
            ),
            Ok((answer, why)) => findings.fine(place, format!("it answers ({question}): {}, {why}", answer.word())),
        }
    }
}
