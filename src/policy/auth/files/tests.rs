//! The files by tables; tests/backends compares them with Mosquitto itself.

use super::*;
use crate::{
    mqtt::TopicFilter,
    policy::acl::{Access, SubscribeRule},
};

/// `password`, as mosquitto_passwd stores it.
const STORED: &str = "$7$101$AAECAwQFBgcICQoL$DEO14ViPofBJRJpN8uZINnuFUWj8eUeWhlyZ2QOQ+5LgiM0kGXMwv2HwhIvlBQTsHkd+uve2/GFOr/KZ8Y/8Hw==";

fn acl(text: &str, dialect: Dialect) -> Result<Reading, FileError> {
    let acl = AclFile::parse(text, "/etc/acl".as_ref(), dialect)?;
    let passwords = format!("ann:{STORED}\nbob:{STORED}\n");
    let passwords = password_file::parse(&passwords, "/etc/passwd".as_ref(), dialect)?;
    Ok(Reading { passwords: Arc::new(passwords), acl: Some(Arc::new(acl)) })
}

/// `yes`, `no` by a denying line, or `-` if no line says anything.
fn asked(reading: &Reading, user: Option<&str>, access: Access, topic: &str) -> &'static str {
    let rights = reading.rights(user.unwrap_or("guest"), "c1", user.is_none());
    match rights.on_topic(access, topic) {
        Ok(Some(_)) => "yes",
        Ok(None) => "-",
        Err(_) => "no",
    }
}

fn subscribes(reading: &Reading, user: &str, filter: &str) -> bool {
    let filter = TopicFilter::new(filter).unwrap();
    let answer = reading.rights(user, "c1", false).on_filter(&filter, SubscribeRule::Covered);
    answer.is_ok_and(|rule| rule.is_some())
}

const FILE: &str = "# everybody\ntopic read news\nuser ann\ntopic a/#\ntopic deny a/secret\ntopic write w\n\
                    pattern read p/%u/%c\npattern deny p/bob/#\n";

#[test]
fn mosquittos_lines_before_the_first_user_are_for_clients_without_a_name() {
    let reading = acl(FILE, Dialect::Mosquitto).unwrap();
    for (user, access, topic, answer) in [
        (None, Access::RECEIVE, "news", "yes"),
        (None, Access::PUBLISH, "news", "-"),
        (Some("ann"), Access::RECEIVE, "news", "-"),
        (Some("ann"), Access::PUBLISH, "a/b", "yes"),
        (Some("ann"), Access::PUBLISH, "a/secret", "no"),
        (Some("ann"), Access::RECEIVE, "w", "-"),
        (Some("ann"), Access::RECEIVE, "p/ann/c1", "yes"),
        (Some("ann"), Access::PUBLISH, "p/ann/c1", "-"),
        (Some("ann"), Access::RECEIVE, "p/bob/c1", "no"),
        (Some("bob"), Access::RECEIVE, "p/bob/c1", "no"),
        (None, Access::RECEIVE, "p//c1", "-"),
    ] {
        assert_eq!(asked(&reading, user, access, topic), answer, "{user:?} {access} {topic}");
    }
    assert!(subscribes(&reading, "bob", "#"), "each delivery is asked about");
}

#[test]
fn in_the_plugins_dialects_such_lines_are_for_everyone() {
    for dialect in [Dialect::GoAuth, Dialect::AuthPlug] {
        let text = FILE.replace("deny", if dialect == Dialect::AuthPlug { "read" } else { "deny" });
        let reading = acl(&text, dialect).unwrap();
        assert_eq!(asked(&reading, Some("ann"), Access::RECEIVE, "news"), "yes", "{dialect:?}");
        assert_eq!(asked(&reading, Some("bob"), Access::RECEIVE, "news"), "yes", "{dialect:?}");
    }
}

#[test]
fn go_auth_denies_first_subscribes_by_read_and_reaches_sys_by_a_hash() {
    let text = "topic deny x\nuser ann\ntopic x\ntopic read r/+\ntopic subscribe s/#\ntopic read #\nuser carl\ntopic z\n";
    let reading = acl(text, Dialect::GoAuth).unwrap();
    assert_eq!(asked(&reading, Some("ann"), Access::PUBLISH, "x"), "no", "of whichever list");
    assert_eq!(asked(&reading, Some("ann"), Access::RECEIVE, "$SYS/x"), "yes");
    assert_eq!(asked(&reading, Some("ann"), Access::PUBLISH, "$SYS/x"), "-");
    assert!(subscribes(&reading, "ann", "r/+") && subscribes(&reading, "ann", "s/a"));
    assert!(!subscribes(&reading, "ann", "#"), "reading # does not subscribe to it");
    assert!(!subscribes(&reading, "ann", "r/#"), "a wider filter than the rule");
    assert_eq!(asked(&reading, Some("carl"), Access::PUBLISH, "z"), "-", "carl has no password");
}

#[test]
fn names_with_wildcards_are_refused_where_there_are_patterns_and_a_slash_stays_in_its_level() {
    let reading = acl("pattern read p/%u/%c\n", Dialect::Mosquitto).unwrap();
    for name in ["+", "#", "a+"] {
        assert_eq!(asked(&reading, Some(name), Access::RECEIVE, "p/a/c1"), "no", "{name}");
    }
    assert_eq!(asked(&reading, Some("a/b"), Access::RECEIVE, "p/a/b/c1"), "-");
    assert_eq!(asked(&reading, Some("%c"), Access::RECEIVE, "p/c1/c1"), "-", "a name is not looked into");
    assert_eq!(asked(&reading, Some("%c"), Access::RECEIVE, "p/%c/c1"), "yes");
}

#[test]
fn a_line_that_cannot_be_understood_names_itself() {
    for (text, dialect, line, what) in [
        ("user ann\ntopic execute x", Dialect::Mosquitto, 2, "access is read"),
        ("topic a b", Dialect::Mosquitto, 1, "access is"),
        ("topic subscribe b", Dialect::Mosquitto, 1, "access is"),
        ("topic deny b", Dialect::AuthPlug, 1, "access is"),
        ("topic", Dialect::Mosquitto, 1, "missing"),
        ("user", Dialect::Mosquitto, 1, "needs a name"),
        ("\n\ntopic a/#/b", Dialect::Mosquitto, 3, "topic filter"),
        (" # comment", Dialect::Mosquitto, 1, "a line begins with"),
        ("tpoic a", Dialect::GoAuth, 1, "a line begins with"),
    ] {
        let error = acl(text, dialect).unwrap_err();
        assert_eq!(error.line, Some(line), "{text:?}");
        assert!(error.to_string().starts_with(&format!("/etc/acl:{line}: ")), "{error}");
        assert!(error.what.contains(what), "{text:?}: {error}");
    }
    for text in ["ann", ":x", "ann:", "ann:$6$bad", "ann:PBKDF2$md9$1$a$b", "ann:plain"] {
        let text = format!("# c\n\n{text}\n");
        let error = password_file::parse(&text, "/etc/p".as_ref(), Dialect::Mosquitto).unwrap_err();
        assert_eq!(error.line, Some(3), "{text:?}");
        assert!(!error.to_string().contains("plain"), "a password is not repeated: {error}");
    }
}

#[test]
fn words_that_look_like_access_are_filters_where_nothing_follows() {
    let reading = acl("user ann\ntopic read\ntopic read  a b\n", Dialect::Mosquitto).unwrap();
    assert_eq!(asked(&reading, Some("ann"), Access::PUBLISH, "read"), "yes");
    assert_eq!(asked(&reading, Some("ann"), Access::RECEIVE, "a b"), "yes");
}

#[test]
fn only_users_whose_lines_differ_are_told_of_a_change() {
    let old = acl(FILE, Dialect::Mosquitto).unwrap();
    let new =
        acl(&format!("# one more line\n{}", FILE.replace("write w", "read w")), Dialect::Mosquitto).unwrap();
    assert!(!old.same_for(&new, "ann") && old.same_for(&new, "bob"));
    let other = Reading { passwords: Arc::default(), ..acl(FILE, Dialect::Mosquitto).unwrap() };
    assert!(!old.same_for(&other, "bob") && old.same_for(&other, "carl"));
}

#[test]
fn a_changed_file_is_read_once_it_has_settled_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acl");
    std::fs::write(&file, "user ann\ntopic a\n").unwrap();
    let settings = FilesSettings { acl_file: Some(file.clone()), ..FilesSettings::default() };
    let files = Files::open(settings).unwrap();
    let allowed = |topic| asked(&files.reading(), Some("ann"), Access::PUBLISH, topic) == "yes";
    let nothing = |look: Look| look.reread.is_none() && look.errors.is_empty();
    assert!(allowed("a") && nothing(files.look()));
    std::fs::write(&file, "user ann\ntopic bb\n").unwrap();
    assert!(nothing(files.look()), "it may not be finished");
    assert!(files.look().reread.is_some() && allowed("bb") && !allowed("a"));
    std::fs::write(&file, "user ann\ntopic ccc\ntopic\n").unwrap();
    assert!(nothing(files.look()));
    let look = files.look();
    assert!(look.reread.is_none() && look.errors[0].line == Some(3), "{look:?}");
    assert!(nothing(files.look()), "it is told once");
    assert!(allowed("bb"));
    std::fs::remove_file(&file).unwrap();
    let _ = files.look();
    assert!(files.look().errors.len() == 1 && allowed("bb"));
}

#[test]
fn each_file_keeps_its_own_last_good_content() {
    let folder = tempfile::tempdir().unwrap();
    let [passwd, acl] = ["passwd", "acl"].map(|name| folder.path().join(name));
    std::fs::write(&passwd, format!("ann:{STORED}\nbob:{STORED}\n")).unwrap();
    std::fs::write(&acl, "user ann\ntopic a\n").unwrap();
    let (password_file, acl_file) = (Some(passwd.clone()), Some(acl.clone()));
    let settings = FilesSettings { password_file, acl_file, ..FilesSettings::default() };
    let files = Files::open(settings.clone()).unwrap();
    let allowed = |topic| asked(&files.reading(), Some("ann"), Access::PUBLISH, topic) == "yes";
    std::fs::write(&acl, "nonsense\n").unwrap();
    std::fs::write(&passwd, format!("ann:{STORED}\n")).unwrap();
    files.look();
    let look = files.look();
    assert_eq!((look.errors.len(), look.errors[0].line), (1, Some(1)), "{look:?}");
    assert_eq!(look.reread.unwrap().files, std::slice::from_ref(&passwd));
    assert!(files.reading().stored("bob").is_none() && allowed("a"));
    std::fs::write(&acl, "user ann\ntopic bb\n").unwrap();
    std::fs::write(&passwd, "nonsense\n").unwrap();
    files.look();
    assert_eq!(files.look().errors[0].file, passwd);
    assert!(files.reading().stored("ann").is_some() && allowed("bb") && !allowed("a"));
}

#[test]
fn a_fresh_reading_counts_at_once_if_it_is_of_the_same_files_as_they_are_now() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    let of = |file: &PathBuf| FilesSettings { acl_file: Some(file.clone()), ..FilesSettings::default() };
    std::fs::write(&acl, "user ann\ntopic a\n").unwrap();
    let files = Files::open(of(&acl)).unwrap();
    let allowed = |topic| asked(&files.reading(), Some("ann"), Access::PUBLISH, topic) == "yes";
    std::fs::write(&acl, "user ann\ntopic bb\n").unwrap();
    let fresh = Files::open(of(&acl)).unwrap();
    assert!(files.take(&fresh).is_some() && allowed("bb"));
    assert!(files.look().reread.is_none() && files.look().reread.is_none(), "it was read");
    std::fs::write(&acl, "user ann\ntopic ccc\n").unwrap();
    assert!(files.take(&fresh).is_none() && allowed("bb"), "they have changed since");
    let other = folder.path().join("other");
    std::fs::write(&other, "").unwrap();
    assert!(files.take(&Files::open(of(&other)).unwrap()).is_none());
}
