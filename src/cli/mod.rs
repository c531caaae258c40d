//! What did the person ask for?

pub mod client;
pub mod publish;
pub mod subscribe;

/// Runs the command line and returns the exit status of the interface: 0 done, 1 failed, 2 bad usage or
/// configuration, 3 the answer is no.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(2)
}
