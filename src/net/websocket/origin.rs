//! Which web pages may connect: the Origin that a browser sends.

use tungstenite::http::{Uri, uri::Authority};

/// The origins that a listener admits. A browser names the page's origin with every request and no page can change it;
/// other clients send none and are always admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Pages of the host that the request is for, whatever the port.
    SameHost,
    /// Pages of these origins.
    Listed(Vec<String>),
    /// Every page.
    Any,
}

impl Origins {
    /// From the listener's `origins`: none is [`Origins::SameHost`], `*` is [`Origins::Any`].
    pub fn new(origins: &[String]) -> Self {
        if origins.is_empty() {
            Origins::SameHost
        } else if origins.iter().any(|origin| origin == "*") {
            Origins::Any
        } else {
            Origins::Listed(origins.to_vec())
        }
    }

    /// Whether a page of `origin` may connect; `host` is what the request's Host header says.
    pub fn admits(&self, origin: &str, host: &str) -> bool {
        match self {
            Origins::Any => true,
            Origins::Listed(origins) => origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin)),
            Origins::SameHost => {
                let page = origin.parse::<Uri>().ok();
                let ours = host.parse::<Authority>().ok();
                match (page.as_ref().and_then(Uri::host), ours.as_ref().map(Authority::host)) {
                    (Some(page), Some(ours)) => page.eq_ignore_ascii_case(ours),
                    _ => false,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_list_the_page_must_be_of_the_host_it_asks() {
        let same = Origins::new(&[]);
        for (origin, host) in [
            ("http://lamp.example", "lamp.example"),
            ("https://Lamp.Example:8443", "lamp.example:9001"),
            ("http://192.168.1.5", "192.168.1.5:9001"),
            ("http://[::1]:8080", "[::1]:9001"),
        ] {
            assert!(same.admits(origin, host), "{origin} at {host}");
        }
        for (origin, host) in [
            ("http://evil.example", "lamp.example"),
            ("http://lamp.example.evil.example", "lamp.example"),
            ("http://evil.example@lamp.example", "evil.example"),
            ("null", "lamp.example"),
            ("", ""),
            ("lamp.example/", "lamp.example"),
            ("file://", "lamp.example"),
        ] {
            assert!(!same.admits(origin, host), "{origin} at {host}");
        }
    }

    #[test]
    fn a_list_holds_exactly_and_a_star_holds_for_all() {
        let listed = Origins::new(&["https://lamp.example".into(), "null".into()]);
        for origin in ["https://lamp.example", "HTTPS://LAMP.EXAMPLE", "null"] {
            assert!(listed.admits(origin, "gate"), "{origin}");
        }
        for origin in ["http://lamp.example", "https://lamp.example:8443", "https://gate"] {
            assert!(!listed.admits(origin, "gate"), "{origin}");
        }
        assert!(Origins::new(&["*".into()]).admits("https://evil.example", "gate"));
    }
}
