//! The options of a plugin, each of which is answered once.

use std::cell::RefCell;

use crate::import::{
    model::{Plugin, PluginOption},
    report::{Line, Report, Verdict},
};

/// The options, and which were asked for.
pub(super) struct Options<'a> {
    plugin: &'a Plugin,
    used: RefCell<Vec<Line>>,
}

impl<'a> Options<'a> {
    pub fn new(plugin: &'a Plugin) -> Self {
        Options { plugin, used: RefCell::default() }
    }

    /// An option; the last of that name counts.
    pub fn get(&self, key: &str) -> Option<&'a PluginOption> {
        let of_it = || self.plugin.options.iter().filter(|option| option.key == key);
        self.used.borrow_mut().extend(of_it().map(|option| option.line));
        of_it().next_back()
    }

    /// Its value without white space at its end.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).map(|option| option.value.trim_end())
    }

    /// Whether it is there and says yes.
    pub fn is_on(&self, key: &str) -> bool {
        self.text(key).is_some_and(|value| matches!(value, "true" | "1" | "yes" | "on"))
    }

    /// Its line, for a comment.
    pub fn lines(&self, keys: &[&str]) -> Vec<Line> {
        keys.iter().filter_map(|key| self.get(key)).map(|option| option.line).collect()
    }

    /// Says something of an option, if it is there.
    pub fn say(&self, key: &str, verdict: Verdict, note: &str, report: &mut Report) {
        if self.get(key).is_some() {
            for option in self.plugin.options.iter().filter(|option| option.key == key) {
                report.say(option.line, verdict, note);
            }
        }
    }

    pub fn say_all(&self, keys: &[&str], verdict: Verdict, note: &str, report: &mut Report) {
        keys.iter().for_each(|key| self.say(key, verdict, note, report));
    }

    /// All whose names begin so, and that nobody asked for.
    pub fn rest(&self, prefix: &str) -> Vec<&'a PluginOption> {
        let used = self.used.borrow();
        self.plugin
            .options
            .iter()
            .filter(|option| option.key.starts_with(prefix) && !used.contains(&option.line))
            .collect()
    }

    /// All that nobody asked for, which are then asked for.
    pub fn take_rest(&self) -> Vec<&'a PluginOption> {
        let rest = self.rest("");
        self.used.borrow_mut().extend(rest.iter().map(|option| option.line));
        rest
    }

    /// What nobody has asked for is not known.
    pub fn finish(&self, report: &mut Report) {
        for option in self.rest("") {
            report.say(option.line, Verdict::NotPossible, "this option is not known");
        }
        for option in &self.plugin.options {
            if report.verdict(option.line).is_none() {
                report.say(option.line, Verdict::NotNeeded, "nothing asks for it");
            }
        }
    }
}
