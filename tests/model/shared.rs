//! Messages that some member of a share group is owed: which one is the broker's choice.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use latchgate::mqtt::QoS;

use crate::{
    message::{Due, Message},
    rules::Rules,
    session::{Session, Subscription},
    wire::Delivery,
};

type Sessions = BTreeMap<usize, Session>;

/// One message that exactly one member of a group is to get.
#[derive(Debug)]
struct Pooled {
    message: Rc<Message>,
    group: &'static str,
    filter: &'static str,
    /// Members since it was published, with what each would be sent.
    members: Vec<(usize, Due)>,
    /// It may be lost: a member that may have held it had no right to it, or went away with it at QoS 0,
    /// or its group is no more.
    doubtful: bool,
}

/// Every message of a share group that nobody was sent yet.
#[derive(Debug, Default)]
pub struct Pool(Vec<Pooled>);

fn due(message: &Rc<Message>, subscription: &Subscription) -> Due {
    let options = &subscription.options;
    Due {
        message: message.clone(),
        qos: message.qos.min(options.qos),
        retain: message.retain && options.retain_as_published,
        identifiers: subscription.identifier.into_iter().collect(),
        stored: None,
        share: subscription.group.map(|group| (group, subscription.filter)),
        doubtful: false,
    }
}

/// Whether the subscription is one of this group.
fn is_of(subscription: &Subscription, group: &str, filter: &str) -> bool {
    subscription.group == Some(group) && subscription.filter == filter
}

impl Pooled {
    /// How many clients may get it.
    fn choice(&self) -> usize {
        self.members.iter().map(|(client, _)| client).collect::<BTreeSet<_>>().len()
    }
}

impl Pool {
    /// A message for a group, whose members are those of now.
    pub fn publish(
        &mut self,
        message: &Rc<Message>,
        group: &'static str,
        filter: &'static str,
        all: &Sessions,
    ) {
        let members = all
            .iter()
            .flat_map(|(client, session)| session.subscriptions.values().map(move |s| (*client, s)))
            .filter(|(_, subscription)| is_of(subscription, group, filter))
            .map(|(client, subscription)| (client, due(message, subscription)))
            .collect();
        self.0.push(Pooled { message: message.clone(), group, filter, members, doubtful: false });
    }

    /// What was published last may be lost.
    pub fn doubt_last(&mut self) {
        self.0.last_mut().into_iter().for_each(|pooled| pooled.doubtful = true);
    }

    /// A client joined a group, or changed its options there: what still waits may go to it.
    pub fn join(&mut self, client: usize, subscription: &Subscription) {
        for pooled in &mut self.0 {
            if is_of(subscription, pooled.group, pooled.filter) {
                pooled.members.push((client, due(&pooled.message, subscription)));
            }
        }
    }

    /// A connection ended: what it was to be sent at QoS 0 may be lost with it.
    pub fn leave(&mut self, client: usize) {
        let lost = |(member, due): &(usize, Due)| *member == client && due.qos == QoS::AtMostOnce;
        self.0.iter_mut().for_each(|pooled| pooled.doubtful |= pooled.members.iter().any(lost));
    }

    /// A session ended: it holds nothing any more.
    pub fn end(&mut self, client: usize) {
        self.0.iter_mut().for_each(|pooled| pooled.members.retain(|(member, _)| *member != client));
    }

    /// Takes out what a delivery to `session` may be.
    pub fn take(&mut self, session: &Session, delivery: &Delivery) -> Option<Due> {
        let version = session.online.as_ref()?.version;
        let fits = |(member, due): &&(usize, Due)| *member == session.client && due.fits(delivery, version);
        let found = |pooled: &Pooled| pooled.members.iter().find(fits).map(|(_, due)| due.clone());
        // If it may be several, one that is not doubtful, and that leaves the others more choice.
        let all = self.0.iter().enumerate().filter_map(|(at, pooled)| Some((at, found(pooled)?)));
        let (at, due) = all.min_by_key(|(at, _)| (self.0[*at].doubtful, self.0[*at].choice()))?;
        self.0.remove(at);
        Some(due)
    }

    /// Nothing moves any more: a message that nobody can be holding must not be missing.
    pub fn check_quiet(&mut self, all: &Sessions, rules: &Rules, now: u64) -> Result<(), String> {
        for mut pooled in std::mem::take(&mut self.0) {
            if pooled.message.is_over(now) {
                continue;
            }
            let members = || pooled.members.iter().filter_map(|(client, due)| Some((all.get(client)?, due)));
            // Whoever is away may be given it when back; whoever is behind may have it in its queue.
            let held = members().any(|(session, due)| match session.online {
                Some(_) => !session.has_room(),
                None => due.qos != QoS::AtMostOnce,
            });
            let refused = members().any(|(session, due)| !session.may_have(due, rules));
            let is_member = |session: &Session| {
                session.subscriptions.values().any(|s| is_of(s, pooled.group, pooled.filter))
            };
            if held {
                // A group without members is no more: what somebody holds of it is theirs alone.
                pooled.doubtful |= refused || !all.values().any(is_member);
                self.0.push(pooled);
                continue;
            }
            let able = members().find(|(session, due)| {
                session.online.is_some() && session.may_have(due, rules) && is_member(session)
            });
            if let Some((session, _)) = able
                && !pooled.doubtful
            {
                let Pooled { message, group, filter, .. } = &pooled;
                let (number, name) = (message.number, session.name());
                return Err(format!("m{number} of share {group} {filter} is stranded: {name} could have it"));
            }
        }
        Ok(())
    }
}
