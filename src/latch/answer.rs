//! What the service answers: `{"data": …, "error": …}`, read with suspicion.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Error, Id, Refusal};

/// Operations of one answer that are looked at, and how deep they are nested.
const MOST: usize = 1000;
const DEEPEST: usize = 8;

/// An answer that is one.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub data: Map<String, Value>,
    /// Both can be there: "already paired" comes with the account.
    pub error: Option<Refusal>,
}

impl Answer {
    /// Reads the body of an answer.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let wrong = |what: &str| Error::Nonsense(what.to_owned());
        let value: Value = serde_json::from_slice(body).map_err(|_| wrong("its answer is not JSON"))?;
        let Value::Object(mut object) = value else { return Err(wrong("its answer is no JSON object")) };
        let data = match object.remove("data") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(data)) => data,
            Some(_) => return Err(wrong("its `data` is no object")),
        };
        let error = match object.remove("error") {
            None | Some(Value::Null) => None,
            Some(error) => {
                let code = error["code"].as_u64().ok_or_else(|| wrong("its `error` has no code"))?;
                Some(Refusal::new(code, error["message"].as_str().unwrap_or_default()))
            }
        };
        Ok(Answer { data, error })
    }

    /// The data, if it is no refusal.
    pub fn accepted(self) -> Result<Map<String, Value>, Error> {
        match self.error {
            Some(refusal) => Err(Error::Refused(refusal)),
            None => Ok(self.data),
        }
    }
}

/// The identifier under `key`.
pub(super) fn id(data: &Map<String, Value>, key: &str) -> Result<Id, Error> {
    let text = data.get(key).and_then(Value::as_str).unwrap_or_default();
    Id::new(text).map_err(|_| Error::Nonsense(format!("its answer has no right `{key}`")))
}

/// What the service says of one application, operation or instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// On is open, off is locked.
    pub on: bool,
    /// The same of what is below it, as far as it was told.
    pub below: BTreeMap<Id, bool>,
}

impl Status {
    /// What is said of `id` in the answer to a status request. Whatever is not plainly "on" or "off" is no answer.
    pub(super) fn read(data: &Map<String, Value>, id: &Id) -> Result<Self, Error> {
        let missing = || Error::Nonsense("its answer says nothing of what was asked".to_owned());
        let own = data.get("operations").and_then(|operations| operations.get(id.as_str()));
        let own = own.ok_or_else(missing)?;
        let mut status = Status { on: on(own).ok_or_else(missing)?, below: BTreeMap::new() };
        status.collect(own, 0);
        Ok(status)
    }

    fn collect(&mut self, parent: &Value, depth: usize) {
        let Some(children) = parent.get("operations").and_then(Value::as_object) else { return };
        for (name, child) in children {
            if depth >= DEEPEST || self.below.len() >= MOST {
                return;
            }
            // One that says nothing understandable is left out, and so asked about by itself.
            if let (Ok(id), Some(on)) = (Id::new(name), on(child)) {
                self.below.insert(id, on);
            }
            self.collect(child, depth + 1);
        }
    }
}

fn on(value: &Value) -> Option<bool> {
    match value.get("status")?.as_str()? {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(body: &str, id: &str) -> Result<Status, Error> {
        Status::read(&Answer::parse(body.as_bytes())?.accepted()?, &Id::new(id).unwrap())
    }

    #[test]
    fn a_status_is_read_with_what_is_nested_in_it() {
        let body = r#"{"data":{"operations":{"APP":{"status":"on","two_factor":{"token":"x"},"operations":{
            "PUB":{"status":"off","operations":{"SUB":{"status":"on"}}},"a/b":{"status":"on"},"ODD":{"status":"maybe"}}}}}}"#;
        let read = status(body, "APP").unwrap();
        assert!(read.on);
        let below: Vec<(&str, bool)> = read.below.iter().map(|(id, on)| (id.as_str(), *on)).collect();
        assert_eq!(below, [("PUB", false), ("SUB", true)]);
    }

    #[test]
    fn what_is_not_plainly_on_or_off_is_no_answer() {
        for body in [
            "",
            "[]",
            "null",
            "<html>",
            "{}",
            r#"{"data":[]}"#,
            r#"{"data":{}}"#,
            r#"{"data":{"operations":{"OTHER":{"status":"on"}}}}"#,
            r#"{"data":{"operations":{"APP":{"status":"ON"}}}}"#,
            r#"{"data":{"operations":{"APP":{"status":true}}}}"#,
            r#"{"data":{"operations":{"APP":"on"}}}"#,
            r#"{"data":{"operations":["APP"]}}"#,
            r#"{"error":"no"}"#,
            r#"{"error":{"code":"102"}}"#,
            r#"{"error":{"code":-1}}"#,
        ] {
            let error = status(body, "APP").unwrap_err();
            assert!(matches!(error, Error::Nonsense(_)), "{body}: {error}");
        }
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(status(&deep, "APP").is_err());
    }

    #[test]
    fn a_refusal_is_a_refusal_even_with_data_beside_it() {
        let body = r#"{"data":{"operations":{"APP":{"status":"on"}}},"error":{"code":201,"message":"Account not paired"}}"#;
        assert_eq!(status(body, "APP").unwrap_err().code(), Some(201));
    }

    proptest! {
        /// Pieces of real answers in any order get further than noise does.
        #[test]
        fn no_answer_makes_the_reader_panic(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ":", ",", "\"data\"", "\"error\"", "\"code\"", "\"operations\"", "\"APP\"",
                    "\"status\"", "\"on\"", "\"off\"", "null", "201", "-1", "1e999", "\"\\u0000\"", " ",
                ]),
                0..30,
            )
        ) {
            let read = status(&pieces.concat(), "APP");
            if let Err(error) = read {
                prop_assert!(!error.to_string().is_empty());
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Answer::parse(&bytes);
        }

        /// Whatever is nested how, what is said of the application itself decides.
        #[test]
        fn only_the_word_on_in_its_place_is_open(word in "[onOfN ]{0,4}") {
            let body = serde_json::json!({"data": {"operations": {"APP": {"status": word}}}}).to_string();
            match status(&body, "APP") {
                Ok(read) => prop_assert_eq!(read.on, word == "on"),
                Err(_) => prop_assert!(word != "on" && word != "off"),
            }
        }
    }
}
