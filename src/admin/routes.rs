//! What is asked for and what is answered.

use std::{net::IpAddr, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::config::Difference;
use crate::policy::{Explanation, acl::Access};

use super::{Admin, Command, Reloaded, Trouble, lock, metrics, panel};

/// Largest body in bytes: a topic and two names of the greatest length MQTT knows, escaped.
const LARGEST: usize = 2 * 1024 * 1024;
/// How long a connected client's task may take to answer; it is asked between two packets.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything, for those whom the file system lets at the socket.
pub(super) fn local(admin: Admin) -> Router {
    let everything = Router::new()
        .route("/status", get(status))
        .route("/explain", post(explain))
        .route("/reload", post(reload))
        .route("/plan", get(plan))
        .merge(lock::routes())
        .route("/bans", get(bans))
        .route("/bridges", get(bridges))
        .route("/bans/lift", post(lift_bans))
        .route("/latch", get(latch))
        .route("/panel", get(panel::status))
        .route("/panel/press", post(panel::press))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(admin.clone());
    monitoring(admin).merge(everything)
}

/// What anybody may read who reaches `admin.http`.
pub(super) fn monitoring(admin: Admin) -> Router {
    Router::new().route("/metrics", get(scrape)).route("/healthz", get(healthz)).with_state(admin)
}

/// The body of `POST /explain`: about a user, or about a connected client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// User name; an account of that name need not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Client identifier, for rules with `%c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Where the user would come from: it may be banned there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The listener that the user would come in by; its backends are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Identifier of a connected client, whose gate is asked; in place of those above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// `read`, `write`, `all`, `publish`, `subscribe` or `receive`.
    pub access: String,
    /// Topic name; to ask about a subscription, a filter.
    pub topic: String,
}

/// A no, in words.
pub(super) struct Refusal(pub StatusCode, pub String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

async fn explain(State(admin): State<Admin>, body: Bytes) -> Result<Json<Explanation>, Refusal> {
    let bad = |what: String| Refusal(StatusCode::BAD_REQUEST, what);
    let question: Question = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    let access: Access = question.access.parse().map_err(|what: &str| bad(what.to_owned()))?;
    let topic = &question.topic;
    if topic.is_empty() || topic.len() > 65_535 || topic.contains('\0') {
        return Err(bad("a topic has 1 to 65535 bytes, none of them null".into()));
    }
    match (&question.user, &question.client) {
        (Some(user), None) => {
            let client_id = question.client_id.as_deref().unwrap_or_default();
            let listener = question.listener.as_deref();
            let open = admin.doors.load();
            if let Some(name) = listener.filter(|name| open.listening.iter().all(|(open, _)| open != name)) {
                return Err(Refusal(StatusCode::NOT_FOUND, format!("there is no listener {name:?}")));
            }
            let asked = admin.policy.explain(user, client_id, question.address, listener, access, topic);
            Ok(Json(asked.await))
        }
        (None, Some(client))
            if question.client_id.is_none() && question.address.is_none() && question.listener.is_none() =>
        {
            let answer = admin.policy.explain_live(client, access, topic, PATIENCE).await;
            let absent = || {
                Refusal(
                    StatusCode::NOT_FOUND,
                    format!("no client with the identifier {client:?} is connected"),
                )
            };
            Ok(Json(answer.ok_or_else(absent)?))
        }
        _ => Err(bad(
            "say either `user` (and perhaps `client_id`, `address` and `listener`) or `client`".into()
        )),
    }
}

/// A wrong configuration has a status of its own: it is for whoever wrote it.
fn not_read(trouble: Trouble) -> Refusal {
    let status = match trouble {
        Trouble::Configuration(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Trouble::Else(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refusal(status, trouble.to_string())
}

/// What became of a command about the configuration.
async fn obeyed<T>(
    admin: &Admin,
    command: impl FnOnce(oneshot::Sender<Result<T, Trouble>>) -> Command,
) -> Result<T, Refusal> {
    let stopping = || Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the gateway is stopping".into());
    let (done, outcome) = oneshot::channel();
    admin.commands.send(command(done)).await.map_err(|_| stopping())?;
    outcome.await.map_err(|_| stopping())?.map_err(not_read)
}

async fn reload(State(admin): State<Admin>) -> Result<Json<Reloaded>, Refusal> {
    obeyed(&admin, Command::Reload).await.map(Json)
}

async fn plan(State(admin): State<Admin>) -> Result<Json<Value>, Refusal> {
    let Difference { live, listeners, restart } = obeyed(&admin, Command::Plan).await?;
    Ok(Json(json!({ "live": live, "listeners": listeners, "restart": restart })))
}

async fn bridges(State(admin): State<Admin>) -> Json<Value> {
    Json(json!({ "bridges": (admin.bridges)() }))
}

async fn bans(State(admin): State<Admin>) -> Json<Value> {
    let bans: Vec<Value> = admin
        .policy
        .bans()
        .into_iter()
        .map(|ban| json!({ "address": ban.place(), "user": ban.user, "seconds": ban.left.as_secs() }))
        .collect();
    Json(json!({ "bans": bans }))
}

/// The body of `POST /bans/lift`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lift {
    user: Option<String>,
    address: Option<IpAddr>,
}

async fn lift_bans(State(admin): State<Admin>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let bad = |what: String| Refusal(StatusCode::BAD_REQUEST, what);
    let Lift { user, address } = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    if user.is_none() && address.is_none() {
        return Err(bad("say `user`, `address` or both".into()));
    }
    let stopping = || Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the gateway is stopping".into());
    let (done, lifted) = oneshot::channel();
    let sent = admin.commands.send(Command::LiftBans { user, address, done }).await;
    sent.map_err(|_| stopping())?;
    Ok(Json(json!({ "lifted": lifted.await.map_err(|_| stopping())? })))
}

async fn latch(State(admin): State<Admin>) -> Result<Json<Value>, Refusal> {
    let unused = || {
        let what =
            "the running gateway does not use Latch: begin with `latchgate latch setup`, then restart it";
        Refusal(StatusCode::NOT_FOUND, what.into())
    };
    Ok(Json(admin.latch.as_ref().ok_or_else(unused)?()))
}

async fn status(State(admin): State<Admin>) -> Json<Value> {
    let now = admin.broker.snapshot();
    let listeners: Vec<Value> = admin
        .doors
        .load()
        .listening
        .iter()
        .map(|(name, address)| json!({ "name": name, "address": address.to_string() }))
        .collect();
    Json(json!({
        "id": &*admin.id,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": now.uptime.as_secs(),
        "listeners": listeners,
        "clients": {
            "connected": now.connected,
            "most_connected": now.most_connected,
            "sessions": now.sessions,
        },
        "messages": {
            "received": now.received.publishes,
            "sent": now.sent.publishes,
            "refused": now.refused,
            "queued": now.queued.messages,
            "retained": now.retained.messages,
        },
        "subscriptions": { "plain": now.subscriptions, "shared": now.shared_subscriptions },
    }))
}

async fn scrape(State(admin): State<Admin>) -> Response {
    let latch = admin.latch.as_ref().map(|report| report());
    match metrics::text(
        admin.broker.snapshot(),
        admin.policy.verdicts(),
        admin.doors.load_full(),
        latch,
        (admin.bridges)(),
    ) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// That it is answered says that the runtime makes progress; what it says, whether state can be kept.
async fn healthz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    match admin.broker.is_writable() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the state cannot be written: see the log\n"),
    }
}
