//! The `latchgate` executable.

fn main() -> std::process::ExitCode {
    latchgate::cli::main()
}
