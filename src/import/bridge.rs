//! Connections to other brokers.

mod login;
mod routes;

use std::path::Path;

use super::{
    document::{Part, What},
    homes::Homes,
    model::{Bridge, Model},
    report::{Line, Report, Verdict},
    settings::{Setting, Settings},
    values,
};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};
use login::{credentials, tls};
use routes::routes;

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

#[cfg(test)]
mod tests {
    use super::*;

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
