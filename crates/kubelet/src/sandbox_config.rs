//! What the runtime is asked for when a pod's sandbox is made. Pure. Upstream: `kuberuntime_sandbox.go`.

use crate::{cgroup::resources, hosts, pod, runtime::labels, security, settings::Settings, sysctl};
use api::core::v1::Pod;
use cri_api::v1::{self, DnsConfig};

pub fn build(
    spec: &Pod,
    attempt: u32,
    dns: DnsConfig,
    settings: &Settings,
) -> Result<v1::PodSandboxConfig, hosts::Error> {
    let meta = &spec.metadata;
    let hostname = if spec.spec.host_network {
        String::new()
    } else {
        let (host, domain) = hosts::names(spec, &settings.dns.domain)?;
        hosts::kernel_name(spec, &host, &domain)?
    };
    Ok(v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            attempt,
        }),
        hostname,
        log_directory: settings.pod_log_folder(spec).to_string_lossy().into_owned(),
        dns_config: Some(dns),
        port_mappings: port_mappings(spec),
        labels: labels::for_sandbox(spec),
        annotations: labels::pod_annotations(&meta.annotations),
        linux: Some(linux(spec, settings)),
    })
}

fn linux(spec: &Pod, settings: &Settings) -> v1::LinuxPodSandboxConfig {
    let (resources, overhead) = resources::for_sandbox(spec, settings.policy);
    let sysctls = spec
        .spec
        .security_context
        .iter()
        .flat_map(|context| &context.sysctls);
    v1::LinuxPodSandboxConfig {
        cgroup_parent: settings.layout.pod(spec).unwrap_or_default(),
        security_context: Some(security::for_sandbox(spec)),
        // The runtime knows only the dotted form.
        sysctls: sysctls
            .map(|one| (sysctl::dotted(&one.name), one.value.clone()))
            .collect(),
        overhead: Some(overhead),
        resources: Some(resources),
    }
}

/// Each published port once; sidecars publish as well.
fn port_mappings(spec: &Pod) -> Vec<v1::PortMapping> {
    let sidecars = spec
        .spec
        .init_containers
        .iter()
        .filter(|container| pod::is_sidecar(container));
    let ports = sidecars
        .chain(&spec.spec.containers)
        .flat_map(|container| &container.ports);
    let mut mappings: Vec<v1::PortMapping> = Vec::new();
    for port in ports {
        let mapping = v1::PortMapping {
            protocol: i32::from(match port.protocol.as_str() {
                "UDP" => v1::Protocol::Udp,
                "SCTP" => v1::Protocol::Sctp,
                _ => v1::Protocol::Tcp,
            }),
            container_port: port.container_port,
            host_port: port.host_port,
            host_ip: port.host_ip.clone(),
        };
        if !mappings.contains(&mapping) {
            mappings.push(mapping);
        }
    }
    mappings
}
