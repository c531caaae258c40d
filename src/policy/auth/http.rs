//! The backend `http`: a web service says yes or no by its status, in the dialects of mosquitto-go-auth and
//! mosquitto-auth-plug.

use std::path::PathBuf;

use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::Full;
use hyper::{Method, Request, body::Bytes, header};
use serde_json::{Map, Value};

use super::{
    backend::{Answer, Asking, Failure, Question, Remote, Reply, Who},
    web::{Page, Web, WebError, form},
};
use crate::policy::acl::Access;

/// Whose requests are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpDialect {
    /// Of mosquitto-go-auth: the fields that a question has.
    #[default]
    GoAuth,
    /// Of mosquitto-auth-plug: always the same five fields, as a form, and the password as HTTP Basic too.
    AuthPlug,
}

/// How fields are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parameters {
    /// As a JSON object.
    #[default]
    Json,
    /// As a form.
    Form,
}

/// What says yes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerBy {
    /// A status from 200 to 299.
    #[default]
    Status,
    /// Besides, a body `{"ok": true}`.
    Json,
    /// Besides, the body `ok`.
    Text,
}

/// Longest address of a request in bytes: what RFC 9110 (section 4.1) has every service understand.
const LONGEST: usize = 8000;

/// How the service is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where logins are asked about; without it nobody logs in here.
    pub user_url: Option<String>,
    /// Where superusers are.
    pub superuser_url: Option<String>,
    /// Where rights are; without it none is known here.
    pub acl_url: Option<String>,
    /// Whose requests are sent.
    pub dialect: HttpDialect,
    /// `GET` (fields in the address), `POST` or `PUT`.
    pub method: String,
    /// How fields are sent.
    pub parameters: Parameters,
    /// What says yes.
    pub answer: AnswerBy,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// Whether a subscription is asked about as reading (`acc` 1) and not as subscribing (4).
    pub subscribe_as_read: bool,
    /// Whether the client's address and listener are sent.
    pub send_origin: bool,
    /// Whether what its certificate says is sent.
    pub send_certificate: bool,
    /// PEM file with the authorities to trust in place of the system's.
    pub ca: Option<PathBuf>,
}

/// A web service that is asked.
pub struct HttpBackend {
    settings: HttpSettings,
    method: Method,
    web: Web,
}

impl HttpBackend {
    /// A backend; nothing is connected yet. Blocks.
    ///
    /// # Errors
    /// Authorities that cannot be read.
    pub fn new(settings: HttpSettings) -> Result<Self, WebError> {
        let web = Web::new(settings.ca.as_deref())?;
        let method = match settings.method.as_str() {
            "GET" if settings.dialect == HttpDialect::GoAuth => Method::GET,
            "PUT" if settings.dialect == HttpDialect::GoAuth => Method::PUT,
            _ => Method::POST,
        };
        Ok(HttpBackend { settings, method, web })
    }

    fn url(&self, question: &Question) -> Option<&str> {
        let HttpSettings { user_url, superuser_url, acl_url, .. } = &self.settings;
        match question {
            Question::Login(_) => user_url.as_deref(),
            Question::Superuser => superuser_url.as_deref(),
            Question::May(..) => acl_url.as_deref(),
            Question::Stored | Question::Filters(_) => None,
        }
    }

    /// The fields of a question; numbers apart, for JSON.
    fn fields<'a>(
        &self,
        who: &'a Who,
        question: &'a Question,
        password: &'a str,
        origin: &'a str,
    ) -> (Vec<(&'static str, &'a str)>, Option<u8>) {
        let (topic, acc) = match question {
            Question::May(access, topic, _) => (&**topic, Some(self.number(*access))),
            _ => ("", None),
        };
        let (user, client) = (("username", &*who.user), ("clientid", &*who.client_id));
        let mut fields = match (self.settings.dialect, question) {
            (HttpDialect::AuthPlug, _) => vec![user, ("password", password), ("topic", topic), client],
            (HttpDialect::GoAuth, Question::Login(_)) => vec![user, ("password", password), client],
            (HttpDialect::GoAuth, Question::May(..)) => vec![user, client, ("topic", topic)],
            (HttpDialect::GoAuth, _) => vec![user],
        };
        if self.settings.send_origin {
            fields.extend([("address", origin), ("listener", &*who.listener)]);
        }
        if let Some(shown) = who.certificate.as_deref().filter(|_| self.settings.send_certificate) {
            fields.extend([
                ("cert_subject", &*shown.subject),
                ("cert_common_name", &*shown.common_name),
                ("cert_serial", &*shown.serial),
                ("cert_fingerprint", &*shown.fingerprint),
            ]);
        }
        (fields, acc)
    }

    fn number(&self, access: Access) -> u8 {
        match access {
            Access::PUBLISH => 2,
            Access::SUBSCRIBE if !self.settings.subscribe_as_read => 4,
            _ => 1,
        }
    }

    /// The request that asks; or why the question cannot be put, which is a fault of the question alone: whoever can make
    /// one up must not have the service taken for broken.
    fn request(&self, who: &Who, question: &Question) -> Result<Request<Full<Bytes>>, String> {
        let url = self.url(question).ok_or("it has no address for this")?;
        let password = match question {
            Question::Login(password) => {
                std::str::from_utf8(&password.0).map_err(|_| "a password that is no text")?
            }
            _ => "",
        };
        let origin = who.address.ip().to_string();
        let (mut fields, acc) = self.fields(who, question, password, &origin);
        let plug = self.settings.dialect == HttpDialect::AuthPlug;
        let acc_text = acc.map_or("-1".to_owned(), |acc| acc.to_string());
        let as_form = plug || self.settings.parameters == Parameters::Form || self.method == Method::GET;
        if as_form && (plug || acc.is_some()) {
            fields.push(("acc", &acc_text));
        }
        let mut request = Request::builder().method(self.method.clone());
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        if plug && matches!(question, Question::Login(_)) {
            // RFC 7617: the first colon ends the name, so it would be somebody else's.
            if who.user.contains(':') {
                return Err("a name with a colon cannot be sent as HTTP Basic".to_owned());
            }
            let pair = BASE64_STANDARD.encode(format!("{}:{password}", who.user));
            request = request.header(header::AUTHORIZATION, format!("Basic {pair}"));
        }
        let (url, kind, body) = if self.method == Method::GET {
            let joint = if url.contains('?') { '&' } else { '?' };
            let url = format!("{url}{joint}{}", form(fields));
            if url.len() > LONGEST {
                return Err(format!(
                    "its address would have {} bytes, and {LONGEST} at most are sent",
                    url.len()
                ));
            }
            (url, None, String::new())
        } else if as_form {
            (url.to_owned(), Some("application/x-www-form-urlencoded"), form(fields))
        } else {
            let text = |(name, value): (&str, &str)| (name.to_owned(), Value::from(value));
            let mut object: Map<String, Value> = fields.into_iter().map(text).collect();
            object.extend(acc.map(|acc| ("acc".to_owned(), Value::from(acc))));
            (url.to_owned(), Some("application/json"), Value::from(object).to_string())
        };
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.uri(url).body(Full::from(body));
        request.map_err(|error| format!("the request cannot be written: {error}"))
    }

    fn read(&self, page: &Page) -> Result<Reply, Failure> {
        let Page { status, body } = page;
        let reply = |answer, why: &str| Ok(Reply::new(answer, format!("HTTP {status}{why}")));
        match (status, self.settings.answer) {
            // It has no time for anybody.
            (408 | 429 | 500.., _) => Err(Failure::passing(format_args!("HTTP {status}"))),
            (200..=299, AnswerBy::Status) => reply(Answer::Allow, ""),
            (200..=299, AnswerBy::Json) => match serde_json::from_slice::<Value>(body) {
                Ok(object) if object["ok"] == true => reply(Answer::Allow, ", ok"),
                Ok(object) if object["ok"] == false => reply(Answer::Unknown, ", not ok"),
                _ => Err(Failure::lasting("its answer is no object with `ok`")),
            },
            (200..=299, AnswerBy::Text) if body.trim_ascii() == b"ok" => reply(Answer::Allow, ", ok"),
            (200..=299, AnswerBy::Text) => reply(Answer::Unknown, ", not ok"),
            _ => reply(Answer::Unknown, ""),
        }
    }
}

impl Remote for HttpBackend {
    fn answers(&self, question: &Question) -> bool {
        self.url(question).is_some()
    }

    fn minds_address(&self) -> bool {
        self.settings.send_origin
    }

    fn minds_certificate(&self) -> bool {
        self.settings.send_certificate
    }

    fn ask<'a>(&'a self, who: &'a Who, question: &'a Question) -> Asking<'a> {
        Box::pin(async move {
            match self.request(who, question) {
                Ok(request) => match self.web.send(request).await {
                    Ok(page) => self.read(&page),
                    Err(failure) => failure.unless_of_question(),
                },
                Err(why) => Ok(Reply::new(Answer::Unknown, why)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::policy::Secret;

    fn backend(settings: HttpSettings) -> HttpBackend {
        let url = |path: &str| Some(format!("http://h/{path}"));
        HttpBackend::new(HttpSettings {
            user_url: url("auth"),
            superuser_url: url("superuser"),
            acl_url: url("acl"),
            ..settings
        })
        .unwrap()
    }

    fn who() -> Who {
        let address = ([10, 0, 0, 7], 1).into();
        Who {
            user: "a&b".into(),
            client_id: "c=1".into(),
            address,
            listener: "tls".into(),
            anonymous: false,
            certificate: None,
        }
    }

    /// Method, address and body of the request that asks.
    fn sent(backend: &HttpBackend, question: &Question) -> (String, String) {
        let request = backend.request(&who(), question).unwrap();
        let head = format!("{} {}", request.method(), request.uri());
        let body = futures_body(request);
        (head, body)
    }

    fn futures_body(request: Request<Full<Bytes>>) -> String {
        use http_body_util::BodyExt;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(request.into_body().collect()).unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn login() -> Question {
        Question::Login(Arc::new(Secret(b"p w".to_vec())))
    }

    #[test]
    fn go_auth_sends_what_a_question_has_and_auth_plug_always_five_fields() {
        let go = HttpSettings { parameters: Parameters::Form, ..HttpSettings::default() };
        let go = backend(go);
        let may = Question::May(Access::SUBSCRIBE, "x/#".into(), None);
        assert_eq!(sent(&go, &login()).1, "username=a%26b&password=p+w&clientid=c%3D1");
        assert_eq!(sent(&go, &Question::Superuser).1, "username=a%26b");
        assert_eq!(
            sent(&go, &may),
            ("POST http://h/acl".to_owned(), "username=a%26b&clientid=c%3D1&topic=x%2F%23&acc=4".to_owned())
        );
        let plug = HttpSettings { dialect: HttpDialect::AuthPlug, ..HttpSettings::default() };
        let plug = backend(HttpSettings { subscribe_as_read: true, ..plug });
        assert_eq!(sent(&plug, &login()).1, "username=a%26b&password=p+w&topic=&clientid=c%3D1&acc=-1");
        assert_eq!(
            sent(&plug, &Question::Superuser).1,
            "username=a%26b&password=&topic=&clientid=c%3D1&acc=-1"
        );
        assert_eq!(sent(&plug, &may).1, "username=a%26b&password=&topic=x%2F%23&clientid=c%3D1&acc=1");
    }

    #[test]
    fn json_has_its_numbers_and_get_its_fields_in_the_address() {
        let json = backend(HttpSettings { send_origin: true, ..HttpSettings::default() });
        let body: Value =
            serde_json::from_str(&sent(&json, &Question::May(Access::PUBLISH, "t\"".into(), None)).1)
                .unwrap();
        let expected = serde_json::json!({
            "username": "a&b", "clientid": "c=1", "topic": "t\"", "acc": 2, "address": "10.0.0.7", "listener": "tls",
        });
        assert_eq!(body, expected);
        let get = backend(HttpSettings { method: "GET".into(), ..HttpSettings::default() });
        assert_eq!(
            sent(&get, &Question::Superuser),
            ("GET http://h/superuser?username=a%26b".into(), String::new())
        );
    }

    #[test]
    fn an_answer_is_yes_not_known_or_no_answer_at_all() {
        use AnswerBy::{Json, Status, Text};
        for (by, status, body, expected) in [
            (Status, 200, "", Some(Answer::Allow)),
            (Status, 204, "no", Some(Answer::Allow)),
            (Status, 302, "", Some(Answer::Unknown)),
            (Status, 403, "", Some(Answer::Unknown)),
            (Status, 400, "", Some(Answer::Unknown)),
            (Status, 414, "", Some(Answer::Unknown)),
            (Status, 431, "", Some(Answer::Unknown)),
            (Status, 408, "", None),
            (Status, 429, "", None),
            (Status, 500, "", None),
            (Json, 200, r#"{"ok":true}"#, Some(Answer::Allow)),
            (Json, 200, r#"{"ok":false,"error":"x"}"#, Some(Answer::Unknown)),
            (Json, 200, r#"{"ok":"true"}"#, None),
            (Json, 200, "<html>", None),
            (Json, 403, r#"{"ok":true}"#, Some(Answer::Unknown)),
            (Text, 200, "ok\n", Some(Answer::Allow)),
            (Text, 200, "okay", Some(Answer::Unknown)),
        ] {
            let backend = backend(HttpSettings { answer: by, ..HttpSettings::default() });
            let reply = backend.read(&Page { status, body: Bytes::from_static(body.as_bytes()) });
            assert_eq!(reply.ok().map(|reply| reply.answer), expected, "{by:?} {status} {body}");
        }
    }
}
