//! QoS 2 messages on their way from the client: the identifiers between PUBLISH and PUBREL.

use ahash::AHashSet;

/// The identifiers of QoS 2 messages that were taken on and not yet released (MQTT 5 section 4.3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    ids: AHashSet<u16>,
}

impl Incoming {
    /// Notes a PUBLISH; `false` if it repeats one that was taken on already and so must not be routed
    /// again [MQTT-4.3.3-10].
    pub fn receive(&mut self, id: u16) -> bool {
        self.ids.insert(id)
    }

    /// Whether `id` was taken on and is not yet released.
    pub fn holds(&self, id: u16) -> bool {
        self.ids.contains(&id)
    }

    /// Notes a PUBREL (or the refusal of the message); `false` if the identifier is not known.
    pub fn release(&mut self, id: u16) -> bool {
        let known = self.ids.remove(&id);
        if self.ids.is_empty() {
            // An idle session keeps no table.
            self.ids = AHashSet::default();
        }
        known
    }

    /// How many identifiers are held; they count against our receive maximum.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_qos2_publish_is_not_new_until_it_was_released() {
        let mut incoming = Incoming::default();
        assert!(incoming.receive(7));
        assert!(!incoming.receive(7));
        assert!(incoming.release(7));
        assert!(!incoming.release(7));
        assert!(incoming.receive(7));
    }
}
