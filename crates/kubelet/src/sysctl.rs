//! Which kernel parameters pods may set. Pure. Upstream: `pkg/kubelet/sysctl`.

use api::core::v1::Pod;

/// Parameters of a pod's own namespaces that can do no harm outside of them.
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// The namespace that a parameter belongs to, if it belongs to one.
fn namespace(name: &str) -> Option<&'static str> {
    let ipc = name == "kernel.sem"
        || ["kernel.shm", "kernel.msg", "fs.mqueue."]
            .iter()
            .any(|prefix| name.starts_with(prefix));
    if ipc {
        Some("IPC")
    } else {
        name.starts_with("net.").then_some("Net")
    }
}

/// `net/ipv4/conf/eth0.1/x` as `net.ipv4.conf.eth0/1.x`: the runtime knows only the dotted form.
pub fn dotted(name: &str) -> String {
    let first_separator = name.find(['.', '/']);
    if first_separator.is_none_or(|at| name[at..].starts_with('.')) {
        return name.to_owned();
    }
    name.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect()
}

/// Patterns of `allowedUnsafeSysctls` that can't be allowed, since they reach beyond a pod.
pub fn invalid_pattern(pattern: &str) -> Option<String> {
    let name = dotted(pattern.trim_end_matches('*'));
    if namespace(&name).is_some() {
        None
    } else {
        Some(format!("the sysctls {pattern:?} are not known to be namespaced"))
    }
}

/// Says what is wrong with the parameters that a pod wants set.
pub fn check(pod: &Pod, allowed_unsafe: &[String]) -> Result<(), String> {
    let wanted = pod
        .spec
        .security_context
        .iter()
        .flat_map(|context| &context.sysctls);
    for sysctl in wanted {
        let name = dotted(&sysctl.name);
        let allowed = |pattern: &String| match dotted(pattern).strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => dotted(pattern) == name,
        };
        if !SAFE.contains(&name.as_str()) && !allowed_unsafe.iter().any(allowed) {
            return Err(format!("forbidden sysctl: {name:?} not allowlisted"));
        }
        let shared = match namespace(&name) {
            Some("IPC") => pod.spec.host_ipc.then_some("IPC"),
            Some("Net") => pod.spec.host_network.then_some("Net"),
            _ => None,
        };
        if let Some(namespace) = shared {
            return Err(format!(
                "forbidden sysctl: {name:?} not allowed with host {namespace} enabled"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    fn check(spec: &str, name: &str, expected: Result<(), &str>) {
        let json = format!(
            r#"{{"spec":{{{spec}"securityContext":{{"sysctls":[{{"name":"{name}","value":"1"}}]}}}}}}"#
        );
        let pod = Pod::from_json(json.as_bytes()).unwrap();
        let allowed = ["kernel.msg*".to_owned(), "net.core.somaxconn".to_owned()];
        assert_eq!(
            super::check(&pod, &allowed),
            expected.map_err(ToOwned::to_owned),
            "{name}"
        );
    }

    #[test]
    fn safe_ones_allowed_ones_and_none_of_the_host_s() {
        check("", "kernel.shm_rmid_forced", Ok(()));
        check("", "net/ipv4/tcp_syncookies", Ok(()));
        check("", "kernel.msgmax", Ok(()));
        check("", "net.core.somaxconn", Ok(()));
        check(
            "",
            "vm.swappiness",
            Err(r#"forbidden sysctl: "vm.swappiness" not allowlisted"#),
        );
        check(
            r#""hostIPC":true,"#,
            "kernel.shm_rmid_forced",
            Err(r#"forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host IPC enabled"#),
        );
    }

    #[test]
    fn only_what_a_pod_has_of_its_own_can_be_allowed() {
        assert_eq!(invalid_pattern("kernel.msg*"), None);
        assert!(invalid_pattern("vm.*").is_some() && invalid_pattern("kernel.*").is_some());
    }

    #[test]
    fn names_are_dotted() {
        assert_eq!(dotted("net.ipv4.ip_forward"), "net.ipv4.ip_forward");
        assert_eq!(
            dotted("net/ipv4/conf/eth0.1/rp_filter"),
            "net.ipv4.conf.eth0/1.rp_filter"
        );
        assert_eq!(dotted("plain"), "plain");
    }
}
