//! What is allowed in a configuration, but worth a second look.

use super::{ClientCertificate, Config, Listener};

impl Config {
    /// One sentence for each questionable thing, for `check` and the log.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.listeners.iter().flat_map(Listener::warnings).collect();
        if let Some(address) = self.admin.http.filter(|address| !address.ip().to_canonical().is_loopback()) {
            warnings.push(format!(
                "admin.http: {address} can be reached from other machines: whoever reaches it can read the metrics"
            ));
        }
        warnings.extend(self.bridges.iter().flat_map(super::Bridge::warnings));
        for pattern in &self.acl.superusers {
            if pattern.chars().all(|c| c == '*') {
                warnings.push(format!(
                    "acl.superusers holds \"{pattern}\": every user is a superuser, so no rule refuses anybody"
                ));
            }
        }
        warnings
    }
}

impl Listener {
    fn warnings(&self) -> Vec<String> {
        let Listener { name, address, origins, anonymous, limits, tls, .. } = self;
        let mut warnings = Vec::new();
        if origins.iter().any(|origin| origin == "*")
            && let Some(user) = anonymous
        {
            warnings.push(format!(
                "listener \"{name}\": any web page that a browser near this gateway opens can connect without a login, as \
                 \"{user}\""
            ));
        }
        if address.ip().to_canonical().is_loopback() {
            return warnings;
        }
        if tls.is_none() {
            warnings.push(format!(
                "listener \"{name}\": {address} can be reached from other machines and is not encrypted: passwords \
                 and messages can be read on the way"
            ));
        }
        let known = tls.as_ref().is_some_and(|tls| tls.client_certificate == ClientCertificate::Required);
        if let Some(user) = anonymous.as_ref().filter(|_| !known) {
            warnings.push(format!(
                "listener \"{name}\": clients on other machines need no login; they are \"{user}\""
            ));
        }
        let unlimited = [
            ("connections", limits.connections),
            ("packet_size", limits.packet_size),
            ("queued_bytes", limits.queued_bytes),
            ("pending", limits.pending),
        ];
        for (key, _) in unlimited.iter().filter(|(_, bound)| *bound == usize::MAX) {
            warnings.push(format!(
                "listener \"{name}\": without a limit on {key}, clients on other machines can use up the memory"
            ));
        }
        warnings
    }
}
