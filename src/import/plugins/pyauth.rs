//! mosquitto_pyauth: its modules run unchanged, by the backend `python`.

use std::path::{Path, PathBuf};

use super::{Answer, Changed, Desk, NotPossible, Options, Translated, latch};
use crate::import::{
    document::{Part, What},
    model::Plugin,
};

pub(super) fn translate(plugin: &Plugin, desk: &mut Desk<'_>) -> Option<Answer> {
    let options = Options::new(plugin);
    let Some(named) = options.get("pyauth_module") else {
        desk.report.say(plugin.line, NotPossible, "the plugin needs auth_opt_pyauth_module");
        return None;
    };
    let written = named.value.trim();
    let module = written.strip_suffix(".py").unwrap_or(written);
    if module == "mosquitto_latch" {
        return latch::translate(plugin, desk);
    }
    desk.report.say(named.line, Translated, "auth.python.module");
    if module != written {
        desk.report.say(named.line, Changed, "a module is named without .py");
    }
    if desk.homes.is_taken("python") {
        desk.report.say(
            named.line,
            NotPossible,
            "another listener has a module of its own already: there is one",
        );
        return None;
    }
    let folders = folders(module, options.text("pyauth_module_path"), desk);
    options.say("pyauth_module_path", Translated, "auth.python.path", desk.report);
    if folders.is_empty() {
        let note = "the module is not found from here: name its folder in auth.python.path";
        desk.report.say(named.line, Changed, note);
    }
    let mut values = Part::new(What::Inner, "[auth.python.opts]");
    let mut files = Part::new(What::Inner, "[auth.python.opts_files]");
    for option in options.take_rest() {
        let value = option.value.trim_end_matches(['\r', '\n']);
        if is_secret(&option.key) {
            let stem: String = option
                .key
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' })
                .collect();
            let file =
                desk.homes.file(&format!("python-{stem}"), "secret", format!("{value}\n").into_bytes());
            files.set(option.key.as_str(), file, &[option.line]);
            desk.report.say(option.line, Translated, "auth.python.opts_files");
        } else {
            values.set(option.key.as_str(), value, &[option.line]);
            desk.report.say(option.line, Translated, "auth.python.opts");
        }
    }
    let lines = options.lines(&["pyauth_module_path"]);
    let part = desk.homes.take("python", "[auth.python]")?;
    part.set("module", module, &[named.line]);
    if !folders.is_empty() {
        let folders: Vec<toml::Value> =
            folders.iter().map(|path| path.to_string_lossy().as_ref().into()).collect();
        part.set("path", folders, &lines);
    }
    part.parts.extend([values, files].into_iter().filter(|part| !part.is_empty()));
    options.finish(desk.report);
    desk.report
        .remark("the module runs in a process of its own, without the gateway's environment and open files");
    Some(Answer { backends: vec!["python"], ..Answer::default() })
}

/// The folders in which the module has to be looked for.
fn folders(module: &str, option: Option<&str>, desk: &Desk<'_>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = option.iter().map(|path| desk.path(path)).collect();
    let first = module.split('.').next().unwrap_or_default();
    let holds = |folder: &Path| folder.join(format!("{first}.py")).is_file() || folder.join(first).is_dir();
    if folders.iter().any(|folder| holds(folder)) {
        return folders;
    }
    let by_environment = std::env::var_os("PYTHONPATH").unwrap_or_default();
    let elsewhere =
        std::env::split_paths(&by_environment).chain([PathBuf::from("."), desk.folder.to_owned()]);
    let found = elsewhere.filter(|folder| !folder.as_os_str().is_empty()).find(|folder| holds(folder));
    folders.extend(found.and_then(|folder| std::path::absolute(folder).ok()));
    folders
}

/// Whether an option looks like something that should not be read by everybody.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "pw", "credential"].iter().any(|word| key.contains(word))
}
