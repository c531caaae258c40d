//! The seeds' own configurations, imported unchanged, do here what their documents say.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Imported, Origin, enter};
use crate::support::{Client, Connect, Subscribe, Version, subject::free_port};

/// Whether a QoS 1 publish is permitted.
fn may_publish(client: &mut Client, topic: &str) -> bool {
    client.say(topic, "x") != 0x87
}

fn may_subscribe(client: &mut Client, filter: &str) -> bool {
    client.subscribe_all(&Subscribe::to(filter, 0)).iter().all(|code| *code < 0x80)
}

/// The seed's matrix: of each user what may be published.
const TOPICS: [&str; 4] = ["loc/a", "loc/jjolie", "mega/secret", "loc/test"];

fn row(port: u16, user: &str, password: &str) -> Option<[bool; 4]> {
    let mut client = enter(port, user, Some((user, password)))?;
    Some(TOPICS.map(|topic| may_publish(&mut client, topic)))
}

/// A web service that answers by what is asked, and remembers it.
pub struct Service {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// `says`: the status for path and body.
    pub fn start(says: fn(&str, &str) -> u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = log.clone();
                std::thread::spawn(move || while serve(&stream, says, &log).is_some() {});
            }
        });
        Service { port, asked }
    }

    pub fn was_asked(&self, words: &str) -> bool {
        self.asked.lock().iter().any(|line| line.contains(words))
    }
}

fn serve(mut stream: &TcpStream, says: fn(&str, &str) -> u16, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length, mut head) = (String::new(), 0, String::new());
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line == "\r\n" {
            break;
        }
        if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = bytes.trim().parse().ok()?;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let path = first.split(' ').nth(1)?.to_owned();
    let status = says(&path, &body);
    log.lock().push(format!("{path} {body} {head}"));
    write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").ok()
}

/// The course's rules for one device, as its views give them.
fn lampi(path: &str, body: &str) -> u16 {
    let has = |field: &str| body.split('&').any(|part| part == field);
    let yes = match path {
        "/lampi/auth" => has("username=ann") && has("password=secret"),
        "/lampi/acl" => {
            let changed = has("topic=devices%2Fd1%2Flamp%2Fchanged");
            let config = has("topic=devices%2Fd1%2Flamp%2Fset_config");
            (changed && (has("acc=1") || has("acc=4"))) || (config && has("acc=2"))
        }
        _ => false,
    };
    if yes { 200 } else { 403 }
}

#[test]
fn the_cloud_of_the_lampi_course_asks_its_web_service() {
    let service = Service::start(lampi);
    let port = free_port();
    let conf = format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\nauth_plugin /mosquitto/go-auth.so\nauth_opt_backends http\n\
         auth_opt_http_host 127.0.0.1\nauth_opt_http_port {}\nauth_opt_http_getuser_uri /lampi/auth\n\
         auth_opt_http_superuser_uri /lampi/superuser\nauth_opt_http_aclcheck_uri /lampi/acl\nauth_opt_http_params_mode form\n\
         auth_opt_http_response_mode status\nauth_opt_http_with_tls false\nauth_opt_http_verify_peer false\nauth_opt_log_level debug\n\
         auth_opt_cache true\nauth_opt_acl_cache_seconds 10\n",
        service.port
    );
    let origin = Origin::new(&conf);
    let imported = origin.imported();
    assert_eq!(imported.code, 0, "{:#}", imported.report);
    let _gateway = imported.run(port);
    assert!(enter(port, "x", Some(("ann", "wrong"))).is_none() && enter(port, "x", None).is_none());
    let mut ann = enter(port, "web", Some(("ann", "secret"))).expect("she is let in");
    assert!(
        may_subscribe(&mut ann, "devices/d1/lamp/changed")
            && !may_subscribe(&mut ann, "devices/d2/lamp/changed")
    );
    assert!(
        may_publish(&mut ann, "devices/d1/lamp/set_config")
            && !may_publish(&mut ann, "devices/d2/lamp/set_config")
    );
    assert!(service.was_asked("/lampi/superuser username=ann"));
}

#[test]
fn auth_plug_of_the_web_sends_its_five_fields() {
    fn says(path: &str, body: &str) -> u16 {
        let all = ["username=ann", "password=", "topic=", "acc=", "clientid="]
            .iter()
            .all(|field| body.contains(field));
        let yes = match path {
            "/auth" => body.contains("password=secret"),
            "/acl" => body.contains("topic=a&") || body.ends_with("topic=a"),
            _ => false,
        };
        if all && yes { 200 } else { 403 }
    }
    let service = Service::start(says);
    let port = free_port();
    let conf = format!(
        "listener {port} 127.0.0.1\nauth_plugin /etc/mosquitto/auth-plug.so\nauth_opt_backends http\nauth_opt_http_ip 127.0.0.1\n\
         auth_opt_http_port {}\nauth_opt_http_getuser_uri /auth\nauth_opt_http_superuser_uri /super\nauth_opt_http_aclcheck_uri /acl\n\
         auth_opt_acl_cacheseconds 1\nauth_opt_superusers S*\n",
        service.port
    );
    let origin = Origin::new(&conf);
    let imported = origin.imported();
    assert!(imported.toml().contains("superusers = [\"S*\"]"), "{}", imported.toml());
    let _gateway = imported.run(port);
    let mut ann = enter(port, "c", Some(("ann", "secret"))).expect("she is let in");
    assert!(may_publish(&mut ann, "a") && !may_publish(&mut ann, "b"), "{:?}", service.asked.lock());
    assert!(may_subscribe(&mut ann, "a"), "{:?}", service.asked.lock());
    assert!(service.was_asked("/acl") && service.was_asked("acc=-1"));
}

/// Stored passwords of the seed; n2's account has no rules, nop's rules no account.
const CDB: [(&str, &str); 8] = [
    ("jjolie", "PBKDF2$sha256$901$x8mf3JIFTUFU9C23$Mid2xcgTrKBfBdye6W/4hE3GKeksu00+"),
    ("a", "PBKDF2$sha256$901$XPkOwNbd05p5XsUn$1uPtR6hMKBedWE44nqdVg+2NPKvyGst8"),
    ("su1", "PBKDF2$sha256$901$chEZ4HcSmKtlV0kf$yRh2N62uq6cHoAB6FIrxIN2iihYqNIJp"),
    ("acl:jjolie", "loc/jjolie"),
    ("acl:jjolie", "$SYS/something"),
    ("acl:a", "loc/test/#"),
    ("acl:su1", "mega/secret"),
    ("acl:nop", "mega/secret"),
];

#[test]
fn auth_plug_of_2013_with_a_constant_database_keeps_the_seeds_matrix() {
    let port = free_port();
    let conf = format!(
        "listener {port} 127.0.0.1\nauth_plugin /etc/mosquitto/auth-plug.so\nauth_opt_backends cdb\nauth_opt_cdbname pwdb.cdb\n\
         auth_opt_superusers su*\nauth_opt_topic_prefix /location/%/#\n"
    );
    let origin = Origin::new(&conf);
    let records: String =
        CDB.iter().map(|(key, value)| format!("+{},{}:{key}->{value}\n", key.len(), value.len())).collect();
    let origin = origin.with("records", records + "\n");
    let made =
        Command::new("sh").args(["-c", "cdb -c pwdb.cdb < records"]).current_dir(origin.folder()).status();
    assert!(made.expect("sh is there").success(), "tinycdb is installed: run tests/run once");
    let imported = origin.imported();
    let _gateway = imported.run(port);
    assert_eq!(row(port, "jjolie", "foo"), Some([false, true, false, false]), "{}", imported.toml());
    assert_eq!(row(port, "a", "foo"), Some([false, false, false, true]));
    assert_eq!(row(port, "su1", "S1"), Some([true; 4]));
    assert_eq!(row(port, "nop", "secret"), None);
    let mut jjolie = enter(port, "jjolie", Some(("jjolie", "foo"))).expect("she is let in");
    assert!(may_publish(&mut jjolie, "/location/jjolie/x") && !may_publish(&mut jjolie, "/location/a/x"));
    assert!(may_subscribe(&mut jjolie, "/location/jjolie/#") && !may_subscribe(&mut jjolie, "/location/#"));
}

#[test]
fn the_files_of_auth_plug_and_of_go_auth_are_read_each_in_its_way() {
    // The same salt and password, by either reading of the salt.
    let (text, decoded) = ("40KyjX8LGWHSo9MyZlAEvUMcs2RHiDTU", "HvqPn7uOSDLcVnTYDTURZQRi8RX8wBlX");
    let stored = |key: &str| format!("PBKDF2$sha256$901$AAECAwQFBgcICQoL${key}");
    for (plugin, options, right, wrong) in [
        ("auth-plug.so", ["password_file", "acl_file"], text, decoded),
        ("go-auth.so", ["files_password_path", "files_acl_path"], decoded, text),
    ] {
        let port = free_port();
        let [passwords, rules] = options;
        let conf = format!(
            "listener {port} 127.0.0.1\nauth_plugin /x/{plugin}\nauth_opt_backends files\nauth_opt_{passwords} passwd\nauth_opt_{rules} acl\n"
        );
        let origin = Origin::new(&conf)
            .with("passwd", format!("jjolie:{}\nother:{}\n", stored(right), stored(wrong)))
            .with("acl", "topic read everyone/#\nuser jjolie\ntopic write loc/jjolie\n");
        let imported = origin.imported();
        assert_eq!(imported.line("passwd", 1).0, "translated");
        let _gateway = imported.run(port);
        assert_eq!(
            row(port, "jjolie", super::PASSWORD),
            Some([false, true, false, false]),
            "{plugin}: {}",
            imported.toml()
        );
        let mut client = enter(port, "c", Some(("jjolie", super::PASSWORD))).expect("let in");
        assert!(
            enter(port, "o", Some(("other", super::PASSWORD))).is_none(),
            "{plugin}: the salt is read in its way"
        );
        assert!(may_subscribe(&mut client, "everyone/x") && !may_subscribe(&mut client, "loc/a"), "{plugin}");
    }
}

#[test]
fn gomozzie_asks_its_authorization_server_and_the_second_listener_its_password_file() {
    fn introspect(path: &str, body: &str) -> u16 {
        // Only that it is asked matters here; what it answers is tested with a real server.
        if path == "/introspect" && body.starts_with("token=") { 500 } else { 404 }
    }
    let service = Service::start(introspect);
    let (tokens, people) = (free_port(), free_port());
    let conf = format!(
        "per_listener_settings true\nlistener {tokens} 127.0.0.1\nauth_plugin /usr/local/lib/gomozzie.so\n\
         auth_opt_openam_endpoint http://127.0.0.1:{}/introspect\nauth_opt_openam_client_id iec\nauth_opt_openam_client_secret hush\n\
         auth_opt_openam_log_dest file /tmp/x.log\nlistener {people} 127.0.0.1\npassword_file passwd\nallow_anonymous false\n",
        service.port
    );
    let origin = Origin::new(&conf).with("passwd", super::passwd(&["human"]));
    let imported = origin.imported();
    assert_eq!(imported.code, 0, "{:#}", imported.report);
    assert!(!imported.toml().contains("hush") && !imported.report.to_string().contains("hush"));
    let _gateway = imported.run(tokens);
    assert!(enter(tokens, "d", Some(("device", "a-token"))).is_none());
    assert!(service.was_asked("/introspect token=a-token"), "{:?}", service.asked.lock());
    let asked = service.asked.lock().len();
    let mut human = enter(people, "h", Some(("human", super::PASSWORD))).expect("let in by the file");
    assert!(may_publish(&mut human, "anything"));
    assert!(enter(people, "h2", Some(("device", "a-token"))).is_none());
    assert_eq!(service.asked.lock().len(), asked, "the second listener does not ask it");
}

#[test]
fn a_module_of_pyauth_runs_unchanged() {
    let port = free_port();
    let module = "import mosquitto_auth\nusers = {}\ndef plugin_init(opts):\n    users.update(dict(opts))\n\
                  def unpwd_check(username, password):\n    return users.get('pw_' + username) == password\n\
                  def acl_check(clientid, username, topic, access):\n    return mosquitto_auth.topic_matches_sub(users['base'] + '/#', topic)\n";
    let conf = format!(
        "listener {port} 127.0.0.1\nauth_plugin /usr/lib/mosquitto/auth_plugin_pyauth.so\nauth_opt_pyauth_module my_auth.py\n\
         auth_opt_pw_ann a secret\nauth_opt_base home\n"
    );
    let origin = Origin::new(&conf).with("my_auth.py", module);
    let imported = origin.imported();
    assert!(!imported.toml().contains("a secret"), "{}", imported.toml());
    // Bug: options that were written down were said not to be known.
    assert_eq!(
        (imported.code, imported.verdicts("mosquitto.conf")),
        (0, vec!["translated", "translated", "changed", "translated", "translated"]),
        "{:#}",
        imported.report
    );
    let _gateway = imported.run(port);
    let mut ann = enter(port, "c", Some(("ann", "a secret"))).unwrap_or_else(|| panic!("{}", origin.log()));
    assert!(may_publish(&mut ann, "home/x") && !may_publish(&mut ann, "away"));
    assert!(enter(port, "c2", Some(("ann", "wrong"))).is_none());
}

#[test]
fn the_folder_of_the_latch_plugin_becomes_accounts_rules_and_pairings() {
    let port = free_port();
    let conf = format!(
        "listener {port} 127.0.0.1\nauth_plugin /usr/lib/mosquitto/auth_plugin_pyauth.so\nauth_opt_pyauth_module mosquitto_latch\n\
         auth_opt_latch_conf latch.conf\n"
    );
    let origin = Origin::new(&conf)
        .with("latch/latch.conf", "# made by install.py\napp_id=APPIDAPPIDAPPIDAPPID\nsecret_key=0123456789abcdef0123456789abcdef01234567\n\
              default_action=close\nsecurity_mode=password\npublish=OPERATION1OPERATION1\nlatch_host=x\n")
        .with("latch/mosquitto.users", "ann=5ebe2294ecd0e0f08eab7690d2a6ee69\nbob=5ebe2294ecd0e0f08eab7690d2a6ee69\n")
        .with("latch/latch.accounts", "ann=ACCOUNT1\n")
        .with("latch/latch.instances", "home/door INSTANCE1 ann\n")
        .with("latch/mosquitto.acl", "## the door\nhome/door ann, carl\nhome/+ ann,bob,carl\n");
    let imported: Imported<'_> = origin.imported();
    let toml = imported.toml();
    for line in [
        "application_id = \"APPIDAPPIDAPPIDAPPID\"",
        "publish_operation = \"OPERATION1OPERATION1\"",
        "on_error = \"closed\"",
        "secret_file = \"latch.secret\"",
    ] {
        assert!(toml.contains(line), "{line} in {toml}\n{:#}", imported.report);
    }
    let report = imported.report.to_string();
    assert!(!toml.contains("0123456789") && !report.contains("0123456789") && !report.contains("5ebe2294"));
    assert_eq!(imported.line("mosquitto.users", 1).0, "not possible");
    let may = |user: &str, topic: &str| imported.command(&["acl", "test", user, "write", topic]).code == 0;
    assert!(
        may("ann", "home/door")
            && !may("bob", "home/door")
            && may("bob", "home/lamp")
            && may("carl", "home/door")
    );
    assert!(!may("eve", "other") && may("bob", "other"));
    imported.command(&["user", "password", "bob", "--password-stdin"]);
    let status = imported.command(&["latch", "status"]).out;
    assert!(status.contains("ann") && status.contains("ACCOUNT1") || status.contains("ann"), "{status}");
    let _gateway = imported.run(port);
    assert!(enter(port, "c", Some(("bob", "secret"))).is_none(), "nobody logs in by an unsalted MD5");
    let connect = Connect::new(Version::V5, "c");
    assert_ne!(Client::connect(port, &connect).1.code, 0);
}

#[test]
fn what_a_plugin_has_and_the_gateway_has_not_is_said_and_leaves_its_listeners_closed() {
    for (plugin, options, option) in [
        ("go-auth.so", "auth_opt_backends mongo\nauth_opt_mongo_host h\n", 3),
        ("go-auth.so", "auth_opt_backends files\nauth_opt_use_clientid_as_username true\n", 3),
        ("go-auth.so", "auth_opt_log_level debug\n", 2),
        ("auth-plug.so", "auth_opt_backends ldap,files\nauth_opt_ldap_uri x\n", 3),
        ("auth-plug.so", "auth_opt_backends memcached\n", 2),
        ("auth_plugin_pyauth.so", "auth_opt_other x\n", 2),
        ("auth_plugin_pyauth.so", "auth_opt_pyauth_module mosquitto_latch\n", 2),
        ("gomozzie.so", "auth_opt_openam_host h\n", 2),
        ("oauth2-auth-plugin.so", "auth_opt_oauth2_log_dest none\n", 2),
    ] {
        let port = free_port();
        let origin =
            Origin::new(&format!("plugin /x/{plugin}\n{options}listener {port}\nallow_anonymous true\n"));
        let imported = origin.imported();
        assert!(!imported.toml().contains(&port.to_string()), "{plugin}: {}", imported.toml());
        assert_eq!(imported.line("mosquitto.conf", 1).0, "not possible", "{plugin}");
        assert_eq!(
            imported.line("mosquitto.conf", option).0,
            "not possible",
            "{plugin}: {:#}",
            imported.report
        );
    }
}
