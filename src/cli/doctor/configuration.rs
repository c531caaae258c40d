//! The configuration and the files that it names.

use super::finding::Findings;
use crate::config::{Config, ConfigError};
use crate::gateway;
use crate::net::tls::{Kind, Term, now};

/// Everything that `check` would say, but for the terms of certificates, which are the clock's.
pub fn look(config: &Config, findings: &mut Findings) {
    let place = match &config.file {
        Some(file) => file.display().to_string(),
        None => "no configuration file".to_owned(),
    };
    for warning in config.warnings() {
        findings.warn(&place, warning, "change it, if it is not meant so");
    }
    match gateway::open_tls(config) {
        Ok(opened) => {
            for tls in opened.iter().flatten() {
                for warning in tls.warnings() {
                    findings.warn(&place, warning, "");
                }
                let is_overdue = |term: &Term| term.kind == Kind::Crl && term.left(now()) <= 0;
                if tls.terms().iter().any(is_overdue) {
                    let what = "a list of revoked certificates is overdue; it is used all the same";
                    findings.warn(format!("listener {:?}", tls.listener()), what, "make a new list");
                }
            }
        }
        Err(error) => wrong(&error, findings),
    }
    let opened = [
        gateway::open_policy_settings(config).map(drop),
        gateway::open_latch(config).map(drop),
        gateway::open_dialers(config).map(drop),
    ];
    for error in opened.into_iter().filter_map(Result::err) {
        wrong(&error, findings);
    }
    if findings.all_is_fine() {
        findings.fine(place, "the configuration is right, and the files that it names can be used");
    }
}

/// What is wrong with a configuration, place by place.
pub fn wrong(error: &ConfigError, findings: &mut Findings) {
    let file = error.file().display();
    if error.problems().is_empty() {
        findings.wrong(file, error, "name another file with --config, or mend this one");
        return;
    }
    for problem in error.problems() {
        let place = format!("{file}:{}:{}", problem.line, problem.column);
        findings.wrong(place, &problem.what, &problem.help);
    }
}
