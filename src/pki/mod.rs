//! Who signs for whom? A small certificate authority for gateways, bridges and clients.
//!
//! This room owns a directory of files: the authority's certificate and key, what it issued, what it revoked,
//! and the index of both. It promises that a key is never readable by others, not even for a moment, that
//! nothing is overwritten unasked, and that every certificate stands in the index before it exists, so that
//! each can be revoked. It knows no broker and no network; what it takes from a request is the public key.

mod authority;
mod certificate;
mod entry;
mod error;
mod folder;
mod issue;
mod listing;
mod name;
mod request;
mod san;
mod signer;

pub use authority::{Authority, EARLIEST, Founding};
pub use certificate::{Certificate, Use, date, days_left};
pub use error::PkiError;
pub use issue::{Issued, Order};
pub use listing::{Listed, State};
pub use name::Name;
pub use request::Request;
pub use san::San;
