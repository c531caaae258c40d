//! Plugins, by the names of their files.

mod auth_plug;
mod database;
mod go_auth;
mod gomozzie;
mod latch;
mod options;
mod pyauth;
mod shown;

use std::path::{Path, PathBuf};

use super::{
    dynsec,
    homes::{Account, Homes},
    model::{Plugin, PluginOption},
    reader,
    report::{Report, Verdict},
};

use Verdict::{Changed, NotNeeded, NotPossible, Translated};
use options::Options;
pub(super) use shown::shown;

/// What `dialect` of a backend means.
const DIALECT: &str = "asked and answered as this plugin did it: files, questions, keys and what a yes is";

/// What a plugin's job became.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Who is asked in its place, in order.
    pub backends: Vec<&'static str>,
    /// How clients without a user name are called, if they are let in.
    pub anonymous: Option<String>,
    /// Why clients without a user name are not let in, whatever Mosquitto says.
    pub refuses_anonymous: Option<&'static str>,
    /// Files that count as if Mosquitto's own keys had named them.
    pub password_file: Option<PluginOption>,
    pub acl_file: Option<PluginOption>,
}

/// What the translations of plugins write to.
pub(super) struct Desk<'a> {
    /// The folder of the main file.
    pub folder: &'a Path,
    pub homes: &'a mut Homes,
    pub report: &'a mut Report,
}

impl Desk<'_> {
    /// A file that an option names.
    pub fn path(&self, name: &str) -> PathBuf {
        reader::located(name.trim(), self.folder)
    }
}

/// Does a plugin's job otherwise. `None`: it is not possible, so that its listeners have to stay closed.
pub(super) fn translate(plugin: &Plugin, desk: &mut Desk<'_>) -> Option<Answer> {
    let name = Path::new(&plugin.path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    special_characters(plugin, desk.report);
    let answer = match name.as_str() {
        "mosquitto_dynamic_security.so" => dynamic_security(plugin, desk),
        "mosquitto_password_file.so" | "mosquitto_acl_file.so" => Some(own_files(plugin, desk)),
        "auth_plugin_pyauth.so" | "mosquitto_pyauth.so" => pyauth::translate(plugin, desk),
        "gomozzie.so" => gomozzie::translate(plugin, desk),
        "oauth2-auth-plugin.so" => gomozzie::rewrite(plugin, desk),
        "go-auth.so" | "mosquitto-go-auth.so" => go_auth::translate(plugin, desk),
        "auth-plug.so" | "mosquitto-auth-plug.so" | "auth_plug.so" => auth_plug::translate(plugin, desk),
        _ => {
            let note =
                "this plugin is not known: find a backend that does its job; its listeners are left out";
            desk.report.say(plugin.line, NotPossible, note);
            None
        }
    };
    match &answer {
        Some(answer) => {
            let what = if answer.backends.is_empty() {
                String::new()
            } else {
                format!("backends: {}", answer.backends.join(", "))
            };
            desk.report.say(plugin.line, Translated, what);
        }
        None => {
            let lines: Vec<_> =
                plugin.options.iter().map(|option| option.line).chain([plugin.line]).collect();
            desk.report.leave_out(&lines, "its plugin's job is not done here");
        }
    }
    answer
}

fn special_characters(plugin: &Plugin, report: &mut Report) {
    for setting in plugin.settings.iter() {
        let (verdict, note) = match setting.is_on() {
            true => (NotNeeded, "a name that holds + or # fits no pattern here"),
            false => (Changed, "a name that holds + or # fits no pattern here, whatever a plugin would say"),
        };
        report.say(setting.line, verdict, note);
    }
}

/// `mosquitto_dynamic_security.so`.
fn dynamic_security(plugin: &Plugin, desk: &mut Desk<'_>) -> Option<Answer> {
    let mut file = None;
    for option in &plugin.options {
        match option.key.as_str() {
            "config_file" => file = Some(option),
            _ => desk.report.say(option.line, NotNeeded, "accounts and rules are in the database"),
        }
    }
    let Some(file) = file else {
        desk.report.say(plugin.line, NotPossible, "the plugin needs plugin_opt_config_file");
        return None;
    };
    if desk.homes.sqlite.is_some() {
        desk.report.say(
            file.line,
            NotPossible,
            "other listeners have their accounts in the database already",
        );
        return None;
    }
    let path = desk.path(&file.value);
    match dynsec::translate(&path, file.line, desk.homes, desk.report) {
        Ok(group) => {
            let anonymous = group.role.map(|role| {
                let name = "anonymous".to_owned();
                let account = Account { name: name.clone(), stored: None, superuser: false, disabled: false };
                if desk.homes.accounts.iter().all(|other| other.name != name) {
                    desk.homes.accounts.push(account);
                }
                for (_, users) in desk.homes.roles.iter_mut().filter(|(other, _)| *other == role) {
                    users.push(name.clone());
                }
                name
            });
            Some(Answer { backends: vec!["sqlite"], anonymous, ..Answer::default() })
        }
        Err(why) => {
            desk.report.say(file.line, NotPossible, why);
            None
        }
    }
}

/// Mosquitto 2.1 has its own files in plugins.
fn own_files(plugin: &Plugin, desk: &mut Desk<'_>) -> Answer {
    let mut answer = Answer::default();
    for option in &plugin.options {
        match option.key.as_str() {
            "password_file" => answer.password_file = Some(option.clone()),
            "acl_file" => answer.acl_file = Some(option.clone()),
            _ => desk.report.say(option.line, NotPossible, "this option is not known"),
        }
    }
    answer
}
