//! The schema of `accounts.db`, one step a version. A released step is never edited; a change is a new step.

/// `MIGRATIONS[n]` leads from version `n` to `n + 1`.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1];

/// `credential` starts at a random number, so that an account removed and made again under the same name is
/// not taken for the old one. `subject` is spelled as on the command line; `access` is a sum of 1 publish,
/// 2 subscribe, 4 receive, and one subject has at most one allowing and one denying row a filter.
const VERSION_1: &str = "
CREATE TABLE user (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    hash       TEXT,
    credential INTEGER NOT NULL DEFAULT (random() & 0x3fffffffffffffff),
    enabled    INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    superuser  INTEGER NOT NULL DEFAULT 0 CHECK (superuser IN (0, 1))
) STRICT;

CREATE TABLE role (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE membership (
    user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    role INTEGER NOT NULL REFERENCES role (id) ON DELETE CASCADE,
    PRIMARY KEY (user, role)
) STRICT, WITHOUT ROWID;

CREATE INDEX membership_by_role ON membership (role);

CREATE TABLE rule (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT    NOT NULL,
    access  INTEGER NOT NULL CHECK (access BETWEEN 1 AND 7),
    filter  TEXT    NOT NULL,
    deny    INTEGER NOT NULL DEFAULT 0 CHECK (deny IN (0, 1)),
    UNIQUE (subject, filter, deny)
) STRICT;
";
