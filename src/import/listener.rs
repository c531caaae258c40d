//! Where clients connect.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    path::Path,
};

use super::{
    document::{Part, What},
    homes::Homes,
    model::{Listener, Model},
    report::{Line, Report, Verdict},
    security::Access,
    settings::Setting,
    tls,
};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};

/// A listener to be.
#[derive(Debug)]
pub(super) struct Door {
    pub listener: Listener,
    /// One name for each address.
    pub addresses: Vec<(String, SocketAddr)>,
    /// Whether it may be opened: something that it cannot do would leave it more open, or useless.
    pub shut: bool,
    /// Whether anonymous clients are let in whatever is said elsewhere: Mosquitto without any listener.
    pub local: bool,
}

/// Every listener that Mosquitto would open, in its order.
pub(super) fn all(model: &Model, ipv6: bool, report: &mut Report) -> Vec<Door> {
    let local = model.is_local_only();
    let mut listeners = model.listeners.clone();
    if local || model.listeners.is_empty() || model.opens_default_listener() {
        let mut default = model.default_listener.clone();
        default.port = default.settings.get("port").map_or(1883, |port| {
            u16::try_from(port.number()).ok().filter(|port| *port > 0).unwrap_or_else(|| {
                report.say(port.line, NotPossible, "Mosquitto refuses it: no such port");
                1883
            })
        });
        default.host = default.settings.text("bind_address").map(str::to_owned);
        listeners.push(default);
    } else {
        for setting in
            model.default_listener.settings.iter().chain(model.default_listener.security.settings.iter())
        {
            report.say(
                setting.line,
                NotNeeded,
                "it is about the default listener, which Mosquitto does not open here",
            );
        }
    }
    let mut names = Vec::new();
    listeners.into_iter().map(|listener| door(listener, local, ipv6, &mut names, report)).collect()
}

fn door(listener: Listener, local: bool, ipv6: bool, names: &mut Vec<String>, report: &mut Report) -> Door {
    let mut shut = listener.settings.refused;
    let mut ips = match &listener.host {
        _ if listener.port == 0 && listener.settings.refused => Vec::new(),
        _ if local => vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        _ if listener.port == 0 => {
            shut = true;
            say(
                &listener,
                NotPossible,
                "there are no Unix sockets for clients: give it an address on 127.0.0.1",
                report,
            );
            Vec::new()
        }
        None if ipv6
            && listener.settings.get("socket_domain").is_none_or(|domain| domain.word() != "ipv4") =>
        {
            vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED)]
        }
        None => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        Some(host) => match resolve(host) {
            Some((ips, true)) => ips,
            Some((ips, false)) => {
                say(
                    &listener,
                    Changed,
                    "an address has to be a number here: it is that of the name today",
                    report,
                );
                ips
            }
            None => {
                shut = true;
                say(
                    &listener,
                    NotPossible,
                    "the host name leads nowhere from here: write its IP address into the file",
                    report,
                );
                Vec::new()
            }
        },
    };
    if !ipv6 {
        ips.retain(IpAddr::is_ipv4);
    }
    match listener.settings.get("socket_domain").map(|domain| (domain.line, domain.word())) {
        Some((line, "ipv4")) => {
            ips.retain(IpAddr::is_ipv4);
            report.say(line, Translated, "an IPv4 address");
        }
        Some((line, "ipv6")) => {
            ips.retain(IpAddr::is_ipv6);
            report.say(line, Changed, "[::] takes IPv4 clients as well");
        }
        Some((line, _)) => report.say(line, NotPossible, "Mosquitto refuses it: ipv4 or ipv6"),
        None => {}
    }
    ips.dedup();
    let base = match listener.settings.get("protocol").map(Setting::word) {
        Some("websockets") => format!("websocket-{}", listener.port),
        _ => format!("mqtt-{}", listener.port),
    };
    let mut addresses = Vec::new();
    for ip in ips {
        let name = (1..).map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") });
        let name = name.into_iter().find(|name| !names.contains(name)).unwrap_or_default();
        names.push(name.clone());
        addresses.push((name, SocketAddr::new(ip, listener.port)));
    }
    if addresses.is_empty() && !shut {
        shut = true;
        say(&listener, NotPossible, "it has no address that this machine could use", report);
    }
    shut |= decide(&listener, report);
    Door { listener, addresses, shut, local }
}

/// Says something of the line that opens a listener.
fn say(listener: &Listener, verdict: Verdict, note: &str, report: &mut Report) {
    let line = listener.line.or_else(|| listener.settings.get("bind_address").map(|setting| setting.line));
    if let Some(line) = line {
        report.say(line, verdict, note);
    }
}

/// The addresses of a host, and whether they were written as numbers or are this machine's own.
fn resolve(host: &str) -> Option<(Vec<IpAddr>, bool)> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some((vec![ip], true));
    }
    if host == "localhost" {
        return Some((vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)], true));
    }
    let found: Vec<IpAddr> = (host, 1883).to_socket_addrs().ok()?.map(|address| address.ip()).collect();
    (!found.is_empty()).then_some((found, false))
}

/// What each key means that is about no encryption; whether the listener has to stay shut.
fn decide(listener: &Listener, report: &mut Report) -> bool {
    let mut shut = false;
    for setting in listener.settings.iter() {
        let (verdict, note) = match setting.key {
            "port" | "bind_address" => (Translated, "listener.address"),
            "protocol" => match setting.word() {
                "mqtt" | "websockets" => (Translated, "listener.protocol"),
                _ => {
                    shut = true;
                    (NotPossible, "no such protocol is spoken here; the listener is left out")
                }
            },
            "max_connections" => (Translated, "listener.limits.connections"),
            "bind_interface" => {
                shut = true;
                (
                    NotPossible,
                    "an address of the interface has to be given as listener.address; the listener is left out",
                )
            }
            "mount_point" => {
                shut = true;
                (
                    NotPossible,
                    "topics have no hidden beginning here: let clients name it, or use a bridge with prefixes; the listener is left out",
                )
            }
            "use_username_as_clientid" if !setting.is_on() => (NotNeeded, ""),
            "use_username_as_clientid" => (
                Changed,
                "clients keep their identifiers; a session belongs to its user, so nobody can take another's; %c is the client's own",
            ),
            "enable_proxy_protocol" if setting.number() == 0 => (NotNeeded, ""),
            "enable_proxy_protocol" => {
                shut = true;
                (NotPossible, "the PROXY protocol is not spoken here; the listener is left out")
            }
            "proxy_protocol_v2_require_tls" => (NotNeeded, "it is about the PROXY protocol"),
            "accept_protocol_versions" => (Changed, "MQTT 3.1, 3.1.1 and 5 are all accepted"),
            "max_qos" if setting.number() == 2 => (NotNeeded, ""),
            "max_qos" => (Changed, "QoS 2 is accepted as well"),
            "max_topic_alias" | "max_topic_alias_broker" => {
                (NotNeeded, "the number of aliases is the gateway's own")
            }
            "http_dir" => (NotPossible, "no files are served: use a web server beside it"),
            "listener_auto_id_prefix" => (Changed, "identifiers that the gateway gives begin in its own way"),
            "http_api" => (NotNeeded, "[admin] http serves monitoring"),
            "websockets_origin" => (Translated, "listener.origins"),
            _ => continue,
        };
        report.say(setting.line, verdict, note);
    }
    shut
}

/// The sections of one listener: one for each address.
pub(super) fn translate(
    door: &Door,
    access: Result<Access, Option<Line>>,
    folder: &Path,
    homes: &mut Homes,
    report: &mut Report,
) -> Vec<Part> {
    let Door { listener, addresses, shut, .. } = door;
    let tls = tls::translate(listener, folder, homes, report);
    let line = listener.line;
    let (access, tls) = match (access, tls) {
        (Ok(access), Ok(tls)) if !shut => (access, tls),
        (access, _) => {
            let lines: Vec<_> =
                line.into_iter().chain(listener.settings.iter().map(|setting| setting.line)).collect();
            let cause = listener.settings.refusal.or_else(|| report.cause(&lines));
            let cause = cause.or_else(|| access.err().flatten());
            report.leave_out_for(&lines, "the listener is left out", cause);
            return Vec::new();
        }
    };
    if let Some(line) = line {
        report.say(line, Translated, "[[listener]]");
    }
    let from = |key: &str| -> Vec<_> {
        listener.settings.get(key).map(|setting| setting.line).into_iter().collect()
    };
    let mut parts = Vec::new();
    for (name, address) in addresses {
        let mut part = Part::new(What::Listener(name.clone()), "[[listener]]");
        part.lines.extend(line);
        part.set("name", name.as_str(), &[]);
        let place = [from("port"), from("bind_address"), from("socket_domain")].concat();
        part.set("address", address.to_string(), &place);
        let websocket =
            listener.settings.get("protocol").is_some_and(|protocol| protocol.word() == "websockets");
        if websocket {
            part.set("protocol", "websocket", &from("protocol"));
            let origins: Vec<&Setting> =
                listener.settings.iter().filter(|setting| setting.key == "websockets_origin").collect();
            let lines: Vec<_> = origins.iter().map(|origin| origin.line).collect();
            let origins: Vec<toml::Value> =
                origins.iter().filter_map(|origin| origin.text()).map(Into::into).collect();
            // Without a word about it Mosquitto takes every page, but that is no choice that anybody made.
            if !origins.is_empty() {
                part.set("origins", origins, &lines);
            }
        }
        let backends: Vec<toml::Value> = access.backends.iter().map(|name| (*name).into()).collect();
        part.set("backends", backends, &access.lines);
        if let Some((name, line)) = &access.anonymous {
            part.set("anonymous", name.as_str(), line.as_slice());
        }
        if let Some(most) = listener.settings.get("max_connections") {
            let mut limits = Part::new(What::Inner, "[listener.limits]");
            limits.set("connections", most.number().max(0), &[most.line]);
            part.parts.push(limits);
        }
        part.parts.extend(tls.clone());
        parts.push(part);
    }
    if parts
        .iter()
        .any(|_| listener.settings.get("protocol").is_some_and(|protocol| protocol.word() == "websockets"))
    {
        report.remark("web pages may connect over WebSocket only from the host that they ask for, unless listener.origins names them");
    }
    parts
}
