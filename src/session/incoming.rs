//! QoS 2 messages on their way from the client: the identifiers between PUBLISH and PUBREL.

use ahash::AHashMap;

/// The identifiers of QoS 2 messages that were taken on and not yet released (MQTT 5 section 4.3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// By identifier, whether it was taken on by the present connection.
    ids: AHashMap<u16, bool>,
    present: usize,
}

impl Incoming {
    /// Takes up what was open before a restart.
    pub fn restore(&mut self, ids: impl IntoIterator<Item = u16>) {
        self.ids = ids.into_iter().map(|id| (id, false)).collect();
        self.present = 0;
    }

    /// Begins a connection. What an earlier one left open does not count against the receive maximum of this
    /// one, which its client may not even know of (MQTT 5 section 4.9).
    pub fn connected(&mut self) {
        self.ids.values_mut().for_each(|present| *present = false);
        self.present = 0;
    }

    /// Notes a PUBLISH; `false` if it repeats one that was taken on already and so must not be routed
    /// again [MQTT-4.3.3-10].
    pub fn receive(&mut self, id: u16) -> bool {
        let new = !self.ids.contains_key(&id);
        if new {
            self.ids.insert(id, true);
            self.present += 1;
        }
        new
    }

    /// The identifiers that were taken on and not yet released.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.ids.keys().copied()
    }

    /// Whether `id` was taken on and is not yet released.
    pub fn holds(&self, id: u16) -> bool {
        self.ids.contains_key(&id)
    }

    /// Notes a PUBREL; `false` if the identifier is not known.
    pub fn release(&mut self, id: u16) -> bool {
        let known = self.ids.remove(&id);
        self.present -= usize::from(known == Some(true));
        if self.ids.is_empty() {
            // An idle session keeps no table.
            self.ids = AHashMap::default();
        }
        known.is_some()
    }

    /// How many were taken on by the present connection and are not released: they count against our receive maximum.
    pub fn open(&self) -> usize {
        self.present
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

    #[test]
    fn what_an_earlier_connection_left_open_does_not_count() {
        let mut incoming = Incoming::default();
        incoming.receive(7);
        incoming.connected();
        assert!(incoming.holds(7) && incoming.open() == 0);
        incoming.receive(8);
        assert_eq!(incoming.open(), 1);
        assert!(incoming.release(7) && incoming.open() == 1);
    }
}
