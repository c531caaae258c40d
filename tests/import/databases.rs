//! Plugins that ask databases: what they were told is told to the gateway, and secrets go to files.

use super::{Imported, Origin, PASSWORD, enter};
use crate::support::{Subscribe, subject::free_port};

/// `password`, by the decoded salt and by its text.
const DECODED: &str = "PBKDF2$sha256$901$AAECAwQFBgcICQoL$HvqPn7uOSDLcVnTYDTURZQRi8RX8wBlX";
const TEXT: &str = "PBKDF2$sha256$901$AAECAwQFBgcICQoL$40KyjX8LGWHSo9MyZlAEvUMcs2RHiDTU";

fn database(origin: &Origin, stored: &str) {
    let database = rusqlite::Connection::open(origin.path("mqtt.db")).expect("a database");
    let text = format!(
        "CREATE TABLE users (username TEXT, password TEXT, super INTEGER);
         CREATE TABLE acls (username TEXT, topic TEXT, rw INTEGER);
         INSERT INTO users VALUES ('ann', '{stored}', 0), ('root', '{stored}', 1);
         INSERT INTO acls VALUES ('ann', 'read/#', 1), ('ann', 'read/#', 4), ('ann', 'write/%u', 2);"
    );
    database.execute_batch(&text).expect("the tables are made");
}

fn has(imported: &Imported<'_>, lines: &[&str]) {
    let toml = imported.toml();
    for line in lines {
        assert!(toml.contains(line), "{line} in {toml}\n{:#}", imported.report);
    }
}

#[test]
fn go_auth_with_sqlite_asks_its_own_tables() {
    let port = free_port();
    let conf = format!(
        "listener {port} 127.0.0.1\nauth_plugin /x/go-auth.so\nauth_opt_backends sqlite\nauth_opt_sqlite_source mqtt.db\n\
         auth_opt_sqlite_userquery SELECT password FROM users WHERE username = ? limit 1\n\
         auth_opt_sqlite_superquery SELECT COUNT(*) FROM users WHERE username = ? AND super = 1\n\
         auth_opt_sqlite_aclquery SELECT topic FROM acls WHERE username = ? AND rw = ?\nauth_opt_hasher pbkdf2\n"
    );
    let origin = Origin::new(&conf);
    database(&origin, DECODED);
    let imported = origin.imported();
    assert_eq!(imported.code, 0, "{:#}", imported.report);
    let _gateway = imported.run(port);
    let mut ann = enter(port, "c", Some(("ann", PASSWORD))).unwrap_or_else(|| panic!("{}", origin.log()));
    let mut may_publish = |topic: &str| ann.say(topic, "x") != 0x87;
    assert!(may_publish("write/ann") && !may_publish("write/bob") && !may_publish("read/x"));
    let granted = ann.subscribe_all(&Subscribe::to("read/#", 0).and("write/ann", 0));
    assert_eq!(granted, [0, 0x87]);
    let mut root = enter(port, "r", Some(("root", PASSWORD))).expect("let in");
    assert_ne!(root.say("anything", "x"), 0x87);
    assert!(enter(port, "w", Some(("ann", "wrong"))).is_none());
}

#[test]
fn auth_plug_with_sqlite_knows_passwords_by_the_text_of_their_salt() {
    let port = free_port();
    let conf = format!(
        "listener {port} 127.0.0.1\nauth_plugin /x/auth-plug.so\nauth_opt_backends sqlite\nauth_opt_dbpath mqtt.db\n\
         auth_opt_sqliteuserquery SELECT password FROM users WHERE username = ?\n"
    );
    let origin = Origin::new(&conf);
    database(&origin, TEXT);
    let imported = origin.imported();
    let (verdict, note) = imported.line("mosquitto.conf", 3);
    assert!(verdict == "changed" && note.contains("nothing is allowed"), "{verdict}: {note}");
    let _gateway = imported.run(port);
    let mut ann = enter(port, "c", Some(("ann", PASSWORD))).unwrap_or_else(|| panic!("{}", origin.log()));
    assert_eq!(ann.say("read/x", "x"), 0x87, "a backend without rules allows nothing");
}

#[test]
fn the_keys_of_go_auths_servers_become_ours() {
    let conf = "listener 1883 127.0.0.1\nauth_plugin /x/go-auth.so\nauth_opt_backends postgres, mysql,redis\n\
                auth_opt_pg_host db.example\nauth_opt_pg_port 5433\nauth_opt_pg_user gate\nauth_opt_pg_password hidden-1\nauth_opt_pg_dbname mqtt\n\
                auth_opt_pg_sslmode verify-full\nauth_opt_pg_userquery SELECT hash FROM u WHERE name = $1\n\
                auth_opt_pg_aclquery SELECT topic FROM a WHERE name = $1 AND rw = $2\n\
                auth_opt_mysql_host 127.0.0.1\nauth_opt_mysql_user gate\nauth_opt_mysql_password hidden-2\nauth_opt_mysql_dbname mqtt\n\
                auth_opt_mysql_userquery SELECT hash FROM u WHERE name = ?\nauth_opt_mysql_allow_native_passwords true\n\
                auth_opt_redis_host 127.0.0.1\nauth_opt_redis_password hidden-3\nauth_opt_disable_superuser true\nauth_opt_mysql_register user\n";
    let origin = Origin::new(conf);
    let imported = origin.imported();
    has(
        &imported,
        &[
            "backends = [\"postgres\", \"mysql\", \"redis\"]",
            "[auth.postgres]",
            "host = \"db.example\"",
            "port = 5433",
            "password_file = \"postgres.password\"",
            "tls = \"required\"",
            "user_query = \"SELECT hash FROM u WHERE name = $1\"",
            "acl_query = \"SELECT topic FROM a WHERE name = $1 AND rw = $2\"",
            "[auth.mysql]",
            "[auth.redis]",
            "dialect = \"go-auth\"",
            "database = 2",
            "salt = \"base64\"",
            "superusers = false",
        ],
    );
    assert!(!imported.report.to_string().contains("hidden") && !imported.toml().contains("hidden"));
    let password = std::fs::read_to_string(origin.path("new/postgres.password")).expect("read it");
    assert_eq!(password, "hidden-1\n");
}

#[test]
fn the_keys_of_both_generations_of_auth_plug_become_ours() {
    let conf = "listener 1883 127.0.0.1\nauth_plugin /x/auth-plug.so\nauth_opt_backends mysql,redis\nauth_opt_host 127.0.0.1\nauth_opt_port 3307\n\
                auth_opt_user gate\nauth_opt_pass hidden-1\nauth_opt_dbname mqtt\nauth_opt_userquery SELECT pw FROM users WHERE username = '%s'\n\
                auth_opt_superquery SELECT super FROM users WHERE username = '%s'\n\
                auth_opt_aclquery SELECT topic FROM acls WHERE username = '%s' AND rw >= %d\nauth_opt_redis_host 127.0.0.1\n\
                auth_opt_redis_pass hidden-2\nauth_opt_redis_username_prefix mqtt:\nauth_opt_redis_aclquery GET %s-%s\nauth_opt_anonusername guest\n\
                allow_anonymous true\n";
    let origin = Origin::new(conf);
    let imported = origin.imported();
    has(
        &imported,
        &[
            "backends = [\"mysql\", \"redis\"]",
            "acl = \"all\"",
            "port = 3307",
            "user_query = \"SELECT pw FROM users WHERE username = '%s'\"",
            "superuser_query",
            "acl_query = \"SELECT topic FROM acls WHERE username = '%s' AND rw >= %d\"",
            "username_prefix = \"mqtt:\"",
            "dialect = \"auth-plug\"",
            "acl_query = \"GET %s-%s\"",
            "salt = \"text\"",
            "subscribe_as_read = true",
            "anonymous = \"guest\"",
        ],
    );
    assert!(!imported.report.to_string().contains("hidden") && !imported.toml().contains("hidden"));
    assert_eq!(
        imported.verdicts("mosquitto.conf").iter().filter(|verdict| **verdict == "not possible").count(),
        0,
        "{:#}",
        imported.report
    );
}
