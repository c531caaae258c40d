//! The schema of `state.db`, step by step. A step that was released is never changed.
//!
//! Times are milliseconds since 1970. A delivery without message waits for PUBCOMP; `packet_id` is 0 where the identifier
//! is the one that goes with `seq`, and `stored` says that it came from the retained messages. `options` is laid out as in
//! SUBSCRIBE (MQTT 5 section 3.8.3.1); `owed` says what of the retained messages a subscription has still to be sent: 0
//! nothing, 1 all but those of QoS 2, 2 everything. `sent` is the highest `seq` that was sent when the client last left.
//! `spool.id` is the number of the bridge times 2^44 and the number in its spool. `bridge.session` says at which remote broker
//! the packet identifiers in `spool_sent` and `bridge_received` mean something. A `ledger` row is of a route that goes out, by its
//! filter here, and one of `ledger_in` of a route that comes in, by its filter on the remote broker.

pub(super) const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE message (
    id         INTEGER PRIMARY KEY,
    topic      TEXT    NOT NULL,
    payload    BLOB    NOT NULL,
    properties BLOB    NOT NULL,
    qos        INTEGER NOT NULL,
    retain     INTEGER NOT NULL,
    expires    INTEGER,
    client     TEXT    NOT NULL,
    user       TEXT    NOT NULL,
    listener   TEXT    NOT NULL,
    credential INTEGER
);
CREATE TABLE retained (
    topic   TEXT    NOT NULL PRIMARY KEY,
    message INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE session (
    id              INTEGER PRIMARY KEY,
    client          TEXT    NOT NULL UNIQUE,
    user            TEXT    NOT NULL,
    listener        TEXT    NOT NULL,
    credential      INTEGER,
    expiry          INTEGER NOT NULL,
    gone            INTEGER,
    will_topic      TEXT,
    will_payload    BLOB,
    will_properties BLOB,
    will_qos        INTEGER,
    will_retain     INTEGER,
    will_expiry     INTEGER,
    will_delay      INTEGER
);
CREATE TABLE subscription (
    session    INTEGER NOT NULL,
    filter     TEXT    NOT NULL,
    options    INTEGER NOT NULL,
    identifier INTEGER,
    PRIMARY KEY (session, filter)
) WITHOUT ROWID;
CREATE TABLE delivery (
    session      INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    message      INTEGER,
    qos          INTEGER NOT NULL,
    retain       INTEGER NOT NULL,
    packet_id    INTEGER NOT NULL,
    identifiers  TEXT    NOT NULL,
    share_name   TEXT,
    share_filter TEXT,
    PRIMARY KEY (session, seq)
) WITHOUT ROWID;
CREATE TABLE received (
    session   INTEGER NOT NULL,
    packet_id INTEGER NOT NULL,
    PRIMARY KEY (session, packet_id)
) WITHOUT ROWID;
",
    "
ALTER TABLE subscription ADD COLUMN owed     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery     ADD COLUMN stored   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session      ADD COLUMN sent     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session      ADD COLUMN inflight INTEGER NOT NULL DEFAULT 0;
",
    // The backend that knew the password. Until then there was one.
    "
ALTER TABLE message ADD COLUMN backend TEXT;
ALTER TABLE session ADD COLUMN backend TEXT;
UPDATE message SET backend = 'sqlite' WHERE credential IS NOT NULL;
UPDATE session SET backend = 'sqlite' WHERE credential IS NOT NULL;
",
    "
CREATE TABLE bridge (
    id   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
);
CREATE TABLE spool (
    id         INTEGER PRIMARY KEY,
    route      TEXT    NOT NULL,
    qos        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    expires    INTEGER,
    retain     INTEGER NOT NULL,
    topic      TEXT    NOT NULL,
    properties BLOB    NOT NULL,
    payload    BLOB    NOT NULL
);
CREATE TABLE spool_sent (
    id        INTEGER PRIMARY KEY,
    packet_id INTEGER NOT NULL,
    released  INTEGER NOT NULL
);
CREATE TABLE ledger (
    bridge        INTEGER NOT NULL,
    route         TEXT    NOT NULL,
    accepted      INTEGER NOT NULL,
    delivered     INTEGER NOT NULL,
    expired       INTEGER NOT NULL,
    full          INTEGER NOT NULL,
    not_permitted INTEGER NOT NULL,
    too_large     INTEGER NOT NULL,
    refused       INTEGER NOT NULL,
    no_route      INTEGER NOT NULL,
    unreadable    INTEGER NOT NULL,
    PRIMARY KEY (bridge, route)
) WITHOUT ROWID;
CREATE TABLE bridge_received (
    bridge    INTEGER NOT NULL,
    packet_id INTEGER NOT NULL,
    PRIMARY KEY (bridge, packet_id)
) WITHOUT ROWID;
",
    // Until then a route that came in could have the row of one that went out: what such a row says is made to balance with
    // what waits.
    "
ALTER TABLE bridge ADD COLUMN session TEXT;
ALTER TABLE ledger ADD COLUMN unacknowledged INTEGER NOT NULL DEFAULT 0;
UPDATE ledger SET accepted = delivered + expired + full + not_permitted + too_large + refused + no_route + unreadable
    + (SELECT count(*) FROM spool
        WHERE spool.id >= ledger.bridge << 44 AND spool.id < (ledger.bridge + 1) << 44 AND spool.route = ledger.route);
CREATE TABLE ledger_in (
    bridge        INTEGER NOT NULL,
    route         TEXT    NOT NULL,
    accepted      INTEGER NOT NULL,
    published     INTEGER NOT NULL,
    echo          INTEGER NOT NULL,
    locked        INTEGER NOT NULL,
    not_permitted INTEGER NOT NULL,
    no_route      INTEGER NOT NULL,
    retained_full INTEGER NOT NULL,
    too_large     INTEGER NOT NULL,
    unusable      INTEGER NOT NULL,
    PRIMARY KEY (bridge, route)
) WITHOUT ROWID;
",
];
