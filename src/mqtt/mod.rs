//! What do the bytes mean? Packets, their codec, topic names and filters.
//!
//! This room owns MQTT 3.1, 3.1.1 and 5 as bytes. It knows no sockets, clocks, files or tasks, allocates
//! only what a validated length allows, and never panics whatever it is fed. It uses no other room.

pub mod codec;
mod error;
mod packet;
mod property;
mod reason;
mod topic;

pub use error::DecodeError;
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Login, Packet, Publish, QoS, RetainHandling, SubAck, Subscribe,
    SubscribeFilter, SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will,
};
pub use property::{Properties, Property};
pub use reason::ReasonCode;
pub use topic::{TopicError, TopicFilter, valid_topic_name};
