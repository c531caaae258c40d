//! The ledger: what became of every message that a route took on, and of every one that came from the remote broker.

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
    /// It was sent at QoS 0, since the remote broker takes nothing better: nobody says whether it arrived.
    Unacknowledged,
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
    /// Acknowledged by the remote broker, or sent to one that takes no more than QoS 0.
    pub delivered: u64,
    /// How many of these were sent at QoS 0.
    pub unacknowledged: u64,
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
            Fate::Unacknowledged => {
                self.delivered += 1;
                self.unacknowledged += 1;
            }
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

/// Why a message from the remote broker was not published here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Refusal {
    /// It was the gateway's own, come back.
    Echo,
    /// The lock was closed, and the remote broker keeps nothing that could come again.
    Locked,
    /// The rules do not let the bridge publish it.
    NotPermitted,
    /// No route matches.
    NoRoute,
    /// No more can be retained.
    RetainedFull,
    /// It is larger than `limits.packet_size`.
    TooLarge,
    /// Its topic cannot be used here.
    Unusable,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Refusal; 7] = [
        Refusal::Echo,
        Refusal::Locked,
        Refusal::NotPermitted,
        Refusal::NoRoute,
        Refusal::RetainedFull,
        Refusal::TooLarge,
        Refusal::Unusable,
    ];

    /// The reason as one word.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Echo => "echo",
            Refusal::Locked => "locked",
            Refusal::NotPermitted => "not_permitted",
            Refusal::NoRoute => "no_route",
            Refusal::RetainedFull => "retained_full",
            Refusal::TooLarge => "too_large",
            Refusal::Unusable => "unusable",
        }
    }
}

/// The totals of one route that comes in, of messages of QoS 1 and 2: what was acknowledged to the remote broker was published
/// here or refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerIn {
    /// Acknowledged to the remote broker.
    pub accepted: u64,
    /// Published here.
    pub published: u64,
    /// Not published, by reason.
    pub refused: [u64; Refusal::ALL.len()],
}

impl LedgerIn {
    /// One more that came.
    pub fn count(&mut self, outcome: Result<(), Refusal>) {
        self.accepted += 1;
        match outcome {
            Ok(()) => self.published += 1,
            Err(reason) => self.refused[reason as usize] += 1,
        }
    }
}
