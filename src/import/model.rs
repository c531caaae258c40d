//! What the statements say together: listeners, bridges, plugins, and settings of the whole.

use std::collections::HashMap;

use super::{
    plugins,
    reader::Statement,
    report::{Line, Report, Verdict},
    settings::{Setting, Settings},
    table::{self, Place},
    values,
};

/// A configuration of Mosquitto.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub per_listener: bool,
    pub general: Settings,
    /// What `per_listener_settings` would give to each listener.
    pub security: Security,
    /// What was said before the first `listener`.
    pub default_listener: Listener,
    pub listeners: Vec<Listener>,
    pub bridges: Vec<Bridge>,
}

/// A place where clients connect.
#[derive(Clone, Debug, Default)]
pub(super) struct Listener {
    /// The line that opens it; the default one has none.
    pub line: Option<Line>,
    pub port: u16,
    /// Address, host name, or the path of a socket where the port is 0.
    pub host: Option<String>,
    pub settings: Settings,
    pub security: Security,
}

/// Who is let in, and who says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Security {
    pub settings: Settings,
    pub plugins: Vec<Plugin>,
}

/// A plugin with its options.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    pub line: Line,
    pub path: String,
    pub options: Vec<PluginOption>,
    pub settings: Settings,
}

impl Plugin {
    /// One of which nothing is known.
    fn unknown(line: Line) -> Self {
        Plugin { line, path: String::new(), options: Vec::new(), settings: Settings::default() }
    }

    /// Its own line, and those of what it is told.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        let options = self.options.iter().map(|option| option.line);
        let settings = self.settings.iter().map(|setting| setting.line);
        [self.line].into_iter().chain(options).chain(settings)
    }
}

/// `auth_opt_KEY` or `plugin_opt_KEY`.
#[derive(Clone, Debug)]
pub(super) struct PluginOption {
    pub key: String,
    pub value: String,
    pub line: Line,
}

/// A connection to another broker.
#[derive(Clone, Debug)]
pub(super) struct Bridge {
    pub line: Line,
    pub name: String,
    pub settings: Settings,
}

/// What is open while a file is read.
#[derive(Clone, Copy, Default)]
struct Open {
    /// `None`: the default one.
    listener: Option<usize>,
    bridge: Option<usize>,
    /// Into `Builder::plugins`.
    plugin: Option<usize>,
}

/// Whose plugin it is.
#[derive(Clone, Copy)]
enum Owner {
    Everyone,
    /// `None`: the default listener.
    Listener(Option<usize>),
    /// Loaded under a name, and used by whoever names it.
    Named,
}

#[derive(Default)]
struct Builder {
    model: Model,
    open: HashMap<usize, Open>,
    plugins: Vec<(Owner, Plugin)>,
    names: HashMap<String, usize>,
    uses: Vec<(Option<usize>, usize)>,
}

/// Puts the statements together. Whatever Mosquitto would refuse is said so, and left out.
pub(super) fn build(statements: Vec<Statement>, report: &mut Report) -> Model {
    let mut builder = Builder::default();
    for statement in statements {
        if let Err(why) = builder.take(&statement, report) {
            report.say(statement.line, Verdict::NotPossible, format!("Mosquitto refuses it: {why}"));
        }
    }
    builder.finish(report)
}

impl Builder {
    fn take(&mut self, statement: &Statement, report: &mut Report) -> Result<(), String> {
        let Statement { line, reading, key, rest, is_text } = statement;
        let open = self.open.entry(*reading).or_default();
        if !is_text {
            let open = *open;
            self.refuse(key, open, *line);
            return Ok(());
        }
        for prefix in ["auth_opt_", "plugin_opt_"] {
            if let Some(name) = key.strip_prefix(prefix) {
                // Options are the plugin's own, and can be passwords.
                report.hide(*line, plugins::shown(prefix, name, rest));
                let plugin = open.plugin.ok_or("there is no plugin before it")?;
                return self.option(plugin, name, rest, *line);
            }
        }
        let Some((name, place, kind)) = table::known(key) else {
            // Nobody knows what stands in it, and a tab ends no key.
            let word = key.split_whitespace().next().unwrap_or_default();
            report.hide(*line, format!("{word} …"));
            let tab = if word == key { "" } else { "; a key ends with a space, not with a tab" };
            let open = *open;
            self.refuse(word, open, *line);
            return Err(format!("there is no such key{tab}"));
        };
        if ["remote_password", "local_password", "bridge_psk", "tls_engine_kpass_sha1"].contains(&name) {
            report.hide(*line, format!("{name} …"));
        }
        let setting = Setting { key: name, rest: rest.clone(), line: *line };
        let open = *open;
        match place {
            Place::General => self.model.general.add(setting, kind, report),
            Place::Listener => self.listener(open.listener).settings.add(setting, kind, report),
            Place::Security => {
                let security = match self.model.per_listener {
                    true => &mut self.listener(open.listener).security,
                    false => &mut self.model.security,
                };
                security.settings.add(setting, kind, report);
            }
            Place::Bridge => {
                let bridge = open.bridge.ok_or("there is no `connection` before it")?;
                self.model.bridges[bridge].settings.add(setting, kind, report);
            }
            Place::Plugin => {
                let plugin = open.plugin.ok_or("there is no plugin before it")?;
                self.plugins[plugin].1.settings.add(setting, kind, report);
            }
            Place::Opener => return self.opener(name, statement, report),
        }
        Ok(())
    }

    /// A line with this word in front says what nobody knows. If it is a known one, the listeners that it is about are
    /// not opened: it may have been what kept clients from something.
    fn refuse(&mut self, word: &str, open: Open, line: Line) {
        let Some((_, place, _)) = table::known(word) else { return };
        let about = match place {
            Place::Bridge => return,
            Place::Listener => &mut self.listener(open.listener).settings,
            _ if self.model.per_listener => &mut self.listener(open.listener).security.settings,
            _ => &mut self.model.security.settings,
        };
        about.refuse(line);
    }

    fn listener(&mut self, at: Option<usize>) -> &mut Listener {
        match at {
            Some(at) => &mut self.model.listeners[at],
            None => &mut self.model.default_listener,
        }
    }

    fn option(&mut self, plugin: usize, name: &str, rest: &str, line: Line) -> Result<(), String> {
        let value = rest.trim_start_matches([' ', '\t']);
        if name.is_empty() || value.is_empty() {
            return Err("an option needs a name and a value".to_owned());
        }
        let option = PluginOption { key: name.to_owned(), value: value.to_owned(), line };
        self.plugins[plugin].1.options.push(option);
        Ok(())
    }

    /// A line that opens something.
    fn opener(&mut self, key: &str, statement: &Statement, report: &mut Report) -> Result<(), String> {
        let Statement { line, reading, rest, .. } = statement;
        let open = self.open.get(reading).copied().unwrap_or_default();
        let mut next = open;
        match key {
            "per_listener_settings" => {
                let on = values::flag(rest)?;
                let set = self.model.security.settings.iter().next().is_some() || !self.plugins.is_empty();
                if on && set && !self.model.per_listener {
                    return Err("it must come before every key that it is about".to_owned());
                }
                // Once on, it stays on.
                self.model.per_listener |= on;
                let note = "listeners name their own backends where they differ";
                report.say(*line, Verdict::Translated, if on { note } else { "" });
            }
            "listener" => {
                // What follows one that is refused must not be taken for the one before.
                let read = read_listener(rest, *line);
                self.open.insert(*reading, Open { listener: Some(self.model.listeners.len()), ..open });
                let mut shut = Listener { line: Some(*line), ..Listener::default() };
                shut.settings.refused = true;
                self.model.listeners.push(read.as_ref().map_or(shut, Listener::clone));
                return read.map(drop);
            }
            "connection" => {
                self.open.insert(*reading, Open { bridge: None, ..open });
                let name = values::word(rest).ok_or("the name is missing")?.0;
                if self.model.bridges.iter().any(|bridge| bridge.name == name) {
                    return Err("another connection has this name".to_owned());
                }
                next.bridge = Some(self.model.bridges.len());
                let (name, settings) = (name.to_owned(), Settings::default());
                self.model.bridges.push(Bridge { line: *line, name, settings });
            }
            "plugin_use" => {
                let name = values::text(rest)?;
                let Some(&plugin) = self.names.get(name) else {
                    self.uses.push((open.listener, self.plugins.len()));
                    self.plugins.push((Owner::Named, Plugin::unknown(*line)));
                    return Err("no plugin is loaded under this name".to_owned());
                };
                self.uses.push((open.listener, plugin));
                report.say(*line, Verdict::Translated, "");
            }
            _ => {
                let (name, path) = match key {
                    "plugin_load" => values::word(rest)
                        .map(|(name, path)| (Some(name), path))
                        .ok_or("the name is missing")?,
                    _ => (None, rest.as_str()),
                };
                let path = values::text(path).map(str::to_owned);
                let owner = match (name, key) {
                    (Some(name), _) => {
                        self.names.insert(name.to_owned(), self.plugins.len());
                        Owner::Named
                    }
                    (None, "plugin") if self.model.per_listener => Owner::Listener(open.listener),
                    (None, _) => Owner::Everyone,
                };
                next.plugin = Some(self.plugins.len());
                self.open.insert(*reading, next);
                // One without a path is a plugin all the same: whom it would have kept out is not let in.
                let plugin = Plugin { path: path.clone().unwrap_or_default(), ..Plugin::unknown(*line) };
                self.plugins.push((owner, plugin));
                return path.map(drop);
            }
        }
        self.open.insert(*reading, next);
        Ok(())
    }

    /// Gives the plugins to their owners, and the default listener its place if Mosquitto would start it.
    fn finish(mut self, report: &mut Report) -> Model {
        let uses = std::mem::take(&mut self.uses);
        let idle = self.plugins.iter().enumerate().filter(|(at, (owner, _))| {
            matches!(owner, Owner::Named) && uses.iter().all(|(_, used)| used != at)
        });
        for (_, (_, Plugin { line, options, settings, .. })) in idle {
            let lines =
                options.iter().map(|option| option.line).chain(settings.iter().map(|setting| setting.line));
            lines
                .chain([*line])
                .for_each(|line| report.say(line, Verdict::NotNeeded, "no listener uses this plugin"));
        }
        for (listener, plugin) in uses {
            let plugin = self.plugins[plugin].1.clone();
            self.listener(listener).security.plugins.push(plugin);
        }
        for (owner, plugin) in std::mem::take(&mut self.plugins) {
            match owner {
                Owner::Everyone => self.model.security.plugins.push(plugin),
                Owner::Listener(listener) => self.listener(listener).security.plugins.push(plugin),
                Owner::Named => {}
            }
        }
        self.model
    }
}

fn read_listener(rest: &str, line: Line) -> Result<Listener, String> {
    let (port, rest) = values::word(rest).ok_or("the port is missing")?;
    let host = values::word(rest).map(|(host, _)| host).filter(|host| !host.starts_with('#'));
    let port = u16::try_from(values::leading_number(port)).map_err(|_| format!("{port:?} is no port"))?;
    if port == 0 && host.is_none() {
        return Err("port 0 needs the path of a socket".to_owned());
    }
    Ok(Listener { line: Some(line), port, host: host.map(str::to_owned), ..Listener::default() })
}

impl Model {
    /// Whether Mosquitto would open its default listener besides those that are named.
    pub fn opens_default_listener(&self) -> bool {
        let Listener { settings, security, .. } = &self.default_listener;
        // Keys that mean something of their own; the rest is inherited by nobody.
        let matters = |setting: &Setting| match setting.key {
            "bind_interface"
            | "accept_protocol_versions"
            | "max_topic_alias"
            | "max_topic_alias_broker"
            | "http_dir" => false,
            "max_connections" => setting.number() >= 0,
            "max_qos" => setting.number() != 2,
            "protocol" => setting.word() != "mqtt",
            "require_certificate"
            | "use_identity_as_username"
            | "use_subject_as_username"
            | "use_username_as_clientid" => setting.is_on(),
            _ => true,
        };
        let secured = security.settings.iter().any(|setting| match setting.key {
            "password_file" | "psk_file" => true,
            "allow_zero_length_clientid" => !setting.is_on(),
            _ => false,
        });
        settings.iter().any(matters) || secured || (self.per_listener && !security.plugins.is_empty())
    }

    /// Whether Mosquitto would serve this machine alone.
    pub fn is_local_only(&self) -> bool {
        let Listener { settings, .. } = &self.default_listener;
        self.listeners.is_empty() && !settings.has("port") && !settings.has("bind_address")
    }
}
