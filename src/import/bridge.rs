//! Connections to other brokers.

use std::path::Path;

use super::{
    document::{Part, What},
    homes::Homes,
    model::{Bridge, Model},
    reader,
    report::{Line, Report, Verdict},
    settings::{Setting, Settings},
    values,
};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};

/// The sections of all bridges.
pub(super) fn all(model: &Model, folder: &Path, homes: &mut Homes, report: &mut Report) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for bridge in &model.bridges {
        match translate(bridge, &mut names, folder, homes, report) {
            Some(part) => parts.push(part),
            None => {
                let lines: Vec<Line> =
                    bridge.settings.iter().map(|setting| setting.line).chain([bridge.line]).collect();
                let cause = bridge.settings.refusal.or_else(|| report.cause(&lines));
                report.leave_out_for(&lines, "the bridge is left out", cause);
            }
        }
    }
    parts
}

fn translate(
    bridge: &Bridge,
    names: &mut Vec<String>,
    folder: &Path,
    homes: &mut Homes,
    report: &mut Report,
) -> Option<Part> {
    let settings = &bridge.settings;
    let mut possible = true;
    let name = plain_name(&bridge.name, names);
    let mut part = Part::new(What::Bridge(name.clone()), "[[bridge]]");
    part.lines.push(bridge.line);
    report.say(bridge.line, Translated, "[[bridge]]");
    if name != bridge.name {
        report.say(bridge.line, Changed, format!("its name is {name} here"));
    }
    part.set("name", name.as_str(), &[]);
    // Mosquitto's default; ours is 5.
    part.set("protocol", "3.1.1", &[]);
    let encrypted = [
        "bridge_cafile",
        "bridge_capath",
        "bridge_certfile",
        "bridge_tls_version",
        "bridge_tls_use_os_certs",
    ]
    .iter()
    .any(|key| {
        settings.get(key).is_some_and(|setting| setting.key != "bridge_tls_use_os_certs" || setting.is_on())
    });
    match settings.get("address") {
        Some(address) => {
            let list = addresses(address, encrypted);
            match list.len() {
                0 => {
                    report.say(
                        address.line,
                        NotPossible,
                        "Mosquitto refuses it: no address, or no port from 1 to 65535",
                    );
                    possible = false;
                }
                1 => part.set("address", list[0].as_str(), &[address.line]),
                _ => part.set(
                    "address",
                    list.into_iter().map(toml::Value::from).collect::<Vec<_>>(),
                    &[address.line],
                ),
            }
            report.say(address.line, Translated, "bridge.address");
        }
        None => {
            report.say(bridge.line, NotPossible, "Mosquitto refuses it: it has no address");
            possible = false;
        }
    }
    client(bridge, &mut part, report);
    for setting in settings.iter() {
        possible &= decide(setting, settings, &mut part, report);
    }
    credentials(settings, &name, &mut part, homes, report);
    possible &= tls(settings, encrypted, folder, &mut part, homes, report);
    routes(settings, &mut part, report);
    if part.parts.iter().all(|inner| inner.head != "[[bridge.route]]") {
        report.say(bridge.line, NotPossible, "it has no topic that could be bridged");
        possible = false;
    }
    possible.then_some(part)
}

/// A name as bridges have it here, that no other has.
fn plain_name(name: &str, names: &mut Vec<String>) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .take(60)
        .collect();
    let plain = if plain.is_empty() { "bridge".to_owned() } else { plain };
    let mut free = plain.clone();
    for number in 2.. {
        if !names.contains(&free) {
            break;
        }
        free = format!("{plain}-{number}");
    }
    names.push(free.clone());
    free
}

/// The addresses of a line, as URLs; empty if one of them is wrong.
fn addresses(setting: &Setting, encrypted: bool) -> Vec<String> {
    let scheme = if encrypted { "mqtts" } else { "mqtt" };
    let words = setting.rest.split(' ').filter(|word| !word.is_empty());
    let read = words.take_while(|word| !word.starts_with('#')).map(|word| {
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) => (host, values::leading_number(port)),
            None => (word, 1883),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        (1..=65_535).contains(&port).then(|| format!("{scheme}://{host}:{port}"))
    });
    read.collect::<Option<Vec<String>>>().unwrap_or_default()
}

/// The client identifier: Mosquitto makes one of its host's name and the bridge's.
fn client(bridge: &Bridge, part: &mut Part, report: &mut Report) {
    match bridge.settings.get("remote_clientid") {
        Some(id) => {
            part.set("client_id", id.text().unwrap_or_default(), &[id.line]);
            report.say(id.line, Translated, "bridge.client_id");
        }
        None => {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            part.set("client_id", format!("{host}.{}", bridge.name), &[bridge.line]);
        }
    }
}

/// What each key means that is about neither login nor encryption; `false`: the bridge cannot be.
fn decide(setting: &Setting, settings: &Settings, part: &mut Part, report: &mut Report) -> bool {
    let number = setting.number();
    let lines = [setting.line];
    let (verdict, note) = match setting.key {
        "bridge_protocol_version" => match setting.text() {
            Some("mqttv50") => {
                part.set("protocol", "5", &lines);
                (Translated, "bridge.protocol")
            }
            Some("mqttv311") => {
                part.set("protocol", "3.1.1", &lines);
                (Translated, "bridge.protocol")
            }
            Some("mqttv31") => (Changed, "MQTT 3.1.1 is spoken: 3.1 is not by bridges"),
            _ => (NotPossible, "Mosquitto refuses it: mqttv31, mqttv311 or mqttv50"),
        },
        "cleansession" => {
            part.set("session", if setting.is_on() { "clean" } else { "durable" }, &lines);
            (Translated, "bridge.session")
        }
        "local_cleansession" if !setting.is_on() => {
            (NotNeeded, "messages of QoS 1 and 2 wait on disk in any case")
        }
        "local_cleansession" => (Changed, "messages of QoS 1 and 2 wait on disk while the bridge is away"),
        "keepalive_interval" if number > 65_535 => (NotPossible, "Mosquitto refuses it: at most 65535"),
        "keepalive_interval" => {
            part.set("keep_alive", number.max(5), &lines);
            (Translated, "bridge.keep_alive")
        }
        "notifications" | "notifications_local_only" => {
            let on = settings.flag("notifications") != Some(false);
            let local = settings.is_on("notifications_local_only");
            let value = match (on, local) {
                (false, _) => "none",
                (true, true) => "local",
                (true, false) => "both",
            };
            part.set("notifications", value, &lines);
            (Translated, "bridge.notifications")
        }
        "notification_topic" => (Changed, "the state is published as $SYS/broker/connection/CLIENT_ID/state"),
        "restart_timeout" => {
            let (first, rest) = values::word(&setting.rest).unwrap_or_default();
            let base = values::leading_number(first).clamp(1, 86_400);
            let cap = values::word(rest).map(|(word, _)| values::leading_number(word));
            if cap.is_some_and(|cap| cap < base) {
                (NotPossible, "Mosquitto refuses it: the cap is below the base")
            } else {
                part.set("retry_min", format!("{base}s"), &lines);
                part.set("retry_max", format!("{}s", cap.unwrap_or(base).clamp(1, 86_400)), &lines);
                (
                    Translated,
                    "bridge.retry_min and retry_max; the wait doubles from one to the other, by chance a little less",
                )
            }
        }
        "round_robin" if !setting.is_on() => (NotNeeded, ""),
        "round_robin" => {
            (Changed, "the first address is gone back to when it can be reached again: bridge.return_after")
        }
        "start_type" => match setting.word() {
            "automatic" => (NotNeeded, ""),
            "lazy" => (Changed, "the bridge is always connected"),
            "once" => (Changed, "the bridge connects again after a failure"),
            _ => (NotPossible, "Mosquitto refuses it: automatic, lazy or once"),
        },
        "threshold" | "idle_timeout" => {
            (NotNeeded, "it is about start_type lazy; the bridge is always connected")
        }
        "try_private" => (NotNeeded, "the bridge knows its own messages by other means"),
        "bridge_attempt_unsubscribe" => {
            (NotNeeded, "the bridge unsubscribes from what it has no route for any more")
        }
        "bridge_bind_address" => (Changed, "the system's routes choose the local address"),
        "bridge_max_packet_size" if number <= 0 => (NotNeeded, ""),
        "bridge_max_packet_size" => {
            (Changed, "with MQTT 5 the remote broker says what it takes; else limits.packet_size bounds it")
        }
        "bridge_max_topic_alias" => (NotNeeded, "the bridge uses no topic aliases"),
        "bridge_receive_maximum" if !(1..=65_535).contains(&number) => {
            (NotPossible, "Mosquitto refuses it: from 1 to 65535")
        }
        "bridge_receive_maximum" => {
            part.set("inflight", number.min(4096), &lines);
            (Translated, "bridge.inflight, at most 4096")
        }
        "bridge_session_expiry_interval" => (
            Changed,
            "the session on the remote broker is kept as long as that allows, or not at all: bridge.session",
        ),
        "bridge_outgoing_retain" => (Translated, "bridge.route.retain"),
        "bridge_reload_type" => {
            (Changed, "certificates and passwords are read again by themselves; other changes take a restart")
        }
        "bridge_tcp_keepalive" | "bridge_tcp_user_timeout" => {
            (Changed, "a connection that is silent for one and a half times bridge.keep_alive is given up")
        }
        "local_clientid" | "local_username" | "local_password" => (
            Changed,
            "the bridge needs no login here: it is bridge:NAME, with the rights of its routes, which rules can only narrow",
        ),
        "bridge_identity" | "bridge_psk" => {
            report.say(
                setting.line,
                NotPossible,
                "there is no TLS-PSK: use a certificate (bridge.tls); the bridge is left out",
            );
            return false;
        }
        _ => return true,
    };
    report.say(setting.line, verdict, note);
    true
}

/// The login on the remote broker. The password goes to a file of its own.
fn credentials(settings: &Settings, bridge: &str, part: &mut Part, homes: &mut Homes, report: &mut Report) {
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
fn tls(
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
            "bridge_capath" => match super::tls::hashed(path().as_ref()) {
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

/// One line `topic`, as Mosquitto reads it.
#[derive(Debug, PartialEq, Eq)]
struct Topic<'a> {
    pattern: &'a str,
    direction: &'static str,
    qos: i64,
    local: &'a str,
    remote: &'a str,
}

impl<'a> Topic<'a> {
    fn read(rest: &'a str) -> Result<Self, &'static str> {
        // A comment at the end is one only where a prefix or a QoS is looked for.
        let mut words = rest.split(' ').filter(|word| !word.is_empty());
        let empty = |word: &'a str| if word == "\"\"" { "" } else { word };
        let pattern = empty(words.next().ok_or("the topic is missing")?);
        let direction = match words.next() {
            None => "out",
            Some(word) if word.eq_ignore_ascii_case("out") => "out",
            Some(word) if word.eq_ignore_ascii_case("in") => "in",
            Some(word) if word.eq_ignore_ascii_case("both") => "both",
            Some(_) => return Err("the direction is in, out or both"),
        };
        let mut rest = words.take_while(|word| !word.starts_with('#'));
        let qos = rest.next().map_or(0, values::leading_number);
        if !(0..=2).contains(&qos) {
            return Err("the QoS is 0, 1 or 2");
        }
        let local = rest.next().map_or("", empty);
        let remote = rest.next().map_or("", empty);
        if pattern.is_empty() && (local.is_empty() || remote.is_empty()) {
            return Err("an empty topic needs both prefixes");
        }
        Ok(Topic { pattern, direction, qos, local, remote })
    }
}

fn routes(settings: &Settings, part: &mut Part, report: &mut Report) {
    let clear = settings.get("bridge_outgoing_retain").filter(|retain| !retain.is_on());
    for setting in settings.iter().filter(|setting| setting.key == "topic") {
        let Topic { pattern, direction, qos, local, remote } = match Topic::read(&setting.rest) {
            Ok(topic) => topic,
            Err(why) => {
                report.say(setting.line, NotPossible, format!("Mosquitto refuses it: {why}"));
                continue;
            }
        };
        let mut route = Part::new(What::Route, "[[bridge.route]]");
        route.lines.push(setting.line);
        route.set("topic", pattern, &[]);
        route.set("direction", direction, &[]);
        route.set("qos", qos, &[]);
        if !local.is_empty() {
            route.set("local_prefix", local, &[]);
        }
        if !remote.is_empty() {
            route.set("remote_prefix", remote, &[]);
        }
        if let Some(clear) = clear
            && direction != "in"
        {
            route.set("retain", "clear", &[clear.line]);
            if direction == "both" {
                report.say(setting.line, Changed, "nothing is retained on this side either");
            }
        }
        report.say(setting.line, Translated, "[[bridge.route]]");
        part.parts.push(route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_as_mosquitto_reads_them() {
        let read = |rest| {
            Topic::read(rest)
                .map(|t| (t.pattern.to_owned(), t.direction, t.qos, t.local.to_owned(), t.remote.to_owned()))
        };
        let is = |p: &str, d, q, l: &str, r: &str| Ok((p.to_owned(), d, q, l.to_owned(), r.to_owned()));
        assert_eq!(read("#"), is("#", "out", 0, "", ""));
        assert_eq!(read("a/#  IN 2 l/ r/"), is("a/#", "in", 2, "l/", "r/"));
        assert_eq!(
            read("lamp/changed out 1 \"\" devices/x/"),
            is("lamp/changed", "out", 1, "", "devices/x/")
        );
        assert_eq!(read("\"\" both 0 here there"), is("", "both", 0, "here", "there"));
        assert_eq!(read("a out # all of it"), is("a", "out", 0, "", ""));
        assert_eq!(read("a out 1 # all of it"), is("a", "out", 1, "", ""));
        for wrong in ["", "a up", "a out 3", "\"\" out 0 x", "\"\" out 0 \"\" x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_become_urls() {
        let of = |rest: &str, tls| {
            let mut report = Report::default();
            let line = report.add(Path::new("x"), 1, "");
            addresses(&Setting { key: "address", rest: rest.to_owned(), line }, tls)
        };
        assert_eq!(of("h", false), ["mqtt://h:1883"]);
        assert_eq!(of(" a:1 b:8883 # c", true), ["mqtts://a:1", "mqtts://b:8883"]);
        assert_eq!(of("::1:1883", false), ["mqtt://[::1]:1883"]);
        assert!(of("h:0", false).is_empty() && of("h:x", false).is_empty());
    }
}
