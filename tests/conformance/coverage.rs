//! Every normative statement has a test or a stated exception: what the tests of this suite name in their doc
//! comments, `/// [v5: MQTT-3.3.1-5, MQTT-3.3.1-8] [v3.1.1: MQTT-3.3.1-5]`, against the lists in `ids/`.
//!
//! The same id means different things in the two versions, so each is named with its version. A test names
//! an id only if it would fail were the statement broken.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The versions as the doc comments spell them, their lists, and how many statements each has.
const VERSIONS: [(&str, &str, usize); 2] = [("v5", "v5.txt", 251), ("v3.1.1", "v311.txt", 141)];

/// How a stated exception may begin.
const KINDS: [&str; 5] = ["client", "optional", "unseen", "elsewhere", "later"];

/// One line of a list.
struct Statement {
    id: String,
    binds: String,
    /// Why no test names it.
    exception: Option<String>,
}

impl Statement {
    fn parse(line: &str) -> Self {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let [id, binds, words, exception] = columns[..] else { panic!("not four columns: {line}") };
        assert!(matches!(binds, "server" | "client" | "both"), "{line}");
        assert!(!words.is_empty(), "{line}");
        let exception = (!exception.is_empty()).then(|| exception.to_owned());
        Self { id: id.into(), binds: binds.into(), exception }
    }

    /// The kind of its exception, if it has one that begins as it must.
    fn kind(&self) -> Option<&str> {
        self.exception.as_ref()?.split_once(": ").map(|(kind, _)| kind).filter(|kind| KINDS.contains(kind))
    }
}

/// An id that a test names, of one version.
struct Named {
    id: String,
    test: String,
}

fn suite() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn statements(list: &str) -> Vec<Statement> {
    let text = read(suite().join("ids").join(list));
    text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(Statement::parse).collect()
}

/// The ids of a doc comment that is made of nothing else.
fn ids_of(doc: &str) -> Option<Vec<(&str, &str)>> {
    let mut found = Vec::new();
    for group in doc.trim().split_terminator(']') {
        let (version, ids) = group.trim_start().strip_prefix('[')?.split_once(": ")?;
        VERSIONS.iter().find(|(name, ..)| *name == version)?;
        for id in ids.split(", ") {
            id.strip_prefix("MQTT-")?;
            found.push((version, id));
        }
    }
    Some(found)
}

/// What the tests of one source file name in this version.
fn named_in(file: &str, text: &str, wanted: &str) -> Vec<Named> {
    let (mut all, mut pending, mut is_test) = (Vec::new(), Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        if let Some(doc) = line.strip_prefix("///") {
            if doc.contains("MQTT-") {
                let ids = ids_of(doc)
                    .unwrap_or_else(|| panic!("{place}: ids are written [v5: MQTT-…] [v3.1.1: MQTT-…]"));
                pending.extend(ids.into_iter().filter(|(version, _)| *version == wanted));
            }
        } else if line == "#[test]" {
            is_test = true;
        } else if let Some((name, _)) = line.strip_prefix("fn ").and_then(|rest| rest.split_once('(')) {
            assert!(is_test || pending.is_empty(), "{place}: only a test may name an id");
            let test = format!("{file} {name}");
            all.extend(pending.drain(..).map(|(_, id)| Named { id: id.into(), test: test.clone() }));
            is_test = false;
        } else {
            assert!(
                pending.is_empty() || !line.contains("ignore"),
                "{place}: an ignored test covers nothing"
            );
        }
    }
    assert!(pending.is_empty(), "{file}: ids at the end that belong to no test");
    all
}

fn named(version: &str) -> Vec<Named> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(suite()).expect("the folder of this suite") {
        let path = entry.expect("an entry of the folder").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        if file.ends_with(".rs") && file != "coverage.rs" {
            all.extend(named_in(&file, &read(path), version));
        }
    }
    all
}

/// What is wrong between a list and what the tests name.
fn faults(statements: &[Statement], named: &[Named]) -> Vec<String> {
    let mut faults = Vec::new();
    for statement in statements {
        let id = &statement.id;
        let test = named.iter().find(|named| named.id == *id);
        match (test, &statement.exception) {
            (None, None) => faults.push(format!("{id} has neither a test nor a stated exception")),
            (Some(named), Some(why)) => {
                faults.push(format!("{id} is covered by {}, yet excepted: {why}", named.test));
            }
            (None, Some(why)) => match statement.kind() {
                None => faults.push(format!("{id}: an exception begins with one of {KINDS:?}, not: {why}")),
                Some("client") if statement.binds != "client" => {
                    faults.push(format!("{id} does not bind clients only: {why}"));
                }
                Some(_) => {}
            },
            (Some(_), None) => {}
        }
    }
    for Named { id, test } in named {
        if !statements.iter().any(|statement| statement.id == *id) {
            faults.push(format!("{id}, named by {test}, is in no list"));
        }
    }
    faults
}

/// How many statements there are, how many have a test, and the exceptions by kind.
fn summary(version: &str, statements: &[Statement]) -> String {
    let excepted = statements.iter().filter(|s| s.exception.is_some()).count();
    let mut text = format!(
        "MQTT {version}: {} statements, {} with a test",
        statements.len(),
        statements.len() - excepted
    );
    for kind in KINDS {
        let count = statements.iter().filter(|s| s.kind() == Some(kind)).count();
        write!(text, ", {count} {kind}").expect("a string grows");
    }
    text
}

#[test]
fn every_statement_has_a_test_or_a_stated_exception() {
    for (version, list, _) in VERSIONS {
        let statements = statements(list);
        let faults = faults(&statements, &named(version));
        assert!(faults.is_empty(), "MQTT {version}:\n{}", faults.join("\n"));
        println!("{}", summary(version, &statements));
    }
}

#[test]
fn the_lists_are_whole_and_in_order() {
    for (version, list, count) in VERSIONS {
        let statements = statements(list);
        assert_eq!(statements.len(), count, "MQTT {version}");
        let mut seen = BTreeSet::new();
        let mut before = ("", 0);
        for Statement { id, .. } in &statements {
            assert!(seen.insert(id), "{id} stands twice");
            let (section, number) = id.rsplit_once('-').expect("MQTT-SECTION-NUMBER");
            let number: usize = number.parse().expect("a number");
            // The numbers of a section have no gaps; 2.2.1 of version 5 begins with 2.
            let first = section != before.0 && (number == 1 || id == "MQTT-2.2.1-2");
            assert!(first || (section, number) == (before.0, before.1 + 1), "{id} after {before:?}");
            before = (section, number);
        }
    }
}

#[test]
fn what_is_missing_unknown_or_both_is_found() {
    let list = |lines: &[&str]| lines.iter().map(|line| Statement::parse(line)).collect::<Vec<_>>();
    let source = "/// [v5: MQTT-1-1, MQTT-1-2] [v3.1.1: MQTT-9-9]\n#[test]\nfn a_test() {\n}\n";
    let named = named_in("a.rs", source, "v5");
    let good = ["MQTT-1-1 | server | w |", "MQTT-1-2 | both | w |", "MQTT-1-3 | client | w | client: unseen"];
    assert_eq!(faults(&list(&good), &named), [""; 0]);
    let cases = [
        (["MQTT-1-1 | server | w |", "MQTT-1-2 | both | w |", "MQTT-1-3 | server | w |"], "neither"),
        ([good[0], "MQTT-1-2 | both | w | later: soon", good[2]], "yet excepted"),
        ([good[0], "MQTT-1-4 | both | w | later: soon", good[2]], "in no list"),
        ([good[0], good[1], "MQTT-1-3 | both | w | client: no"], "clients only"),
        ([good[0], good[1], "MQTT-1-3 | both | w | because"], "begins with"),
    ];
    for (lines, expected) in cases {
        let faults = faults(&list(&lines), &named);
        assert!(matches!(&faults[..], [fault] if fault.contains(expected)), "{expected}: {faults:?}");
    }
}
