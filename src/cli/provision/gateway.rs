//! The configuration of the gateway, with what the card says.

use std::path::Path;

use super::apply::Place;
use crate::config::{Card, CardCertificate, Config, ConfigError, Tls};
use crate::gateway;

/// Between these lines stands what the card said; a later card replaces it.
const BEGIN: &str = "# Begin of what latchgate-setup.toml said.";
const END: &str = "# End of what latchgate-setup.toml said.";

/// The new text of the configuration, of the setup file `setup` with its `text`; `None`: it says nothing about the gateway.
///
/// # Errors
/// If a certificate, key or password on the card cannot be used; if the configuration there is cannot be read, or would be
/// wrong with the card's lines.
pub fn changed(card: &Card, text: &str, setup: &Path, place: &Place) -> anyhow::Result<Option<String>> {
    if card.device_id.is_none() && card.bridge.is_empty() && card.certificate.certificate.is_none() {
        return Ok(None);
    }
    // With its files, which still lie on the card: what is wrong with them has its place there.
    let mut said = Config { bridges: card.bridge.clone(), file: Some(setup.to_owned()), ..Config::builtin() };
    if let CardCertificate { certificate: Some(certificate), key: Some(key) } = card.certificate.clone() {
        said.listeners[0].tls = Some(Tls { certificate, key, ..Tls::default() });
    }
    gateway::open_dialers(&said)?;
    gateway::open_tls(&said)?;

    let mut lines: Vec<String> = place.configuration()?.lines().map(str::to_owned).collect();
    if let Some(id) = &card.device_id {
        set(&mut lines, "[gateway]", "id", id);
    }
    for (key, named) in [("certificate", &card.certificate.certificate), ("key", &card.certificate.key)] {
        let Some(named) = named else { continue };
        let name = named.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        set(&mut lines, "[listener.tls]", key, &name);
    }
    let mut begins = lines.len();
    if !card.bridge.is_empty() {
        if let (Some(begin), Some(end)) = (at(&lines, BEGIN), at(&lines, END)) {
            lines.drain(begin..=end.max(begin));
        }
        begins = lines.len();
        lines.push(BEGIN.to_owned());
        lines.extend(bridges(text)?.lines().map(str::to_owned));
        lines.push(END.to_owned());
    }
    let new = format!("{}\n", lines.join("\n"));
    Config::parse(&new, &place.file())
        .map_err(|error| of_the_card(error, begins, &lines, text, setup, &place.file()))?;
    Ok(Some(new))
}

/// What is wrong with the configuration once the card's bridges are in it, which begin after `begins` lines: if it is with
/// them, at their place on the card.
fn of_the_card(
    error: ConfigError,
    begins: usize,
    lines: &[String],
    text: &str,
    setup: &Path,
    file: &Path,
) -> anyhow::Error {
    let Some(problem) = error.problems().iter().find(|problem| problem.line > begins) else {
        let what = "the configuration of the gateway would be wrong with what the card says";
        return anyhow::Error::new(error).context(what);
    };
    let bridges = lines[begins..problem.line].iter().filter(|line| *line == "[[bridge]]").count();
    let help = format!("{}; this is about what {} has already", problem.help, file.display());
    Card::wrong_bridge(setup, text, bridges.saturating_sub(1), problem.what.clone(), help).into()
}

fn at(lines: &[String], wanted: &str) -> Option<usize> {
    lines.iter().position(|line| line == wanted)
}

/// Sets a key of a section, which is made if it is not there.
fn set(lines: &mut Vec<String>, section: &str, key: &str, value: &str) {
    let written = format!("{key} = {}", toml::Value::String(value.to_owned()));
    let Some(start) = lines.iter().position(|line| line.trim() == section) else {
        lines.extend([section.to_owned(), written]);
        return;
    };
    let end = lines[start + 1..]
        .iter()
        .position(|line| line.trim_start().starts_with('['))
        .map_or(lines.len(), |n| start + 1 + n);
    let is_key = |line: &String| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
    match lines[start + 1..end].iter().position(is_key) {
        Some(found) => lines[start + 1 + found] = written,
        None => lines.insert(start + 1, written),
    }
}

/// The card's bridges alone, as TOML.
fn bridges(text: &str) -> anyhow::Result<String> {
    let mut all: toml::Table = toml::from_str(text)?;
    let mut alone = toml::Table::new();
    if let Some(bridges) = all.remove("bridge") {
        alone.insert("bridge".to_owned(), bridges);
    }
    Ok(toml::to_string(&alone)?)
}
