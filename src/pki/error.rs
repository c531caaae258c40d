//! What can go wrong with the files of an authority, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a command of the authority did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The file system refused.
    #[error("cannot {doing} {path}: {cause}", path = path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// Something else than a plain file stands there, or one that is too large.
    #[error("{path} is {what}: put a plain file there, or work in another directory (--dir)", path = path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// No authority was made there.
    #[error(
        "there is no certificate authority in {path}: make one with `latchgate pki init`, or name its directory with --dir",
        path = path.display()
    )]
    NoAuthority {
        /// The directory.
        path: PathBuf,
    },
    /// A file is in the way.
    #[error("{path} exists already and was left alone: {advice}", path = path.display())]
    Exists {
        /// Which.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// A file does not hold what it should.
    #[error("{path} cannot be used: {why}", path = path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A certificate signing request that is not signed for.
    #[error("{path} is not signed for: {why}", path = path.display())]
    Request {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The authority never signed for that name.
    #[error("no certificate was issued to {name:?}; `latchgate pki show` lists those that were")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Nothing is left to revoke.
    #[error("{name:?} has no {which} certificate to revoke: all have ended or were revoked before")]
    NothingToRevoke {
        /// The name.
        name: String,
        /// `valid` or `replaced`.
        which: &'static str,
    },
    /// The certificate in place was revoked.
    #[error(
        "the certificate of {name:?} was revoked, so its key is not signed for again: issue one with a new key, `latchgate pki issue {name} --force`"
    )]
    Revoked {
        /// The name.
        name: String,
    },
    /// The authority's own certificate has ended.
    #[error("the authority's certificate ended on {date}: renew it with `latchgate pki renew --ca`")]
    Ended {
        /// The day it ended.
        date: String,
    },
    /// The clock cannot be right.
    #[error("the clock says {date}: set it first, or the certificates will have wrong dates")]
    Clock {
        /// What it says.
        date: String,
    },
    /// The library that writes certificates refused.
    #[error("the certificate cannot be made: {0}")]
    Signing(#[from] rcgen::Error),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

impl PkiError {
    /// For `map_err`: what was tried, and where.
    pub(super) fn file<E: Into<io::Error>>(doing: &'static str, path: &Path) -> impl FnOnce(E) -> PkiError {
        let path = path.to_owned();
        move |cause| PkiError::File { doing, path, cause: cause.into() }
    }

    /// A file that does not hold what it should.
    pub(super) fn broken(path: &Path, why: impl Into<String>) -> PkiError {
        PkiError::Broken { path: path.into(), why: why.into() }
    }
}
