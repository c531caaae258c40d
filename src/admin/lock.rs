//! The lock over the admin socket: its state and log, closing and opening. Who asks is told by the system.

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::policy::lock::{Changed, Holder, LockError, Scope};

use super::{Admin, routes::Refusal, server::Peer};

/// Lines of the log that are told: the newest.
const LINES: usize = 1000;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/lock", get(status))
        .route("/lock/close", post(close))
        .route("/lock/open", post(open))
        .route("/lock/release", post(release))
        .route("/lock/log", get(log))
}

/// The body of `POST /lock/close` and `/lock/open`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    scope: String,
    user: Option<String>,
}

/// The body of `POST /lock/release`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Freed {
    holder: String,
}

fn bad(what: impl ToString) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, what.to_string())
}

fn read(body: &Bytes) -> Result<Scope, Refusal> {
    let wanted: Wanted = serde_json::from_slice(body).map_err(bad)?;
    Scope::parse(&wanted.scope, wanted.user.as_deref()).map_err(bad)
}

fn answer(outcome: Result<Changed, LockError>, scope: Option<&Scope>) -> Result<Json<Value>, Refusal> {
    let Changed { changed, state, not_kept } =
        outcome.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let holders = scope.map(|scope| state.holders(scope)).unwrap_or_default();
    Ok(Json(json!({
        "changed": changed,
        "holders": holders.into_iter().map(Holder::name).collect::<Vec<_>>(),
        "not_kept": not_kept,
        "state": state.to_json(),
    })))
}

async fn status(State(admin): State<Admin>) -> Json<Value> {
    let lock = admin.policy.lock();
    let (mut status, not_kept) = (lock.state().to_json(), lock.not_stored());
    status["stored"] = json!(not_kept.is_none());
    status["not_kept"] = json!(not_kept);
    Json(status)
}

async fn close(
    State(admin): State<Admin>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let scope = read(&body)?;
    let outcome = admin.policy.lock().close(Holder::Command, scope.clone(), &peer.to_string()).await;
    answer(outcome, Some(&scope))
}

async fn open(
    State(admin): State<Admin>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let scope = read(&body)?;
    let outcome = admin.policy.lock().open(Holder::Command, scope.clone(), &peer.to_string()).await;
    answer(outcome, Some(&scope))
}

/// Frees what another holder holds: for root alone, since it opens what a hand has closed.
async fn release(
    State(admin): State<Admin>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let Freed { holder } = serde_json::from_slice(&body).map_err(bad)?;
    let holder: Holder = holder.parse().map_err(bad)?;
    if !peer.is_root() {
        tracing::warn!(target: "latchgate::policy::audit", %holder, by = %peer, "refused to release a holder of the lock: not root");
        let what = "only root may release what another holder holds: try with sudo".to_owned();
        return Err(Refusal(StatusCode::FORBIDDEN, what));
    }
    tracing::info!(target: "latchgate::policy::audit", %holder, by = %peer, "everything that a holder of the lock holds is released");
    answer(admin.policy.lock().release(holder, &peer.to_string()).await, None)
}

async fn log(State(admin): State<Admin>) -> Result<Json<Value>, Refusal> {
    let read = admin.policy.lock().log(LINES).await;
    let entries = read.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let line = |entry: crate::policy::lock::Entry| {
        json!({
            "at": entry.at.to_string(),
            "holder": entry.holder,
            "did": entry.did,
            "scope": entry.scope,
            "by": entry.by,
        })
    };
    Ok(Json(entries.into_iter().map(line).collect()))
}
