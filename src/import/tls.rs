//! Encryption of a listener.

use std::path::{Path, PathBuf};

use super::{
    document::{Part, What},
    homes::Homes,
    model::Listener,
    reader,
    report::{Report, Verdict},
    settings::Settings,
};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};

/// The section `[listener.tls]`; none where Mosquitto would not encrypt.
///
/// # Errors
/// If Mosquitto would encrypt in a way that is not possible here: the listener must not be opened then.
pub(super) fn translate(
    listener: &Listener,
    folder: &Path,
    homes: &mut Homes,
    report: &mut Report,
) -> Result<Option<Part>, ()> {
    let settings = &listener.settings;
    let possible = decide(settings, report);
    if settings.has("psk_hint") || !possible {
        return Err(());
    }
    let (Some(certificate), Some(key)) = (settings.get("certfile"), settings.get("keyfile")) else {
        let half = settings.get("certfile").or_else(|| settings.get("keyfile"));
        for setting in ["cafile", "capath", "crlfile"].iter().filter_map(|key| settings.get(key)) {
            report.say(setting.line, NotNeeded, "without certfile and keyfile nothing is encrypted");
        }
        for login in
            ["use_identity_as_username", "use_subject_as_username"].iter().filter_map(|key| settings.get(key))
        {
            report.say(login.line, NotNeeded, "without certfile and keyfile nothing is encrypted");
        }
        return match half {
            None if settings.is_on("require_certificate") => {
                if let Some(required) = settings.get("require_certificate") {
                    let note = "without certfile and keyfile no certificate can be asked for; the listener is left out";
                    report.say(required.line, NotPossible, note);
                }
                Err(())
            }
            None => Ok(None),
            Some(half) => {
                report.say(
                    half.line,
                    NotPossible,
                    "Mosquitto needs both certfile and keyfile; the listener is left out",
                );
                Err(())
            }
        };
    };
    let mut part = Part::new(What::Inner, "[listener.tls]");
    for (name, setting) in [("certificate", certificate), ("key", key)] {
        let path = reader::located(setting.text().unwrap_or_default(), folder);
        part.set(name, path.to_string_lossy().as_ref(), &[setting.line]);
        report.say(
            setting.line,
            Translated,
            format!("listener.tls.{name}; the gateway's user must be able to read it"),
        );
    }
    let required = settings.get("require_certificate").filter(|required| required.is_on());
    let identity = settings.get("use_identity_as_username").filter(|identity| identity.is_on());
    let subject = settings.get("use_subject_as_username").filter(|subject| subject.is_on());
    if let Some(login) = identity.or(subject)
        && required.is_none()
    {
        let note = "Mosquitto asks for no certificate and then refuses clients that have none; here it is asked for and required";
        report.say(login.line, Changed, note);
    }
    if required.or(identity).or(subject).is_none() {
        for setting in ["cafile", "capath", "crlfile"].iter().filter_map(|key| settings.get(key)) {
            report.say(setting.line, NotNeeded, "no client shows a certificate on this listener");
        }
        return Ok(Some(part));
    }
    authorities(settings, folder, &mut part, homes, report)?;
    let lines: Vec<_> = required.or(identity).or(subject).iter().map(|setting| setting.line).collect();
    part.set("client_certificate", "required", &lines);
    if let Some(required) = required {
        report.say(required.line, Translated, "listener.tls.client_certificate");
    }
    if let Some(identity) = identity {
        part.set("username_from", "common-name", &[identity.line]);
        report.say(identity.line, Translated, "listener.tls.username_from");
        if let Some(subject) = subject {
            report.say(subject.line, NotNeeded, "use_identity_as_username counts before it");
        }
    } else if let Some(subject) = subject {
        part.set("username_from", "subject", &[subject.line]);
        report.say(subject.line, Translated, "listener.tls.username_from");
    }
    if let Some(crl) = settings.get("crlfile") {
        part.set(
            "crl",
            reader::located(crl.text().unwrap_or_default(), folder).to_string_lossy().as_ref(),
            &[crl.line],
        );
        report.say(
            crl.line,
            Translated,
            "listener.tls.crl; a certificate whose authority has no list in it is refused",
        );
    }
    Ok(Some(part))
}

/// The authorities that clients' certificates come from. Those of a folder, or of both, become one file.
fn authorities(
    settings: &Settings,
    folder: &Path,
    part: &mut Part,
    homes: &mut Homes,
    report: &mut Report,
) -> Result<(), ()> {
    let file = settings.get("cafile");
    let path = settings.get("capath");
    match (file, path) {
        (None, None) => {
            if let Some(required) = settings.get("require_certificate") {
                report.say(
                    required.line,
                    NotPossible,
                    "no cafile says whose certificates are right; the listener is left out",
                );
            }
            Err(())
        }
        (Some(file), None) => {
            let ca = reader::located(file.text().unwrap_or_default(), folder);
            part.set("client_ca", ca.to_string_lossy().as_ref(), &[file.line]);
            report.say(file.line, Translated, "listener.tls.client_ca");
            Ok(())
        }
        (file, Some(path)) => {
            let mut pem = Vec::new();
            if let Some(file) = file {
                pem.extend(
                    reader::bytes(&reader::located(file.text().unwrap_or_default(), folder)).map_err(
                        |error| {
                            report.say(file.line, NotPossible, error.to_string());
                        },
                    )?,
                );
                report.say(file.line, Changed, "it is copied, together with the authorities of capath");
            }
            let place = reader::located(path.text().unwrap_or_default(), folder);
            pem.extend(hashed(&place).map_err(|why| report.say(path.line, NotPossible, why))?);
            let name = homes.file("authorities", "pem", pem);
            part.set("client_ca", name.as_str(), &[path.line]);
            let note =
                "the authorities of the folder are copied into one file: a new one has to be added there";
            report.say(path.line, Changed, note);
            Ok(())
        }
    }
}

/// The certificates of a folder that OpenSSL would find in it: those that are named by their hash.
pub(super) fn hashed(folder: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("{}: cannot read it: {error}", folder.display());
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_hash = name.split_once('.').is_some_and(|(hash, number)| {
            hash.len() == 8
                && hash.bytes().all(|b| b.is_ascii_hexdigit())
                && number.bytes().all(|b| b.is_ascii_digit())
        });
        if is_hash {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(format!(
            "{}: it holds no certificate under its hash (c_rehash names them)",
            folder.display()
        ));
    }
    files.sort();
    let mut pem = Vec::new();
    for file in files {
        pem.extend(reader::bytes(&file).map_err(|error| error.to_string())?);
        pem.push(b'\n');
    }
    Ok(pem)
}

/// What the remaining keys mean; `false`: the listener cannot be as Mosquitto's is.
fn decide(settings: &Settings, report: &mut Report) -> bool {
    let mut possible = true;
    for setting in settings.iter() {
        let (verdict, note) = match setting.key {
            "require_certificate" | "use_identity_as_username" | "use_subject_as_username"
                if !setting.is_on() =>
            {
                (NotNeeded, "")
            }
            // Said where the section is written.
            "require_certificate" | "use_identity_as_username" | "use_subject_as_username" => continue,
            "tls_version" => match setting.text() {
                Some("tlsv1.2") => (Translated, "TLS 1.2 and 1.3 are offered, nothing older"),
                Some("tlsv1.3") => (Changed, "TLS 1.2 is offered as well"),
                _ => (Changed, "nothing older than TLS 1.2 is offered"),
            },
            "ciphers" | "ciphers_tls1.3" => {
                (Changed, "the cipher suites are those of rustls; weak ones are not among them")
            }
            "dhparamfile" => (NotNeeded, "key exchange is by elliptic curves"),
            "disable_client_cert_date_checks" if !setting.is_on() => (NotNeeded, ""),
            "disable_client_cert_date_checks" => {
                (NotPossible, "certificates that are out of date are refused: renew them")
            }
            "tls_engine" | "tls_engine_kpass_sha1" => {
                possible = false;
                (NotPossible, "keys are read from files only; the listener is left out")
            }
            "tls_keyform" if setting.word() == "engine" => {
                possible = false;
                (NotPossible, "keys are read from files only; the listener is left out")
            }
            "tls_keyform" => (NotNeeded, ""),
            "psk_hint" => (
                NotPossible,
                "there is no TLS-PSK: give clients certificates (latchgate pki); the listener is left out",
            ),
            _ => continue,
        };
        report.say(setting.line, verdict, note);
    }
    possible
}
