//! Stock rumqttd on a loopback port, with the sizes of its own example configuration and no authentication:
//! the rival that checks nothing.
//!
//! Usage: `rumqttd-peer PORT`, MQTT 3.1.1 on PORT and MQTT 5 on the port after it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let port: Option<u16> = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some((port, next)) = port.and_then(|port| Some((port, port.checked_add(1)?))) else {
        eprintln!("usage: rumqttd-peer PORT");
        return ExitCode::from(2);
    };
    let config = toml::from_str(&configuration(port, next)).expect("the configuration below is valid");
    match rumqttd::Broker::new(config).start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rumqttd-peer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn configuration(v4: u16, v5: u16) -> String {
    let listener = |version: &str, port: u16| {
        format!(
            "[{version}.1]
             name = '{version}'
             listen = '127.0.0.1:{port}'
             next_connection_delay_ms = 1
             [{version}.1.connections]
             connection_timeout_ms = 60000
             max_payload_size = 20480
             max_inflight_count = 100
             dynamic_filters = true
             "
        )
    };
    format!(
        "id = 0
         [router]
         id = 0
         max_connections = 10010
         max_outgoing_packet_count = 200
         max_segment_size = 104857600
         max_segment_count = 10
         {}{}",
        listener("v4", v4),
        listener("v5", v5)
    )
}
