# The everyday commands; `just` alone lists them.

_default:
    @just --list --unsorted

# The newcomer's tour
demo:
    cargo run --release -- demo

# Everything the core tests need, installed and run
test *groups:
    tests/run {{groups}}

# The conformance suite only; `just conformance mosquitto` runs it against Mosquitto
conformance subject="latchgate" filter="":
    MQTT_TEST_SUBJECT={{subject}} cargo test --test conformance {{filter}}

# What the machines complain about
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo clippy --features rppal -- -D warnings
    cargo deny check bans licenses sources
    RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps

# Format the code
fmt:
    cargo fmt

# Load a broker: `just bench pairs --port 1883`
bench *arguments:
    cargo run --release -- bench {{arguments}}
