//! The ports that the configuration names: the gateway's own, free, or somebody else's.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
};

use serde_json::Value;

use super::finding::Findings;
use crate::config::Config;

/// Tries every port that the running gateway (`status`, if there is one) does not have.
pub fn look(config: &Config, status: Option<&Value>, findings: &mut Findings) {
    let listeners =
        config.listeners.iter().map(|one| (format!("listener {:?}, {}", one.name, one.address), one.address));
    let http = config.admin.http.map(|address| (format!("admin.http, {address}"), address));
    for (place, address) in listeners.chain(http) {
        let is_http = Some(address) == config.admin.http;
        if status.is_some_and(|status| is_http || has(status, address)) {
            findings.fine(place, "the gateway listens");
            continue;
        }
        match TcpListener::bind(address) {
            Ok(_) if status.is_some() => findings.warn(
                place,
                "nobody listens, although the gateway runs",
                "its configuration was changed since: `latchgate reload`, or restart it",
            ),
            Ok(_) => findings.fine(place, "it is free"),
            Err(error) => taken(place, address, &error, findings),
        }
    }
}

/// Whether the running gateway listens there. Port 0 is any.
fn has(status: &Value, address: SocketAddr) -> bool {
    let listeners = status["listeners"].as_array().into_iter().flatten();
    let mut addresses = listeners.filter_map(|one| one["address"].as_str()?.parse::<SocketAddr>().ok());
    addresses.any(|its| its == address || address.port() == 0 && its.ip() == address.ip())
}

fn taken(place: String, address: SocketAddr, error: &std::io::Error, findings: &mut Findings) {
    match error.kind() {
        ErrorKind::AddrInUse => match owner(address) {
            // Socket activation: systemd hands it to the gateway.
            Some((1, name)) => {
                findings.fine(place, format!("{name} holds it for the gateway (latchgate.socket)"))
            }
            Some((process, name)) => findings.wrong(
                place,
                format!("it is in use by {name} (process {process})"),
                "stop that, or give the listener another port",
            ),
            None => findings.wrong(
                place,
                "it is in use by another process",
                "`ss -ltnp` as root says by which: stop that, or give the listener another port",
            ),
        },
        ErrorKind::AddrNotAvailable => findings.wrong(
            place,
            "no interface of this machine has the address",
            "see `ip address`; 0.0.0.0 is every address of this machine",
        ),
        ErrorKind::PermissionDenied => findings.wrong(
            place,
            "ports below 1024 are not for everybody",
            "take a higher port, or have systemd open it (latchgate.socket)",
        ),
        _ => findings.wrong(place, error, "see the listener's address in the configuration"),
    }
}

/// Number and name of the process that listens on the port, as far as we may know.
fn owner(address: SocketAddr) -> Option<(u32, String)> {
    let inodes = listening(address.port());
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(number) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let open = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let holds = open.filter_map(|one| fs::read_link(one.path()).ok()).any(|target| {
            target
                .to_str()
                .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'))
                .is_some_and(|inode| inodes.iter().any(|its| its == inode))
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((number, name.trim_end().to_owned()));
        }
    }
    None
}

/// The inodes of the sockets that listen on a port, of either family.
fn listening(port: u16) -> Vec<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| listens(line, port)).collect()
}

/// The inode in a line of /proc/net/tcp, if it is a socket that listens on the port (proc_net_tcp: state 0A).
fn listens(line: &str, port: u16) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let local = u16::from_str_radix(words.get(1)?.rsplit_once(':')?.1, 16).ok()?;
    (local == port && *words.get(3)? == "0A").then(|| words.get(9).map(|inode| (*inode).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_listens_is_found_with_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (number, name) = owner(listener.local_addr().unwrap()).expect("it is ours");
        assert_eq!(number, std::process::id());
        assert!(!name.is_empty());
        let line = "   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1";
        assert_eq!(listens(line, 0x75B), Some("4711".to_owned()));
        assert_eq!(
            (listens(line, 1), listens("", 1), listens(&line.replace(" 0A ", " 01 "), 0x75B)),
            (None, None, None)
        );
    }
}
