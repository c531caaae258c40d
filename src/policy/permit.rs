//! Permits: a yes as a value.
//!
//! The router and the writer take permits, not messages, so code that forgets to ask does not compile.

use std::{marker::PhantomData, sync::Arc};

use crate::mqtt::TopicFilter;

use super::{gate::Gate, identity::Identity};

/// A yes of the gate to one thing, which it owns. Only `policy/` makes one; it cannot be cloned; it borrows the
/// gate that gave it, so it can neither be stored nor outlive the verdict, and must be used up before
/// the next question.
///
/// A permit cannot be made elsewhere:
/// ```compile_fail,E0451
/// use latchgate::policy::{Permit, Publish};
/// fn forge<'g>(activity: Publish<()>) -> Permit<'g, Publish<()>> {
///     Permit { activity, gate: std::marker::PhantomData }
/// }
/// ```
/// It cannot be cloned:
/// ```compile_fail,E0599
/// use latchgate::policy::{Permit, Publish};
/// fn twice<'g>(permit: Permit<'g, Publish<()>>) -> (Permit<'g, Publish<()>>, Permit<'g, Publish<()>>) {
///     (permit.clone(), permit)
/// }
/// ```
/// It cannot be kept while the gate is asked again:
/// ```compile_fail,E0499
/// use latchgate::policy::Gate;
/// fn hoard(gate: &mut Gate) {
///     let first = gate.publish("a", b"", |_| ());
///     let second = gate.publish("b", b"", |_| ());
///     drop((first, second));
/// }
/// ```
/// Nor stored for later:
/// ```compile_fail,E0521
/// use latchgate::policy::{Gate, Permit, Publish};
/// fn keep(gate: &mut Gate) -> Option<Permit<'static, Publish<()>>> {
///     gate.publish("a", b"", |_| ()).ok()
/// }
/// ```
/// The same with one question at a time compiles:
/// ```
/// use latchgate::policy::Gate;
/// fn ask(gate: &mut Gate) {
///     let first = gate.publish("a", b"", |_| ()).is_ok();
///     let second = gate.publish("b", b"", |_| ()).is_ok();
///     drop((first, second));
/// }
/// ```
#[must_use = "what was permitted has not been done yet"]
#[derive(Debug)]
pub struct Permit<'g, A> {
    activity: A,
    gate: PhantomData<&'g mut Gate>,
}

impl<A> Permit<'_, A> {
    pub(super) fn new(activity: A) -> Self {
        Permit { activity, gate: PhantomData }
    }

    /// Uses the permit up.
    pub fn redeem(self) -> A {
        self.activity
    }
}

/// To publish one message (or will).
#[derive(Debug)]
pub struct Publish<M> {
    /// Topic name, shared by all messages of this client on this topic.
    pub topic: Arc<str>,
    /// A small number for the topic within this gate, or `usize::MAX`. It may come to stand for another topic, whose
    /// `topic` then is another allocation.
    pub slot: usize,
    /// The message.
    pub message: M,
}

/// To subscribe to one filter.
#[derive(Debug)]
pub struct Subscribe<S> {
    /// The filter, without share prefix.
    pub filter: TopicFilter,
    /// What comes with it.
    pub subscription: S,
}

/// What the gate has to know of a message that is to be delivered.
pub trait Delivery {
    /// Topic name.
    fn topic(&self) -> &Arc<str>;

    /// Payload.
    fn payload(&self) -> &[u8];

    /// Who published it, if it was retained since: its right to publish there is asked as well (CVE-2018-12546).
    fn author(&self) -> Option<&Arc<Identity>>;
}

/// To deliver one message to one client.
#[derive(Debug)]
pub struct Deliver<M> {
    /// The message.
    pub message: M,
}
