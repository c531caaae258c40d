//! What the model makes of subscriptions: how they begin, and how they end, with their right at the latest.

use latchgate::mqtt::{ReasonCode, RetainHandling, SubscriptionOptions, Version};

use crate::{message::Due, model::Model, rules::matches, session::Subscription};

impl Model {
    /// SUBSCRIBE for one filter; the code it is answered with.
    pub fn subscribe(
        &mut self,
        client: usize,
        text: &'static str,
        options: SubscriptionOptions,
        identifier: Option<u32>,
    ) -> ReasonCode {
        let (user, _, version) = self.who(client);
        let (group, filter) = match text.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
            Some((group, filter)) => (Some(group), filter),
            None => (None, text),
        };
        if !self.rules.may_subscribe(user, client, filter) {
            let v5 = version == Version::V5;
            return if v5 { ReasonCode::NotAuthorized } else { ReasonCode::UnspecifiedError };
        }
        let subscription = Subscription { filter, group, options, identifier };
        if group.is_some() {
            self.pool.join(client, &subscription);
        }
        let now = self.now;
        let session = self.sessions.get_mut(&client).expect("it is connected");
        let is_new = session.subscriptions.insert(text, subscription).is_none();
        let wanted = match options.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => is_new,
            RetainHandling::Never => false,
        };
        if wanted && group.is_none() {
            // They replace those still waiting from before.
            session.forget_stored(text);
            let stored = self.retained.values().filter(|m| matches(filter, m.topic) && !m.is_over(now));
            let stored = stored.filter(|m| !(options.no_local && m.author.1 == client));
            session.queue.extend(stored.map(|message| Due {
                message: message.clone(),
                qos: message.qos.min(options.qos),
                retain: true,
                identifiers: identifier.into_iter().collect(),
                stored: Some(text),
                share: None,
                doubtful: false,
            }));
        }
        ReasonCode::granted(options.qos)
    }

    /// UNSUBSCRIBE for one filter; whether there was such a subscription.
    pub fn unsubscribe(&mut self, client: usize, text: &str) -> bool {
        let Some(session) = self.sessions.get_mut(&client) else { return false };
        session.forget_stored(text);
        session.subscriptions.remove(text).is_some()
    }

    /// Ends the subscriptions of a client that lost their right.
    pub fn review(&mut self, client: usize) {
        let Some(session) = self.sessions.get(&client) else { return };
        let may = |s: &Subscription| self.rules.may_subscribe(session.user, client, s.filter);
        let lost: Vec<&'static str> =
            session.subscriptions.iter().filter(|(_, s)| !may(s)).map(|(text, _)| *text).collect();
        for text in lost {
            self.unsubscribe(client, text);
        }
    }

    /// The rules have changed: everybody who is connected is asked again.
    pub fn rules_changed(&mut self) {
        let online: Vec<(usize, usize)> =
            self.sessions.iter().filter(|(_, s)| s.online.is_some()).map(|(c, s)| (*c, s.user)).collect();
        for (client, user) in online {
            if self.rules.is_enabled(user) {
                self.review(client);
            } else {
                self.end_connection(client, true, Some(ReasonCode::NotAuthorized));
            }
        }
    }
}
