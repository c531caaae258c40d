//! Topic names and filters: syntax, matching, covering and overlapping against the words of 4.7, taken naively.
//!
//! Input: text, one filter or topic name a line; the first two are the filters that are compared.

use latchgate::mqtt::{TopicFilter, valid_topic_name};

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines: Vec<&str> = text.split('\n').take(8).collect();
    for line in &lines {
        assert_eq!(valid_topic_name(line).is_ok(), is_name(line), "{line:?} as a topic name");
        assert_eq!(TopicFilter::new(line).is_ok(), is_filter(line), "{line:?} as a filter");
        subscription(line);
    }
    let filters: Vec<TopicFilter> = lines.iter().filter_map(|line| TopicFilter::new(line).ok()).collect();
    let Some(one) = filters.first() else { return };
    let other = filters.get(1).unwrap_or(one);
    assert!(one.covers(one) && one.overlaps(one), "{one} and itself");
    compare(one, other, &lines);
    compare(other, one, &lines);
}

fn compare(one: &TopicFilter, other: &TopicFilter, lines: &[&str]) {
    let (covers, overlaps) = (one.covers(other), one.overlaps(other));
    assert_eq!(overlaps, other.overlaps(one), "{one} and {other}, the other way round");
    assert!(overlaps || !covers, "{one} covers {other} but does not overlap it");

    for topic in lines.iter().filter(|line| is_name(line)) {
        check_topic(one, other, topic, covers, overlaps);
    }
    if let Some(world) = small_world(one.as_str(), other.as_str()) {
        let (mut all, mut some) = (true, false);
        for topic in &world {
            check_topic(one, other, topic, covers, overlaps);
            let (by_one, by_other) = (one.matches(topic), other.matches(topic));
            all &= by_one || !by_other;
            some |= by_one && by_other;
        }
        assert_eq!((covers, overlaps), (all, some), "{one} against {other}");
    }
}

fn check_topic(one: &TopicFilter, other: &TopicFilter, topic: &str, covers: bool, overlaps: bool) {
    let (by_one, by_other) = (one.matches(topic), other.matches(topic));
    assert_eq!(by_one, matches(one.as_str(), topic), "{one} matches {topic}");
    assert_eq!(by_other, matches(other.as_str(), topic), "{other} matches {topic}");
    assert!(!covers || by_one || !by_other, "{one} covers {other}, but not on {topic}");
    assert!(overlaps || !(by_one && by_other), "{one} and {other} overlap on {topic}");
}

fn is_name(text: &str) -> bool {
    (1..=65535).contains(&text.len()) && !text.contains(['+', '#', '\0'])
}

/// 4.7.1: a wildcard is the whole of its level, and `#` the last one.
fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    let last = levels.len() - 1;
    let level_is_right = |(at, level): (usize, &&str)| match *level {
        "+" => true,
        "#" => at == last,
        level => !level.contains(['+', '#']),
    };
    (1..=65535).contains(&text.len()) && !text.contains('\0') && levels.iter().enumerate().all(level_is_right)
}

/// 4.8.2: `$share/GROUP/FILTER`.
fn subscription(text: &str) {
    let parsed = TopicFilter::parse_subscription(text);
    let levels: Vec<&str> = text.split('/').collect();
    if levels[0] != "$share" || levels.len() == 1 {
        let plain = TopicFilter::new(text).map(|filter| (None, filter));
        return assert_eq!(parsed, plain, "{text:?} is no shared subscription");
    }
    let group = levels[1];
    let filter = levels[2..].join("/");
    let right =
        !group.is_empty() && !group.contains(['+', '#', '\0']) && levels.len() > 2 && is_filter(&filter);
    assert_eq!(parsed.is_ok(), right, "{text:?}");
    if let Ok((found, rest)) = parsed {
        assert_eq!((found, rest.as_str()), (Some(group), filter.as_str()));
    }
}

/// 4.7.1 and 4.7.2, level by level.
fn matches(filter: &str, topic: &str) -> bool {
    let wild = filter.starts_with(['+', '#']);
    let (filter, names): (Vec<&str>, Vec<&str>) = (filter.split('/').collect(), topic.split('/').collect());
    let fixed = filter.len() - usize::from(filter.last() == Some(&"#"));
    let enough = if fixed < filter.len() { names.len() >= fixed } else { names.len() == fixed };
    enough
        && !(wild && topic.starts_with('$'))
        && filter[..fixed].iter().zip(&names).all(|(level, name)| *level == "+" || level == name)
}

const NOBODYS: &str = "a word of neither";

/// Every topic name that could tell two short filters apart: at each place a word of either filter, nothing, or
/// a word of neither. `None` if that would be too many.
fn small_world(one: &str, other: &str) -> Option<Vec<String>> {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split('/').collect(), other.split('/').collect());
    let longest = one.len().max(other.len());
    if longest > 3 || one.contains(&NOBODYS) || other.contains(&NOBODYS) {
        return None;
    }
    let mut all = Vec::new();
    let mut last = vec![None::<String>];
    for place in 0..=longest {
        let mut words = vec!["", NOBODYS];
        let literals = [&one, &other].into_iter().filter_map(|levels| levels.get(place));
        words.extend(literals.filter(|level| !["+", "#"].contains(level)));
        words.sort_unstable();
        words.dedup();
        last = last
            .iter()
            .flat_map(|begun| {
                words.iter().map(move |word| match begun {
                    None => Some((*word).to_owned()),
                    Some(begun) => Some(format!("{begun}/{word}")),
                })
            })
            .collect();
        all.extend(last.iter().flatten().filter(|topic| is_name(topic)).cloned());
    }
    Some(all)
}
