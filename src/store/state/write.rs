//! Changed rows, written in one transaction.

use rusqlite::{Transaction, params};

use crate::broker::{Message, Owed, Subscription};
use crate::mqtt::SubscriptionOptions;

use super::dirty::{DeliveryRow, Dirty, Edit, SessionId, SessionRow, SubscriptionRow};
use super::spool;
use super::wall::moment;

/// Writes everything, or nothing: the caller commits.
pub(super) fn write(transaction: &Transaction, dirty: &Dirty) -> rusqlite::Result<()> {
    for session in &dirty.ended {
        for table in ["subscription", "delivery", "received"] {
            let sql = format!("DELETE FROM {table} WHERE session = ?1");
            transaction.prepare_cached(&sql)?.execute([session])?;
        }
        transaction.prepare_cached("DELETE FROM session WHERE id = ?1")?.execute([session])?;
    }
    for (id, edit) in &dirty.messages {
        match edit {
            Edit::Insert(message) => write_message(transaction, *id, message)?,
            Edit::Delete | Edit::Number { .. } => {
                transaction.prepare_cached("DELETE FROM message WHERE id = ?1")?.execute([id])?;
            }
        }
    }
    for (topic, message) in &dirty.retained {
        match message {
            Some(message) => transaction
                .prepare_cached("INSERT OR REPLACE INTO retained (topic, message) VALUES (?1, ?2)")?
                .execute(params![&**topic, message])?,
            None => {
                transaction.prepare_cached("DELETE FROM retained WHERE topic = ?1")?.execute([&**topic])?
            }
        };
    }
    for (id, row) in &dirty.sessions {
        write_session(transaction, *id, row)?;
    }
    for ((session, filter), subscription) in &dirty.subscriptions {
        write_subscription(transaction, *session, filter, subscription.as_ref())?;
    }
    for ((session, seq), edit) in &dirty.deliveries {
        write_delivery(transaction, *session, *seq, edit)?;
    }
    for ((session, packet_id), open) in &dirty.received {
        let sql = match open {
            true => "INSERT OR IGNORE INTO received (session, packet_id) VALUES (?1, ?2)",
            false => "DELETE FROM received WHERE session = ?1 AND packet_id = ?2",
        };
        transaction.prepare_cached(sql)?.execute(params![session, packet_id])?;
    }
    spool::write(transaction, &dirty.spools)
}

fn write_message(transaction: &Transaction, id: u64, message: &Message) -> rusqlite::Result<()> {
    let author = &message.author;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO message
                (id, topic, payload, properties, qos, retain, expires, client, user, listener, credential, backend)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            id,
            &*message.topic,
            &message.payload[..],
            &message.properties[..],
            message.qos as u8,
            message.retain,
            message.expires.map(moment),
            &*author.client_id,
            &*author.user,
            &*author.listener,
            author.credential,
            author.backend.as_deref(),
        ])?;
    Ok(())
}

fn write_session(transaction: &Transaction, id: SessionId, row: &SessionRow) -> rusqlite::Result<()> {
    let SessionRow { owner, expiry, gone, sent, inflight, will } = row;
    let will = will.as_ref();
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO session
                (id, client, user, listener, credential, backend, expiry, gone,
                 will_topic, will_payload, will_properties, will_qos, will_retain, will_expiry, will_delay, sent, inflight)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            id,
            &*owner.client_id,
            &*owner.user,
            &*owner.listener,
            owner.credential,
            owner.backend.as_deref(),
            expiry,
            gone.map(moment),
            will.map(|will| &*will.topic),
            will.map(|will| &*will.payload),
            will.map(|will| &*will.properties),
            will.map(|will| will.qos as u8),
            will.map(|will| will.retain),
            will.and_then(|will| will.expiry),
            will.map(|will| will.delay),
            sent,
            inflight,
        ])?;
    Ok(())
}

fn write_subscription(
    transaction: &Transaction,
    session: SessionId,
    filter: &str,
    subscription: Option<&SubscriptionRow>,
) -> rusqlite::Result<()> {
    let Some((Subscription { options, identifier, .. }, owed)) = subscription else {
        let sql = "DELETE FROM subscription WHERE session = ?1 AND filter = ?2";
        return transaction.prepare_cached(sql)?.execute(params![session, filter]).map(drop);
    };
    let owed = match owed {
        Owed::Nothing => 0,
        Owed::AtLeastOnce => 1,
        Owed::Everything => 2,
    };
    let sql = "INSERT OR REPLACE INTO subscription (session, filter, options, identifier, owed)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction
        .prepare_cached(sql)?
        .execute(params![session, filter, options_byte(*options), identifier, owed])
        .map(drop)
}

fn write_delivery(
    transaction: &Transaction,
    session: SessionId,
    seq: u64,
    edit: &Edit<DeliveryRow>,
) -> rusqlite::Result<()> {
    match edit {
        Edit::Insert(row) => {
            let identifiers: Vec<String> = row.identifiers.iter().map(u32::to_string).collect();
            let share = row.share.as_ref();
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO delivery
                        (session, seq, message, qos, retain, packet_id, identifiers, share_name, share_filter, stored)
                        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                )?
                .execute(params![
                    session,
                    seq,
                    row.message,
                    row.qos as u8,
                    row.retain,
                    row.packet_id,
                    identifiers.join(" "),
                    share.map(|(name, _)| &**name),
                    share.map(|(_, filter)| filter.as_str()),
                    row.stored,
                ])?;
        }
        Edit::Number { packet_id, released } => {
            let sql = match released {
                true => "UPDATE delivery SET packet_id = ?3, message = NULL WHERE session = ?1 AND seq = ?2",
                false => "UPDATE delivery SET packet_id = ?3 WHERE session = ?1 AND seq = ?2",
            };
            transaction.prepare_cached(sql)?.execute(params![session, seq, packet_id])?;
        }
        Edit::Delete => {
            let sql = "DELETE FROM delivery WHERE session = ?1 AND seq = ?2";
            transaction.prepare_cached(sql)?.execute(params![session, seq])?;
        }
    }
    Ok(())
}

/// Subscription options as SUBSCRIBE has them.
fn options_byte(options: SubscriptionOptions) -> u8 {
    options.qos as u8
        | u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | (options.retain_handling as u8) << 4
}
