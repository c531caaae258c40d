//! A token that a client logged in with: what it allows, until when, and who watches over it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{
    backend::{Answer, Question, Who},
    desk::Desk,
};
use crate::policy::{acl::RuleSet, live::Watch};

/// What a backend grants with a token.
#[derive(Clone, Debug)]
pub struct Granted {
    /// What it allows.
    pub rules: Arc<RuleSet>,
    /// When it ends; `None`: it is not known.
    pub ends: Option<Instant>,
}

/// The token of one session.
#[derive(Debug)]
pub struct Token {
    granted: ArcSwap<Granted>,
    ended: AtomicU8,
}

const OVER: u8 = 1;
const REVOKED: u8 = 2;

/// What a client is told whose token has ended by its time.
pub(in crate::policy) const TOKEN_OVER: &str = "the token has ended";

impl Token {
    pub(in crate::policy) fn new(granted: Arc<Granted>) -> Self {
        Token { granted: ArcSwap::new(granted), ended: AtomicU8::new(0) }
    }

    /// What it allows.
    pub(in crate::policy) fn rules(&self) -> Arc<RuleSet> {
        self.granted.load().rules.clone()
    }

    /// Why nobody may be connected by it any more, if so.
    pub(in crate::policy) fn ended(&self) -> Option<&'static str> {
        match self.ended.load(Ordering::Acquire) {
            OVER => Some(TOKEN_OVER),
            REVOKED => Some("the token was revoked"),
            _ => None,
        }
    }

    /// Whether it was taken back before its time.
    pub(in crate::policy) fn is_revoked(&self) -> bool {
        self.ended.load(Ordering::Acquire) == REVOKED
    }
}

/// Watches over a token until dropped.
#[derive(Debug)]
pub(in crate::policy) struct Guardian(tokio::task::AbortHandle);

impl Drop for Guardian {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a guardian asks.
#[derive(Debug)]
pub(in crate::policy) struct Errand {
    pub desk: Arc<Desk>,
    pub who: Arc<Who>,
    pub question: Question,
}

impl Guardian {
    /// Ends the session that `watch` belongs to when its token ends, and asks again and again whether it still holds.
    pub fn new(errand: Errand, token: Arc<Token>, watch: Arc<Watch>) -> Self {
        Guardian(tokio::spawn(guard(errand, token, watch)).abort_handle())
    }
}

async fn guard(errand: Errand, token: Arc<Token>, watch: Arc<Watch>) {
    let Errand { desk, who, question } = errand;
    let end = |how| {
        token.ended.store(how, Ordering::Release);
        watch.raise();
    };
    loop {
        let recheck = Instant::now() + desk.recheck();
        let ends = token.granted.load().ends;
        tokio::time::sleep_until(ends.map_or(recheck, |ends| ends.min(recheck)).into()).await;
        if ends.is_some_and(|ends| Instant::now() >= ends) {
            return end(OVER);
        }
        let said = desk.ask_anew(&who, &question).await;
        match (said.answer, said.grant) {
            // An outage ends nobody: the token's own end does.
            _ if said.failed => {}
            (Answer::Allow, Some(granted)) => {
                let old = token.granted.swap(granted.clone());
                if old.rules != granted.rules {
                    watch.raise();
                }
            }
            _ if ends.is_some_and(|ends| Instant::now() + Duration::from_secs(1) >= ends) => {
                return end(OVER);
            }
            _ => return end(REVOKED),
        }
    }
}
