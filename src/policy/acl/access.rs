//! What a rule speaks about: publish, subscribe, receive.

/// A set of operations.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access(u8);

impl Access {
    /// To publish (wills included).
    pub const PUBLISH: Access = Access(1);
    /// To subscribe.
    pub const SUBSCRIBE: Access = Access(2);
    /// To be delivered a message.
    pub const RECEIVE: Access = Access(4);
    /// Subscribe and receive.
    pub const READ: Access = Access(2 | 4);
    /// Publish.
    pub const WRITE: Access = Access::PUBLISH;
    /// All of them.
    pub const ALL: Access = Access(1 | 2 | 4);

    /// Whether every operation of `other` is in `self`.
    pub fn includes(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }

    /// The single operations in it that can be asked about `topic`: a filter can be subscribed to, but no message
    /// comes on it.
    pub fn operations(self, topic: &str) -> Vec<Access> {
        let receivable = self == Access::RECEIVE || !topic.contains(['+', '#']);
        [Access::PUBLISH, Access::SUBSCRIBE, Access::RECEIVE]
            .into_iter()
            .filter(|one| self.includes(*one) && (*one != Access::RECEIVE || receivable))
            .collect()
    }

    /// The bits as stored: 1 publish, 2 subscribe, 4 receive.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The set of stored bits; `None` if empty or unknown.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (1..=7).contains(&bits).then_some(Access(bits))
    }
}

impl std::fmt::Display for Access {
    /// The word a person would type.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            1 => "write",
            2 => "subscribe",
            3 => "publish+subscribe",
            4 => "receive",
            5 => "publish+receive",
            6 => "read",
            _ => "all",
        })
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Access({self})")
    }
}

impl std::str::FromStr for Access {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(match word {
            "read" => Access::READ,
            "write" | "publish" => Access::WRITE,
            "all" => Access::ALL,
            "subscribe" => Access::SUBSCRIBE,
            "receive" => Access::RECEIVE,
            _ => return Err("access is read, write, all, publish, subscribe or receive"),
        })
    }
}
