//! Messages from the remote broker that are larger than `limits.packet_size`. By version 5 the remote broker is told the limit in
//! CONNECT; by 3.1.1 it cannot know, and would send the message again for ever.

use std::time::Instant;

use crate::mqtt::{QoS, ReasonCode, Version};

use super::super::{ledger::Refusal, route::inward};
use super::{Exchange, Fault};

/// The first byte of PUBLISH, without its flags.
const PUBLISH: u8 = 3;

/// What is known of a PUBLISH from its beginning.
struct Beginning<'a> {
    topic: &'a str,
    qos: QoS,
    id: Option<u16>,
}

impl Exchange {
    /// Passes over a packet of `size` bytes, of which `bytes` have come; how many of these are done with. It is acknowledged
    /// and counted as soon as its beginning is there, and nothing of it is kept.
    ///
    /// # Errors
    /// If the remote broker was told not to send it.
    pub(super) fn pass_over(&mut self, bytes: &[u8], size: usize, now: Instant) -> Result<usize, Fault> {
        if self.version() == Version::V5 || !self.open {
            return Err(Fault::TooLarge);
        }
        let Some(Beginning { topic, qos, id }) = beginning(bytes)? else { return Ok(0) };
        let repeated = qos == QoS::ExactlyOnce && id.is_some_and(|id| self.incoming.holds(id));
        if !repeated {
            self.complain("it is larger than limits.packet_size", topic, now);
            self.arrived.refused += 1;
            let settings = self.settings.clone();
            let route = inward(&settings.routes, topic).map_or("", |(route, _)| route.remote.as_str());
            self.count_arrived(qos, route, Err(Refusal::TooLarge));
        }
        if let Some(id) = id {
            let ticket = self.link.journal().commit();
            self.acknowledge(qos, id, ReasonCode::PacketTooLarge, ticket);
        }
        let here = size.min(bytes.len());
        self.skip = size - here;
        Ok(here)
    }
}

/// The beginning of a PUBLISH of version 3.1.1, if it is there.
fn beginning(bytes: &[u8]) -> Result<Option<Beginning<'_>>, Fault> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    if first >> 4 != PUBLISH {
        return Err(Fault::TooLarge);
    }
    let qos = QoS::from_bits(first >> 1 & 3).ok_or(Fault::Protocol("QoS 3"))?;
    let Some(length) = rest.iter().position(|byte| byte & 0x80 == 0) else { return Ok(None) };
    let body = &rest[length + 1..];
    let Some((length, body)) = body.split_first_chunk() else { return Ok(None) };
    let Some((topic, body)) = body.split_at_checked(usize::from(u16::from_be_bytes(*length))) else {
        return Ok(None);
    };
    let topic = std::str::from_utf8(topic).map_err(|_| Fault::Protocol("a topic that is not UTF-8"))?;
    let id = match qos {
        QoS::AtMostOnce => None,
        _ => match body.split_first_chunk() {
            None => return Ok(None),
            Some((id, _)) => Some(u16::from_be_bytes(*id)),
        },
    };
    if id == Some(0) {
        return Err(Fault::Protocol("the packet identifier 0"));
    }
    Ok(Some(Beginning { topic, qos, id }))
}
