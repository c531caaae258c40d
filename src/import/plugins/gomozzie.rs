//! Gomozzie, the ForgeRock plugin: the password is an access token. The backend `oauth2` does its job.

use super::{Answer, Changed, Desk, NotNeeded, NotPossible, Options, Translated};
use crate::import::model::Plugin;

pub(super) fn translate(plugin: &Plugin, desk: &mut Desk<'_>) -> Option<Answer> {
    let options = Options::new(plugin);
    options.say("openam_log_dest", NotNeeded, "the log is the gateway's", desk.report);
    for old in [
        "host",
        "port",
        "path",
        "realm",
        "cookiename",
        "application",
        "agent_realm",
        "agent_user",
        "agent_password",
        "use_tls",
    ] {
        let note = "the access manager's own policies are not asked: name its introspection endpoint, in auth.oauth2.introspection_url";
        options.say(&format!("openam_{old}"), NotPossible, note, desk.report);
    }
    let names = ["openam_endpoint", "openam_client_id", "openam_client_secret"];
    let [Some(endpoint), Some(client), Some(secret)] = names.map(|name| options.get(name)) else {
        desk.report.say(
            plugin.line,
            NotPossible,
            "the plugin needs openam_endpoint, openam_client_id and openam_client_secret",
        );
        return None;
    };
    if desk.homes.is_taken("oauth2") {
        desk.report.say(
            plugin.line,
            NotPossible,
            "another listener has an authorization server of its own already: there is one",
        );
        return None;
    }
    let file = desk.homes.file("oauth2", "secret", format!("{}\n", secret.value.trim_end()).into_bytes());
    desk.report.say(endpoint.line, Translated, "auth.oauth2.introspection_url");
    desk.report.say(client.line, Translated, "auth.oauth2.client_id");
    desk.report.say(secret.line, Translated, format!("auth.oauth2.client_secret_file: {file}"));
    let note = "every filter of a token's scopes counts, not the first of each kind; the session ends when the token does, and the client \
                is told; auth.oauth2.user_claim can bind user names to tokens";
    desk.report.say(plugin.line, Changed, note);
    let part = desk.homes.take("oauth2", "[auth.oauth2]")?;
    part.set("introspection_url", endpoint.value.trim(), &[endpoint.line]);
    part.set("client_id", client.value.trim(), &[client.line]);
    part.set("client_secret_file", file, &[secret.line]);
    options.finish(desk.report);
    let refuses_anonymous = Some("clients without a token are refused, as by the plugin");
    Some(Answer { backends: vec!["oauth2"], refuses_anonymous, ..Answer::default() })
}

/// The later rewrite, which is told by its environment where to ask.
pub(super) fn rewrite(plugin: &Plugin, desk: &mut Desk<'_>) -> Option<Answer> {
    Options::new(plugin).say("oauth2_log_dest", NotNeeded, "the log is the gateway's", desk.report);
    let note = "it is set up by environment variables: use backends = [\"oauth2\"] with introspection_url, client_id and client_secret_file";
    desk.report.say(plugin.line, NotPossible, note);
    None
}
