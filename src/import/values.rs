//! Values, as Mosquitto reads them.

/// The first word after the key, and what follows it. Words end at spaces, and at nothing else.
pub(super) fn word(rest: &str) -> Option<(&str, &str)> {
    let rest = rest.trim_start_matches(' ');
    (!rest.is_empty()).then(|| rest.split_once(' ').unwrap_or((rest, "")))
}

/// `true`, `1`, `false` or `0`; what comes after it does not count.
pub(super) fn flag(rest: &str) -> Result<bool, String> {
    match word(rest) {
        Some(("true" | "1", _)) => Ok(true),
        Some(("false" | "0", _)) => Ok(false),
        Some((other, _)) => Err(format!("{other:?} is neither true nor false")),
        None => Err("the value is missing".to_owned()),
    }
}

/// A number, as far as the word begins with one; a word that does not is 0.
pub(super) fn number(rest: &str) -> Result<i64, String> {
    let (word, _) = word(rest).ok_or("the value is missing")?;
    Ok(leading_number(word))
}

/// The number that `word` begins with.
pub(super) fn leading_number(word: &str) -> i64 {
    let word = word.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let (sign, digits) = match word.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    // What the system's own function makes of a number that is too large is undefined.
    sign * digits[..end].parse::<i64>().unwrap_or(if end == 0 { 0 } else { i64::MAX / 2 })
}

/// The rest of the line without white space at its ends; never empty.
pub(super) fn text(rest: &str) -> Result<&str, String> {
    match rest.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b') {
        "" => Err("the value is missing".to_owned()),
        text if text.len() > 65_535 => Err("the value is longer than 65535 bytes".to_owned()),
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_mosquitto_reads_them() {
        assert_eq!(flag("true # yes"), Ok(true));
        assert_eq!(flag("  0"), Ok(false));
        assert!(flag("TRUE").is_err() && flag("").is_err() && flag("true\t").is_err());
        assert_eq!(number("1883abc 127.0.0.1"), Ok(1883));
        assert_eq!(number("-1"), Ok(-1));
        assert_eq!(number("x"), Ok(0));
        assert!(number("99999999999999999999").unwrap() > i64::from(u32::MAX));
        assert!(number(" ").is_err());
        assert_eq!(text(" \t /etc/a b \t"), Ok("/etc/a b"));
        assert!(text("  ").is_err());
        assert_eq!(word("a  b"), Some(("a", " b")));
    }
}
