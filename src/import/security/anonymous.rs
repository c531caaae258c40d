//! Which listeners are opened, and whom they let in without a user name.

use super::{
    super::{
        homes::Homes,
        listener::Door,
        model::{Model, Security},
        report::{Line, Report, Verdict},
        settings::Setting,
    },
    Set,
};

use Verdict::{Changed, Translated};

/// Whose keys count for a listener.
pub(super) fn own<'a>(door: &'a Door, model: &'a Model) -> &'a Security {
    if model.per_listener { &door.listener.security } else { &model.security }
}

/// Whether a listener will be opened, as far as that is known before its certificates are looked at.
pub(super) fn is_open(door: &Door, model: &Model) -> bool {
    !door.shut && !own(door, model).settings.refused
}

/// The line for which a listener is not opened.
pub(super) fn why_shut(door: &Door, model: &Model, report: &Report) -> Option<Line> {
    let lines: Vec<Line> = door.listener.settings.iter().map(|setting| setting.line).collect();
    let refusals = [own(door, model).settings.refusal, door.listener.settings.refusal];
    refusals.into_iter().flatten().next().or_else(|| report.cause(&lines)).or(door.listener.line)
}

/// What is said of clients without a user name.
pub(super) fn said_of_anonymous<'a>(door: &'a Door, model: &'a Model) -> Option<&'a Setting> {
    let here = door.listener.settings.get("listener_allow_anonymous");
    here.or_else(|| own(door, model).settings.get("allow_anonymous"))
}

pub(super) fn lets_anyone_in(door: &Door, model: &Model) -> bool {
    door.local || said_of_anonymous(door, model).is_some_and(Setting::is_on)
}

/// Whether a client's certificate is its login, so that nobody comes in by a password: see `tls`.
pub(super) fn certificate_is_login(door: &Door) -> bool {
    let settings = &door.listener.settings;
    let encrypts = settings.has("certfile") && settings.has("keyfile");
    encrypts && (settings.is_on("use_identity_as_username") || settings.is_on("use_subject_as_username"))
}

/// The name of clients that bring none.
pub(super) fn anonymous(
    door: &Door,
    model: &Model,
    set: &Set,
    homes: &Homes,
    report: &mut Report,
) -> Option<(String, Option<Line>)> {
    let said = said_of_anonymous(door, model);
    let allowed = lets_anyone_in(door, model);
    if let Some(said) = said {
        let note = match (allowed, said.is_on()) {
            (true, true) => "listener.anonymous is their user name",
            (true, false) => "Mosquitto lets them in all the same where no listener is named",
            _ => "clients without a user name are refused",
        };
        report.say(said.line, Translated, note);
        if allowed && set.password.is_none() && set.plugins.is_empty() {
            report.say(
                said.line,
                Changed,
                "a client that brings a user name has to log in: Mosquitto believes any name here",
            );
        }
    }
    if !allowed {
        return None;
    }
    if let Some(why) = set.refuses_anonymous {
        if let Some(said) = said {
            report.say(said.line, Changed, why);
        }
        return None;
    }
    if let Some(name) = &set.anonymous {
        return Some((name.clone(), said.map(|said| said.line)));
    }
    let name = (1..).map(|n| if n == 1 { "anonymous".to_owned() } else { format!("anonymous-{n}") });
    let name = name.into_iter().find(|name| homes.accounts.iter().all(|account| account.name != *name))?;
    Some((name, said.map(|said| said.line)))
}
