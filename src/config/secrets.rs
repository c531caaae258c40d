//! Which of the files that a configuration names hold secrets.

use super::{Backend, Config, NamedFile};

impl Config {
    /// Every file that somebody who reads it could misuse: private keys, passwords, secrets. Those of backends that are
    /// asked nowhere are left out. A new key that names such a file belongs here.
    pub fn secret_files(&self) -> Vec<&NamedFile> {
        let used = self.backends();
        let of = |backend: Backend, file: &'_ Option<NamedFile>| used.contains(&backend) && file.is_some();
        let listeners =
            self.listeners.iter().filter_map(|listener| listener.tls.as_ref()).map(|tls| &tls.key);
        let bridges = self.bridges.iter().flat_map(|bridge| [&bridge.tls.key, &bridge.password_file]);
        let backends = [
            (Backend::Files, &self.auth.files.password_file),
            (Backend::Oauth2, &self.auth.oauth2.client_secret_file),
            (Backend::Cdb, &self.auth.cdb.file),
            (Backend::Redis, &self.auth.redis.password_file),
            (Backend::Redis, &self.auth.redis.key),
            (Backend::Mysql, &self.auth.mysql.password_file),
            (Backend::Mysql, &self.auth.mysql.key),
            (Backend::Postgres, &self.auth.postgres.password_file),
            (Backend::Postgres, &self.auth.postgres.key),
        ];
        let backends =
            backends.into_iter().filter(|(backend, file)| of(*backend, file)).map(|(_, file)| file);
        let latch = self.latch.application_id.is_some().then_some(&self.latch.secret_file);
        let python = used.contains(&Backend::Python).then_some(&self.auth.python.opts_files);
        let python = python.into_iter().flatten().map(|(_, file)| file);
        listeners.chain(python).chain(bridges.chain(backends).chain(latch).flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_passwords_and_secrets_are_named_if_they_are_used() {
        let text = "[[listener]]\nname = 'a'\naddress = '127.0.0.1:1'\n[listener.tls]\ncertificate = 's.crt'\nkey = 's.key'\n\
                    [auth]\nbackends = ['files']\n[auth.files]\npassword_file = 'passwd'\nacl_file = 'acl'\n\
                    [auth.oauth2]\nclient_secret_file = 'unused'\n\
                    [[bridge]]\nname = 'c'\naddress = 'mqtts://h'\nusername = 'u'\npassword_file = 'word'\n\
                    [bridge.tls]\ncertificate = 'c.crt'\nkey = 'c.key'\n\
                    [[bridge.route]]\ntopic = 't'\ndirection = 'out'\n\
                    [latch]\napplication_id = 'APPIDAPPIDAPPIDAPPID'\nsecret_file = 'latch'\n";
        let config = Config::parse(text, "/g/x.toml".as_ref()).unwrap();
        let names: Vec<_> =
            config.secret_files().iter().map(|file| file.path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["s.key", "c.key", "word", "passwd", "latch"]);
    }
}
