//! Stored passwords: every form that is verified, and the one that is written.
