//! What is different in another configuration, and what it takes to apply it.

use super::{Acl, Config, Limits};

/// What a running gateway would do with another configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Applied at once; nobody is disconnected.
    pub live: Vec<String>,
    /// Listeners that are opened, closed, or closed and opened again; their clients are disconnected.
    pub listeners: Vec<String>,
    /// Applied by a restart of the gateway only.
    pub restart: Vec<String>,
}

impl Config {
    /// What is different in `new`.
    pub fn difference(&self, new: &Config) -> Difference {
        let keys = |section: &'static str, keys: Vec<&'static str>| {
            keys.into_iter().map(move |key| format!("{section}.{key}"))
        };
        let mut difference = Difference { listeners: self.changed_listeners(new), ..Difference::default() };
        for key in self.acl.differing(&new.acl) {
            let list = if Acl::LIVE.contains(&key) { &mut difference.live } else { &mut difference.restart };
            list.push(format!("acl.{key}"));
        }
        difference.live.extend(keys("lock", self.lock.differing(&new.lock)));
        for key in self.latch.differing(&new.latch) {
            let is_live = self.latch.is_same_application(&new.latch);
            let list = if is_live { &mut difference.live } else { &mut difference.restart };
            list.push(format!("latch.{key}"));
        }
        // Every other limit is part of the listeners.
        let limits = self.limits.differing(&new.limits);
        let limits = limits.into_iter().filter(|key| Limits::GATEWAY_ONLY.contains(key)).collect();
        difference.restart.extend(
            keys("gateway", self.gateway.differing(&new.gateway))
                .chain(keys("limits", limits))
                .chain(keys("auth", self.auth.differing(&new.auth)))
                .chain(keys("panel", self.panel.differing(&new.panel)))
                .chain(keys("admin", self.admin.differing(&new.admin)))
                .chain(keys("log", self.log.differing(&new.log))),
        );
        if self.bridges != new.bridges {
            difference.restart.push("bridge".to_owned());
        }
        difference
    }

    /// This configuration with all of `new` that needs no restart.
    pub fn with_live(&self, new: Config) -> Config {
        let acl = Acl { refused_publish_v3: self.acl.refused_publish_v3, ..new.acl };
        let latch = match self.latch.is_same_application(&new.latch) {
            true => new.latch,
            false => self.latch.clone(),
        };
        Config { listeners: new.listeners, acl, lock: new.lock, latch, ..self.clone() }
    }

    fn changed_listeners(&self, new: &Config) -> Vec<String> {
        let mut changes = Vec::new();
        for old in &self.listeners {
            match new.listeners.iter().find(|new| new.name == old.name) {
                None => changes.push(format!("{:?} is closed", old.name)),
                Some(new) if new == old => {}
                Some(new) => changes.push(format!("{:?}: {}", old.name, old.differing(new).join(", "))),
            }
        }
        let known = |name: &str| self.listeners.iter().any(|old| old.name == name);
        let added = new.listeners.iter().filter(|new| !known(&new.name));
        changes.extend(added.map(|new| format!("{:?} is opened at {}", new.name, new.address)));
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, "/etc/gate.toml".as_ref()).unwrap()
    }

    #[test]
    fn each_change_is_told_by_what_it_takes() {
        let old = config(
            "gateway.id = 'a'\n[[listener]]\nname = 'x'\naddress = '127.0.0.1:1'\n[[listener]]\nname = 'y'\naddress = '127.0.0.1:2'",
        );
        let new = config(
            "gateway.id = 'b'\n[acl]\nsuperusers = ['s']\nrefused_publish_v3 = 'disconnect'\n[limits]\ninflight = 7\nmemory = 5\n\
             [[listener]]\nname = 'x'\naddress = '127.0.0.1:1'\n[[listener]]\nname = 'z'\naddress = '127.0.0.1:3'",
        );
        assert_eq!(old.difference(&old), Difference::default());
        let Difference { live, listeners, restart } = old.difference(&new);
        assert_eq!(live, ["acl.superusers"]);
        assert_eq!(listeners, ["\"x\": limits", "\"y\" is closed", "\"z\" is opened at 127.0.0.1:3"]);
        assert_eq!(restart, ["acl.refused_publish_v3", "gateway.id", "limits.memory"]);
        let applied = old.with_live(new.clone());
        assert_eq!(applied.difference(&new), Difference { restart, ..Difference::default() });
    }

    #[test]
    fn latch_changes_live_as_long_as_it_is_the_same_application() {
        let app = |id: &str, poll: &str| {
            config(&format!("[latch]\napplication_id = '{id}'\nsecret_file = 's'\npoll = '{poll}'"))
        };
        let (old, faster, other) = (app("A", "5s"), app("A", "1s"), app("B", "1s"));
        assert_eq!(old.difference(&faster).live, ["latch.poll"]);
        assert_eq!(old.with_live(faster.clone()), faster);
        assert_eq!(old.difference(&other).restart, ["latch.application_id", "latch.poll"]);
        assert_eq!(old.with_live(other), old);
        let without = config("");
        assert_eq!(without.difference(&old).restart, ["latch.application_id", "latch.secret_file"]);
        assert_eq!(without.with_live(old).latch, without.latch);
    }
}
