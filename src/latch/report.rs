//! A view as JSON, for `latch status` and whatever watches the gateway.

use serde_json::{Value, json};

use super::{Area, Condition, State, UserView, View};

impl View {
    /// Everything, with every user, or only those that `wanted` takes.
    pub fn report(&self, wanted: impl Fn(&str) -> bool) -> Value {
        let (service, error) = match &self.condition {
            Condition::Starting => ("not-asked".to_owned(), None),
            Condition::Answering => ("answering".to_owned(), None),
            Condition::Failing(fault, error) => (fault.to_string(), Some(error)),
        };
        let users: Vec<Value> =
            self.users.iter().filter(|view| wanted(&view.user)).map(UserView::report).collect();
        json!({ "service": service, "error": error, "must_be_paired": self.must_be_paired, "users": users })
    }
}

impl UserView {
    fn report(&self) -> Value {
        let state = self.state.as_ref();
        let said = |part: fn(&State) -> super::Switch| json!(state.map(part));
        let instances: Vec<Value> = self
            .instances
            .iter()
            .map(|instance| {
                let switch = state.and_then(|state| state.instances.get(&instance.id));
                json!({ "topic": instance.topic, "id": instance.id, "state": switch })
            })
            .collect();
        let closed: Vec<Value> = self
            .closed
            .iter()
            .map(|(area, cause)| json!({ "scope": area.to_string(), "cause": cause }))
            .collect();
        json!({
            "user": &*self.user,
            "application": said(|state| state.application),
            "publish": said(|state| state.publish),
            "subscribe": said(|state| state.subscribe),
            "instances": instances,
            "answered_at": self.at,
            "fault": self.fault.as_ref().map(|(fault, _)| fault),
            "error": self.fault.as_ref().map(|(_, error)| error),
            "closed": closed,
        })
    }
}

impl std::fmt::Display for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Area::Gateway => f.write_str("gateway"),
            Area::Publish => f.write_str("publish"),
            Area::Subscribe => f.write_str("subscribe"),
            Area::Topic(filter) => write!(f, "topic:{filter}"),
        }
    }
}
