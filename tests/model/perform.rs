//! What each operation means: the packet that is sent, and what the model makes of it.

use latchgate::mqtt::{
    Ack, Disconnect, Packet, Properties, Property, QoS, ReasonCode, Subscribe, SubscribeFilter,
    SubscriptionOptions, Unsubscribe, Version,
};

use crate::{
    operation::{Operation, Publish},
    rules::rule_text,
    run::Run,
    wire::Seen,
    world::INFLIGHT,
};

impl Run {
    /// Sends what an operation sends and tells the model.
    pub fn perform(&mut self, operation: &Operation) {
        match operation.clone() {
            Operation::Connect { client, stranger, hello } => {
                self.connect(client, stranger.unwrap_or(client), &hello);
            }
            Operation::Drop { client } => {
                let (_, wire, _) = self.model.who(client);
                self.world.hang_up(wire);
                self.model.end_connection(client, true, None);
            }
            Operation::Disconnect { client, will, expiry } => self.disconnect(client, will, expiry),
            Operation::Publish { client, publish } => self.publish(client, &publish),
            Operation::Release { client, nth } => {
                let Some(id) = self.unreleased(client, nth) else { return };
                let wire = self.send(client, &Packet::PubRel(Ack::new(id, ReasonCode::Success)));
                self.model.sessions.get_mut(&client).map(|session| session.incoming.remove(&id));
                self.expect(wire, Seen::PubComp(id, ReasonCode::Success));
            }
            Operation::Repeat { client, nth } => self.repeat(client, nth),
            Operation::Subscribe { client, filters, identifier } => {
                self.subscribe(client, &filters, identifier);
            }
            Operation::Unsubscribe { client, filter } => self.unsubscribe(client, filter),
            Operation::Acknowledge { client, nth, refuse } => self.acknowledge(client, nth, refuse),
            Operation::Ping { client } => {
                let wire = self.send(client, &Packet::PingReq);
                self.expect(wire, Seen::PingResp);
            }
            Operation::SwitchRule { nth } => {
                let there = self.model.rules.switch_rule(nth);
                let what = if there { "holds now" } else { "is gone now" };
                self.note(format_args!("\"{}\" {what}", rule_text(nth)));
                self.change();
            }
            Operation::SwitchUser { user } => {
                let enabled = self.model.rules.switch_user(user);
                self.note(if enabled { "enabled now" } else { "disabled now" });
                self.change();
            }
            // These two take time and are the run's own.
            Operation::AcknowledgeAll { .. } | Operation::Wait { .. } => {}
        }
    }

    fn change(&mut self) {
        self.world.change(self.model.rules.accounts());
        self.model.rules_changed();
    }

    fn disconnect(&mut self, client: usize, will: bool, expiry: Option<u32>) {
        let (_, _, version) = self.model.who(client);
        let v5 = version == Version::V5;
        let session = self.model.sessions.get_mut(&client).expect("it is connected");
        let raises = |expiry: &u32| session.online.as_ref().is_some_and(|o| o.expiry == 0) && *expiry > 0;
        // [MQTT-3.14.2-2] has its own tests.
        let expiry = expiry.filter(|expiry| v5 && !raises(expiry));
        session.expiry = expiry.unwrap_or(session.expiry);
        let reason = if v5 && will { ReasonCode::DisconnectWithWill } else { ReasonCode::Success };
        let properties = expiry.map(Property::SessionExpiryInterval).into_iter().collect();
        let wire = self.send(client, &Packet::Disconnect(Disconnect { reason, properties }));
        self.model.end_connection(client, v5 && will, None);
        self.expect(wire, Seen::Closed);
    }

    fn publish(&mut self, client: usize, publish: &Publish) {
        let incoming = self.model.sessions[&client].incoming.len();
        if publish.qos != QoS::AtMostOnce && incoming >= usize::from(INFLIGHT) {
            // The broker's receive maximum: more would be a protocol error.
            return;
        }
        let number = self.model.next_message();
        let id = if publish.qos == QoS::AtMostOnce { 0 } else { self.fresh_id(client) };
        self.note(format_args!("it is m{number}"));
        self.send_publish(client, publish, number, id, false);
        self.model.publish(client, id, number, publish);
    }

    fn send_publish(&mut self, client: usize, publish: &Publish, number: u32, id: u16, dup: bool) -> usize {
        let Publish { topic, qos, retain, empty, expiry } = publish;
        let payload = if *empty { String::new() } else { format!("m{number}") };
        let packet = latchgate::mqtt::Publish {
            dup,
            qos: *qos,
            retain: *retain,
            topic,
            packet_id: (id > 0).then_some(id),
            properties: expiry.map(Property::MessageExpiryInterval).into_iter().collect(),
            payload: payload.as_bytes(),
        };
        self.send(client, &Packet::Publish(packet))
    }

    fn repeat(&mut self, client: usize, nth: usize) {
        let Some(id) = self.unreleased(client, nth) else { return };
        let message = self.model.sessions[&client].incoming[&id].clone();
        let publish = Publish {
            topic: message.topic,
            qos: QoS::ExactlyOnce,
            retain: message.retain,
            empty: message.empty,
            expiry: None,
        };
        let wire = self.send_publish(client, &publish, message.number, id, true);
        // Answered again, and not routed again [MQTT-4.3.3-10].
        self.expect(wire, Seen::PubRec(id, ReasonCode::Success));
    }

    fn subscribe(
        &mut self,
        client: usize,
        wanted: &[(&'static str, SubscriptionOptions)],
        identifier: Option<u32>,
    ) {
        let (_, _, version) = self.model.who(client);
        let v5 = version == Version::V5;
        let packet_id = self.fresh_id(client);
        let identifier = identifier.filter(|_| v5);
        let known = |options: SubscriptionOptions| match v5 {
            true => options,
            false => SubscriptionOptions { qos: options.qos, ..Default::default() },
        };
        let filters =
            wanted.iter().map(|(filter, o)| SubscribeFilter { filter, options: known(*o) }).collect();
        let properties: Properties<'_> =
            identifier.map(Property::SubscriptionIdentifier).into_iter().collect();
        let wire = self.send(client, &Packet::Subscribe(Subscribe { packet_id, filters, properties }));
        let mut reasons = Vec::new();
        for (filter, options) in wanted {
            reasons.push(self.model.subscribe(client, filter, known(*options), identifier));
        }
        self.expect(wire, Seen::SubAck(packet_id, reasons));
    }

    fn unsubscribe(&mut self, client: usize, filter: &'static str) {
        let (_, _, version) = self.model.who(client);
        let packet_id = self.fresh_id(client);
        let filters = vec![filter];
        let packet = Unsubscribe { packet_id, filters, properties: Properties::default() };
        let wire = self.send(client, &Packet::Unsubscribe(packet));
        let there = self.model.unsubscribe(client, filter);
        let reason = if there { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted };
        let reasons = if version == Version::V5 { vec![reason] } else { Vec::new() };
        self.expect(wire, Seen::UnsubAck(packet_id, reasons));
    }

    fn acknowledge(&mut self, client: usize, nth: usize, refuse: bool) {
        let (_, _, version) = self.model.who(client);
        let Some(exchange) = self.open(client, nth) else { return };
        let (id, qos, released) = (exchange.id, exchange.due.qos, exchange.released);
        let refused = refuse && version == Version::V5;
        let reason = if refused { ReasonCode::UnspecifiedError } else { ReasonCode::Success };
        let ack = Ack::new(id, reason);
        let (packet, done) = match (qos, released) {
            (QoS::ExactlyOnce, false) => (Packet::PubRec(ack), refused),
            (QoS::ExactlyOnce, true) => (Packet::PubComp(Ack::new(id, ReasonCode::Success)), true),
            _ => (Packet::PubAck(ack), true),
        };
        let wire = self.send(client, &packet);
        let session = self.model.sessions.get_mut(&client).expect("it is connected");
        if done {
            session.window.retain(|exchange| exchange.id != id);
            return;
        }
        for exchange in session.window.iter_mut().filter(|exchange| exchange.id == id) {
            (exchange.released, exchange.again) = (true, false);
        }
        self.expect(wire, Seen::PubRel(id, ReasonCode::Success));
    }
}
