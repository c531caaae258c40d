//! How a bridge logs in, and how its connection is encrypted.

use std::path::Path;

use super::super::{
    document::{Part, What},
    homes::Homes,
    reader,
    report::{Report, Verdict},
    settings::Settings,
};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};

/// The login on the remote broker. The password goes to a file of its own.
pub(super) fn credentials(
    settings: &Settings,
    bridge: &str,
    part: &mut Part,
    homes: &mut Homes,
    report: &mut Report,
) {
    let user = settings.get("remote_username");
    if let Some(user) = user {
        part.set("username", user.text().unwrap_or_default(), &[user.line]);
        report.say(user.line, Translated, "bridge.username");
    }
    let Some(password) = settings.get("remote_password") else { return };
    if user.is_none() {
        report.say(password.line, NotNeeded, "Mosquitto sends none without remote_username");
        return;
    }
    let text = password.text().unwrap_or_default();
    let file = homes.file(&format!("bridge-{bridge}"), "password", format!("{text}\n").into_bytes());
    report.say(password.line, Translated, format!("bridge.password_file: {file}"));
    part.set("password_file", file, &[password.line]);
}

/// `[bridge.tls]`; `false`: not as Mosquitto does it.
pub(super) fn tls(
    settings: &Settings,
    encrypted: bool,
    folder: &Path,
    part: &mut Part,
    homes: &mut Homes,
    report: &mut Report,
) -> bool {
    let mut tls = Part::new(What::Inner, "[bridge.tls]");
    let mut possible = true;
    for setting in settings.iter() {
        let path =
            || reader::located(setting.text().unwrap_or_default(), folder).to_string_lossy().into_owned();
        let (verdict, note) = match setting.key {
            "bridge_cafile" => {
                tls.set("ca", path(), &[setting.line]);
                (Translated, "bridge.tls.ca".to_owned())
            }
            "bridge_capath" => match super::super::tls::hashed(path().as_ref()) {
                Ok(pem) => {
                    let name = homes.file("bridge-authorities", "pem", pem);
                    if settings.has("bridge_cafile") {
                        (NotNeeded, "the authority of bridge_cafile is used".to_owned())
                    } else {
                        tls.set("ca", name, &[setting.line]);
                        (Changed, "the authorities of the folder are copied into one file: a new one has to be added there".to_owned())
                    }
                }
                // Those of the system are what such a folder mostly holds.
                Err(_) if setting.text().is_some_and(|path| path.trim_end_matches('/') == "/etc/ssl/certs") => {
                    (Translated, "the system's authorities are trusted".to_owned())
                }
                Err(why) => {
                    possible = false;
                    (NotPossible, why)
                }
            },
            "bridge_certfile" => {
                tls.set("certificate", path(), &[setting.line]);
                (Translated, "bridge.tls.certificate".to_owned())
            }
            "bridge_keyfile" => {
                tls.set("key", path(), &[setting.line]);
                (Translated, "bridge.tls.key".to_owned())
            }
            "bridge_alpn" if encrypted => {
                let names = vec![toml::Value::from(setting.text().unwrap_or_default())];
                tls.set("alpn", names, &[setting.line]);
                (Translated, "bridge.tls.alpn".to_owned())
            }
            "bridge_alpn" => (NotNeeded, "the bridge is not encrypted".to_owned()),
            "bridge_insecure" if !setting.is_on() => (NotNeeded, String::new()),
            "bridge_insecure" => {
                (Changed, "the name in the remote broker's certificate is looked at: if it has another, give it as bridge.tls.server_name".to_owned())
            }
            "bridge_require_ocsp" if !setting.is_on() => (NotNeeded, String::new()),
            "bridge_require_ocsp" => {
                (NotPossible, "revocation is not asked about (OCSP): have the remote broker's certificates live shortly".to_owned())
            }
            "bridge_tls_use_os_certs" => (Translated, "without bridge.tls.ca the system's authorities are trusted".to_owned()),
            "bridge_tls_version" => match setting.text() {
                Some("tlsv1.2") => (Translated, "TLS 1.2 and 1.3 are offered, nothing older".to_owned()),
                Some("tlsv1.3") => (Changed, "TLS 1.2 is offered as well".to_owned()),
                _ => (Changed, "nothing older than TLS 1.2 is offered".to_owned()),
            },
            "bridge_ciphers" | "bridge_ciphers_tls1.3" => {
                (Changed, "the cipher suites are those of rustls; weak ones are not among them".to_owned())
            }
            _ => continue,
        };
        report.say(setting.line, verdict, note);
    }
    if encrypted && !tls.is_empty() {
        part.parts.push(tls);
    }
    possible
}
