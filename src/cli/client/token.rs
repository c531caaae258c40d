//! Access tokens as passwords: a command prints one, and how long it is good for.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tokio::process::Command;

use super::{ClientError, options::Secret};

/// Longest password of MQTT in bytes.
const LONGEST: usize = 65_535;

/// How tokens are had. What the command is stands in no error: it may hold secrets.
#[derive(Clone)]
pub struct TokenCommand {
    /// For the shell; what it prints is the token.
    pub command: String,
    /// How long each token is good for; `None`: as it says itself, if it can be read.
    pub lifetime: Option<Duration>,
    /// How long the command may take.
    pub timeout: Duration,
}

/// A token.
pub struct Token {
    pub secret: Secret,
    /// How long it is good for, if that is known.
    pub lifetime: Option<Duration>,
}

impl std::fmt::Debug for TokenCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCommand").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl TokenCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// In words, if it prints no token.
    pub async fn fetch(&self) -> Result<Token, ClientError> {
        let failed = |what: String| ClientError::Token { what };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&self.command).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        let output = match tokio::time::timeout(self.timeout, shell.output()).await {
            Ok(output) => output.map_err(|error| failed(error.to_string()))?,
            Err(_elapsed) => return Err(failed(format!("took more than {} s", self.timeout.as_secs()))),
        };
        if !output.status.success() {
            return Err(failed(format!("failed ({})", output.status)));
        }
        let text = String::from_utf8(output.stdout).map_err(|_| failed("printed what is no text".into()))?;
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST {
            return Err(failed("must print a token of 1 to 65535 bytes".into()));
        }
        let lifetime = self.lifetime.or_else(|| expiry(text).map(|ends| ends.saturating_sub(now())));
        Ok(Token { secret: text.to_owned().into(), lifetime })
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// When a JSON Web Token ends, since 1970 (RFC 7519 section 4.1.4). Whether it is genuine is the server's business.
fn expiry(token: &str) -> Option<Duration> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Duration::try_from_secs_f64(claims["exp"].as_f64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(command: &str) -> Result<Token, ClientError> {
        let timeout = Duration::from_secs(30);
        let command = TokenCommand { command: command.into(), lifetime: None, timeout };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(command.fetch())
    }

    #[test]
    fn only_a_json_web_token_says_when_it_ends() {
        let jwt = |claims: &str| format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(expiry(&jwt("{\"exp\": 1000}")), Some(Duration::from_secs(1000)));
        for other in ["{\"exp\": \"x\"}", "{}", "[", "{\"exp\": -1}", "{\"exp\": 1e300}"] {
            assert_eq!(expiry(&jwt(other)), None, "{other}");
        }
        for other in ["opaque", "a.b", "a.b.c.d", "a.%.c"] {
            assert_eq!(expiry(other), None, "{other}");
        }
    }

    #[test]
    fn a_command_that_prints_no_token_is_an_error_that_does_not_repeat_it() {
        assert!(fetch("echo ' token '").is_ok());
        for wrong in ["true", "echo secret; exit 3", "printf '\\377'", "head -c 70000 /dev/zero | tr '\\0' x"]
        {
            let error = fetch(wrong).err().expect("no token").to_string();
            assert!(error.starts_with("the token command ") && !error.contains("secret"), "{error}");
        }
    }
}
