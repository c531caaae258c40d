//! What the LED says: the codes, and which of them the state of the gateway calls for.

/// What is wrong with the remote second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// It does not answer.
    Silent,
    /// A user has unpaired.
    Unpaired,
    /// It refuses the gateway's signature.
    Signature,
    /// Its clock and the gateway's differ too much.
    Clock,
}

/// What the LED says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A press within a few seconds makes an administrator's secret.
    Recovery,
    /// The state cannot be written.
    Failing,
    /// The gateway starts.
    Starting,
    /// The panel holds the gateway closed.
    ClosedByPanel,
    /// Somebody else holds something closed.
    ClosedByAnother,
    /// The remote second factor is in trouble.
    Service(Service),
    /// The certificate of a listener is about to expire, or has.
    CertificateExpires,
    /// A bridge is not connected.
    BridgeDown,
    /// All is well, and everything is open.
    Open,
}

impl Code {
    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Code::Recovery => "recovery",
            Code::Failing => "failing",
            Code::Starting => "starting",
            Code::ClosedByPanel => "closed-by-panel",
            Code::ClosedByAnother => "closed-by-another",
            Code::Service(Service::Silent) => "latch-silent",
            Code::Service(Service::Unpaired) => "latch-unpaired",
            Code::Service(Service::Signature) => "latch-signature",
            Code::Service(Service::Clock) => "latch-clock",
            Code::CertificateExpires => "certificate-expires",
            Code::BridgeDown => "bridge-down",
            Code::Open => "open",
        }
    }
}

/// What is so, as the gateway knows it. Several things can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Not all parts run yet.
    pub starting: bool,
    /// The state cannot be written.
    pub failing: bool,
    /// The panel holds the gateway closed.
    pub closed_by_panel: bool,
    /// Another holder holds anything closed.
    pub closed_by_another: bool,
    /// The worst trouble of the remote second factor.
    pub service: Option<Service>,
    /// A certificate is about to expire.
    pub certificate_expires: bool,
    /// A bridge is not connected.
    pub bridge_down: bool,
    /// How many of the panel's wishes are done with.
    pub obeyed: u64,
}

impl Conditions {
    /// What the LED says of it; `recovery`: whether a press would make a secret.
    pub fn code(&self, recovery: bool) -> Code {
        let holds = |code: &Code| match code {
            Code::Recovery => recovery,
            Code::Failing => self.failing,
            Code::Starting => self.starting,
            Code::ClosedByPanel => self.closed_by_panel,
            Code::ClosedByAnother => self.closed_by_another,
            Code::Service(service) => self.service == Some(*service),
            Code::CertificateExpires => self.certificate_expires,
            Code::BridgeDown => self.bridge_down,
            Code::Open => true,
        };
        super::CODES.iter().map(|(code, ..)| *code).find(holds).unwrap_or(Code::Open)
    }
}
