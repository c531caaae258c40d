//! How a request is signed: HMAC-SHA1 over method, date, path and body, with the application's secret.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use time::OffsetDateTime;

use super::Secret;

/// The value of `X-11Paths-Date`: UTC, to the second.
pub(super) fn date(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// The parameters as a body, sorted by their names; these very bytes are signed and sent.
pub(super) fn form(parameters: &[(&str, &str)]) -> String {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable();
    form_urlencoded::Serializer::new(String::new()).extend_pairs(sorted).finish()
}

/// The signature of a request that has no header of its own: `path` begins with `/api/`, `body` is empty if there are
/// no parameters.
pub(super) fn sign(secret: &Secret, method: &str, date: &str, path: &str, body: &str) -> String {
    let mut text = format!("{method}\n{date}\n\n{path}");
    if !body.is_empty() {
        text.push('\n');
        text.push_str(body);
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "2016-12-18 13:20:00";

    fn signed(method: &str, path: &str, parameters: &[(&str, &str)]) -> String {
        let secret = Secret::new("0123456789abcdef0123456789abcdef01234567").unwrap();
        sign(&secret, method, DATE, path, &form(parameters))
    }

    #[test]
    fn requests_without_a_body_are_signed_as_the_service_expects() {
        for (path, expected) in [
            ("/api/1.0/status/ACCOUNTID", "RHBqCFME8RY6gSpepCVIaMIPH6Y="),
            ("/api/1.0/pair/fP9zpf", "rkvf6DK1oEy7XjcxCUr93hDUkyo="),
            ("/api/3.0/status/ACCOUNTID/op/OPID/nootp/silent", "vwzVUe7d09JonDsLG3NC8jBskLg="),
        ] {
            assert_eq!(signed("GET", path, &[]), expected, "{path}");
        }
    }

    #[test]
    fn parameters_are_sorted_and_signed_as_they_are_sent() {
        let operation = [
            ("parentId", "APPIDAPPIDAPPIDAPPID"),
            ("name", "publish"),
            ("two_factor", "DISABLED"),
            ("lock_on_request", "DISABLED"),
        ];
        assert_eq!(signed("PUT", "/api/1.0/operation", &operation), "PIVI71T1AfvQE8Ef/sX5omI9CuY=");
        let instance = [("instances", "home/floor1/room 1")];
        assert_eq!(form(&instance), "instances=home%2Ffloor1%2Froom+1");
        assert_eq!(signed("PUT", "/api/1.0/instance/ACCOUNTID", &instance), "jxxXKMtradNlQfB57WOiyC2TGDo=");
    }

    #[test]
    fn a_name_cannot_add_a_parameter() {
        assert_eq!(
            form(&[("instances", "a&two_factor=MANDATORY\r\n+#")]),
            "instances=a%26two_factor%3DMANDATORY%0D%0A%2B%23"
        );
    }

    #[test]
    fn the_date_is_utc_to_the_second() {
        let at = OffsetDateTime::from_unix_timestamp(1_482_067_200).unwrap();
        assert_eq!(date(at), DATE);
        let elsewhere = at.to_offset(time::UtcOffset::from_hms(5, 30, 0).unwrap());
        assert_eq!(date(elsewhere), DATE);
    }
}
