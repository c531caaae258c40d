//! Button and LED, as far as an operator works them from afar.

use std::time::Duration;

use axum::{Json, body::Bytes, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Admin, Command, routes::Refusal};

/// Longest that the simulated button can be held.
const LONGEST: Duration = Duration::from_secs(60);

/// How the panel is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PanelStatus {
    /// The driver, as in the configuration.
    pub driver: &'static str,
    /// Why there is no button and no LED, if they are missing.
    pub trouble: Option<String>,
    /// What the LED says, or would say.
    pub code: &'static str,
    /// How that looks.
    pub looks: &'static str,
    /// `on` or `off`, at this moment; `None`: there is no LED.
    pub level: Option<&'static str>,
    /// `pressed` or `released`; `None`: there is no button.
    pub button: Option<&'static str>,
    /// When the button was last pressed since the start, in UTC.
    pub last_press: Option<String>,
}

/// The body of `POST /panel/press`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Press {
    /// Seconds.
    hold: f64,
}

pub(super) async fn status(State(admin): State<Admin>) -> Result<Json<PanelStatus>, Refusal> {
    let (done, outcome) = oneshot::channel();
    admin.commands.send(Command::Panel(done)).await.map_err(|_| stopping())?;
    Ok(Json(outcome.await.map_err(|_| stopping())?))
}

pub(super) async fn press(State(admin): State<Admin>, body: Bytes) -> Result<Json<PanelStatus>, Refusal> {
    let bad = |what: String| Refusal(StatusCode::BAD_REQUEST, what);
    let Press { hold } = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    let hold = Duration::try_from_secs_f64(hold).ok().filter(|hold| *hold <= LONGEST);
    let hold = hold.ok_or_else(|| bad(format!("`hold` is 0 to {} seconds", LONGEST.as_secs())))?;
    let (done, outcome) = oneshot::channel();
    admin.commands.send(Command::Press(hold, done)).await.map_err(|_| stopping())?;
    let outcome = outcome.await.map_err(|_| stopping())?;
    Ok(Json(outcome.map_err(|what| Refusal(StatusCode::CONFLICT, what))?))
}

fn stopping() -> Refusal {
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the gateway is stopping".into())
}
