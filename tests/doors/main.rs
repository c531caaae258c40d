//! The doors: how a client comes in, and what is kept out before it says CONNECT.

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod websocket;
mod websocket_http;
