//! Whether a backend answers at all: asked about somebody who does not exist, past memory and breaker.

use std::{net::Ipv4Addr, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::Desk;
use crate::policy::{
    acl::Access,
    auth::backend::{Answer, Failure, Question, Who},
    policy::Secret,
};

/// The user, client and topic that are asked about. Nobody has this name.
pub const NOBODY: &str = "latchgate-doctor";

/// One question of a probe.
#[derive(Clone, Debug)]
pub struct Probed {
    /// What was asked: `login`, `superuser` or `rights`.
    pub question: &'static str,
    /// The answer, with the backend's words.
    pub outcome: Result<(Answer, Arc<str>), Failure>,
}

impl Desk {
    /// Puts every question that the backend can answer, each within the deadline and once: a login with a password of
    /// chance, whether it is a superuser, and whether it may publish.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub async fn probe(&self) -> Result<Vec<Probed>, getrandom::Error> {
        let mut password = [0; 24];
        getrandom::fill(&mut password)?;
        let password = Secret(BASE64_URL_SAFE_NO_PAD.encode(password).into_bytes());
        let who = Who {
            user: NOBODY.into(),
            client_id: NOBODY.into(),
            address: (Ipv4Addr::UNSPECIFIED, 0).into(),
            listener: "".into(),
            anonymous: false,
            certificate: None,
        };
        let questions = [
            ("login", Question::Login(Arc::new(password))),
            ("login", Question::Stored),
            ("superuser", Question::Superuser),
            ("rights", Question::Filters(Access::PUBLISH)),
            ("rights", Question::May(Access::PUBLISH, NOBODY.into(), None)),
        ];
        let mut probed = Vec::new();
        for (name, question) in questions {
            if !self.remote.answers(&question) {
                continue;
            }
            let deadline = self.settings.deadline;
            let outcome = match tokio::time::timeout(deadline, self.remote.ask(&who, &question)).await {
                Ok(reply) => reply.map(|reply| (reply.answer, reply.why)),
                Err(_) => Err(Failure::passing(format_args!("no answer within {} ms", deadline.as_millis()))),
            };
            probed.push(Probed { question: name, outcome });
        }
        Ok(probed)
    }
}
