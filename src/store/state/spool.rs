//! Spools and ledgers of bridges: what has changed, how it is written, and how it is read back.
//!
//! A message of a spool is a row of its own, not one of `message`: it may wait long after every session had it, and what
//! is in the file need not be counted in memory. Its number is that of the bridge and its number in the spool in one, so that
//! rows are appended and taken out in order.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ahash::AHashMap;
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, Statement, Transaction, params};

use crate::bridge::{Entry, Keeper, KeptEntry, KeptMessage, KeptSpool, Ledger, LedgerIn, Reason, Refusal};
use crate::broker::Message;
use crate::mqtt::{QoS, valid_topic_name};

use super::StateDb;
use super::wall::{moment, now};

/// Bits of a number in the spool; the bridge's stands above.
pub(super) const SEQ_BITS: u32 = 44;
/// The highest number in a spool that is taken from a file: as many again are left to give.
const MOST: u64 = 1 << (SEQ_BITS - 1);
/// The highest number of a bridge.
const MOST_BRIDGES: i64 = 1 << 16;

/// A message that is to be written.
#[derive(Clone, Debug)]
struct Row {
    route: Arc<str>,
    qos: QoS,
    message: Arc<Message>,
    at: i64,
}

/// A packet identifier, and whether PUBREC came; `None` takes it back.
type Sent = Option<(u16, bool)>;

/// Changed rows.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    bridges: Vec<(i64, Arc<str>)>,
    /// `None` takes the row out.
    rows: BTreeMap<i64, Option<Row>>,
    sent: BTreeMap<i64, Sent>,
    ledgers: AHashMap<(i64, Arc<str>), Ledger>,
    ledgers_in: AHashMap<(i64, Arc<str>), LedgerIn>,
    received: AHashMap<(i64, u16), bool>,
    sessions: AHashMap<i64, Arc<str>>,
}

/// What was kept, by the names of bridges.
pub(super) type KeptSpools = AHashMap<Arc<str>, KeptSpool>;

/// The numbers of the bridges, and what the file does not have yet.
#[derive(Debug, Default)]
pub(super) struct Spools {
    numbers: AHashMap<Arc<str>, i64>,
    last: i64,
}

impl Spools {
    fn number(&mut self, bridge: &Arc<str>, dirty: &mut Dirty) -> i64 {
        if let Some(number) = self.numbers.get(bridge) {
            return *number;
        }
        self.last += 1;
        self.numbers.insert(bridge.clone(), self.last);
        dirty.bridges.push((self.last, bridge.clone()));
        self.last
    }

    /// Takes a change in.
    pub fn note(&mut self, bridge: &Arc<str>, entry: Entry<'_>, dirty: &mut Dirty) {
        let number = self.number(bridge, dirty);
        let id = |seq: u64| number << SEQ_BITS | seq as i64;
        match entry {
            Entry::Kept { seq, route, qos, message, ledger } => {
                let row = Row { route: route.clone(), qos, message: message.clone(), at: now() };
                dirty.rows.insert(id(seq), Some(row));
                dirty.ledgers.insert((number, route.clone()), ledger);
            }
            Entry::Numbered { seq, id: packet_id, released } => {
                dirty.sent.insert(id(seq), (packet_id != 0).then_some((packet_id, released)));
            }
            Entry::Left { seq, route, numbered, ledger } => {
                dirty.take_out(id(seq));
                if numbered {
                    dirty.sent.insert(id(seq), None);
                }
                dirty.ledgers.insert((number, route.clone()), ledger);
            }
            Entry::Counted { route, ledger } => {
                dirty.ledgers.insert((number, route.clone()), ledger);
            }
            Entry::Received { id, open } => {
                dirty.received.insert((number, id), open);
            }
            Entry::Arrived { route, ledger } => {
                dirty.ledgers_in.insert((number, route.clone()), ledger);
            }
            Entry::Session { of } => {
                dirty.sessions.insert(number, of.clone());
            }
        }
    }
}

impl Dirty {
    pub fn len(&self) -> usize {
        self.bridges.len()
            + self.rows.len()
            + self.sent.len()
            + self.ledgers.len()
            + self.ledgers_in.len()
            + self.received.len()
            + self.sessions.len()
    }

    /// What never was in the file need not be taken out of it.
    fn take_out(&mut self, id: i64) {
        if !matches!(self.rows.remove(&id), Some(Some(_))) {
            self.rows.insert(id, None);
        }
    }

    /// Adds what happened after this.
    pub fn extend(&mut self, later: Dirty) {
        self.bridges.extend(later.bridges);
        for (id, row) in later.rows {
            match row {
                Some(row) => drop(self.rows.insert(id, Some(row))),
                None => self.take_out(id),
            }
        }
        self.sent.extend(later.sent);
        self.ledgers.extend(later.ledgers);
        self.ledgers_in.extend(later.ledgers_in);
        self.received.extend(later.received);
        self.sessions.extend(later.sessions);
    }
}

/// Writes everything, or nothing: the caller commits.
pub(super) fn write(transaction: &Transaction, dirty: &Dirty) -> rusqlite::Result<()> {
    for (number, name) in &dirty.bridges {
        let sql = "INSERT OR REPLACE INTO bridge (id, name) VALUES (?1, ?2)";
        transaction.prepare_cached(sql)?.execute(params![number, &**name])?;
    }
    let gone = dirty.rows.iter().filter(|(_, row)| row.is_none()).map(|(id, _)| *id);
    take_out(transaction, "DELETE FROM spool WHERE id BETWEEN ?1 AND ?2", gone)?;
    let mut statement = transaction.prepare_cached(
        "INSERT OR REPLACE INTO spool (id, route, qos, at, expires, retain, topic, properties, payload)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for (id, row) in &dirty.rows {
        if let Some(row) = row {
            write_row(&mut statement, *id, row)?;
        }
    }
    let gone = dirty.sent.iter().filter(|(_, sent)| sent.is_none()).map(|(id, _)| *id);
    take_out(transaction, "DELETE FROM spool_sent WHERE id BETWEEN ?1 AND ?2", gone)?;
    let sql = "INSERT OR REPLACE INTO spool_sent (id, packet_id, released) VALUES (?1, ?2, ?3)";
    let mut statement = transaction.prepare_cached(sql)?;
    for (id, sent) in &dirty.sent {
        if let Some((packet_id, released)) = sent {
            statement.execute(params![id, packet_id, released])?;
        }
    }
    for ((bridge, route), ledger) in &dirty.ledgers {
        let [full, not_permitted, too_large, refused, no_route, unreadable] = ledger.dropped;
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO ledger
                    (bridge, route, accepted, delivered, expired, full, not_permitted, too_large, refused, no_route,
                     unreadable, unacknowledged)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                bridge,
                &**route,
                ledger.accepted,
                ledger.delivered,
                ledger.expired,
                full,
                not_permitted,
                too_large,
                refused,
                no_route,
                unreadable,
                ledger.unacknowledged,
            ])?;
    }
    for ((bridge, route), ledger) in &dirty.ledgers_in {
        write_arrived(transaction, *bridge, route, ledger)?;
    }
    for ((bridge, packet_id), open) in &dirty.received {
        let sql = match open {
            true => "INSERT OR IGNORE INTO bridge_received (bridge, packet_id) VALUES (?1, ?2)",
            false => "DELETE FROM bridge_received WHERE bridge = ?1 AND packet_id = ?2",
        };
        transaction.prepare_cached(sql)?.execute(params![bridge, packet_id])?;
    }
    for (number, session) in &dirty.sessions {
        let sql = "UPDATE bridge SET session = ?2 WHERE id = ?1";
        transaction.prepare_cached(sql)?.execute(params![number, &**session])?;
    }
    Ok(())
}

fn write_arrived(
    transaction: &Transaction,
    bridge: i64,
    route: &str,
    ledger: &LedgerIn,
) -> rusqlite::Result<()> {
    let [echo, locked, not_permitted, no_route, retained_full, too_large, unusable] = ledger.refused;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO ledger_in
                (bridge, route, accepted, published, echo, locked, not_permitted, no_route, retained_full, too_large, unusable)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            bridge,
            route,
            ledger.accepted,
            ledger.published,
            echo,
            locked,
            not_permitted,
            no_route,
            retained_full,
            too_large,
            unusable,
        ])
        .map(drop)
}

/// Takes rows out, those that follow each other all at once: messages leave in their order, more or less.
fn take_out(transaction: &Transaction, sql: &str, rows: impl Iterator<Item = i64>) -> rusqlite::Result<()> {
    let mut rows = rows.peekable();
    while let Some(first) = rows.next() {
        let mut last = first;
        while let Some(next) = rows.next_if(|next| *next == last + 1) {
            last = next;
        }
        transaction.prepare_cached(sql)?.execute([first, last])?;
    }
    Ok(())
}

fn write_row(statement: &mut Statement, id: i64, row: &Row) -> rusqlite::Result<()> {
    let Row { route, qos, message, at } = row;
    statement
        .execute(params![
            id,
            &**route,
            *qos as u8,
            at,
            message.expires.map(moment),
            message.retain,
            &*message.topic,
            &message.properties[..],
            &message.payload[..],
        ])
        .map(drop)
}

/// Reads everything but the messages themselves. Rows that make no sense are left out and counted.
pub(super) fn load(
    transaction: &Transaction,
    left_out: &mut usize,
) -> rusqlite::Result<(Spools, KeptSpools)> {
    let mut spools = Spools::default();
    let mut names: AHashMap<i64, Arc<str>> = AHashMap::default();
    let mut kept: AHashMap<Arc<str>, KeptSpool> = AHashMap::default();
    let mut statement = transaction.prepare("SELECT id, name, session FROM bridge")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match (row.get::<_, i64>(0), row.get::<_, String>(1)) {
            (Ok(id), Ok(name)) if (1..MOST_BRIDGES).contains(&id) => {
                let name: Arc<str> = name.into();
                spools.last = spools.last.max(id);
                spools.numbers.insert(name.clone(), id);
                let session = row.get::<_, Option<String>>(2).ok().flatten().map(Into::into);
                kept.insert(name.clone(), KeptSpool { session, ..KeptSpool::default() });
                names.insert(id, name);
            }
            _ => *left_out += 1,
        }
    }
    let sql = "SELECT spool.id, route, qos, at, expires, length(payload) + length(properties) + length(topic) + 128,
            coalesce(packet_id, 0), coalesce(released, 0)
        FROM spool LEFT JOIN spool_sent ON spool_sent.id = spool.id ORDER BY spool.id";
    let mut statement = transaction.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let read = || entry(row).ok().flatten();
        let spool = read().and_then(|(bridge, entry)| Some((kept.get_mut(names.get(&bridge)?)?, entry)));
        match spool {
            Some((spool, entry)) => spool.entries.push(entry),
            None => *left_out += 1,
        }
    }
    let sql = "SELECT bridge, route, accepted, delivered, expired, full, not_permitted, too_large, refused, no_route, unreadable,
            unacknowledged
        FROM ledger ORDER BY bridge, route";
    let mut statement = transaction.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let read = || {
            let mut dropped = [0; Reason::ALL.len()];
            for (place, count) in dropped.iter_mut().enumerate() {
                *count = row.get(5 + place)?;
            }
            let ledger = Ledger {
                accepted: row.get(2)?,
                delivered: row.get(3)?,
                unacknowledged: row.get(11)?,
                expired: row.get(4)?,
                dropped,
            };
            Ok::<_, rusqlite::Error>((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, ledger))
        };
        let found = read()
            .ok()
            .and_then(|(bridge, route, ledger)| Some((kept.get_mut(names.get(&bridge)?)?, route, ledger)));
        match found {
            Some((spool, route, ledger)) => spool.ledgers.push((route.into(), ledger)),
            None => *left_out += 1,
        }
    }
    let sql = "SELECT bridge, route, accepted, published, echo, locked, not_permitted, no_route, retained_full, too_large, unusable
        FROM ledger_in ORDER BY bridge, route";
    let mut statement = transaction.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let read = || {
            let mut refused = [0; Refusal::ALL.len()];
            for (place, count) in refused.iter_mut().enumerate() {
                *count = row.get(4 + place)?;
            }
            let ledger = LedgerIn { accepted: row.get(2)?, published: row.get(3)?, refused };
            Ok::<_, rusqlite::Error>((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, ledger))
        };
        let found = read()
            .ok()
            .and_then(|(bridge, route, ledger)| Some((kept.get_mut(names.get(&bridge)?)?, route, ledger)));
        match found {
            Some((spool, route, ledger)) => spool.ledgers_in.push((route.into(), ledger)),
            None => *left_out += 1,
        }
    }
    let mut statement = transaction.prepare("SELECT bridge, packet_id FROM bridge_received")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let read = || Ok::<_, rusqlite::Error>((row.get::<_, i64>(0)?, row.get::<_, u16>(1)?));
        let found = read().ok().and_then(|(bridge, id)| Some((kept.get_mut(names.get(&bridge)?)?, id)));
        match found {
            Some((spool, id)) if id != 0 => spool.received.push(id),
            _ => *left_out += 1,
        }
    }
    Ok((spools, kept))
}

fn entry(row: &rusqlite::Row) -> rusqlite::Result<Option<(i64, KeptEntry)>> {
    let id: i64 = row.get(0)?;
    let (bridge, seq) = (id >> SEQ_BITS, (id & ((1 << SEQ_BITS) - 1)) as u64);
    let Some(qos) = QoS::from_bits(row.get(2)?).filter(|qos| *qos != QoS::AtMostOnce) else {
        return Ok(None);
    };
    if !(1..MOST).contains(&seq) {
        return Ok(None);
    }
    let span = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let entry = KeptEntry {
        seq,
        route: row.get::<_, String>(1)?.into(),
        qos,
        size: u32::try_from(row.get::<_, i64>(5)?).unwrap_or(u32::MAX),
        age: span(now().saturating_sub(row.get(3)?)),
        left: row.get::<_, Option<i64>>(4)?.map(|at| span(at.saturating_sub(now()))),
        packet_id: row.get(6)?,
        released: row.get(7)?,
    };
    Ok(Some((bridge, entry)))
}

fn message(row: &rusqlite::Row) -> rusqlite::Result<KeptMessage> {
    let id: i64 = row.get(0)?;
    Ok(KeptMessage {
        seq: (id & ((1 << SEQ_BITS) - 1)) as u64,
        topic: row.get::<_, String>(1)?.into(),
        payload: row.get::<_, Vec<u8>>(2)?.into(),
        properties: row.get::<_, Vec<u8>>(3)?.into(),
        retain: row.get(4)?,
    })
}

/// Reads messages back while the file is written by another connection.
#[derive(Debug)]
pub(super) struct SpoolReader {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
    /// What was there at the start, until it is asked for.
    kept: Mutex<KeptSpools>,
}

impl SpoolReader {
    pub fn new(path: &Path, kept: KeptSpools) -> Self {
        SpoolReader { path: path.to_owned(), connection: Mutex::default(), kept: Mutex::new(kept) }
    }

    fn read(
        &self,
        bridge: &str,
        from: u64,
        most: usize,
        most_bytes: usize,
    ) -> rusqlite::Result<Vec<KeptMessage>> {
        let mut connection = self.connection.lock();
        let connection = match &mut *connection {
            Some(connection) => connection,
            none => none.insert(Connection::open_with_flags(
                &self.path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?),
        };
        connection.busy_timeout(Duration::from_secs(5))?;
        let mut statement = connection.prepare_cached("SELECT id FROM bridge WHERE name = ?1")?;
        let Some(number) = statement.query_map([bridge], |row| row.get::<_, i64>(0))?.next().transpose()?
        else {
            return Ok(Vec::new());
        };
        let sql =
            "SELECT id, topic, payload, properties, retain FROM spool WHERE id >= ?1 AND id < ?2 ORDER BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let first = number << SEQ_BITS | from.min(MOST * 2 - 1) as i64;
        let mut rows = statement.query([first, (number + 1) << SEQ_BITS])?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            // A row that makes no sense is passed over: whoever waits for it finds that it is missing.
            let Ok(message) = message(row) else { continue };
            if valid_topic_name(&message.topic).is_err() {
                continue;
            }
            bytes += message.payload.len() + message.topic.len() + message.properties.len();
            found.push(message);
            if found.len() >= most || bytes >= most_bytes {
                break;
            }
        }
        Ok(found)
    }
}

impl StateDb {
    /// Bridges for which messages wait, and nobody has asked: their names, and how many. It is told once.
    pub fn left_over(&self) -> Vec<(String, usize)> {
        let kept = std::mem::take(&mut *self.spools.kept.lock());
        let waiting = kept.into_iter().filter(|(_, kept)| !kept.entries.is_empty());
        waiting.map(|(name, kept)| (name.to_string(), kept.entries.len())).collect()
    }
}

impl std::fmt::Debug for StateDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateDb")
    }
}

impl Keeper for StateDb {
    fn note(&self, bridge: &Arc<str>, entry: Entry<'_>) {
        self.shared.note(bridge, entry);
    }

    fn kept(&self, bridge: &str) -> KeptSpool {
        self.spools.kept.lock().remove(bridge).unwrap_or_default()
    }

    fn read(
        &self,
        bridge: &str,
        from: u64,
        most: usize,
        most_bytes: usize,
    ) -> Result<Vec<KeptMessage>, String> {
        self.spools.read(bridge, from, most, most_bytes).map_err(|error| error.to_string())
    }
}
