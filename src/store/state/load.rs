//! Reading everything at the start. Rows that make no sense are left out and counted.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use ahash::AHashMap;
use rusqlite::{Row, Transaction};

use crate::broker::{Owed, Saved, SavedDelivery, SavedMessage, SavedSession, Subscription, Will, may_travel};
use crate::mqtt::{QoS, RetainHandling, SubscriptionOptions, TopicFilter, valid_topic_name};
use crate::policy::Identity;

use super::dirty::{Edit, SessionId, SessionRow};
use super::image::Image;
use super::spool::{self, KeptSpools};
use super::wall::{instant, since};

/// The largest number a row may have: as many again are left to give.
const MOST: i64 = i64::MAX / 2;
/// Levels that a topic or filter may have: the trees are walked recursively, and a file may say anything.
const DEEPEST: usize = 1000;
/// The largest subscription identifier [MQTT-3.8.2.1.2].
const LARGEST_IDENTIFIER: u32 = 268_435_455;

/// What was kept, what is known of it, and how many rows were left out.
pub(super) fn load(transaction: &Transaction) -> rusqlite::Result<(Saved, Image, KeptSpools, usize)> {
    let mut loading = Loading::default();
    // Numbers that a row left out has, or refers to, are never given again: what they belonged to is not what is to come.
    let numbers = "SELECT id AS n FROM message UNION ALL SELECT message FROM retained UNION ALL SELECT message FROM delivery";
    loading.image.know_message(highest(transaction, numbers)?.unsigned_abs());
    let numbers = "SELECT id AS n FROM session UNION ALL SELECT session FROM subscription
        UNION ALL SELECT session FROM delivery UNION ALL SELECT session FROM received";
    loading.image.skip_sessions(highest(transaction, numbers)?);
    loading.messages(transaction)?;
    loading.retained(transaction)?;
    loading.sessions(transaction)?;
    loading.subscriptions(transaction)?;
    loading.deliveries(transaction)?;
    loading.received(transaction)?;
    let (spools, kept) = spool::load(transaction, &mut loading.left_out)?;
    loading.image.spools = spools;
    let Loading { saved, mut image, at, left_out, .. } = loading;
    // What nothing needs is taken out with the next write.
    for id in at.into_keys().filter(|id| !image.needs(*id)).collect::<Vec<_>>() {
        image.dirty.message(id, Edit::Delete);
    }
    Ok((saved, image, kept, left_out))
}

/// The highest number among those `numbers` selects that a row may have; 0 if there is none.
fn highest(transaction: &Transaction, numbers: &str) -> rusqlite::Result<i64> {
    let sql = format!(
        "SELECT coalesce(max(n), 0) FROM ({numbers}) WHERE typeof(n) = 'integer' AND n BETWEEN 0 AND {MOST}"
    );
    transaction.query_row(&sql, [], |row| row.get(0))
}

fn is_number(number: i64) -> bool {
    (1..=MOST).contains(&number)
}

fn is_shallow(topic: &str) -> bool {
    topic.bytes().filter(|byte| *byte == b'/').take(DEEPEST).count() < DEEPEST
}

/// Whether a message may have this topic.
fn is_topic(topic: &str) -> bool {
    valid_topic_name(topic).is_ok() && is_shallow(topic)
}

fn is_identifier(identifier: u32) -> bool {
    (1..=LARGEST_IDENTIFIER).contains(&identifier)
}

#[derive(Default)]
struct Loading {
    saved: Saved,
    image: Image,
    /// Where a message is in `saved`, by its number.
    at: AHashMap<u64, usize>,
    /// Where a session is in `saved`, by its number.
    sessions: AHashMap<SessionId, usize>,
    left_out: usize,
}

impl Loading {
    /// Calls `take` for each row of a query; a row that it cannot use, or that has values of other types, is left out.
    fn each(
        &mut self,
        transaction: &Transaction,
        sql: &str,
        mut take: impl FnMut(&mut Self, &Row) -> rusqlite::Result<Option<()>>,
    ) -> rusqlite::Result<()> {
        let mut statement = transaction.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match take(self, row) {
                Ok(Some(())) => {}
                Ok(None) => self.left_out += 1,
                Err(error @ rusqlite::Error::SqliteFailure(..)) => return Err(error),
                Err(_) => self.left_out += 1,
            }
        }
        Ok(())
    }

    fn messages(&mut self, transaction: &Transaction) -> rusqlite::Result<()> {
        // Devices publish again and again: most authors are the same.
        let mut authors: AHashMap<(Arc<str>, Arc<str>), Arc<Identity>> = AHashMap::default();
        let sql =
            "SELECT id, topic, payload, properties, qos, retain, expires, client, user, listener, credential, backend
            FROM message ORDER BY id";
        self.each(transaction, sql, |this, row| {
            let row_id: u64 = row.get(0)?;
            let topic = text(row, 1)?;
            if !is_number(row.get(0)?) || !is_topic(&topic) {
                return Ok(None);
            }
            let properties: Vec<u8> = row.get(3)?;
            if !may_travel(&properties) {
                return Ok(None);
            }
            let author = identity(row, 7)?;
            let Some(qos) = QoS::from_bits(row.get(4)?) else { return Ok(None) };
            let name = (author.client_id.clone(), author.user.clone());
            let author = match authors.get(&name) {
                Some(known) if **known == author => known.clone(),
                _ => {
                    let author = Arc::new(author);
                    authors.insert(name, author.clone());
                    author
                }
            };
            this.saved.messages.push(SavedMessage {
                row: row_id,
                topic,
                payload: row.get::<_, Vec<u8>>(2)?.into(),
                properties: properties.into(),
                qos,
                retain: row.get(5)?,
                expires: row.get::<_, Option<i64>>(6)?.map(instant),
                author,
            });
            this.at.insert(row_id, this.saved.messages.len() - 1);
            this.image.know_message(row_id);
            Ok(Some(()))
        })
    }

    fn retained(&mut self, transaction: &Transaction) -> rusqlite::Result<()> {
        self.each(transaction, "SELECT topic, message FROM retained", |this, row| {
            let id: u64 = row.get(1)?;
            let Some(&at) = this.at.get(&id) else { return Ok(None) };
            let topic = text(row, 0)?;
            if this.saved.messages.get(at).is_none_or(|message| message.topic != topic) {
                return Ok(None);
            }
            this.saved.retained.push(at);
            this.image.know_retained(topic, id);
            Ok(Some(()))
        })
    }

    fn sessions(&mut self, transaction: &Transaction) -> rusqlite::Result<()> {
        let sql = "SELECT client, user, listener, credential, backend, id, expiry, gone,
            will_topic, will_payload, will_properties, will_qos, will_retain, will_expiry, will_delay, sent, inflight
            FROM session";
        self.each(transaction, sql, |this, row| {
            let owner = Arc::new(identity(row, 0)?);
            let id: SessionId = row.get(5)?;
            if !is_number(id) {
                return Ok(None);
            }
            let gone = row.get::<_, Option<i64>>(7)?.map(since);
            let here = Instant::now();
            let session = SessionRow {
                owner,
                expiry: row.get(6)?,
                gone: gone.map(|gone| here.checked_sub(gone).unwrap_or(here)),
                sent: row.get(15)?,
                inflight: row.get(16)?,
                will: will(row)?,
            };
            this.saved.sessions.push(SavedSession {
                owner: session.owner.clone(),
                expiry: session.expiry,
                gone,
                sent: session.sent,
                inflight: session.inflight,
                will: session.will.clone(),
                subscriptions: Vec::new(),
                incoming: Vec::new(),
                deliveries: Vec::new(),
            });
            this.sessions.insert(id, this.saved.sessions.len() - 1);
            this.image.know_session(session.owner.client_id.clone(), id, session);
            Ok(Some(()))
        })
    }

    fn session(&mut self, row: &Row) -> rusqlite::Result<Option<&mut SavedSession>> {
        let at = self.sessions.get(&row.get(0)?).copied();
        Ok(at.and_then(|at| self.saved.sessions.get_mut(at)))
    }

    fn subscriptions(&mut self, transaction: &Transaction) -> rusqlite::Result<()> {
        let sql = "SELECT session, filter, options, identifier, owed FROM subscription";
        self.each(transaction, sql, |this, row| {
            let filter = text(row, 1)?;
            let Ok((group, parsed)) = TopicFilter::parse_subscription(&filter) else { return Ok(None) };
            let Some(options) = options(row.get(2)?) else { return Ok(None) };
            let identifier: Option<u32> = row.get(3)?;
            let owed = match row.get(4)? {
                0 => Owed::Nothing,
                1 => Owed::AtLeastOnce,
                2 => Owed::Everything,
                _ => return Ok(None),
            };
            if !is_shallow(&filter) || !identifier.is_none_or(is_identifier) {
                return Ok(None);
            }
            let group = group.map(Arc::from);
            let subscription = Subscription { filter: parsed, group, options, identifier };
            let Some(session) = this.session(row)? else { return Ok(None) };
            session.subscriptions.push((filter, subscription, owed));
            Ok(Some(()))
        })
    }

    fn deliveries(&mut self, transaction: &Transaction) -> rusqlite::Result<()> {
        let sql =
            "SELECT session, seq, message, qos, retain, packet_id, identifiers, share_name, share_filter, stored
            FROM delivery ORDER BY session, seq";
        self.each(transaction, sql, |this, row| {
            let (seq, packet_id): (u64, u16) = (row.get(1)?, row.get(5)?);
            let id: Option<u64> = row.get(2)?;
            let message = id.map(|id| this.at.get(&id).copied());
            let qos = QoS::from_bits(row.get(3)?).filter(|qos| *qos != QoS::AtMostOnce);
            let (Some(qos), false) = (qos, message == Some(None)) else { return Ok(None) };
            if !is_number(row.get(1)?) || message.is_none() && packet_id == 0 {
                return Ok(None);
            }
            let identifiers: String = row.get(6)?;
            let share = match (row.get::<_, Option<String>>(7)?, row.get::<_, Option<String>>(8)?) {
                (Some(name), Some(filter)) => {
                    TopicFilter::new(&filter).ok().map(|filter| (name.into(), filter))
                }
                _ => None,
            };
            let delivery = SavedDelivery {
                seq,
                packet_id,
                message: message.flatten(),
                qos,
                retain: row.get(4)?,
                stored: row.get(9)?,
                identifiers: identifiers
                    .split(' ')
                    .filter_map(|word| word.parse().ok())
                    .filter(|identifier| is_identifier(*identifier))
                    .collect(),
                share,
            };
            let Some(session) = this.session(row)? else { return Ok(None) };
            session.deliveries.push(delivery);
            let client = session.owner.client_id.clone();
            this.image.know_delivery(&client, seq, id, packet_id);
            Ok(Some(()))
        })
    }

    fn received(&mut self, transaction: &Transaction) -> rusqlite::Result<()> {
        self.each(transaction, "SELECT session, packet_id FROM received", |this, row| {
            let packet_id: u16 = row.get(1)?;
            Ok(this.session(row)?.map(|session| session.incoming.push(packet_id)))
        })
    }
}

fn text(row: &Row, column: usize) -> rusqlite::Result<Arc<str>> {
    Ok(row.get::<_, String>(column)?.into())
}

/// Client identifier, user, listener, credential and backend, from `first` on. The address is not kept.
fn identity(row: &Row, first: usize) -> rusqlite::Result<Identity> {
    Ok(Identity {
        client_id: text(row, first)?,
        user: text(row, first + 1)?,
        address: SocketAddr::from(([0, 0, 0, 0], 0)),
        listener: text(row, first + 2)?,
        credential: row.get(first + 3)?,
        backend: row.get::<_, Option<String>>(first + 4)?.map(Arc::from),
        token: None,
        certificate: None,
    })
}

fn will(row: &Row) -> rusqlite::Result<Option<Will>> {
    let Some(topic) = row.get::<_, Option<String>>(8)? else { return Ok(None) };
    let properties: Vec<u8> = row.get(10)?;
    let is_sound = is_topic(&topic) && may_travel(&properties);
    let Some(qos) = QoS::from_bits(row.get(11)?).filter(|_| is_sound) else { return Ok(None) };
    Ok(Some(Will {
        topic: topic.into(),
        payload: row.get::<_, Vec<u8>>(9)?.into(),
        properties: properties.into(),
        qos,
        retain: row.get(12)?,
        expiry: row.get(13)?,
        delay: row.get(14)?,
    }))
}

fn options(byte: u8) -> Option<SubscriptionOptions> {
    Some(SubscriptionOptions {
        qos: QoS::from_bits(byte & 3)?,
        no_local: byte & 4 != 0,
        retain_as_published: byte & 8 != 0,
        retain_handling: match byte >> 4 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return None,
        },
    })
}
