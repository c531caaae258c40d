//! The settings of one thing: the broker, a listener, a bridge.

use super::{
    report::{Line, Report, Verdict},
    table::Kind,
    values,
};

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Canonically spelled.
    pub key: &'static str,
    /// All that follows the key's space.
    pub rest: String,
    pub line: Line,
}

/// In the order of the file. No key comes twice, but for those that may.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    list: Vec<Setting>,
    /// Whether Mosquitto would refuse one of them: what was meant is not known then, and may have been a restriction.
    pub refused: bool,
    /// The first of these.
    pub refusal: Option<Line>,
}

impl Settings {
    /// A line here says something that nobody knows.
    pub fn refuse(&mut self, line: Line) {
        self.refused = true;
        self.refusal.get_or_insert(line);
    }

    /// Adds a value if it is one, and else says why Mosquitto refuses it.
    pub fn add(&mut self, setting: Setting, kind: Kind, report: &mut Report) {
        let right = match kind {
            Kind::Flag => values::flag(&setting.rest).map(drop),
            Kind::Number => values::number(&setting.rest).map(drop),
            Kind::Text | Kind::LastText | Kind::Each => values::text(&setting.rest).map(drop),
            Kind::Nothing => Ok(()),
        };
        if let Err(why) = right {
            report.say(setting.line, Verdict::NotPossible, format!("Mosquitto refuses it: {why}"));
            self.refuse(setting.line);
            return;
        }
        let earlier = self.list.iter().position(|other| other.key == setting.key);
        if let Some(at) = earlier
            && kind != Kind::Each
        {
            if kind == Kind::Text {
                let note = "Mosquitto refuses it: the key was given before, and that value is used here";
                report.say(setting.line, Verdict::NotPossible, note);
                self.refuse(setting.line);
                return;
            }
            let later = report.place(setting.line);
            let before = self.list.remove(at);
            report.say(before.line, Verdict::NotNeeded, format!("{later} has the value that counts"));
        }
        self.list.push(setting);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.list.iter()
    }

    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.list.iter().find(|setting| setting.key == key)
    }

    /// The value of a flag; `None` where it is not given.
    pub fn flag(&self, key: &str) -> Option<bool> {
        values::flag(&self.get(key)?.rest).ok()
    }

    /// Whether a flag is given as true.
    pub fn is_on(&self, key: &str) -> bool {
        self.flag(key) == Some(true)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

impl Setting {
    pub fn is_on(&self) -> bool {
        values::flag(&self.rest) == Ok(true)
    }

    pub fn number(&self) -> i64 {
        values::number(&self.rest).unwrap_or_default()
    }

    pub fn text(&self) -> Option<&str> {
        values::text(&self.rest).ok()
    }

    /// The first word.
    pub fn word(&self) -> &str {
        values::word(&self.rest).map_or("", |(word, _)| word)
    }
}
