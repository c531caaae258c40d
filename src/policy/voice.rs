//! The gateway's own voice: publications under the topics that nobody else may publish to.

use std::sync::Arc;

use super::{
    acl::reserved,
    identity::Identity,
    permit::{Permit, Publish},
};

/// The right to publish under the reserved topics (`$SYS/…`, `LATCH/…`), and nowhere else. There is one for each
/// policy: [`super::Policy::open_with_voice`] hands it to whoever opens it, and it can be neither made nor copied, so that the
/// gateway's start decides which part of it may speak. Each delivery is put to the subscriber's gate as always.
///
/// ```compile_fail,E0451
/// use latchgate::policy::{Identity, Voice};
/// fn forge(identity: std::sync::Arc<Identity>) -> Voice {
///     Voice { identity }
/// }
/// ```
/// ```compile_fail,E0599
/// use latchgate::policy::Voice;
/// fn twice(voice: &Voice) -> Voice {
///     voice.clone()
/// }
/// ```
#[derive(Debug)]
pub struct Voice {
    identity: Arc<Identity>,
}

/// The topic is not reserved for the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway itself publishes under $SYS/ and LATCH/ only")]
pub struct NotReserved;

impl Voice {
    pub(super) fn new() -> Self {
        Voice {
            identity: Arc::new(Identity {
                client_id: "".into(),
                user: "".into(),
                address: ([0, 0, 0, 0], 0).into(),
                listener: "".into(),
                backend: None,
                token: None,
                credential: None,
                certificate: None,
            }),
        }
    }

    /// Whom retained messages of the gateway have as their author.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// A permit for one of the gateway's own messages.
    ///
    /// # Errors
    /// If the topic is not reserved.
    pub fn publish<M>(
        &mut self,
        topic: &Arc<str>,
        message: M,
    ) -> Result<Permit<'_, Publish<M>>, NotReserved> {
        if !reserved(topic) {
            return Err(NotReserved);
        }
        Ok(Permit::new(Publish { topic: topic.clone(), slot: usize::MAX, message }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_speaks_under_reserved_topics_only() {
        let mut voice = Voice::new();
        for topic in ["$SYS/broker/uptime", "LATCH/lock"] {
            assert_eq!(&*voice.publish(&topic.into(), ()).unwrap().redeem().topic, topic);
        }
        for topic in ["a", "LATCHES/a", "$share/x", "$SYS/broker/connection/x/state"] {
            assert!(voice.publish(&topic.into(), ()).is_err(), "{topic}");
        }
    }
}
