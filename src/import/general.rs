//! Persistence, logging, and the rest of what is about the whole broker.

use super::{
    document::Part,
    report::{Report, Verdict},
    settings::{Setting, Settings},
};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};

/// What is no bound.
pub(super) fn translate(
    general: &Settings,
    gateway: &mut Part,
    acl: &mut Part,
    log: &mut Part,
    report: &mut Report,
) {
    for setting in general.iter() {
        let (verdict, note) = match setting.key {
            "sys_interval" if !(0..=65_535).contains(&setting.number()) => {
                (NotPossible, "Mosquitto refuses it: from 0 to 65535")
            }
            "sys_interval" => {
                gateway.set("sys_interval", setting.number(), &[setting.line]);
                (Translated, "gateway.sys_interval")
            }
            "check_retain_source" => {
                let value = if setting.is_on() { "checked" } else { "unchecked" };
                acl.set("retained_source", value, &[setting.line]);
                (Translated, "acl.retained_source")
            }
            "clientid_prefixes" => (
                NotPossible,
                "client identifiers are not restricted here: let rules name users, or use %c in them",
            ),
            "retain_available" if setting.is_on() => (NotNeeded, ""),
            "retain_available" => {
                (NotPossible, "retained messages are always kept: bound them by limits.retained_messages")
            }
            "retain_expiry_interval" => (
                NotPossible,
                "retained messages stay unless their publisher gives an expiry: have it do so (MQTT 5)",
            ),
            _ => match storing(setting).or_else(|| logging(setting)).or_else(|| house(setting)) {
                Some(said) => said,
                None => continue,
            },
        };
        report.say(setting.line, verdict, note);
    }
    level(general, log, report);
}

/// What Mosquitto keeps on disk, and when.
fn storing(setting: &Setting) -> Option<(Verdict, &'static str)> {
    Some(match setting.key {
        "persistence" if setting.is_on() => (
            Changed,
            "kept sessions and retained messages are stored always, and before they are acknowledged; what is in mosquitto.db now \
             does not come along: how retained messages can is in the README, in the section on them",
        ),
        "persistence" => (Changed, "kept sessions and retained messages are stored all the same"),
        "persistence_file" | "persistence_location" => (NotNeeded, "the folder is gateway.state"),
        "autosave_interval" | "autosave_on_changes" => (NotNeeded, "all is stored before it is acknowledged"),
        _ => return None,
    })
}

/// Where the log goes.
fn logging(setting: &Setting) -> Option<(Verdict, &'static str)> {
    Some(match (setting.key, setting.word()) {
        ("log_dest", "stderr") => (Translated, "log.target"),
        ("log_dest", "none") => (Changed, "errors are logged all the same: log.level"),
        ("log_dest", "topic") => {
            (NotPossible, "nothing is published under $SYS/broker/log: read the log of the service")
        }
        ("log_dest", "stdout" | "syslog" | "file" | "dlt") => {
            (Changed, "the log goes to standard error, which systemd keeps in its journal")
        }
        ("log_dest", _) => (NotPossible, "Mosquitto refuses it: no such destination"),
        ("log_type", "error" | "warning" | "notice" | "information" | "debug" | "all" | "none") => {
            (Translated, "log.level")
        }
        ("log_type", "subscribe" | "unsubscribe") => {
            (Changed, "log.level = \"debug\" has them, with everything else")
        }
        ("log_type", "internal" | "websockets" | "quic") => (NotNeeded, ""),
        ("log_type", _) => (NotPossible, "Mosquitto refuses it: no such type"),
        ("log_facility" | "log_timestamp" | "log_timestamp_format", _) => {
            (NotNeeded, "the log has times of its own form; log.format = \"json\" is for programs")
        }
        ("connection_messages", _) if setting.is_on() => (NotNeeded, ""),
        ("connection_messages", _) => (NotNeeded, "connections are not logged below log.level = \"debug\""),
        ("websockets_log_level" | "quic_log_level", _) => (NotNeeded, "log.level counts for everything"),
        _ => return None,
    })
}

/// The rest.
fn house(setting: &Setting) -> Option<(Verdict, &'static str)> {
    Some(match setting.key {
        "user" => (NotNeeded, "the service manager sets the user"),
        "pid_file" => (NotNeeded, "the service manager knows the process"),
        "set_tcp_nodelay" => (NotNeeded, "it is always set"),
        "allow_duplicate_messages" => {
            (NotNeeded, "overlapping subscriptions are each served, as MQTT 5 has it")
        }
        "queue_qos0_messages" if !setting.is_on() => (NotNeeded, ""),
        "queue_qos0_messages" => {
            (Changed, "messages of QoS 0 are not queued for clients that are away: publish at QoS 1")
        }
        "upgrade_outgoing_qos" if !setting.is_on() => (NotNeeded, ""),
        "upgrade_outgoing_qos" => {
            (Changed, "messages are delivered at the lower of both QoS, as MQTT has it")
        }
        "websockets_headers_size" | "packet_buffer_size" => {
            (NotNeeded, "buffers grow as needed, within bounds")
        }
        "packet_max_auth" | "packet_max_connect" | "packet_max_simple" | "packet_max_sub"
        | "packet_max_un" => (NotNeeded, "such packets have bounds of their own"),
        "enable_control_api" if !setting.is_on() => (NotNeeded, ""),
        "enable_control_api" => (NotPossible, "there is no $CONTROL: the commands of latchgate do its job"),
        "retry_interval" => (NotNeeded, "Mosquitto does nothing by it either"),
        _ => return None,
    })
}

/// `log.level`: that of the most talkative `log_type`.
fn level(general: &Settings, log: &mut Part, report: &mut Report) {
    const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];
    let of = |word: &str| match word {
        "error" | "none" => Some(0),
        "warning" => Some(1),
        "notice" | "information" => Some(2),
        "debug" | "all" => Some(3),
        _ => None,
    };
    let types: Vec<&Setting> = general.iter().filter(|setting| setting.key == "log_type").collect();
    let lines: Vec<_> = types.iter().map(|setting| setting.line).collect();
    let level = types.iter().filter_map(|setting| of(setting.word())).max();
    let silent =
        general.iter().filter(|setting| setting.key == "log_dest").all(|setting| setting.word() == "none");
    if silent && let Some(dest) = general.get("log_dest") {
        log.set("level", "error", &[dest.line]);
    } else if let Some(level) = level {
        log.set("level", LEVELS[level], &lines);
        if level < 2 {
            report.remark(
                "refusals are logged at \"info\": at a lower log.level nobody sees why a client was refused",
            );
        }
    }
}
