//! The baseline: nothing that is known to lead out of a container.

use std::collections::BTreeSet;

use api::core::v1::{LifecycleHandler, Probe, SELinuxOptions};

use super::policy::Level;
use super::view::{View, Violation, containers, plural, quoted, quoted_set, setters, uses, violation};

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Settings that are the pod's own, with the version that let them in.
const SYSCTLS: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

const SELINUX_TYPES: [(&str, u32); 5] = [
    ("", 0),
    ("container_t", 0),
    ("container_init_t", 0),
    ("container_kvm_t", 0),
    ("container_engine_t", 31),
];

const APPARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";

/// In the order of upstream's check names.
pub(super) fn check(view: &View<'_>) -> Vec<Violation> {
    let restricted = view.standard.level == Level::Restricted;
    let mut found = Vec::new();
    found.extend(app_armor(view));
    // The restricted level has stricter forms of these.
    if !(restricted && view.standard.version.has(22)) {
        found.extend(capabilities(view));
    }
    found.extend(host_namespaces(view));
    if !restricted {
        found.extend(host_path(view));
    }
    found.extend(host_ports(view));
    if view.standard.version.has(34) {
        found.extend(host_probes(view));
    }
    found.extend(privileged(view));
    if !(restricted && view.standard.version.has(35)) {
        found.extend(proc_mount_baseline(view));
    }
    found.extend(selinux(view));
    if !(restricted && view.standard.version.has(19)) {
        found.extend(seccomp(view));
    }
    found.extend(sysctls(view));
    found.extend(windows_host_process(view));
    found
}

fn app_armor(view: &View<'_>) -> Option<Violation> {
    let allowed = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost" | "");
    let mut bad = BTreeSet::new();
    let pod = view
        .context
        .and_then(|context| context.app_armor_profile.as_ref())
        .filter(|profile| !allowed(&profile.type_));
    bad.extend(pod.map(|profile| profile.type_.as_str()));
    for container in &view.containers {
        let profile = container
            .context
            .and_then(|context| context.app_armor_profile.as_ref());
        bad.extend(
            profile
                .filter(|profile| !allowed(&profile.type_))
                .map(|profile| profile.type_.as_str()),
        );
    }
    let names = view.containers_where(|container| {
        let profile = container
            .context
            .and_then(|context| context.app_armor_profile.as_ref());
        profile.is_some_and(|profile| !allowed(&profile.type_))
    });
    let annotated =
        |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let annotations: Vec<String> = view
        .metadata
        .annotations
        .iter()
        .filter(|(key, value)| key.starts_with(APPARMOR_PREFIX) && !annotated(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    let mut who: Vec<String> = setters(pod.is_some(), &names).into_iter().collect();
    if !annotations.is_empty() {
        who.push(plural("annotation", annotations.len()));
    }
    if who.is_empty() {
        return None;
    }
    let values: Vec<&str> = bad
        .into_iter()
        .chain(annotations.iter().map(String::as_str))
        .collect();
    let reason = plural("forbidden AppArmor profile", values.len());
    violation(
        &reason,
        format!(
            "{} must not set AppArmor profile type to {}",
            who.join(" and "),
            quoted(&values)
        ),
    )
}

fn capabilities(view: &View<'_>) -> Option<Violation> {
    let mut bad = BTreeSet::new();
    for container in &view.containers {
        let added = container
            .context
            .iter()
            .flat_map(|context| &context.capabilities)
            .flat_map(|capabilities| &capabilities.add);
        bad.extend(
            added
                .map(String::as_str)
                .filter(|capability| !CAPABILITIES.contains(capability)),
        );
    }
    let names = view.containers_where(|container| {
        let mut added = container
            .context
            .iter()
            .flat_map(|context| &context.capabilities)
            .flat_map(|capabilities| &capabilities.add);
        added.any(|capability| !CAPABILITIES.contains(&capability.as_str()))
    });
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} must not include {} in securityContext.capabilities.add",
        containers(&names),
        quoted_set(&bad)
    );
    violation("non-default capabilities", detail)
}

fn host_namespaces(view: &View<'_>) -> Option<Violation> {
    let spec = view.spec;
    let all = [
        (spec.host_network, "hostNetwork=true"),
        (spec.host_pid, "hostPID=true"),
        (spec.host_ipc, "hostIPC=true"),
    ];
    let used: Vec<&str> = all
        .iter()
        .filter(|(used, _)| *used)
        .map(|(_, name)| *name)
        .collect();
    if used.is_empty() {
        None
    } else {
        violation("host namespaces", used.join(", "))
    }
}

fn host_path(view: &View<'_>) -> Option<Violation> {
    let volumes = view
        .spec
        .volumes
        .iter()
        .filter(|volume| volume.volume_source.host_path.is_some());
    let names: Vec<&str> = volumes.map(|volume| volume.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    violation(
        "hostPath volumes",
        format!("{} {}", plural("volume", names.len()), quoted(&names)),
    )
}

fn host_ports(view: &View<'_>) -> Option<Violation> {
    let all = view.containers.iter().flat_map(|container| container.ports);
    let ports: BTreeSet<String> = all
        .filter(|port| port.host_port != 0)
        .map(|port| port.host_port.to_string())
        .collect();
    let names = view.containers_where(|container| container.ports.iter().any(|port| port.host_port != 0));
    if names.is_empty() {
        return None;
    }
    let listed = ports.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "{} {} {} {listed}",
        containers(&names),
        uses(names.len()),
        plural("hostPort", ports.len())
    );
    violation("hostPort", detail)
}

/// A probe of another host makes the kubelet reach it from the node's network.
fn host_probes(view: &View<'_>) -> Option<Violation> {
    let mut names = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    for container in &view.containers {
        let lifecycle = container.lifecycle.iter();
        let handlers = lifecycle.flat_map(|lifecycle| lifecycle.post_start.iter().chain(&lifecycle.pre_stop));
        let found = container
            .probes
            .iter()
            .flatten()
            .flat_map(|probe| probe_hosts(probe));
        for host in found
            .chain(handlers.flat_map(|handler| handler_hosts(handler)))
            .filter(|host| !is_local(host))
        {
            names.insert(container.name);
            hosts.insert(host);
        }
    }
    if names.is_empty() {
        return None;
    }
    let names: Vec<&str> = names.into_iter().collect();
    let what = plural("probe or lifecycle host", hosts.len());
    let detail = format!(
        "{} {} {what} {}",
        containers(&names),
        uses(names.len()),
        quoted_set(&hosts)
    );
    violation("probe or lifecycle host", detail)
}

fn is_local(host: &str) -> bool {
    matches!(host, "" | "127.0.0.1" | "::1")
}

fn probe_hosts(probe: &Probe) -> impl Iterator<Item = &str> {
    let http = probe.probe_handler.http_get.iter().map(|get| get.host.as_str());
    http.chain(
        probe
            .probe_handler
            .tcp_socket
            .iter()
            .map(|socket| socket.host.as_str()),
    )
}

fn handler_hosts(handler: &LifecycleHandler) -> impl Iterator<Item = &str> {
    let http = handler.http_get.iter().map(|get| get.host.as_str());
    http.chain(handler.tcp_socket.iter().map(|socket| socket.host.as_str()))
}

fn privileged(view: &View<'_>) -> Option<Violation> {
    let names = view.containers_where(|container| {
        container
            .context
            .is_some_and(|context| context.privileged == Some(true))
    });
    if names.is_empty() {
        return None;
    }
    violation(
        "privileged",
        format!(
            "{} must not set securityContext.privileged=true",
            containers(&names)
        ),
    )
}

fn proc_mount_baseline(view: &View<'_>) -> Option<Violation> {
    if view.standard.version.has(35) && view.has_user_namespace() {
        return None;
    }
    proc_mount(view)
}

pub(super) fn proc_mount(view: &View<'_>) -> Option<Violation> {
    let mut bad = BTreeSet::new();
    for container in &view.containers {
        let mount = container
            .context
            .and_then(|context| context.proc_mount.as_deref());
        bad.extend(mount.filter(|mount| *mount != "Default"));
    }
    let names = view.containers_where(|container| {
        container
            .context
            .and_then(|context| context.proc_mount.as_deref())
            .is_some_and(|mount| mount != "Default")
    });
    if names.is_empty() {
        return None;
    }
    violation(
        "procMount",
        format!(
            "{} must not set securityContext.procMount to {}",
            containers(&names),
            quoted_set(&bad)
        ),
    )
}

fn selinux(view: &View<'_>) -> Option<Violation> {
    let has_type = |kind: &str| {
        SELINUX_TYPES
            .iter()
            .any(|(known, since)| *known == kind && view.standard.version.has(*since))
    };
    let is_bad = |options: &SELinuxOptions| {
        !has_type(&options.type_) || !options.user.is_empty() || !options.role.is_empty()
    };
    let of_pod = view
        .context
        .and_then(|context| context.se_linux_options.as_deref());
    let of_containers = view
        .containers
        .iter()
        .filter_map(|container| container.context?.se_linux_options.as_deref());
    let bad: Vec<&SELinuxOptions> = of_pod
        .into_iter()
        .chain(of_containers)
        .filter(|options| is_bad(options))
        .collect();
    let names = view.containers_where(|container| {
        container
            .context
            .and_then(|context| context.se_linux_options.as_deref())
            .is_some_and(is_bad)
    });
    let who = setters(of_pod.is_some_and(is_bad), &names)?;
    let types: BTreeSet<&str> = bad
        .iter()
        .map(|options| options.type_.as_str())
        .filter(|kind| !has_type(kind))
        .collect();
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!("{} {}", plural("type", types.len()), quoted_set(&types)));
    }
    if bad.iter().any(|options| !options.user.is_empty()) {
        what.push("user may not be set".to_owned());
    }
    if bad.iter().any(|options| !options.role.is_empty()) {
        what.push("role may not be set".to_owned());
    }
    violation(
        "seLinuxOptions",
        format!(
            "{who} set forbidden securityContext.seLinuxOptions: {}",
            what.join("; ")
        ),
    )
}

pub(super) fn seccomp_is_allowed(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

/// Whoever states a profile states an allowed one.
pub(super) fn seccomp(view: &View<'_>) -> Option<Violation> {
    let bad_type = |kind: Option<&str>| kind.is_some_and(|kind| !seccomp_is_allowed(kind));
    let of_pod = view
        .context
        .and_then(|context| context.seccomp_profile.as_ref())
        .map(|profile| profile.type_.as_str());
    let mut bad: BTreeSet<&str> = of_pod
        .into_iter()
        .filter(|kind| !seccomp_is_allowed(kind))
        .collect();
    for container in &view.containers {
        let profile = container
            .context
            .and_then(|context| context.seccomp_profile.as_ref());
        bad.extend(
            profile
                .map(|profile| profile.type_.as_str())
                .filter(|kind| !seccomp_is_allowed(kind)),
        );
    }
    let names = view.containers_where(|container| {
        let profile = container
            .context
            .and_then(|context| context.seccomp_profile.as_ref());
        bad_type(profile.map(|profile| profile.type_.as_str()))
    });
    let who = setters(bad_type(of_pod), &names)?;
    violation(
        "seccompProfile",
        format!(
            "{who} must not set securityContext.seccompProfile.type to {}",
            quoted_set(&bad)
        ),
    )
}

fn sysctls(view: &View<'_>) -> Option<Violation> {
    let allowed = |name: &str| {
        SYSCTLS
            .iter()
            .any(|(known, since)| *known == name && view.standard.version.has(*since))
    };
    let all = view.context.iter().flat_map(|context| &context.sysctls);
    let bad: Vec<&str> = all
        .map(|sysctl| sysctl.name.as_str())
        .filter(|name| !allowed(name))
        .collect();
    if bad.is_empty() {
        None
    } else {
        violation("forbidden sysctls", bad.join(", "))
    }
}

fn windows_host_process(view: &View<'_>) -> Option<Violation> {
    let pod = view.context.and_then(|context| context.windows_options.as_ref());
    let names = view.containers_where(|container| {
        let options = container
            .context
            .and_then(|context| context.windows_options.as_ref());
        options.is_some_and(|options| options.host_process == Some(true))
    });
    let who = setters(
        pod.is_some_and(|options| options.host_process == Some(true)),
        &names,
    )?;
    violation(
        "hostProcess",
        format!("{who} must not set securityContext.windowsOptions.hostProcess=true"),
    )
}
