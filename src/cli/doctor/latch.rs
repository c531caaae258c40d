//! The Latch service: whether it answers, and knows this application.

use super::finding::Findings;
use crate::clock;
use crate::config::Config;
use crate::gateway;
use crate::latch::Fault;

/// Asks the service for the application's operations: that proves identifier, secret, clock and certificate at once.
pub async fn look(config: &Config, findings: &mut Findings) {
    let place = &config.latch.host;
    let client = match gateway::open_latch(config) {
        Ok(Some((client, _))) => client,
        Ok(None) => return findings.fine("[latch]", "Latch is not used"),
        Err(_) => {
            return findings.wrong("[latch]", "it cannot be used", "see what is said of the configuration");
        }
    };
    match client.operations().await {
        Ok(list) => {
            findings.fine(place, format!("it answers, and knows the application ({} operations)", list.len()))
        }
        Err(error) => {
            let help = match error.fault() {
                Fault::NotAnswering if clock::check().is_err() => clock::HELP,
                Fault::NotAnswering => {
                    "is there a way to it (DNS, firewall, proxy), and is `latch.host` right? `latch.on_error` says what counts until then"
                }
                // What to do is part of the others.
                _ => {
                    "until then `latch.on_error` says what counts; a wrong secret or clock closes in every case"
                }
            };
            findings.wrong(place, error, help);
        }
    }
}
