//! Why a connection to a remote broker did not come about, in words that say what is wrong with which certificate.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use crate::clock;

/// What kind of trouble it is, told apart by what can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The remote certificate is not valid at this time, or the time is not known.
    Clock,
    /// It is for another name.
    Name,
    /// It is from an authority that is not trusted here.
    Issuer,
    /// The remote side refuses our certificate, or wants one.
    Refused,
    /// What answers does not speak TLS.
    NoTls,
    /// Anything else.
    Other,
}

/// What kind of trouble the error is.
pub fn trouble(error: &io::Error) -> Trouble {
    if error.get_ref().is_some_and(|inner| inner.is::<clock::Unset>()) {
        return Trouble::Clock;
    }
    match cause(error) {
        Some(Error::InvalidCertificate(problem)) => match problem {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Trouble::Clock,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Trouble::Name
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Trouble::Issuer,
            _ => Trouble::Other,
        },
        Some(Error::AlertReceived(alert)) if is_about_us(*alert) => Trouble::Refused,
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Trouble::NoTls,
        _ => Trouble::Other,
    }
}

/// The error in words.
pub fn why(error: &io::Error) -> String {
    match cause(error) {
        Some(tls) => format!("no TLS: {}", in_words(tls)),
        None => error.to_string(),
    }
}

/// What TLS said, wherever it lies in the error.
fn cause(error: &io::Error) -> Option<&Error> {
    let mut inner: &(dyn std::error::Error + 'static) = error.get_ref()?;
    loop {
        if let Some(found) = inner.downcast_ref::<Error>() {
            return Some(found);
        }
        inner = match inner.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref()?,
            None => inner.source()?,
        };
    }
}

/// Whether the alert is about the certificate that we showed, or did not show.
fn is_about_us(alert: AlertDescription) -> bool {
    use AlertDescription::*;
    matches!(
        alert,
        CertificateRequired
            | NoCertificate
            | BadCertificate
            | UnsupportedCertificate
            | CertificateRevoked
            | CertificateExpired
            | CertificateUnknown
            | UnknownCA
            | AccessDenied
            | HandshakeFailure
            | DecryptError
    )
}

/// A TLS error for people who run brokers.
pub(super) fn in_words(error: &Error) -> String {
    use AlertDescription::*;
    match error {
        Error::InvalidCertificate(problem) => of_theirs(problem),
        Error::AlertReceived(alert) => {
            let what = match alert {
                CertificateRequired | NoCertificate => "it wants a client certificate, and none was shown",
                CertificateExpired => "it says that our certificate has expired",
                CertificateRevoked => "it says that our certificate was revoked",
                UnknownCA => "our certificate is from none of the authorities that it trusts",
                BadCertificate | UnsupportedCertificate | CertificateUnknown | DecryptError => {
                    "it does not accept our certificate"
                }
                AccessDenied => "it denies us access",
                HandshakeFailure => {
                    "it refuses the handshake: it may want a client certificate, or offers no common cipher"
                }
                _ => return format!("it breaks off: {alert:?}"),
            };
            what.to_owned()
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what answers does not speak TLS".to_owned()
        }
        other => other.to_string(),
    }
}

/// What is wrong with the certificate that the remote side shows.
fn of_theirs(problem: &CertificateError) -> String {
    use CertificateError::*;
    match problem {
        Expired => "its certificate has expired".to_owned(),
        ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            format!("its certificate expired {days} days ago, by this machine's clock")
        }
        NotValidYet => "its certificate is not valid yet, by this machine's clock".to_owned(),
        NotValidYetContext { time, not_before } => {
            let days = not_before.as_secs().saturating_sub(time.as_secs()) / 86_400;
            format!("its certificate will be valid in {days} days only, by this machine's clock")
        }
        NotValidForName => "its certificate is for another name".to_owned(),
        NotValidForNameContext { expected, presented } => {
            format!("its certificate is not for {} but for {}", expected.to_str(), presented.join(", "))
        }
        UnknownIssuer => "its certificate is from none of the trusted authorities".to_owned(),
        BadSignature => "its certificate is not signed by whom it names".to_owned(),
        Revoked => "its certificate was revoked".to_owned(),
        InvalidPurpose | InvalidPurposeContext { .. } => "its certificate is not one for servers".to_owned(),
        other => format!("its certificate is not right: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_said_is_found_under_the_words_that_were_put_around_it() {
        let tls = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert_eq!(trouble(&wrapped), Trouble::Issuer);
        assert_eq!(why(&wrapped), "no TLS: its certificate is from none of the trusted authorities");
        let other = io::Error::other("the cable is out");
        assert_eq!((trouble(&other), why(&other).as_str()), (Trouble::Other, "the cable is out"));
        assert_eq!(trouble(&io::ErrorKind::ConnectionRefused.into()), Trouble::Other);
    }

    #[test]
    fn an_alert_about_our_certificate_is_told_from_one_about_anything_else() {
        let of = |alert| io::Error::other(Error::AlertReceived(alert));
        assert_eq!(trouble(&of(AlertDescription::CertificateRequired)), Trouble::Refused);
        assert!(why(&of(AlertDescription::UnknownCA)).contains("our certificate"));
        assert_eq!(trouble(&of(AlertDescription::InternalError)), Trouble::Other);
    }
}
