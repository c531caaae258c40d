//! What travels over a bridge.

use super::super::{
    document::{Part, What},
    report::{Report, Verdict},
    settings::Settings,
    values,
};

use Verdict::{Changed, NotPossible, Translated};

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

pub(super) fn routes(settings: &Settings, part: &mut Part, report: &mut Report) {
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
}
