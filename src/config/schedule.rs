//! `[[lock.schedule]]`: what is closed at certain times of the day.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::error::quoted;
use super::section::{Entry, Reader, Section, Setting, comment, kind_of};

/// One entry of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The scope: `gateway`, `publish`, `subscribe` or `topic:FILTER`.
    pub close: String,
    /// For this user only; `None`: for everyone.
    pub user: Option<String>,
    /// Time of the day at which it closes.
    pub from: Time,
    /// Time of the day at which it opens; if it is not later than `from`, on the next day.
    pub to: Time,
    /// The days on which it closes; never empty.
    pub days: Vec<Weekday>,
    /// The time zone; `None`: the system's.
    pub time_zone: Option<TimeZone>,
}

/// Days as they are written, Monday first.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// The list of them.
pub(super) enum Schedules {}

impl Setting for Schedules {
    type Value = Vec<Schedule>;

    fn read(entry: Entry<'_>, reader: &mut Reader<'_>, fallback: &Self::Value) -> Self::Value {
        let (path, span) = (entry.path, entry.value.span());
        let DeValue::Array(items) = entry.value.into_inner() else {
            reader.wrong(
                span,
                format!("`{path}` is a list of sections"),
                format!("write each as [[{path}]]"),
            );
            return fallback.clone();
        };
        let entries = items.into_iter().map(|value| Entry { path: path.clone(), value });
        entries.filter_map(|entry| read(entry.section(reader)?, reader)).collect()
    }

    fn describe(path: &str, _: &str, doc: &[&str], _: &Self::Value, out: &mut String) {
        out.push('\n');
        comment(doc, out);
        out.push_str(&format!(
            "# [[{path}.schedule]]\n# close = \"topic:doors/#\"\n# user = \"bob\"\n# from = \"22:00\"\n# to = \"06:00\"\n\
             # days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\n# time_zone = \"Europe/Berlin\"\n"
        ));
    }
}

/// One entry; `None` if something is wrong with it, which is noted.
fn read(mut section: Section<'_>, reader: &mut Reader<'_>) -> Option<Schedule> {
    const TIME: &str = "a time of the day, as \"22:00\"";
    let whole = section.span.clone();
    let mut text = |key: &str, reader: &mut Reader<'_>| {
        let (_, entry) = section.take(key)?;
        let span = entry.value.span();
        match entry.value.get_ref().as_str() {
            Some(text) => Some((text.to_owned(), span)),
            None => {
                let kind = kind_of(entry.value.get_ref());
                reader.wrong(span, format!("`{}` must be a string, not {kind}", entry.path), "in quotes");
                None
            }
        }
    };
    let close = text("close", reader);
    let user = text("user", reader);
    let [from, to] = ["from", "to"].map(|key| {
        let (time, span) = text(key, reader)?;
        let read = (time.len() <= 8).then(|| time.parse::<Time>().ok()).flatten();
        if read.is_none() {
            reader.wrong(span, format!("`lock.schedule.{key}` is no time: {}", quoted(&time)), TIME);
        }
        read
    });
    let zone = text("time_zone", reader);
    let days = section.take("days");
    section.finish(&["close", "user", "from", "to", "days", "time_zone"], reader);
    let days = match days {
        None => Some(DAYS.map(|(_, day)| day).to_vec()),
        Some((_, entry)) => read_days(&entry, reader),
    };
    let time_zone = match zone {
        None => Some(None),
        Some((name, span)) => match TimeZone::get(&name) {
            Ok(zone) => Some(Some(zone)),
            Err(_) => {
                let what = format!("`lock.schedule.time_zone` is not known: {}", quoted(&name));
                reader.wrong(span, what, "a name of the time zone database, as \"Europe/Berlin\" or \"UTC\"");
                None
            }
        },
    };
    let close = match close {
        None => {
            reader.wrong(
                whole,
                "an entry of the schedule needs `close`, `from` and `to`",
                "as the reference shows",
            );
            return None;
        }
        Some((close, span)) => match wrong_scope(&close) {
            None => close,
            Some(why) => {
                reader.wrong(
                    span,
                    format!("`lock.schedule.close` {why}: {}", quoted(&close)),
                    "gateway, publish, subscribe or topic:FILTER",
                );
                return None;
            }
        },
    };
    if from.is_none() || to.is_none() {
        reader.wrong(whole, "an entry of the schedule needs `close`, `from` and `to`", TIME);
    }
    let user = match user {
        Some((name, span)) if name.is_empty() || name.contains('\0') => {
            reader.wrong(span, "`lock.schedule.user` is no user name", "without the key, it is for everyone");
            return None;
        }
        user => user.map(|(name, _)| name),
    };
    Some(Schedule { close, user, from: from?, to: to?, days: days?, time_zone: time_zone? })
}

fn read_days(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Vec<Weekday>> {
    let known = || DAYS.map(|(name, _)| format!("\"{name}\"")).join(", ");
    let day = |value: &DeValue<'_>| {
        let name = value.as_str()?;
        DAYS.iter().find(|(known, _)| *known == name).map(|(_, day)| *day)
    };
    let days: Option<Vec<Weekday>> = entry
        .value
        .get_ref()
        .as_array()
        .and_then(|list| list.iter().map(|value| day(value.get_ref())).collect());
    match days {
        Some(days) if !days.is_empty() => Some(days),
        _ => {
            reader.wrong(
                entry.value.span(),
                "`lock.schedule.days` is a list of days",
                format!("known: {}", known()),
            );
            None
        }
    }
}

/// What is wrong with the name of a scope.
fn wrong_scope(text: &str) -> Option<&'static str> {
    match text.strip_prefix("topic:") {
        Some(filter) if filter.split('/').count() > 1000 => Some("has too many levels"),
        Some(filter) => crate::mqtt::TopicFilter::new(filter).is_err().then_some("names no topic filter"),
        None => (!["gateway", "publish", "subscribe"].contains(&text)).then_some("is no scope"),
    }
}
