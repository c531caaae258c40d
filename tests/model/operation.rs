//! What can happen: operations, how they are drawn, and how they are told.

use std::fmt;

use latchgate::mqtt::{QoS, RetainHandling, SubscriptionOptions, Version};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::rules::{RULE_COUNT, USERS, rule_text};

/// Client identifiers. Client `n` belongs to user `n`; the last one only watches.
pub const CLIENTS: [&str; 4] = ["a", "b", "c", "w"];
/// How many clients take part in operations.
pub const TAKING_PART: usize = 3;
const TOPICS: [&str; 3] = ["area/b", "area/c", "b"];
/// No topic belongs to two share groups: which copy a member was given could not be told.
const FILTERS: [&str; 9] =
    ["area/b", "area/+", "area/#", "b", "#", "+", "$share/g/area/#", "$share/g/b", "+/b"];

/// What a client says in CONNECT. What its version does not know is not said.
#[derive(Clone, Debug)]
pub struct Hello {
    pub version: Version,
    pub clean: bool,
    /// Seconds; for 3.1.1 it is what `clean` implies.
    pub expiry: u32,
    pub receive_maximum: Option<u16>,
    pub keep_alive: u16,
    pub will: Option<Will>,
}

#[derive(Clone, Debug)]
pub struct Will {
    pub topic: &'static str,
    pub qos: QoS,
    pub retain: bool,
    pub delay: u32,
}

#[derive(Clone, Debug)]
pub struct Publish {
    pub topic: &'static str,
    pub qos: QoS,
    pub retain: bool,
    pub empty: bool,
    pub expiry: Option<u32>,
}

/// One operation. One that is not possible (a client that is not connected, nothing to acknowledge) is skipped.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `stranger`: another user than the client's own.
    Connect {
        client: usize,
        stranger: Option<usize>,
        hello: Hello,
    },
    Drop {
        client: usize,
    },
    Disconnect {
        client: usize,
        will: bool,
        expiry: Option<u32>,
    },
    Publish {
        client: usize,
        publish: Publish,
    },
    /// PUBREL for a QoS 2 message of the client's own.
    Release {
        client: usize,
        nth: usize,
    },
    /// A QoS 2 PUBLISH once more, as after a lost PUBREC.
    Repeat {
        client: usize,
        nth: usize,
    },
    Subscribe {
        client: usize,
        filters: Vec<(&'static str, SubscriptionOptions)>,
        identifier: Option<u32>,
    },
    Unsubscribe {
        client: usize,
        filter: &'static str,
    },
    /// The next acknowledgement for one delivery; `refuse`: a PUBREC that refuses, in version 5.
    Acknowledge {
        client: usize,
        nth: usize,
        refuse: bool,
    },
    AcknowledgeAll {
        client: usize,
    },
    Ping {
        client: usize,
    },
    SwitchRule {
        nth: usize,
    },
    SwitchUser {
        user: usize,
    },
    Wait {
        seconds: u32,
    },
}

/// The operations of one case: mostly everybody connects and subscribes first, so that there is something to see.
pub fn story() -> impl Strategy<Value = Vec<Operation>> {
    let begin = (0..TAKING_PART)
        .map(|client| {
            let connect =
                hello(client).prop_map(move |hello| Operation::Connect { client, stranger: None, hello });
            let subscribe = (vec(wanted(), 1..4), option::of(1..5u32))
                .prop_map(move |(filters, identifier)| Operation::Subscribe { client, filters, identifier });
            (option::weighted(0.9, connect), option::weighted(0.9, subscribe))
        })
        .collect::<Vec<_>>();
    (begin, vec(operation(), 1..90)).prop_map(|(begin, then)| {
        let begin = begin.into_iter().flat_map(|(connect, subscribe)| connect.into_iter().chain(subscribe));
        begin.chain(then).collect()
    })
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn client() -> impl Strategy<Value = usize> {
    0..TAKING_PART
}

/// The version of a client: always the same, because in 3.1.1 two copies of one message can look alike that do not in
/// version 5.
pub fn version_of(client: usize) -> Version {
    if client == 2 { Version::V311 } else { Version::V5 }
}

/// A CONNECT of one client.
fn hello(client: usize) -> impl Strategy<Value = Hello> {
    let will = (select(&TOPICS[..]), qos(), any::<bool>(), select(vec![0, 5, 100]))
        .prop_map(|(topic, qos, retain, delay)| Will { topic, qos, retain, delay });
    (
        prop::bool::weighted(0.3),
        select(vec![u32::MAX, u32::MAX, 5000, 30, 0]),
        option::of(1..4u16),
        select(vec![0, 0, 0, 10, 1000]),
        option::weighted(0.4, will),
    )
        .prop_map(move |(clean, expiry, receive_maximum, keep_alive, will)| {
            let version = version_of(client);
            if version != Version::V5 {
                let expiry = if clean { 0 } else { u32::MAX };
                let will = will.map(|will| Will { delay: 0, ..will });
                return Hello { version, clean, expiry, receive_maximum: None, keep_alive, will };
            }
            Hello { version, clean, expiry, receive_maximum, keep_alive, will }
        })
}

fn publish() -> impl Strategy<Value = Publish> {
    let expiry = option::weighted(0.3, select(vec![5, 50, 5000]));
    (select(&TOPICS[..]), qos(), prop::bool::weighted(0.4), prop::bool::weighted(0.1), expiry).prop_map(
        |(topic, qos, retain, empty, expiry)| {
            // Empty messages cannot be told apart: they are all alike.
            let (qos, expiry) = if empty { (QoS::AtLeastOnce, None) } else { (qos, expiry) };
            let retain = retain || empty;
            Publish { topic, qos, retain, empty, expiry }
        },
    )
}

fn options() -> impl Strategy<Value = SubscriptionOptions> {
    let handling = select(vec![RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never]);
    (qos(), prop::bool::weighted(0.2), any::<bool>(), handling).prop_map(
        |(qos, no_local, retain_as_published, retain_handling)| SubscriptionOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    )
}

fn wanted() -> impl Strategy<Value = (&'static str, SubscriptionOptions)> {
    // [MQTT-3.8.3-4]: No Local on a shared subscription is a protocol error.
    (select(&FILTERS[..]), options()).prop_map(|(filter, mut options)| {
        options.no_local &= !filter.starts_with('$');
        (filter, options)
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    prop_oneof![
        4 => client().prop_flat_map(|client| (option::weighted(0.05, 0..TAKING_PART), hello(client))
            .prop_map(move |(stranger, hello)| Connect { client, stranger, hello })),
        3 => client().prop_map(|client| Drop { client }),
        2 => (client(), any::<bool>(), option::weighted(0.3, select(vec![0, 30, 5000])))
            .prop_map(|(client, will, expiry)| Disconnect { client, will, expiry }),
        24 => (client(), publish()).prop_map(|(client, publish)| Publish { client, publish }),
        3 => (client(), 0..4usize).prop_map(|(client, nth)| Release { client, nth }),
        1 => (client(), 0..4usize).prop_map(|(client, nth)| Repeat { client, nth }),
        8 => (client(), vec(wanted(), 1..3), option::of(1..5u32))
            .prop_map(|(client, filters, identifier)| Subscribe { client, filters, identifier }),
        2 => (client(), select(&FILTERS[..])).prop_map(|(client, filter)| Unsubscribe { client, filter }),
        7 => (client(), 0..4usize, prop::bool::weighted(0.1))
            .prop_map(|(client, nth, refuse)| Acknowledge { client, nth, refuse }),
        2 => client().prop_map(|client| AcknowledgeAll { client }),
        1 => client().prop_map(|client| Ping { client }),
        3 => (1..RULE_COUNT).prop_map(|nth| SwitchRule { nth }),
        // Without this one next to nothing is allowed; often it comes back soon.
        1 => Just(SwitchRule { nth: 0 }),
        1 => (0..TAKING_PART).prop_map(|user| SwitchUser { user }),
        3 => select(vec![1, 3, 8, 20, 120, 6000]).prop_map(|seconds| Wait { seconds }),
    ]
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Operation::*;
        let name = |client: &usize| CLIENTS[*client];
        match self {
            Connect { client, stranger, hello } => {
                let user = USERS[stranger.unwrap_or(*client)];
                write!(f, "{} connects as {user} with {hello}", name(client))
            }
            Drop { client } => write!(f, "{} loses its connection", name(client)),
            Disconnect { client, will, expiry } => {
                write!(f, "{} disconnects", name(client))?;
                f.write_str(if *will { " and asks for its will (0x04 in version 5)" } else { "" })?;
                expiry.map_or(Ok(()), |expiry| write!(f, ", session expiry now {expiry} s (version 5)"))
            }
            Publish { client, publish } => write!(f, "{} publishes {publish}", name(client)),
            Release { client, nth } => {
                write!(f, "{} releases its open QoS 2 publish no. {nth}", name(client))
            }
            Repeat { client, nth } => write!(f, "{} repeats its open QoS 2 publish no. {nth}", name(client)),
            Subscribe { client, filters, identifier } => {
                write!(f, "{} subscribes to", name(client))?;
                for (filter, options) in filters {
                    write!(f, " {filter} at QoS {}", options.qos as u8)?;
                    f.write_str(if options.no_local { ", no local" } else { "" })?;
                    f.write_str(if options.retain_as_published { ", retain as published" } else { "" })?;
                    write!(f, ", retained {:?};", options.retain_handling)?;
                }
                identifier.map_or(Ok(()), |identifier| write!(f, " identifier {identifier}"))
            }
            Unsubscribe { client, filter } => write!(f, "{} unsubscribes from {filter}", name(client)),
            Acknowledge { client, nth, refuse } => {
                let word = if *refuse { "refuses" } else { "acknowledges" };
                write!(f, "{} {word} its open delivery no. {nth}", name(client))
            }
            AcknowledgeAll { client } => write!(f, "{} acknowledges everything", name(client)),
            Ping { client } => write!(f, "{} pings", name(client)),
            SwitchRule { nth } => write!(f, "the rule \"{}\" is added, or removed", rule_text(*nth)),
            SwitchUser { user } => write!(f, "{} is disabled, or enabled again", USERS[*user]),
            Wait { seconds } => write!(f, "{seconds} seconds pass"),
        }
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hello { version, clean, expiry, receive_maximum, keep_alive, will } = self;
        write!(f, "{version:?}")?;
        f.write_str(if *clean { ", clean" } else { ", to resume" })?;
        match expiry {
            &u32::MAX => f.write_str(", never expiring")?,
            seconds => write!(f, ", expiring after {seconds} s")?,
        }
        receive_maximum.map_or(Ok(()), |most| write!(f, ", receive maximum {most}"))?;
        match keep_alive {
            0 => {}
            seconds => write!(f, ", keep alive {seconds} s")?,
        }
        let Some(Will { topic, qos, retain, delay }) = will else { return Ok(()) };
        write!(f, ", will on {topic} at QoS {}", *qos as u8)?;
        f.write_str(if *retain { " retained" } else { "" })?;
        if *delay > 0 { write!(f, " after {delay} s") } else { Ok(()) }
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Publish { topic, qos, retain, empty, expiry } = self;
        f.write_str(if *empty { "nothing" } else { "something" })?;
        write!(f, " to {topic} at QoS {}", *qos as u8)?;
        f.write_str(if *retain { ", retained" } else { "" })?;
        expiry.map_or(Ok(()), |seconds| write!(f, ", expiring after {seconds} s (version 5)"))
    }
}
