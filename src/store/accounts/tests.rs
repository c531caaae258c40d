//! Every operation, changes seen from elsewhere, and rows that other programs left behind.

use std::sync::Barrier;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::policy::accounts::{AccountRecord, RuleRecord, Subject};
use crate::policy::acl::Access;

fn open() -> (TempDir, AccountsDb) {
    let directory = tempfile::tempdir().unwrap();
    let db = AccountsDb::open(directory.path()).unwrap();
    (directory, db)
}

/// Another program at work on the same file, with none of our checks.
fn intruder(directory: &TempDir) -> Connection {
    let connection = Connection::open(directory.path().join(AccountsDb::FILE)).unwrap();
    connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
    connection
}

fn rule(subject: &str, access: Access, filter: &str, deny: bool) -> RuleRecord {
    RuleRecord { subject: subject.parse().unwrap(), access, filter: filter.into(), deny }
}

fn account(db: &AccountsDb, name: &str) -> AccountRecord {
    db.users().unwrap().into_iter().find(|account| account.name == name).unwrap()
}

#[test]
fn an_account_is_made_changed_and_removed() {
    let (_directory, db) = open();
    db.add_user("a", Some("stored"), false).unwrap();
    let first = account(&db, "a");
    assert_eq!((first.hash.as_deref(), first.enabled, first.superuser), (Some("stored"), true, false));
    assert!(db.has_user("a").unwrap() && !db.has_user("b").unwrap());

    db.set_enabled("a", false).unwrap();
    db.set_superuser("a", true).unwrap();
    let second = account(&db, "a");
    assert_eq!((second.enabled, second.superuser, second.credential), (false, true, first.credential));

    db.set_password("a", "other").unwrap();
    let third = account(&db, "a");
    assert_eq!((third.hash.as_deref(), third.credential), (Some("other"), first.credential + 1));

    db.add_rule(&rule("a", Access::READ, "x", false)).unwrap();
    assert_eq!(db.remove_user("a").unwrap(), 1, "the rules for a name outlive the account");
    assert_eq!(db.users().unwrap(), []);
}

#[test]
fn an_administrator_is_made_whatever_there_was_under_its_name() {
    let (_directory, db) = open();
    db.put_administrator("a", "first").unwrap();
    let first = account(&db, "a");
    assert_eq!((first.hash.as_deref(), first.enabled, first.superuser), (Some("first"), true, true));
    db.set_enabled("a", false).unwrap();
    db.set_superuser("a", false).unwrap();
    db.put_administrator("a", "second").unwrap();
    let second = account(&db, "a");
    assert_eq!((second.hash.as_deref(), second.enabled, second.superuser), (Some("second"), true, true));
    assert_ne!(second.credential, first.credential, "who was in under the old password is not in any more");
    assert!(db.put_administrator("role:a", "x").is_err());
}

#[test]
fn an_account_made_again_under_its_old_name_is_not_the_old_one() {
    let (_directory, db) = open();
    db.add_user("a", None, false).unwrap();
    let first = account(&db, "a");
    db.remove_user("a").unwrap();
    db.add_user("a", None, false).unwrap();
    assert_ne!(account(&db, "a").credential, first.credential);
}

#[test]
fn what_does_not_exist_or_exists_already_is_named() {
    let (_directory, db) = open();
    db.add_user("a", None, false).unwrap();
    db.add_role("r").unwrap();
    for error in [
        db.remove_user("nobody").unwrap_err(),
        db.set_password("nobody", "x").unwrap_err(),
        db.set_enabled("nobody", true).unwrap_err(),
        db.set_superuser("nobody", true).unwrap_err(),
        db.grant("r", "nobody").unwrap_err(),
        db.grant("nobody", "a").unwrap_err(),
        db.revoke("r", "nobody").unwrap_err(),
        db.remove_role("nobody").unwrap_err(),
        db.add_rule(&rule("role:nobody", Access::READ, "x", false)).unwrap_err(),
        db.remove_rule(&rule("nobody", Access::READ, "x", false)).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Missing(_)), "{error}");
        assert!(error.to_string().contains("nobody"), "{error}");
    }
    assert!(matches!(db.add_user("a", None, true), Err(StoreError::Exists(_))));
    assert!(matches!(db.add_role("r"), Err(StoreError::Exists(_))));
    assert!(matches!(db.add_user("role:x", None, false), Err(StoreError::Invalid(_))));
    assert!(matches!(db.add_role(""), Err(StoreError::Invalid(_))));
    assert!(!account(&db, "a").superuser, "a refused change changes nothing");
}

#[test]
fn roles_are_granted_and_end_with_their_rules() {
    let (_directory, db) = open();
    for user in ["b", "a"] {
        db.add_user(user, None, false).unwrap();
        db.add_role(&format!("role-{user}")).unwrap();
    }
    assert!(db.grant("role-a", "a").unwrap());
    assert!(!db.grant("role-a", "a").unwrap());
    assert!(db.grant("role-a", "b").unwrap());
    assert!(db.grant("role-b", "b").unwrap());
    db.add_rule(&rule("role:role-a", Access::WRITE, "x", false)).unwrap();
    let roles = db.roles().unwrap();
    assert_eq!(roles[0], RoleRow { name: "role-a".into(), users: vec!["a".into(), "b".into()], rules: 1 });
    assert_eq!(account(&db, "b").roles, ["role-a", "role-b"]);

    assert!(db.revoke("role-b", "b").unwrap());
    assert!(!db.revoke("role-b", "b").unwrap());
    assert_eq!(db.remove_role("role-a").unwrap(), 1);
    assert_eq!(account(&db, "b").roles, [] as [&str; 0]);
    assert_eq!(db.rules(None).unwrap(), []);
    db.remove_user("b").unwrap();
    assert_eq!(db.roles().unwrap().len(), 1);
}

#[test]
fn rules_are_sets_of_operations_for_one_filter() {
    let (_directory, db) = open();
    let read = rule("a", Access::READ, "x/%u/#", false);
    let write = RuleRecord { access: Access::WRITE, ..read.clone() };
    let deny = RuleRecord { deny: true, ..write.clone() };
    assert!(db.add_rule(&read).unwrap());
    assert!(!db.add_rule(&read).unwrap(), "the second time it is there");
    assert!(db.add_rule(&deny).unwrap(), "denying is another rule");
    assert!(db.add_rule(&write).unwrap());
    assert!(db.add_rule(&rule("*", Access::RECEIVE, "#", false)).unwrap());
    assert!(db.add_rule(&rule("bridge:b", Access::WRITE, "y", true)).unwrap());
    let loaded = db.load().unwrap().rules;
    let all = RuleRecord { access: Access::ALL, ..read.clone() };
    assert_eq!(loaded[..2], [all, deny.clone()]);
    assert_eq!(loaded.len(), 4);
    assert_eq!(db.rules(Some(&Subject::Everyone)).unwrap().len(), 1);

    db.remove_rule(&RuleRecord { access: Access::SUBSCRIBE, ..read.clone() }).unwrap();
    assert_eq!(db.load().unwrap().rules[0].access, Access::from_bits(5).unwrap());
    db.remove_rule(&RuleRecord { access: Access::ALL, ..read.clone() }).unwrap();
    assert_eq!(db.load().unwrap().rules[0], deny);
    assert!(db.remove_rule(&read).is_err());
    db.remove_rule_row(db.rules(None).unwrap()[0].id).unwrap();
    assert_eq!(db.load().unwrap().rules.len(), 2);
    assert!(db.remove_rule_row(4711).is_err());
}

#[test]
fn a_rule_with_an_impossible_filter_or_subject_is_refused() {
    let (_directory, db) = open();
    for filter in ["", "a/%u%c", "a/#/b", "$share/g/x"] {
        assert!(matches!(db.add_rule(&rule("a", Access::ALL, filter, false)), Err(StoreError::Invalid(_))));
    }
    let long = rule(&"x".repeat(300), Access::ALL, "x", false);
    assert!(matches!(db.add_rule(&long), Err(StoreError::Invalid(_))));
}

#[test]
fn the_revision_follows_changes_made_here_and_elsewhere_and_rests_otherwise() {
    let (directory, db) = open();
    let other = AccountsDb::open(directory.path()).unwrap();
    let mut seen = vec![db.revision().unwrap()];
    let mut changed = |what: &str| {
        let revision = db.revision().unwrap();
        assert!(!seen.contains(&revision), "{what} is not seen");
        assert_eq!(db.revision().unwrap(), revision);
        seen.push(revision);
    };
    db.add_user("a", Some("old"), false).unwrap();
    changed("a change of our own");
    other.set_enabled("a", false).unwrap();
    changed("a change by another connection");
    other.set_enabled("a", true).unwrap();
    db.set_enabled("a", false).unwrap();
    changed("a change by both");
    intruder(&directory).execute("UPDATE user SET superuser = 1", []).unwrap();
    changed("a change by another program");
    db.load().unwrap();
    assert!(db.remove_user("nobody").is_err());
    assert_eq!(db.revision().unwrap(), *seen.last().unwrap());
}

#[test]
fn an_upgraded_hash_is_no_change_and_never_overwrites_a_newer_one() {
    let (_directory, db) = open();
    db.add_user("a", Some("old"), false).unwrap();
    let (before, revision) = (account(&db, "a"), db.revision().unwrap());
    assert!(db.upgrade_hash("a", "old", "new").unwrap());
    assert!(!db.upgrade_hash("a", "old", "newer").unwrap());
    assert!(!db.upgrade_hash("nobody", "old", "new").unwrap());
    assert_eq!(account(&db, "a"), AccountRecord { hash: Some("new".into()), ..before });
    assert_eq!(db.revision().unwrap(), revision);
}

#[test]
fn a_reader_sees_whole_changes_while_another_connection_writes() {
    let (directory, db) = open();
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = AccountsDb::open(directory.path()).unwrap();
            start.wait();
            for number in 0..50 {
                let name = format!("u{number}");
                writer.add_user(&name, None, false).unwrap();
                writer.add_rule(&rule(&name, Access::ALL, "x", false)).unwrap();
            }
        });
        start.wait();
        loop {
            let Accounts { accounts, rules } = db.load().unwrap();
            assert!(accounts.len() == rules.len() || accounts.len() == rules.len() + 1);
            if rules.len() == 50 {
                break;
            }
        }
    });
}

#[test]
fn several_writers_at_once_all_succeed() {
    let (directory, db) = open();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let directory = directory.path();
            scope.spawn(move || {
                let db = AccountsDb::open(directory).unwrap();
                (0..10).for_each(|n| db.add_user(&format!("{writer}-{n}"), None, false).unwrap());
            });
        }
    });
    assert_eq!(db.users().unwrap().len(), 40);
}

#[test]
fn an_allowing_row_that_cannot_be_understood_is_left_out() {
    let (directory, db) = open();
    db.add_rule(&rule("a", Access::ALL, "good", false)).unwrap();
    for row in ["'a', 9, 'x'", "'a', 0, 'x'", "'a', 1, 'a/#/b'", "'role:', 1, 'x'", "x'ff', 1, 'x'"] {
        let row = row.replace("x'ff'", "CAST(x'ff' AS TEXT)");
        intruder(&directory)
            .execute_batch(&format!("INSERT INTO rule (subject, access, filter) VALUES ({row})"))
            .unwrap();
        let listed = db.rules(None).unwrap();
        assert_eq!(listed.len(), 2);
        assert!(listed[1].rule.is_err(), "{row}");
        assert_eq!(db.load().unwrap().rules.len(), 1, "{row}");
        db.remove_rule_row(listed[1].id).unwrap();
    }
}

#[test]
fn a_denying_row_that_cannot_be_understood_lets_nothing_be_loaded_until_it_is_removed() {
    let (directory, db) = open();
    db.add_rule(&rule("a", Access::ALL, "good", false)).unwrap();
    for row in ["'a', 9, 'x', 1", "'a', 1, 'a/#/b', 1", "'role:', 1, 'x', 1", "'a', 1, '#a', 7"] {
        intruder(&directory)
            .execute_batch(&format!("INSERT INTO rule (subject, access, filter, deny) VALUES ({row})"))
            .unwrap();
        let id = db.rules(None).unwrap()[1].id;
        let error = db.load().unwrap_err().to_string();
        assert!(error.contains(&format!("acl remove --row {id}")), "{error}");
        db.remove_rule_row(id).unwrap();
        assert_eq!(db.load().unwrap().rules.len(), 1);
    }
}

#[test]
fn an_account_row_that_cannot_be_understood_gives_no_rights() {
    let (directory, db) = open();
    intruder(&directory)
        .execute_batch(
            "INSERT INTO user (name, hash) VALUES ('', 'h'), ('role:x', 'h'), (CAST(x'ff' AS TEXT), 'h'),
                 ('bad-hash', CAST(x'ff' AS TEXT));
             INSERT INTO user (name, enabled, superuser, credential) VALUES ('flags', 2, 2, -1);",
        )
        .unwrap();
    let accounts = db.load().unwrap().accounts;
    let names: Vec<_> = accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["bad-hash", "flags"]);
    assert_eq!(accounts[0].hash, None);
    assert!(!accounts[1].enabled && !accounts[1].superuser);
    db.set_password("flags", "h").unwrap();
}

#[test]
fn a_foreign_schema_is_an_error_and_no_panic() {
    let (directory, db) = open();
    intruder(&directory)
        .execute_batch(
            "DROP TABLE rule; CREATE TABLE rule (id, subject, access, filter, deny);
             INSERT INTO rule VALUES (NULL, 1, 'x', NULL, 'no');",
        )
        .unwrap();
    assert!(db.load().is_err());
    intruder(&directory).execute_batch("DROP TABLE user").unwrap();
    assert!(db.load().is_err() && db.users().is_err() && db.add_user("a", None, false).is_err());
}

#[test]
fn a_database_that_was_replaced_is_followed_and_one_that_is_gone_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (state, other) = (folder.path().join("state"), folder.path().join("other"));
    let db = AccountsDb::open(&state).unwrap();
    let before = db.revision().unwrap();
    AccountsDb::open(&other).unwrap().add_user("ann", None, false).unwrap();
    std::fs::rename(&state, folder.path().join("old")).unwrap();
    assert!(db.revision().unwrap_err().what.contains("accounts.db"));
    std::fs::rename(&other, &state).unwrap();
    assert_ne!(db.revision().unwrap(), before);
    assert_eq!(db.load().unwrap().accounts[0].name, "ann");
}
