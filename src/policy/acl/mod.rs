//! Rules: what they allow and deny, for whom, and how they are compiled.

mod access;

pub use access::Access;
