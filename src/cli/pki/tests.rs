//! The commands of the authority, with the time handed in.

use clap::Parser;

use super::super::console::piped;
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: PkiArgs,
}

/// Runs `pki` with these words in a directory, some days after its making; its output and its remarks.
fn pki(directory: &Path, after: i64, words: &[&str]) -> Result<(String, String), String> {
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000 + after * 86_400).unwrap();
    let dir = directory.join("pki");
    let line = [&["pki", "--dir", dir.to_str().unwrap()], words].concat();
    let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
    let (result, out, err) = piped("", |console| execute(line.args, now, console));
    match result {
        Ok(_) => Ok((out, err)),
        Err(error) => Err(format!("{error:#}")),
    }
}

#[test]
fn what_was_issued_is_listed_with_the_days_it_has_left() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    pki(place, 0, &["init", "--name", "Home"]).unwrap();
    pki(place, 0, &["issue", "lamp", "--days", "30"]).unwrap();
    pki(place, 0, &["issue", "gateway.example", "--server", "--client"]).unwrap();
    let (table, _) = pki(place, 10, &["show"]).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "USE", "STATE", "DAYS", "UNTIL", "SERIAL"]);
    assert_eq!(rows[1][..4], ["Home", "authority", "valid", "3640"]);
    assert_eq!(rows[2][..4], ["gateway.example", "server,client", "valid", "815"]);
    assert_eq!(rows[3][..5], ["lamp", "client", "valid", "20", "2027-02-14"]);
    let (json, _) = pki(place, 31, &["show", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["authority"]["days"], 3619);
    let lamp = &json["certificates"][1];
    assert_eq!((&lamp["state"], &lamp["days"]), (&"expired".into(), &(-1).into()));
    assert_eq!(lamp["not_after"], "2027-02-14T08:00:00Z");
    assert_eq!(json["certificates"][0]["sans"], serde_json::json!(["gateway.example"]));
}

#[test]
fn what_ends_soon_is_renewed_and_the_authority_s_own_end_is_told() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    pki(place, 0, &["init", "--days", "100"]).unwrap();
    pki(place, 0, &["issue", "lamp", "--days", "40"]).unwrap();
    pki(place, 0, &["issue", "phone", "--days", "90"]).unwrap();
    assert!(pki(place, 5, &["renew"]).unwrap().0.contains("nothing ends within 30 days"));
    let (out, _) = pki(place, 20, &["renew"]).unwrap();
    assert!(out.contains("lamp") && !out.contains("phone"), "{out}");
    let (out, err) = pki(place, 85, &["renew"]).unwrap();
    assert!(
        out.contains("phone") && err.contains("pki renew --ca") && err.contains("no certificate"),
        "{out}{err}"
    );
    pki(place, 85, &["renew", "--ca"]).unwrap();
    let (_, err) = pki(place, 85, &["renew", "phone"]).unwrap();
    assert_eq!(err, "");
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    assert!(pki(place, 0, &["show"]).unwrap_err().contains("pki init"));
    pki(place, 0, &["init"]).unwrap();
    for (line, words) in [
        (&["init"][..], "exists already"),
        (&["issue", "../x"], "no \"/\""),
        (&["issue", "lamp", "--days", "0"], "0"),
        (&["issue", "lamp", "--san", "lamp.example"], "--server"),
        (&["issue", "living room", "--server"], "--san"),
        (&["issue", "lamp", "--server", "--san", "1.2.3"], "neither"),
        (&["issue", "lamp", "--csr", "/nowhere.csr"], "/nowhere.csr"),
        (&["renew", "lamp"], "pki show"),
        (&["renew", "lamp", "--within", "3"], "cannot be used"),
        (&["revoke", "lamp"], "pki show"),
        (&["show", "/nowhere.crt"], "/nowhere.crt"),
    ] {
        let error = pki(place, 0, line).expect_err(&format!("{line:?}"));
        assert!(error.contains(words), "{line:?}: {error}");
    }
    assert_eq!(pki(place, 0, &["show"]).unwrap().0.lines().count(), 2);
    let key = place.join("pki/ca.key");
    let error = pki(place, 0, &["show", key.to_str().unwrap()]).unwrap_err();
    assert!(error.contains("private key") && !error.contains("BEGIN"), "{error}");
}
