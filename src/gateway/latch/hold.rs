//! What the second factor closes, as the lock holds it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    latch::{self, View},
    mqtt::TopicFilter,
    policy::lock::{Area, Cause, Held, Holder, Lock, LockError, Scope, Who},
};

/// Who closes and opens, in the lock's log.
const BY: &str = "the Latch service";

/// Has the lock hold what `view` says, and nothing else. `last` is what it holds already.
pub(super) async fn hold(lock: &Arc<Lock>, view: &View, last: &mut Option<Vec<Held>>) {
    let held: Vec<Held> = view.closures().into_iter().map(scope).collect();
    if last.as_ref() == Some(&held) {
        return;
    }
    match lock.hold(Holder::Latch, held.clone(), BY).await {
        Ok(_) => *last = Some(held),
        // Told by the lock itself, and tried again with the next view.
        Err(LockError::Stopping) => {}
        Err(error) => tracing::error!(%error, "the lock does not follow the Latch service"),
    }
}

/// Has the lock follow every change of the view for ever.
pub(super) async fn follow(lock: Arc<Lock>, mut view: watch::Receiver<Arc<View>>) {
    let mut last = None;
    loop {
        let now = view.borrow_and_update().clone();
        hold(&lock, &now, &mut last).await;
        if view.changed().await.is_err() {
            return;
        }
    }
}

/// Frees what the second factor held when it was last used: it is not used any more.
pub(in crate::gateway) async fn release(lock: &Arc<Lock>) {
    let holds = lock.state().holds().any(|(_, holder, _)| holder == Holder::Latch);
    if holds {
        tracing::warn!("Latch is no longer configured: what it closed is opened");
        if let Err(error) = lock.hold(Holder::Latch, Vec::new(), "the configuration").await {
            tracing::error!(%error, "what Latch closed stays closed");
        }
    }
}

fn scope(closure: latch::Closure) -> Held {
    let who = match closure.who {
        latch::Who::User(user) => Who::User(user),
        latch::Who::EveryoneBut(paired) => Who::EveryoneBut(Arc::new(paired.into_iter().collect())),
    };
    let area = match closure.area {
        latch::Area::Gateway => Area::Gateway,
        latch::Area::Publish => Area::Publish,
        latch::Area::Subscribe => Area::Subscribe,
        // What it would close is not known: everything, then.
        latch::Area::Topic(filter) => TopicFilter::new(&filter).map_or(Area::Gateway, Area::Topic),
    };
    let cause = match closure.cause {
        latch::Cause::Locked => Cause::Locked,
        latch::Cause::Unavailable => Cause::Unavailable,
    };
    Held { scope: Scope { area, who }, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_whose_filter_cannot_be_read_closes_everything_for_its_user() {
        let of = |filter: &str| {
            scope(latch::Closure {
                who: latch::Who::User("lamp".into()),
                area: latch::Area::Topic(filter.into()),
                cause: latch::Cause::Locked,
            })
        };
        assert_eq!(of("door/#").scope.area, Area::Topic(TopicFilter::new("door/#").unwrap()));
        assert_eq!(of("a/#/b").scope.area, Area::Gateway);
    }
}
