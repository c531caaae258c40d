//! What a backend elsewhere vouches for as long as a client is connected: a token, with what it allows and until when, or an
//! account; and who watches over it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{
    backend::{Answer, Question, Who},
    desk::Desk,
};
use crate::policy::{acl::RuleSet, live::Watch};

/// What a backend grants with a token, or an account.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    /// What a token allows; `None`: what an account allows is asked about.
    pub rules: Option<Arc<RuleSet>>,
    /// When it ends; `None`: it is not known.
    pub ends: Option<Instant>,
}

/// The token, or account elsewhere, of one session.
#[derive(Debug)]
pub struct Token {
    granted: ArcSwap<Granted>,
    ended: AtomicU8,
}

const OVER: u8 = 1;
const REVOKED: u8 = 2;
const GONE: u8 = 3;
const CHANGED: u8 = 4;

/// What a client is told whose token has ended by its time.
pub(in crate::policy) const TOKEN_OVER: &str = "the token has ended";

impl Token {
    pub(in crate::policy) fn new(granted: Arc<Granted>) -> Self {
        Token { granted: ArcSwap::new(granted), ended: AtomicU8::new(0) }
    }

    /// What it allows by itself.
    pub(in crate::policy) fn rules(&self) -> Option<Arc<RuleSet>> {
        self.granted.load().rules.clone()
    }

    /// Why nobody may be connected by it any more, if so.
    pub(in crate::policy) fn ended(&self) -> Option<&'static str> {
        match self.ended.load(Ordering::Acquire) {
            OVER => Some(TOKEN_OVER),
            REVOKED => Some("the token was revoked"),
            GONE => Some("the account was removed"),
            CHANGED => Some("the password was changed"),
            _ => None,
        }
    }

    /// Whether it was taken back before its time.
    pub(in crate::policy) fn is_revoked(&self) -> bool {
        matches!(self.ended.load(Ordering::Acquire), REVOKED | GONE)
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
    /// The stored password that the client logged in with, if it is an account.
    pub stored: Option<Arc<str>>,
    /// The changes of the backend that the login has seen.
    pub changes: watch::Receiver<u64>,
}

impl Guardian {
    /// Ends the session that `watch` belongs to when its token ends, and asks again and again whether it still holds.
    pub fn new(errand: Errand, token: Arc<Token>, watch: Arc<Watch>) -> Self {
        let task = match errand.question {
            Question::Stored => tokio::spawn(guard_account(errand, token, watch)),
            _ => tokio::spawn(guard(errand, token, watch)),
        };
        Guardian(task.abort_handle())
    }
}

async fn guard(errand: Errand, token: Arc<Token>, watch: Arc<Watch>) {
    let Errand { desk, who, question, .. } = errand;
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

/// An account is asked about again at an interval, and whenever its backend has changed.
async fn guard_account(errand: Errand, token: Arc<Token>, watch: Arc<Watch>) {
    let Errand { desk, who, question, stored, mut changes } = errand;
    let end = |how| {
        token.ended.store(how, Ordering::Release);
        watch.raise();
    };
    loop {
        let said = match tokio::time::timeout(desk.recheck(), changes.changed()).await {
            Ok(Ok(())) => desk.ask(&who, &question).await,
            Ok(Err(_)) => return,
            Err(_) => desk.ask_anew(&who, &question).await,
        };
        match said.stored {
            // An outage ends nobody.
            _ if said.failed => {}
            None => return end(GONE),
            Some(now) if Some(&now.text) != stored.as_ref() => return end(CHANGED),
            Some(_) => {}
        }
    }
}
