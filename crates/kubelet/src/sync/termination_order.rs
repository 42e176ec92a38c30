//! The order in which a terminating pod's containers end: sidecars after the containers that they serve, the last
//! sidecar first. Upstream: `kuberuntime_termination_order.go`.

use crate::pod;
use api::core::v1::Pod;

/// The containers to end, in stages; a stage begins once the one before has ended. `running` names what runs.
pub fn stages(spec: &Pod, running: &[String]) -> Vec<Vec<String>> {
    let is_sidecar = |name: &String| {
        spec.spec
            .init_containers
            .iter()
            .any(|c| &c.name == name && pod::is_sidecar(c))
    };
    let mut stages: Vec<Vec<String>> = Vec::new();
    let first: Vec<String> = running.iter().filter(|name| !is_sidecar(name)).cloned().collect();
    if !first.is_empty() {
        stages.push(first);
    }
    for container in spec
        .spec
        .init_containers
        .iter()
        .rev()
        .filter(|c| pod::is_sidecar(c))
    {
        if running.contains(&container.name) {
            stages.push(vec![container.name.clone()]);
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::Container;

    #[test]
    fn sidecars_end_last_and_in_reverse() {
        let named = |name: &str, restart: Option<&str>| Container {
            name: name.into(),
            restart_policy: restart.map(Into::into),
            ..Container::default()
        };
        let mut pod = Pod::default();
        pod.spec.init_containers = vec![
            named("setup", None),
            named("mesh", Some("Always")),
            named("logs", Some("Always")),
        ];
        pod.spec.containers = vec![named("web", None), named("worker", None)];
        let running = ["logs", "web", "mesh", "worker"].map(String::from);
        assert_eq!(
            stages(&pod, &running),
            [vec!["web", "worker"], vec!["logs"], vec!["mesh"]]
        );
        assert_eq!(stages(&pod, &["mesh".to_owned()]), [vec!["mesh"]]);
        assert!(stages(&pod, &[]).is_empty());
    }
}
