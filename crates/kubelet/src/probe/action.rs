//! Runs a probe's handler once. Upstream: `prober/prober.go`, `pkg/probe`.

use super::{grpc, http};
use crate::{env::expansion, sync::start::command_with_static_env};
use api::core::v1::{Container, Probe};
use apimachinery::int_or_string::IntOrString;
use cri_api::{Runtime, v1};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpStream;

/// How much of a command's output is kept for an event.
const MAX_OUTPUT_BYTES: usize = 10 << 10;

/// What came of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// It counts as success, but the user should know.
    Warning(String),
    Failure(String),
    /// The probe itself could not be run; it says nothing about the container.
    Error(String),
}

/// What a handler is run against.
pub struct Target<'a> {
    pub container: &'a Container,
    pub container_id: &'a str,
    pub pod_ip: &'a str,
}

pub async fn run(runtime: &Arc<dyn Runtime>, probe: &Probe, target: &Target<'_>) -> Outcome {
    let timeout = Duration::from_secs(u64::try_from(probe.timeout_seconds).unwrap_or(1).max(1));
    let handler = &probe.probe_handler;
    if let Some(exec) = &handler.exec {
        let command = command_with_static_env(&exec.command, target.container);
        return run_exec(runtime, target.container_id, command, timeout).await;
    }
    if let Some(get) = &handler.http_get {
        return match http::Get::from_action(get, target.container, target.pod_ip, "kube-probe") {
            Ok(get) => http::probe(get, timeout).await,
            Err(error) => Outcome::Error(error.to_string()),
        };
    }
    if let Some(socket) = &handler.tcp_socket {
        let host = if socket.host.is_empty() {
            target.pod_ip
        } else {
            &socket.host
        };
        return match resolve_port(&socket.port, target.container) {
            Ok(port) => run_tcp(host, port, timeout).await,
            Err(error) => Outcome::Error(error.to_string()),
        };
    }
    if let Some(check) = &handler.grpc {
        let service = check.service.clone().unwrap_or_default();
        return grpc::probe(target.pod_ip, check.port, service, timeout).await;
    }
    Outcome::Error(format!(
        "missing probe handler for container {}",
        target.container.name
    ))
}

async fn run_exec(runtime: &Arc<dyn Runtime>, id: &str, command: Vec<String>, timeout: Duration) -> Outcome {
    let timeout_seconds = i64::try_from(timeout.as_secs()).unwrap_or(1);
    let request = v1::ExecSyncRequest {
        container_id: id.to_owned(),
        cmd: command,
        timeout: timeout_seconds,
    };
    // The runtime enforces the timeout; ours is the one for a runtime that hangs.
    match runtime.exec_sync(request).await {
        Ok(response) if response.exit_code == 0 => Outcome::Success,
        Ok(response) => {
            let mut output = [response.stdout, response.stderr].concat();
            output.truncate(MAX_OUTPUT_BYTES);
            Outcome::Failure(String::from_utf8_lossy(&output).into_owned())
        }
        Err(error) if error.code() == cri_api::error::Code::DeadlineExceeded => Outcome::Failure(format!(
            "command timed out: {:?} timed out after {}s",
            id,
            timeout.as_secs()
        )),
        Err(error) => Outcome::Error(error.to_string()),
    }
}

async fn run_tcp(host: &str, port: u16, timeout: Duration) -> Outcome {
    match tokio::time::timeout(timeout, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(error)) => Outcome::Failure(dial_error(host, port, &error.to_string())),
        Err(_) => Outcome::Failure(dial_error(host, port, "i/o timeout")),
    }
}

/// A failed dial in the words that users know from upstream.
pub fn dial_error(host: &str, port: u16, cause: &str) -> String {
    let cause = match cause.split_once(" (os error") {
        Some((text, _)) => text.to_lowercase(),
        None => cause.to_owned(),
    };
    let separator = if cause == "i/o timeout" { "" } else { "connect: " };
    format!("dial tcp {}: {separator}{cause}", authority(host, port))
}

pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PortError {
    #[error("couldn't find port: {name:?} in container {container:?}")]
    Unknown { name: String, container: String },
    #[error("invalid port number: {0}")]
    OutOfRange(i64),
}

/// A port by number, by a container port's name, or by a number in a string.
pub fn resolve_port(port: &IntOrString, container: &Container) -> Result<u16, PortError> {
    let number = match port {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(name) => match container.ports.iter().find(|port| &port.name == name) {
            Some(found) => i64::from(found.container_port),
            None => name.parse().map_err(|_| PortError::Unknown {
                name: expansion::printable(name),
                container: container.name.clone(),
            })?,
        },
    };
    u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or(PortError::OutOfRange(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::ContainerPort;

    #[test]
    fn ports_resolve_by_number_name_and_digits() {
        let container = Container {
            name: "web".into(),
            ports: vec![ContainerPort {
                name: "http".into(),
                container_port: 8080,
                ..ContainerPort::default()
            }],
            ..Container::default()
        };
        let resolve = |port: IntOrString| resolve_port(&port, &container).map_err(|error| error.to_string());
        assert_eq!(resolve(IntOrString::Int(80)), Ok(80));
        assert_eq!(resolve(IntOrString::String("http".into())), Ok(8080));
        assert_eq!(resolve(IntOrString::String("443".into())), Ok(443));
        assert_eq!(
            resolve(IntOrString::String("nope".into())),
            Err(r#"couldn't find port: "nope" in container "web""#.into())
        );
        assert_eq!(resolve(IntOrString::Int(0)), Err("invalid port number: 0".into()));
    }

    #[test]
    fn dial_errors_read_as_upstream_s() {
        assert_eq!(
            dial_error("10.0.0.1", 80, "Connection refused (os error 111)"),
            "dial tcp 10.0.0.1:80: connect: connection refused"
        );
        assert_eq!(
            dial_error("fd00::1", 80, "i/o timeout"),
            "dial tcp [fd00::1]:80: i/o timeout"
        );
    }
}
