//! What the configuration says of the second factor, as its client and rules.

use crate::{
    config::{Config, ConfigError, Latch, LatchOnError},
    latch::{self, Client, Id, Rules, Secret, Service, SetupError},
};

/// The client that the configuration describes, and the rules; `None` if Latch is not used. Reads the secret and the
/// authorities: blocks.
///
/// # Errors
/// A file that is not usable, with its place in the configuration.
pub fn open_latch(config: &Config) -> Result<Option<(Client, Rules)>, ConfigError> {
    let Latch { application_id: Some(application), secret_file: Some(file), .. } = &config.latch else {
        return Ok(None);
    };
    let secret = Secret::read(&file.path).map_err(|error| {
        let help = "`latchgate latch setup` writes it; it must belong to the gateway's user, with chmod 600";
        config.wrong(vec![file.wrong(format!("is not usable: {error}"), help)])
    })?;
    let client = Client::new(service(&config.latch, id(application), secret));
    let client = client.map_err(|error| match (&error, &config.latch.ca) {
        (SetupError::Ca { why, .. }, Some(ca)) => {
            config.wrong(vec![ca.wrong(format!("is not usable: {why}"), "PEM, one certificate or several")])
        }
        _ => config.wrong(vec![file.wrong(format!("cannot be used: {error}"), "")]),
    })?;
    Ok(Some((client, rules(&config.latch))))
}

/// Where the configuration says the service is.
pub fn service(config: &Latch, application: Id, secret: Secret) -> Service {
    Service {
        host: config.host.clone(),
        api_version: config.api_version.clone(),
        application,
        secret,
        timeout: config.timeout,
        ca: config.ca.as_ref().map(|ca| ca.path.clone()),
    }
}

fn rules(config: &Latch) -> Rules {
    Rules {
        poll: config.poll,
        grace: config.grace,
        on_error: match config.on_error {
            LatchOnError::LastKnown => latch::OnError::LastKnown,
            LatchOnError::Closed => latch::OnError::Closed,
            LatchOnError::Open => latch::OnError::Open,
        },
        publish: config.publish_operation.as_deref().map(id),
        subscribe: config.subscribe_operation.as_deref().map(id),
        must_be_paired: config.must_be_paired,
    }
}

/// An identifier out of the configuration.
fn id(text: &str) -> Id {
    Id::new(text).expect("the configuration lets letters and digits through only")
}
