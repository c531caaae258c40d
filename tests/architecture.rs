//! The house rules that a machine can check: which room may use which, that the broker uses of the policy
//! only its front door, and that every file says what it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may use. `main.rs` and `lib.rs` put the rooms together and are free.
const MAY_USE: &[(&str, &[&str])] = &[
    ("cli", &ALL),
    (
        "gateway",
        &[
            "config", "mqtt", "net", "session", "broker", "policy", "store", "panel", "latch", "bridge",
            "admin", "system", "file", "clock",
        ],
    ),
    ("config", &["mqtt"]),
    ("mqtt", &[]),
    ("net", &["config", "file", "clock"]),
    ("session", &["mqtt"]),
    ("broker", &["mqtt", "session", "policy"]),
    ("pki", &[]),
    ("policy", &["mqtt", "file", "clock"]),
    ("panel", &[]),
    ("latch", &["file", "clock"]),
    ("bridge", &["mqtt", "session", "broker", "clock"]),
    ("store", &["mqtt", "broker", "policy", "latch", "bridge"]),
    ("admin", &["config", "mqtt", "net", "broker", "policy"]),
    ("import", &["config", "mqtt", "latch", "policy", "store", "file"]),
    ("system", &[]),
    ("file", &[]),
    ("clock", &[]),
];

const ALL: [&str; 18] = [
    "cli", "gateway", "config", "mqtt", "net", "session", "broker", "pki", "policy", "panel", "latch",
    "bridge", "store", "admin", "import", "system", "file", "clock",
];

/// The source without comments, string contents and `#[cfg(test)]` items.
fn code_only(source: &str) -> String {
    without_tests(&without_comments(source))
}

/// Blanks comments and the contents of strings, so that words in prose are no uses.
fn without_comments(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = hashes + 2;
            rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len())
        } else if first == '"' {
            string_length(rest)
        } else if rest.starts_with("'\"'") {
            3
        } else if let Some(escaped) = rest.strip_prefix("'\\") {
            escaped.find('\'').map_or(2, |at| at + 3)
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        rest = &rest[skip..];
        out.push(' ');
    }
    out
}

/// The number of hashes of a raw string that begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Cuts each item that stands behind `#[cfg(test)]`: to its closing brace, or to its semicolon.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut depth = 0usize;
        let end = rest.char_indices().find_map(|(at, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            (depth == 0 && matches!(c, '}' | ';')).then_some(at + 1)
        });
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    out + rest
}

/// Every path that begins with `crate::`, as its segments; grouped imports are spread out.
fn crate_paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("crate") {
        let begins = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$'));
        rest = &rest[at + "crate".len()..];
        let tail = rest.trim_start();
        if begins && let Some(tail) = tail.strip_prefix("::") {
            spread(&mut Vec::new(), tail, &mut paths);
        }
    }
    paths
}

/// Reads one path (or group) at the start of `text`, appends it to `paths`; what is left of the text.
fn spread<'a>(prefix: &mut Vec<String>, text: &'a str, paths: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut inner) = text.strip_prefix('{') {
        loop {
            inner = inner.trim_start();
            if let Some(after) = inner.strip_prefix('}') {
                return after;
            }
            if inner.is_empty() {
                return inner;
            }
            let before = inner.len();
            inner = spread(&mut prefix.clone(), inner, paths);
            // Whatever stands between two entries (a comma, `as name`) is passed over.
            let next = inner.find([',', '}']).unwrap_or(inner.len());
            inner = inner[next..].strip_prefix(',').unwrap_or(&inner[next..]);
            assert!(inner.len() < before, "an import that this check cannot read: {text:.80}");
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '*'))).unwrap_or(text.len());
    prefix.push(text[..end].to_owned());
    let rest = &text[end..];
    match rest.trim_start().strip_prefix("::") {
        Some(tail) if !tail.trim_start().starts_with('<') => spread(prefix, tail, paths),
        _ => {
            paths.push(prefix.clone());
            rest
        }
    }
}

/// What a file of `room` may not use, one complaint each. `deepest` is how many folders below `src` it lies.
fn complaints(room: &str, depth: usize, source: &str) -> Vec<String> {
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
        return vec![format!("the room {room} is not in the table of this test")];
    };
    let code = code_only(source);
    let mut found = BTreeSet::new();
    for path in crate_paths(&code) {
        let used = path[0].as_str();
        if used == room || !ALL.contains(&used) {
            continue;
        }
        if !allowed.contains(&used) {
            found.insert(format!("{room} may not use {used} ({})", path.join("::")));
        }
        // The front door of the policy is the types its `mod.rs` names; a lower case segment is an inner room,
        // and importing the room whole would hide what is used of it.
        let inner = |segment: &String| segment.starts_with(char::is_lowercase);
        if room == "broker" && used == "policy" && path.get(1).is_none_or(inner) {
            found.insert(format!("broker uses an inner room of policy ({})", path.join("::")));
        }
    }
    // From a file directly in a room `super::super` already leaves it, and would escape the table.
    let ups = "super::".repeat(depth + 1);
    if code.split_whitespace().collect::<String>().contains(&ups) {
        found.insert(format!("{room} is left by {ups}: write crate::ROOM"));
    }
    found.into_iter().collect()
}

fn source_files() -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    files.sort();
    files
}

/// The segments of a file's path below `src`, the last without `.rs`.
fn below_src(file: &Path) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let relative = file.strip_prefix(root).expect("the file lies in src").with_extension("");
    relative.iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

/// A file that is only compiled for tests: `tests.rs`, or anything in a folder `tests`.
fn is_test_file(segments: &[String]) -> bool {
    segments.iter().any(|segment| segment == "tests")
}

#[test]
fn every_room_uses_only_the_rooms_it_may() {
    let mut all = Vec::new();
    for file in source_files() {
        let segments = below_src(&file);
        if matches!(segments[0].as_str(), "main" | "lib") || is_test_file(&segments) {
            continue;
        }
        let source = fs::read_to_string(&file).expect("a source file is UTF-8");
        // `mod.rs` is the room itself: one `super` less leads out of it.
        let depth = segments.len() - 1 - usize::from(segments.last().is_some_and(|s| s == "mod"));
        for complaint in complaints(&segments[0], depth, &source) {
            all.push(format!("src/{}.rs: {complaint}", segments.join("/")));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let silent: Vec<_> = source_files()
        .into_iter()
        .filter(|file| {
            let source = fs::read_to_string(file).expect("a source file is UTF-8");
            !source.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 10)
        })
        .map(|file| below_src(&file).join("/"))
        .collect();
    assert!(silent.is_empty(), "no //! paragraph at the top of: {silent:?}");
}

#[test]
fn the_table_has_no_cycle() {
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    while placed.len() < MAY_USE.len() {
        let before = placed.len();
        for (room, uses) in MAY_USE {
            if uses.iter().all(|used| used == room || placed.contains(used)) {
                placed.insert(room);
            }
        }
        assert!(placed.len() > before, "a cycle among the rooms outside {placed:?}");
    }
}

#[test]
fn a_forbidden_use_is_caught() {
    let forbidden = [
        ("mqtt", "use crate::net::Listener;"),
        ("session", "use crate::{mqtt::Packet, broker::{self, Router}};"),
        ("session", "use crate::{\n    mqtt::{Packet, topic::{Filter as F}},\n    policy,\n};"),
        ("broker", "fn f() -> crate :: store::Store { todo() }"),
        ("broker", "use crate::policy::acl::Rules;"),
        ("broker", "use crate::policy::{Gate, acl::Rules};"),
        ("policy", "pub(crate) use crate::store::Db;"),
        ("system", "#[cfg(test)] mod tests { use super::*; } use crate::config::Config;"),
        ("mqtt", "use super::super::net::Listener;"),
        ("net", "let quote = '\"'; use crate::broker::Router;"),
        ("attic", ""),
    ];
    for (room, source) in forbidden {
        assert!(!complaints(room, 1, source).is_empty(), "{room} got away with {source}");
    }
}

#[test]
fn a_permitted_use_is_not_complained_about() {
    let permitted = [
        ("broker", "use crate::policy::{Gate, Permit};\nuse crate::mqtt::codec::encode;"),
        ("broker", "pub(crate) fn f() {} pub(in crate::broker) fn g() {}"),
        ("mqtt", "//! Not for crate::net.\n/* use crate::net; */ const X: &str = \"crate::net::Listener\";"),
        (
            "mqtt",
            "#[cfg(test)]\nmod tests {\n    use crate::broker::Router;\n    fn f() { if x { } }\n}\nfn g() {}",
        ),
        ("mqtt", "#[cfg(test)]\nuse crate::broker::Router;\nfn g() {}"),
        ("mqtt", "const R: &str = r#\"use crate::net;\"#;"),
        ("session", "use super::Session; use crate::mqtt::{Packet, Publish as P};"),
        ("store", "use crate::policy::accounts::AccountStore;"),
        ("cli", "use crate::{broker, config, policy::acl::Access};"),
    ];
    for (room, source) in permitted {
        assert_eq!(complaints(room, 1, source), Vec::<String>::new(), "{room}: {source}");
    }
}
