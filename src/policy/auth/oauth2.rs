//! The backend `oauth2`: the password is an access token, which the authorization server is asked about (RFC 7662).

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::Full;
use hyper::{Request, body::Bytes, header};
use serde::Deserialize;

use super::{
    backend::{Answer, Asking, Failure, Question, Remote, Reply, Who},
    token::Granted,
    web::{Page, Web, WebError, form},
};
use crate::{
    mqtt::TopicFilter,
    policy::acl::{Access, Rule, RuleSet},
};

/// Scopes of one token that are looked at.
const SCOPES: usize = 1000;

/// What of a token must be the user name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: whoever has the token may call itself as it likes.
    #[default]
    None,
    /// `sub`.
    Subject,
    /// `username`.
    Username,
    /// `client_id`.
    ClientId,
}

/// Where tokens are asked about.
#[derive(Clone, PartialEq, Eq)]
pub struct Oauth2Settings {
    /// The introspection endpoint.
    pub url: String,
    /// By which client the gateway is known there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// What must be the user name.
    pub claim: Claim,
    /// PEM file with the authorities to trust in place of the system's.
    pub ca: Option<PathBuf>,
}

/// An authorization server.
pub struct Oauth2Backend {
    settings: Oauth2Settings,
    web: Web,
}

/// What the server says of a token.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Introspection {
    active: bool,
    scope: Option<String>,
    exp: Option<i64>,
    sub: Option<String>,
    username: Option<String>,
    client_id: Option<String>,
}

impl Oauth2Backend {
    /// A backend; nothing is connected yet. Blocks.
    ///
    /// # Errors
    /// Authorities that cannot be read.
    pub fn new(settings: Oauth2Settings) -> Result<Self, WebError> {
        let web = Web::new(settings.ca.as_deref())?;
        Ok(Oauth2Backend { settings, web })
    }

    fn request(&self, token: &[u8]) -> Result<Request<Full<Bytes>>, Failure> {
        // Whoever sends one must not have the server taken for broken.
        let token =
            std::str::from_utf8(token).map_err(|_| Failure::of_question("a token that is no text"))?;
        // RFC 6749 section 2.3.1: both are encoded as in a form before they are joined.
        let coded = |text: &str| form([("", text)])[1..].to_owned();
        let Oauth2Settings { url, client_id, client_secret, .. } = &self.settings;
        let pair = BASE64_STANDARD.encode(format!("{}:{}", coded(client_id), coded(client_secret)));
        Request::post(url)
            .header(header::AUTHORIZATION, format!("Basic {pair}"))
            .header(header::ACCEPT, "application/json")
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form([("token", token), ("token_type_hint", "access_token")])))
            .map_err(|error| Failure::lasting(format_args!("the request cannot be written: {error}")))
    }

    fn read(&self, page: &Page, user: &str, now: SystemTime) -> Result<Reply, Failure> {
        match page.status {
            200 => {}
            status @ (408 | 429 | 500 | 502 | 503 | 504) => {
                return Err(Failure::passing(format_args!("HTTP {status}")));
            }
            // What is said of a token that is too long, or none. It may be about the gateway too (RFC 6749 section 5.2).
            status @ (400 | 413 | 414 | 422 | 431) if !is_about_us(&page.body) => {
                return Ok(Reply::new(Answer::Unknown, format!("HTTP {status}: it takes no such token")));
            }
            status @ (400..=403 | 413 | 414 | 422 | 431) => {
                let what = "it does not know the gateway: see client_id and client_secret_file";
                return Err(Failure::lasting(format_args!("HTTP {status}: {what}")));
            }
            status => return Err(Failure::lasting(format_args!("HTTP {status}"))),
        }
        let said: Introspection = serde_json::from_slice(&page.body)
            .map_err(|_| Failure::lasting("its answer is no introspection"))?;
        let no = |why: &str| Ok(Reply::new(Answer::Unknown, why));
        if !said.active {
            return no("the token is not active");
        }
        let named = match self.settings.claim {
            Claim::None => Some(user),
            Claim::Subject => said.sub.as_deref(),
            Claim::Username => said.username.as_deref(),
            Claim::ClientId => said.client_id.as_deref(),
        };
        if named != Some(user) {
            return no("the token is somebody else's");
        }
        let left = match said.exp {
            None => None,
            Some(exp) => {
                let exp = UNIX_EPOCH + Duration::from_secs(u64::try_from(exp).unwrap_or(0).min(1 << 40));
                match exp.duration_since(now) {
                    Ok(left) if !left.is_zero() => Some(left),
                    _ => return no("the token has ended"),
                }
            }
        };
        let rules = rules(said.scope.as_deref().unwrap_or_default());
        if rules.allow.is_empty() {
            return no("the token has no scope mqtt:read: or mqtt:write:");
        }
        let granted =
            Granted { rules: Some(Arc::new(rules)), ends: left.map(|left| std::time::Instant::now() + left) };
        let reply = Reply::new(Answer::Allow, "the token is active");
        Ok(Reply { lifetime: left, grant: Some(Arc::new(granted)), ..reply })
    }
}

/// Whether an answer that is no introspection says that the gateway, and not the token, is at fault.
fn is_about_us(body: &[u8]) -> bool {
    let error = serde_json::from_slice::<serde_json::Value>(body).ok();
    let error = error.as_ref().and_then(|body| body["error"].as_str());
    matches!(error, Some("invalid_client" | "unauthorized_client" | "access_denied"))
}

/// What scopes allow: `mqtt:read:FILTER` and `mqtt:write:FILTER`, or with dots, several of each. Others, and those whose
/// filter is none, are left out. A scope is data of somebody else: `%u` in it stands for nothing.
fn rules(scopes: &str) -> RuleSet {
    let mut rules = RuleSet::default();
    for scope in scopes.split_ascii_whitespace().take(SCOPES) {
        let filter = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| scope.strip_prefix(*prefix));
        let (access, filter) = if let Some(filter) = filter(["mqtt:read:", "mqtt.read:"]) {
            (Access::READ, filter)
        } else if let Some(filter) = filter(["mqtt:write:", "mqtt.write:"]) {
            (Access::WRITE, filter)
        } else {
            continue;
        };
        if let Ok(filter) = TopicFilter::new(filter) {
            rules.allow.push(Rule { access, filter, text: format!("scope {scope}").into() });
        }
    }
    rules
}

impl Remote for Oauth2Backend {
    fn answers(&self, question: &Question) -> bool {
        matches!(question, Question::Login(_))
    }

    fn ask<'a>(&'a self, who: &'a Who, question: &'a Question) -> Asking<'a> {
        Box::pin(async move {
            let Question::Login(token) = question else {
                return Err(Failure::lasting("it is asked about tokens only"));
            };
            let sent = match self.request(&token.0) {
                Ok(request) => self.web.send(request).await,
                Err(failure) => Err(failure),
            };
            match sent {
                Ok(page) => self.read(&page, &who.user, SystemTime::now()),
                Err(failure) => failure.unless_of_question(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(claim: Claim) -> Oauth2Backend {
        let settings = Oauth2Settings {
            url: "http://h/introspect".into(),
            client_id: "gate way".into(),
            client_secret: "s:1".into(),
            claim,
            ca: None,
        };
        Oauth2Backend::new(settings).unwrap()
    }

    fn answer(claim: Claim, status: u16, body: &str) -> Option<Answer> {
        let page = Page { status, body: body.to_owned().into() };
        backend(claim)
            .read(&page, "lamp", UNIX_EPOCH + Duration::from_secs(1000))
            .ok()
            .map(|reply| reply.answer)
    }

    #[test]
    fn only_an_active_token_of_this_user_with_a_scope_and_time_left_is_a_yes() {
        let with = |more: &str| format!("{{\"active\":true,\"scope\":\"mqtt:read:a\"{more}}}");
        use Claim::{None as Free, Subject};
        for (claim, body, expected) in [
            (Free, with(""), Some(Answer::Allow)),
            (Free, with(",\"exp\":1001"), Some(Answer::Allow)),
            (Free, with(",\"exp\":1000"), Some(Answer::Unknown)),
            (Free, with(",\"exp\":-1"), Some(Answer::Unknown)),
            (Subject, with(",\"sub\":\"lamp\""), Some(Answer::Allow)),
            (Subject, with(",\"sub\":\"other\""), Some(Answer::Unknown)),
            (Subject, with(""), Some(Answer::Unknown)),
            (Free, "{\"active\":false}".into(), Some(Answer::Unknown)),
            (Free, "{}".into(), Some(Answer::Unknown)),
            (
                Free,
                "{\"active\":true,\"scope\":\"openid mqtt:read: mqtt:write:a/#/b\"}".into(),
                Some(Answer::Unknown),
            ),
            (Free, "{\"active\":\"yes\"}".into(), None),
            (Free, "[]x".into(), None),
        ] {
            assert_eq!(answer(claim, 200, &body), expected, "{claim:?} {body}");
        }
        for status in [204, 302, 401, 403, 404, 408, 429, 500, 503] {
            assert_eq!(answer(Free, status, &with("")), None, "{status}");
        }
        // What one token brings about is no outage; what the gateway's own registration does is.
        for status in [400, 413, 414, 422, 431] {
            assert_eq!(answer(Free, status, "<html>"), Some(Answer::Unknown), "{status}");
        }
        assert_eq!(answer(Free, 400, "{\"error\":\"invalid_client\"}"), None);
        assert_eq!(answer(Free, 400, "{\"error\":\"invalid_request\"}"), Some(Answer::Unknown));
    }

    #[test]
    fn both_spellings_of_scopes_count_and_several_of_each() {
        let rules = rules("mqtt:read:a/# openid mqtt.write:b/+ mqtt:write:c:d mqtt.read:%u/x mqttXread:z");
        let texts: Vec<_> = rules.allow.iter().map(|rule| (rule.access, rule.filter.as_str())).collect();
        assert_eq!(
            texts,
            [(Access::READ, "a/#"), (Access::WRITE, "b/+"), (Access::WRITE, "c:d"), (Access::READ, "%u/x")]
        );
    }

    #[test]
    fn a_token_stays_one_value_and_the_secret_is_encoded() {
        let request = backend(Claim::None).request(b"a+b&token=c").unwrap();
        let basic = request.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned();
        assert_eq!(basic, format!("Basic {}", BASE64_STANDARD.encode("gate+way:s%3A1")));
        assert!(backend(Claim::None).request(b"\xff").is_err());
    }
}
