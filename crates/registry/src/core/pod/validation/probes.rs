//! Probes, and what runs when a container starts or stops.

use api::core::v1::{Container, ExecAction, HTTPGetAction, Probe, TCPSocketAction};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::int_or_string::IntOrString;
use apimachinery::validation::is_http_header_name;

use crate::core::service::validation::validate_port_num_or_name;
use crate::metadata::messages;
use crate::numbers::{all_nonnegative, positive};

pub(super) fn validate(container: &Container, grace_period: Option<i64>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(lifecycle) = &container.lifecycle {
        let path = path.child("lifecycle");
        for (field, handler) in [
            ("postStart", &lifecycle.post_start),
            ("preStop", &lifecycle.pre_stop),
        ] {
            let Some(handler) = handler else { continue };
            let actions = Actions {
                exec: handler.exec.as_deref(),
                http_get: handler.http_get.as_deref(),
                tcp_socket: handler.tcp_socket.as_deref(),
                sleep: handler.sleep.as_deref().map(|sleep| sleep.seconds),
                grpc: None,
            };
            errors.extend(actions.validate(grace_period, &path.child(field)));
        }
    }
    if let Some(probe) = &container.liveness_probe {
        errors.extend(validate_probe(probe, &path.child("livenessProbe")));
        errors.extend(one_success(probe, &path.child("livenessProbe")));
    }
    if let Some(probe) = &container.readiness_probe {
        let path = path.child("readinessProbe");
        errors.extend(validate_probe(probe, &path));
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let path = path.child("terminationGracePeriodSeconds");
            errors.push(Error::invalid(
                &path,
                seconds,
                "must not be set for readinessProbes",
            ));
        }
    }
    if let Some(probe) = &container.startup_probe {
        errors.extend(validate_probe(probe, &path.child("startupProbe")));
        errors.extend(one_success(probe, &path.child("startupProbe")));
    }
    errors
}

fn one_success(probe: &Probe, path: &Path) -> Option<Error> {
    let wrong = probe.success_threshold != 1;
    wrong.then(|| {
        Error::invalid(
            &path.child("successThreshold"),
            probe.success_threshold,
            "must be 1",
        )
    })
}

fn validate_probe(probe: &Probe, path: &Path) -> ErrorList {
    let handler = &probe.probe_handler;
    let actions = Actions {
        exec: handler.exec.as_deref(),
        http_get: handler.http_get.as_deref(),
        tcp_socket: handler.tcp_socket.as_deref(),
        grpc: handler.grpc.as_deref().map(|grpc| grpc.port),
        sleep: None,
    };
    let mut errors = actions.validate(None, path);
    errors.extend(all_nonnegative(
        [
            ("initialDelaySeconds", probe.initial_delay_seconds.into()),
            ("timeoutSeconds", probe.timeout_seconds.into()),
            ("periodSeconds", probe.period_seconds.into()),
            ("successThreshold", probe.success_threshold.into()),
            ("failureThreshold", probe.failure_threshold.into()),
        ],
        path,
    ));
    if let Some(seconds) = probe.termination_grace_period_seconds {
        errors.extend(positive(seconds, &path.child("terminationGracePeriodSeconds")));
    }
    errors
}

/// What a probe or a handler does: exactly one of these.
struct Actions<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HTTPGetAction>,
    tcp_socket: Option<&'a TCPSocketAction>,
    /// Its port.
    grpc: Option<i32>,
    /// For how many seconds.
    sleep: Option<i64>,
}

impl Actions<'_> {
    fn validate(&self, grace_period: Option<i64>, path: &Path) -> ErrorList {
        let mut found: Vec<(&'static str, ErrorList)> = Vec::new();
        if let Some(exec) = self.exec {
            let missing = exec.command.is_empty();
            let error = missing.then(|| Error::required(&path.child("exec").child("command"), ""));
            found.push(("exec", error.into_iter().collect()));
        }
        if let Some(get) = self.http_get {
            found.push(("httpGet", validate_http_get(get, &path.child("httpGet"))));
        }
        if let Some(tcp) = self.tcp_socket {
            found.push((
                "tcpSocket",
                validate_port_num_or_name(&tcp.port, &path.child("tcpSocket").child("port")),
            ));
        }
        if let Some(port) = self.grpc {
            let path = path.child("grpc").child("port");
            found.push(("grpc", validate_port_num_or_name(&IntOrString::Int(port), &path)));
        }
        if let Some(seconds) = self.sleep {
            found.push((
                "sleep",
                validate_sleep(seconds, grace_period, &path.child("sleep"))
                    .into_iter()
                    .collect(),
            ));
        }
        if found.is_empty() {
            return vec![Error::required(path, "must specify a handler type")];
        }
        let each = found
            .into_iter()
            .enumerate()
            .flat_map(|(index, (field, errors))| match index {
                0 => errors,
                _ => vec![Error::forbidden(
                    &path.child(field),
                    "may not specify more than 1 handler type",
                )],
            });
        each.collect()
    }
}

fn validate_http_get(get: &HTTPGetAction, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if get.path.is_empty() {
        errors.push(Error::required(&path.child("path"), ""));
    }
    errors.extend(validate_port_num_or_name(&get.port, &path.child("port")));
    if !matches!(get.scheme.as_str(), "HTTP" | "HTTPS") {
        errors.push(Error::not_supported(
            &path.child("scheme"),
            &get.scheme,
            &["HTTP", "HTTPS"],
        ));
    }
    for header in &get.http_headers {
        errors.extend(messages(
            &path.child("httpHeaders"),
            &header.name,
            is_http_header_name(&header.name),
        ));
    }
    errors
}

fn validate_sleep(seconds: i64, grace_period: Option<i64>, path: &Path) -> Option<Error> {
    let bound = grace_period.filter(|bound| !(0..=*bound).contains(&seconds))?;
    let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({bound})");
    Some(Error::invalid(path, seconds, detail))
}
