//! Stored passwords of any text: read in no time, refused or safe to verify.
//!
//! Input: the text of a database row.

use std::time::{Duration, Instant};

use latchgate::policy::auth::password::{MAX_TEXT, PasswordError, SaltReading, StoredPassword};

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let begun = Instant::now();
    let readings = [SaltReading::Auto, SaltReading::Text, SaltReading::Decoded]
        .map(|reading| StoredPassword::parse_reading(&text, reading));
    // It takes microseconds; the rest is room for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(5), "reading took {:?}", begun.elapsed());

    let simple = StoredPassword::parse(&text);
    assert_eq!(simple.as_ref().err(), readings[0].as_ref().err(), "the plain way reads otherwise");
    for reading in readings {
        match reading {
            Ok(stored) => accepted(&stored, &text),
            Err(error) => refused(error, &text),
        }
    }
}

/// The answer cannot repeat the row: it is copied, and borrows nothing that does not live for ever.
const _: () = holds_no_text::<PasswordError>();

const fn holds_no_text<T: Copy + 'static>() {}

fn refused(error: PasswordError, text: &str) {
    let said = error.to_string();
    assert!(said.len() < 200, "{said}");
    assert_eq!(error == PasswordError::Empty, text.is_empty());
    assert_eq!(error == PasswordError::TooLong, text.len() > MAX_TEXT);
}

fn accepted(stored: &StoredPassword, text: &str) {
    assert!((1..=MAX_TEXT).contains(&text.len()));
    assert!(format!("{stored:?}").len() < 40, "a stored password is printed");
    assert!(!stored.verify(b""), "the empty password is right");
    if !is_cheap(text) {
        return;
    }
    let begun = Instant::now();
    let (one, other) = (stored.verify(b"one"), stored.verify(b"another"));
    assert!(!(one && other), "two passwords are right");
    assert_eq!(stored.verify(b"one"), one, "the second look says otherwise");
    assert!(begun.elapsed() < Duration::from_secs(5), "a cheap row took {:?}", begun.elapsed());
}

/// Whether the row cannot ask for much: the product of all its numbers is small. bcrypt's is an exponent.
fn is_cheap(text: &str) -> bool {
    let numbers = text.split(['$', ',', '=']).filter_map(|field| field.parse::<u64>().ok());
    let most = if text.starts_with("$2") { 4 } else { 20_000 };
    numbers.fold(1, u64::saturating_mul) <= most
}
