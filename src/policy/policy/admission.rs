//! Who is let in: clients by a login or a certificate, and the bridges of this gateway.

use std::{net::SocketAddr, sync::Arc};

use atomic_waker::AtomicWaker;

use crate::mqtt::ReasonCode;

use super::{
    super::{
        acl::BRIDGE,
        audit::{AuditId, Refused},
        auth::{Admitted, Candidate, token::Token},
        certificate::{Certificate, is_user_name},
        decision::{Denial, Operation, Stage},
        gate::Gate,
        identity::{BY_CERTIFICATE, Identity},
    },
    Policy,
};

/// Somebody who wants in.
#[derive(Debug)]
pub struct Applicant {
    /// Client identifier, assigned or the client's own.
    pub client_id: Arc<str>,
    /// User name, if it brings one.
    pub username: Option<String>,
    /// Password, if it brings one.
    pub password: Option<Secret>,
    /// The user name of clients that bring none; `None`: they are refused.
    pub anonymous: Option<Arc<str>>,
    /// Where it comes from.
    pub address: SocketAddr,
    /// The listener it came in by.
    pub listener: Arc<str>,
    /// The certificate it showed, verified.
    pub certificate: Option<Certificate>,
}

/// A password on its way to be verified; it is never printed.
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Policy {
    /// Admits a client or refuses it. A certificate that is a login comes before a user name, which is then ignored. `bell` wakes its task when the policy changes.
    pub async fn admit(
        self: &Arc<Self>,
        applicant: Applicant,
        bell: Arc<AtomicWaker>,
    ) -> Result<Gate, Denial> {
        let refused = |user: &str, mut denial: Denial| {
            self.metrics.deny(Operation::Connect, denial.stage);
            let who = Refused {
                client: &applicant.client_id,
                user,
                address: applicant.address,
                login: applicant.certificate.as_ref().and_then(Certificate::user).map(|_| BY_CERTIFICATE),
            };
            denial.audit =
                self.audit.refused(who, Operation::Connect, "", &denial, std::time::Instant::now());
            denial
        };
        let certified = applicant.certificate.as_ref().and_then(Certificate::user);
        // Before anything else is done for it. What it would be called is not asked yet: an address can be banned alone. A
        // certificate was verified already.
        let claimed = applicant.username.as_deref().unwrap_or_default();
        if certified.is_none()
            && self.throttle.is_banned(claimed, applicant.address.ip(), std::time::Instant::now())
        {
            return Err(refused(claimed, Denial::banned()));
        }
        let user: Arc<str> = match (certified, &applicant.username, &applicant.password, &applicant.anonymous)
        {
            (Some(name), ..) if is_user_name(name) => name.clone(),
            (Some(name), ..) => {
                let reason = "the certificate holds nothing that can be a user name";
                return Err(refused(name, Denial::not_authorized(Stage::Login, None, reason)));
            }
            (None, Some(name), _, _) => name.as_str().into(),
            (None, None, None, Some(name)) => name.clone(),
            (None, None, ..) => {
                let reason = "a user name is required";
                return Err(refused("", Denial::not_authorized(Stage::Login, None, reason)));
            }
        };
        if user.starts_with(BRIDGE) {
            let reason = "user names that begin with bridge: are those of bridges";
            return Err(refused(&user, Denial::not_authorized(Stage::Login, None, reason)));
        }
        // Registered before the book is read: a change in between is then seen by the gate.
        let vouched_by = applicant.certificate.as_ref().map(|_| applicant.listener.clone());
        let presence = self.live.enter(user.clone(), applicant.client_id.clone(), vouched_by, bell);
        let settings = self.settings.load_full();
        let admitted = match applicant.username.as_ref().filter(|_| certified.is_none()) {
            Some(_) => {
                let candidate = Candidate {
                    route: settings.backends.route(&applicant.listener, &user),
                    user: user.clone(),
                    client_id: applicant.client_id.clone(),
                    address: applicant.address,
                    listener: applicant.listener.clone(),
                    certificate: applicant.certificate.as_ref().and_then(Certificate::shown).cloned(),
                };
                match self.login.verify(&self.book, candidate, applicant.password.as_ref()).await {
                    Ok(admitted) => admitted,
                    Err(denial) => return Err(refused(&user, denial)),
                }
            }
            None => Admitted::default(),
        };
        let (granted, errand) = admitted.grant.unzip();
        let token = granted.map(|granted| Arc::new(Token::new(granted)));
        let identity = Identity {
            client_id: applicant.client_id.clone(),
            user: user.clone(),
            address: applicant.address,
            listener: applicant.listener.clone(),
            backend: admitted.backend,
            credential: admitted.credential,
            token: token.clone(),
            certificate: applicant.certificate.clone(),
        };
        if identity.backend.is_none()
            && let Some(why) = self.account_ended(&self.book(), &identity)
        {
            return Err(refused(&user, Denial::not_authorized(Stage::Login, None, why)));
        }
        // What changed while the password was being verified counts.
        let mut gate = Gate::new(self.clone(), Arc::new(identity), presence);
        match gate.ended().or_else(|| gate.locked_out()) {
            None => {
                self.metrics.permit(Operation::Connect);
                if let Some((errand, token)) = errand.zip(token) {
                    gate.guard(errand, token);
                }
                // Until its first turn nothing of it is on its way.
                gate.rest();
                Ok(gate)
            }
            Some(denial) => Err(denial),
        }
    }

    /// Records that somebody was refused before the gate was asked, or for another reason than its answer. Returns the
    /// record, as [`Audit::refused`](crate::policy::Audit::refused) does.
    pub fn refused_at_door(
        &self,
        client: &str,
        user: &str,
        address: SocketAddr,
        code: ReasonCode,
        reason: &str,
    ) -> Option<AuditId> {
        let denial = Denial {
            stage: Stage::Listener,
            rule: Some(reason.into()),
            reason: code.text(),
            code,
            audit: None,
            lock: None,
        };
        let who = Refused { client, user, address, login: None };
        self.audit.refused(who, Operation::Connect, "", &denial, std::time::Instant::now())
    }

    /// The gate of a bridge of this gateway. Its rights are its routes, see [`bridges`](crate::policy::Settings::bridges).
    pub fn gate_of_bridge(self: &Arc<Self>, name: &str, bell: Arc<AtomicWaker>) -> Gate {
        let user: Arc<str> = format!("{BRIDGE}{name}").into();
        let presence = self.live.enter(user.clone(), user.clone(), None, bell);
        let identity = Identity {
            client_id: user.clone(),
            user,
            address: ([0, 0, 0, 0], 0).into(),
            listener: "".into(),
            backend: None,
            credential: None,
            certificate: None,
            token: None,
        };
        Gate::new(self.clone(), Arc::new(identity), presence)
    }

    /// A gate for a client that is gone but whose delayed will is to be published.
    pub fn gate_of(self: &Arc<Self>, identity: &Arc<Identity>) -> Gate {
        // The gate is asked once and forgotten: nothing needs to be told to it.
        let presence =
            self.live.enter(identity.user.clone(), identity.client_id.clone(), None, Arc::default());
        Gate::new(self.clone(), identity.clone(), presence)
    }
}
