use super::*;
use crate::runtime::state::Sandbox;
use expect_test::{Expect, expect};

/// A small language for pods. Specification: `restart=Never init=a,b sidecar=s main=x,y eph=e`, `+startup` and
/// `+liveness` after a name give it a probe. State: `sandbox` or `dead`, then `name:running`, `name:exited(1)`, …
fn check(spec: &str, state: &str, verdicts: &str, expected: Expect) {
    let actuated = PodResources::default();
    let plan = plan(&pod(spec), &runtime(state), &verdicts_of(verdicts), &actuated);
    expected.assert_eq(&describe(&plan));
}

fn container(text: &str) -> Container {
    let mut parts = text.split('+');
    let mut container = Container {
        name: parts.next().unwrap_or_default().into(),
        image: "image".into(),
        ..Container::default()
    };
    for probe in parts {
        match probe {
            "startup" => container.startup_probe = Some(Box::default()),
            "liveness" => container.liveness_probe = Some(Box::default()),
            other => container.restart_policy = Some(other.to_owned()),
        }
    }
    container
}

fn pod(text: &str) -> Pod {
    let mut pod = Pod::default();
    pod.spec.restart_policy = "Always".into();
    for (key, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
        let containers = value.split(',').map(container);
        match key {
            "restart" => pod.spec.restart_policy = value.into(),
            "init" => pod.spec.init_containers.extend(containers),
            "sidecar" => pod.spec.init_containers.extend(containers.map(|mut c| {
                c.restart_policy = Some("Always".into());
                c
            })),
            "eph" => pod.spec.ephemeral_containers.extend(containers.map(|c| {
                let mut ephemeral = api::core::v1::EphemeralContainer::default();
                ephemeral.ephemeral_container_common.name = c.name;
                ephemeral
            })),
            _ => pod.spec.containers.extend(containers),
        }
    }
    pod
}

fn runtime(text: &str) -> PodState {
    let mut state = PodState::default();
    for word in text.split_whitespace() {
        let Some((name, condition)) = word.split_once(':') else {
            let ips = if word == "no-ip" {
                vec![]
            } else {
                vec!["10.0.0.1".to_owned()]
            };
            let id = format!("s{}", state.sandboxes.len());
            let ready = word != "dead";
            let host_network = word == "host";
            let sandbox = Sandbox {
                id,
                ready,
                ips,
                has_network: true,
                host_network,
                ..Sandbox::default()
            };
            state.sandboxes.push(sandbox);
            continue;
        };
        let (kind, code) = condition
            .trim_end_matches(')')
            .split_once('(')
            .unwrap_or((condition, "0"));
        let name_of_hash = Container {
            name: name.into(),
            image: "image".into(),
            ..Container::default()
        };
        state.containers.push(ContainerStatus {
            id: format!("{name}-id"),
            name: name.into(),
            hash: if kind == "changed" {
                1
            } else {
                container_hash::hash(&name_of_hash)
            },
            exit_code: code.parse().unwrap_or_default(),
            state: match kind {
                "created" => ContainerState::Created,
                "exited" => ContainerState::Exited,
                "unknown" => ContainerState::Unknown,
                _ => ContainerState::Running,
            },
            ..ContainerStatus::default()
        });
    }
    state
}

fn verdicts_of(text: &str) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for word in text.split_whitespace() {
        let (name, verdict) = word.split_once(':').unwrap_or((word, "live-"));
        let id = format!("{name}-id");
        match verdict {
            "live-" => drop(verdicts.set(&id, Kind::Liveness, Verdict::Failure)),
            "start-" => drop(verdicts.set(&id, Kind::Startup, Verdict::Failure)),
            _ => drop(verdicts.set(&id, Kind::Startup, Verdict::Success)),
        }
    }
    verdicts
}

use crate::probe::{Kind, Verdict};

fn describe(plan: &Plan) -> String {
    let mut words = Vec::new();
    if plan.kill_pod {
        words.push("kill pod".to_owned());
    }
    words.extend(
        plan.kill
            .iter()
            .map(|kill| format!("kill {} ({})", kill.name, kill.message)),
    );
    if plan.sandbox.create {
        words.push(format!("sandbox {}", plan.sandbox.attempt));
    }
    words.extend(plan.start.iter().map(|start| format!("start {start:?}")));
    words.join("; ")
}

#[test]
fn sandboxes() {
    check("main=a", "", "", expect!["kill pod; sandbox 0; start Regular(0)"]);
    check("main=a", "sandbox a:running", "", expect![""]);
    check(
        "main=a",
        "dead a:exited(0)",
        "",
        expect!["kill pod; sandbox 1; start Regular(0)"],
    );
    check(
        "main=a",
        "sandbox sandbox a:running",
        "",
        expect!["kill pod; sandbox 1; start Regular(0)"],
    );
    check(
        "main=a",
        "no-ip",
        "",
        expect!["kill pod; sandbox 1; start Regular(0)"],
    );
    check(
        "main=a",
        "host",
        "",
        expect!["kill pod; sandbox 1; start Regular(0)"],
    );
    check(
        "init=i main=a",
        "dead a:exited(0)",
        "",
        expect!["kill pod; sandbox 1; start Init(0)"],
    );
    check(
        "restart=Never main=a",
        "dead a:exited(1)",
        "",
        expect!["kill pod"],
    );
    check(
        "restart=Never main=a",
        "dead",
        "",
        expect!["kill pod; sandbox 1; start Regular(0)"],
    );
    check(
        "restart=OnFailure main=a",
        "dead a:exited(0)",
        "",
        expect!["kill pod"],
    );
    check(
        "restart=OnFailure main=a,b",
        "dead a:exited(0) b:exited(1)",
        "",
        expect!["kill pod; sandbox 1; start Regular(1)"],
    );
}

#[test]
fn restart_policies() {
    check(
        "main=a,b",
        "sandbox a:exited(0) b:running",
        "",
        expect!["start Regular(0)"],
    );
    check(
        "restart=OnFailure main=a,b",
        "sandbox a:exited(0) b:exited(2)",
        "",
        expect!["start Regular(1)"],
    );
    check(
        "restart=OnFailure main=a,b",
        "sandbox a:exited(0) b:exited(0)",
        "",
        expect!["kill pod"],
    );
    check(
        "restart=Never main=a,b",
        "sandbox a:exited(1) b:running",
        "",
        expect![""],
    );
    check(
        "restart=Never main=a+Always",
        "sandbox a:exited(1)",
        "",
        expect!["start Regular(0)"],
    );
    check(
        "restart=Never main=a",
        "sandbox a:created",
        "",
        expect!["start Regular(0)"],
    );
}

#[test]
fn faults() {
    check(
        "main=a",
        "sandbox a:changed",
        "",
        expect!["kill a (Container a definition changed, will be restarted); start Regular(0)"],
    );
    check(
        "restart=Never main=a",
        "sandbox a:changed",
        "",
        expect!["kill a (Container a definition changed, will be restarted); start Regular(0)"],
    );
    check(
        "main=a",
        "sandbox a:running",
        "a:live-",
        expect!["kill a (Container a failed liveness probe, will be restarted); start Regular(0)"],
    );
    check(
        "restart=Never main=a,b",
        "sandbox a:running b:running",
        "a:start-",
        expect!["kill a (Container a failed startup probe)"],
    );
    check(
        "main=a",
        "sandbox a:unknown",
        "",
        expect![[
            r#"kill a (Container is in "unknown" state, try killing it before restart); start Regular(0)"#
        ]],
    );
}

#[test]
fn init_containers() {
    check("init=i,j main=a", "sandbox", "", expect!["start Init(0)"]);
    check("init=i,j main=a", "sandbox i:running", "", expect![""]);
    check(
        "init=i,j main=a",
        "sandbox i:exited(0)",
        "",
        expect!["start Init(1)"],
    );
    check(
        "init=i,j main=a",
        "sandbox j:exited(0)",
        "",
        expect!["start Regular(0)"],
    );
    check(
        "init=i,j main=a",
        "sandbox i:exited(1)",
        "",
        expect!["start Init(0)"],
    );
    check(
        "restart=Never init=i main=a",
        "sandbox i:exited(1)",
        "",
        expect!["kill pod"],
    );
    check(
        "restart=OnFailure init=i main=a",
        "sandbox i:exited(1)",
        "",
        expect!["start Init(0)"],
    );
    check("init=i main=a", "sandbox i:exited(0) a:running", "", expect![""]);
    check(
        "init=i main=a eph=e",
        "sandbox i:running",
        "",
        expect!["start Ephemeral(0)"],
    );
}

#[test]
fn sidecars() {
    check("sidecar=s init=i main=a", "sandbox", "", expect!["start Init(0)"]);
    check(
        "sidecar=s init=i main=a",
        "sandbox s:running",
        "",
        expect!["start Init(1)"],
    );
    check(
        "sidecar=s+startup init=i main=a",
        "sandbox s:running",
        "",
        expect![""],
    );
    check(
        "sidecar=s+startup init=i main=a",
        "sandbox s:running",
        "s:start+",
        expect!["start Init(1)"],
    );
    check(
        "sidecar=s+startup main=a",
        "sandbox s:running",
        "s:start-",
        expect!["kill s (Init container s failed startup probe); start Init(0)"],
    );
    check(
        "sidecar=s main=a",
        "sandbox s:running",
        "",
        expect!["start Regular(0)"],
    );
    check(
        "sidecar=s main=a",
        "sandbox s:exited(1) a:running",
        "",
        expect!["start Init(0)"],
    );
    check(
        "sidecar=s main=a",
        "sandbox a:running",
        "",
        expect!["start Init(0)"],
    );
    check(
        "sidecar=s+liveness main=a",
        "sandbox s:running a:running",
        "s:live-",
        expect!["kill s (Init container s failed liveness probe); start Init(0)"],
    );
    check(
        "restart=Never sidecar=s main=a",
        "sandbox s:running a:exited(0)",
        "",
        expect!["kill pod"],
    );
    // Whether the regular containers belong to this sandbox is not known; the phase has ended such a pod before.
    check(
        "restart=Never sidecar=s main=a",
        "sandbox s:exited(1) a:exited(0)",
        "",
        expect!["start Init(0)"],
    );
}
