//! The ledger: what became of every message that a route took on.

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Reason {
    /// The spool was full.
    Full,
    /// The bridge may not have it.
    NotPermitted,
    /// It is larger than the remote broker takes.
    TooLarge,
    /// The remote broker refused it.
    Refused,
    /// Its route was taken out of the configuration, and no other matches.
    NoRoute,
    /// It could not be read back from the disk.
    Unreadable,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 6] = [
        Reason::Full,
        Reason::NotPermitted,
        Reason::TooLarge,
        Reason::Refused,
        Reason::NoRoute,
        Reason::Unreadable,
    ];

    /// The reason as one word.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Full => "full",
            Reason::NotPermitted => "not_permitted",
            Reason::TooLarge => "too_large",
            Reason::Refused => "refused",
            Reason::NoRoute => "no_route",
            Reason::Unreadable => "unreadable",
        }
    }
}

/// How a message left the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The remote broker has it: PUBACK or PUBCOMP.
    Delivered,
    /// Its time was over first.
    Expired,
    /// It was dropped.
    Dropped(Reason),
}

/// The totals of one route, of messages of QoS 1 and 2. What was accepted and has no fate yet is in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Taken on.
    pub accepted: u64,
    /// Acknowledged by the remote broker.
    pub delivered: u64,
    /// Expired before that.
    pub expired: u64,
    /// Dropped, by reason.
    pub dropped: [u64; Reason::ALL.len()],
}

impl Ledger {
    /// One more that left.
    pub fn settle(&mut self, fate: Fate) {
        match fate {
            Fate::Delivered => self.delivered += 1,
            Fate::Expired => self.expired += 1,
            Fate::Dropped(reason) => self.dropped[reason as usize] += 1,
        }
    }

    /// How many must be in the spool.
    pub fn open(&self) -> u64 {
        let gone = self.delivered + self.expired + self.dropped.iter().sum::<u64>();
        self.accepted.saturating_sub(gone)
    }
}
