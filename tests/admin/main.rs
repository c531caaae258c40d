//! What an operator sees of a running gateway: `$SYS`, the admin socket, `explain`, metrics.

#[path = "../support/mod.rs"]
mod support;

mod sys;
