//! Bounds on messages and clients.

use super::{
    document::Part,
    report::{Report, Verdict},
    settings::Settings,
};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};

/// Whatever of `general` is a bound becomes a key of `[limits]`.
pub(super) fn translate(general: &Settings, limits: &mut Part, report: &mut Report) {
    for setting in general.iter() {
        let number = setting.number();
        let mut set = |name, value: i64| limits.set(name, value, &[setting.line]);
        let (verdict, note) = match setting.key {
            "max_inflight_messages" if number > 65_535 => {
                (NotPossible, "Mosquitto refuses it: at most 65535")
            }
            "max_inflight_messages" => {
                set("inflight", number.max(0));
                (Translated, "limits.inflight")
            }
            "max_queued_messages" => {
                set("queued_messages", number.max(0));
                (Translated, "limits.queued_messages")
            }
            "max_queued_bytes" => {
                set("queued_bytes", number.max(0));
                (
                    Changed,
                    "limits.queued_bytes: it counts what is under way as well, and holds beside queued_messages, not in its place",
                )
            }
            "max_inflight_bytes" if number <= 0 => (NotNeeded, ""),
            "max_inflight_bytes" => {
                (Changed, "what is under way is bounded by limits.queued_bytes and inflight")
            }
            "max_packet_size" if number < 20 => (NotPossible, "Mosquitto refuses it: at least 20"),
            "max_packet_size" => {
                set("packet_size", number);
                (Translated, "limits.packet_size")
            }
            "message_size_limit" if !(0..=268_435_455).contains(&number) => {
                (NotPossible, "Mosquitto refuses it")
            }
            "message_size_limit" if general.has("max_packet_size") => {
                (Changed, "limits.packet_size alone counts, from max_packet_size")
            }
            "message_size_limit" if number == 0 => {
                set("packet_size", 0);
                (Translated, "limits.packet_size = 0: no limit")
            }
            "message_size_limit" => {
                // Topic, properties and header come besides the payload.
                set("packet_size", number + 65_536);
                (Changed, "limits.packet_size bounds the whole packet; it leaves 64 KiB for the topic")
            }
            "max_keepalive" if !(0..=65_535).contains(&number) => {
                (NotPossible, "Mosquitto refuses it: from 0 to 65535")
            }
            "max_keepalive" => {
                set("keep_alive", number);
                (
                    Changed,
                    "limits.keep_alive: a client of MQTT 3 that asks for more is held to it, not refused",
                )
            }
            "memory_limit" if number < 0 => (NotPossible, "Mosquitto refuses it"),
            "memory_limit" => {
                set("memory", number);
                (Changed, "limits.memory bounds the messages that are held, not all memory of the process")
            }
            "persistent_client_expiration" => match expiry(setting.word()) {
                Some(seconds) => {
                    set("session_expiry", seconds);
                    (Translated, "limits.session_expiry, in seconds")
                }
                None => (NotPossible, "Mosquitto refuses it: a number and h, d, w, m or y"),
            },
            "global_max_connections" | "global_max_clients" if number < 0 => (NotNeeded, ""),
            "global_max_connections" => {
                set("connections", number);
                (Translated, "limits.connections")
            }
            "global_max_clients" => {
                set("sessions", number);
                (Changed, "limits.sessions: sessions that outlive their connection")
            }
            _ => continue,
        };
        report.say(setting.line, verdict, note);
    }
    report.remark(
        "where Mosquitto's file sets no bound, the defaults of [limits] count (packets up to 10 MiB, 1000 clients, and more): \
         latchgate check --print-defaults",
    );
}

/// Seconds; months have 30 days and years 365.
fn expiry(word: &str) -> Option<i64> {
    let last = word.chars().last()?;
    let unit = match last {
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        'm' => 30 * 86_400,
        'y' => 365 * 86_400,
        _ => return None,
    };
    let seconds = super::values::leading_number(&word[..word.len() - 1]).checked_mul(unit)?;
    (1..=i64::from(u32::MAX)).contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_mosquitto_become_seconds() {
        assert_eq!(expiry("2m"), Some(5_184_000));
        assert_eq!(expiry("1h"), Some(3600));
        for wrong in ["", "d", "5", "-1d", "0d", "999999y", "2ä"] {
            assert_eq!(expiry(wrong), None, "{wrong}");
        }
    }
}
