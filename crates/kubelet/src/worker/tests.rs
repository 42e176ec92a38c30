//! Workers over a fake runtime: what they ask of it, and what they report.

use super::{Pool, machine::Stage, pass::Passes};
use crate::{
    cgroup::{
        hierarchy::Hierarchy,
        layout::Layout,
        pods::PodGroups,
        resources::{DEFAULT_PERIOD_US, Policy},
    },
    dns::Cluster,
    events::Events,
    image::Images,
    metrics::Metrics,
    mirror::{MirrorTable, Mirrors},
    node::runtime_health::RuntimeHealth,
    objects::Detached,
    probe::manager::Probes,
    runtime::fake::FakeRuntime,
    settings::Settings,
    status::manager::Statuses,
    sync::execute::{Executor, Parts},
    volume::{directory::Root, manager::Volumes},
};
use api::{
    Message,
    core::v1::{Pod, PodStatus},
};
use apimachinery::time::Time;
use component_base::{
    clock::{Clock, FakeClock},
    metrics::Registry,
    shutdown::Shutdown,
};
use cri_api::Runtime;
use jiff::Timestamp;
use std::{fs, sync::Arc, time::Duration};

/// A test that hangs has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const UID: &str = "uid-1";

struct Node {
    runtime: Arc<FakeRuntime>,
    pool: Arc<Pool>,
    statuses: Arc<Statuses>,
    shutdown: Shutdown,
    folder: tempfile::TempDir,
}

impl Node {
    async fn new() -> Self {
        Self::over(FakeRuntime::new()).await
    }

    /// A kubelet that finds this runtime as it is.
    async fn over(runtime: Arc<FakeRuntime>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let groups = folder.path().join("cgroup");
        fs::create_dir_all(groups.join("memory")).unwrap();
        fs::write(groups.join("memory/cgroup.procs"), "").unwrap();
        let clock: Arc<dyn Clock> = FakeClock::new(Timestamp::UNIX_EPOCH);
        let metrics = Arc::new(Metrics::new(&Registry::new()));
        let events = Events::new(None, "node");
        let shutdown = Shutdown::new();
        let policy = Policy {
            enforce_cpu_quota: true,
            cpu_period_us: DEFAULT_PERIOD_US,
            pod_pids_limit: -1,
        };
        let layout = Layout::new("/", false);
        let settings = Arc::new(Settings {
            node_name: "node".into(),
            node_ips: vec!["192.168.0.1".into()],
            root: Root::new(folder.path().join("kubelet")),
            pod_logs: folder.path().join("logs"),
            runtime_name: "fake".into(),
            layout: layout.clone(),
            policy,
            node_memory: 1 << 30,
            allocatable: Default::default(),
            huge_page_sizes: vec![],
            seccomp_default: false,
            dns: Cluster {
                servers: vec!["10.96.0.10".into()],
                domain: "cluster.local".into(),
            },
            resolv_conf: String::new(),
            sync_frequency: Duration::from_secs(60),
            max_crash_back_off: Duration::from_secs(300),
            attached: true,
        });
        let dynamic: Arc<dyn Runtime> = runtime.clone();
        let health = RuntimeHealth::new(clock.clone());
        health.check(&*runtime).await;
        let mirrors = Arc::new(MirrorTable::default());
        let statuses = Statuses::new(mirrors.clone());
        let objects = Arc::new(Detached);
        let images = Images::new(dynamic.clone(), events.clone(), clock.clone(), metrics.clone(), 1);
        let passes = Passes {
            runtime: dynamic.clone(),
            executor: Executor::new(Parts {
                runtime: dynamic.clone(),
                events: events.clone(),
                objects: objects.clone(),
                images,
                settings: settings.clone(),
                clock: clock.clone(),
                metrics: metrics.clone(),
            }),
            volumes: Volumes::new(
                settings.root.clone(),
                objects.clone(),
                clock.clone(),
                settings.node_memory,
            ),
            settings,
            objects,
            statuses: statuses.clone(),
            probes: Probes::new(
                dynamic,
                events.clone(),
                clock.clone(),
                metrics.clone(),
                shutdown.clone(),
            ),
            groups: PodGroups::new(Hierarchy::detect(&groups).unwrap(), layout, policy),
            health,
            mirrors: Mirrors::new(None, mirrors, "node"),
            events,
            clock,
            metrics,
        };
        let pool = Pool::new(Arc::new(passes), shutdown.clone());
        Self {
            runtime,
            pool,
            statuses,
            shutdown,
            folder,
        }
    }

    /// Waits until the pod's status is as wanted.
    async fn until(&self, wanted: impl Fn(&PodStatus) -> bool) -> PodStatus {
        let mut changes = self.statuses.subscribe();
        let wait = async {
            loop {
                if let Some(status) = self.statuses.get(UID).filter(&wanted) {
                    return status;
                }
                changes.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("status stays {:?}", self.statuses.get(UID)))
    }

    /// Waits until the runtime was asked for this.
    async fn until_called(&self, call: &str) -> Vec<String> {
        let mut calls = self.runtime.subscribe();
        let mut seen = Vec::new();
        let wait = async {
            loop {
                calls.borrow_and_update();
                seen.extend(self.runtime.take_calls());
                if seen.iter().any(|other| other == call) {
                    return;
                }
                calls.changed().await.unwrap();
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, wait).await.is_ok(),
            "{call} was not called, but {seen:?}"
        );
        seen
    }

    async fn until_gone(&self) {
        let wait = async {
            while !self.pool.known().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, wait).await.is_ok(),
            "the worker stays"
        );
    }
}

fn pod(spec: &str) -> Pod {
    let json = format!(
        r#"{{"metadata":{{"name":"p","namespace":"n","uid":"{UID}"}},
            "spec":{{"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"Default",{spec}}}}}"#
    );
    Pod::from_json(json.as_bytes()).unwrap()
}

const ONE: &str = r#""containers":[{"name":"a","image":"x:1"}]"#;

fn running(status: &PodStatus) -> bool {
    status.phase == "Running" && status.container_statuses.iter().all(|container| container.ready)
}

fn deleted(mut pod: Pod, grace: i64) -> Arc<Pod> {
    pod.metadata.deletion_timestamp = Some(Time::default());
    pod.metadata.deletion_grace_period_seconds = Some(grace);
    Arc::new(pod)
}

#[tokio::test]
async fn a_pod_comes_up_and_is_deleted() {
    let node = Node::new().await;
    let spec = pod(ONE);
    node.pool.update(Arc::new(spec.clone()));
    let status = node.until(running).await;
    assert_eq!(
        (status.pod_ip.as_str(), status.host_ip.as_str()),
        ("10.0.0.9", "192.168.0.1")
    );
    assert_eq!(node.runtime.take_calls(), ["sandbox", "start a"]);
    assert!(node.folder.path().join("kubelet/pods").join(UID).exists());

    node.pool.update(deleted(spec, 7));
    let status = node.until(|status| status.phase == "Failed").await;
    let ended = status.container_statuses[0].state.terminated.as_ref().unwrap();
    assert_eq!(ended.exit_code, 143);
    assert_eq!(node.runtime.take_calls(), ["stop a within 7s", "stop sandbox"]);
    node.pool.remove(UID);
    node.until_gone().await;
    assert!(!node.folder.path().join("kubelet/pods").join(UID).exists());
}

#[tokio::test]
async fn a_crashing_container_waits_longer_each_time() {
    let node = Node::new().await;
    node.pool.update(Arc::new(pod(ONE)));
    node.until(running).await;
    node.runtime.exit("a", 1);
    node.pool.poke(UID);
    let status = node
        .until(|status| running(status) && status.container_statuses[0].restart_count == 1)
        .await;
    let last = status.container_statuses[0]
        .last_state
        .terminated
        .as_ref()
        .unwrap();
    assert_eq!(last.exit_code, 1);
    node.runtime.exit("a", 2);
    node.pool.poke(UID);
    let waits = |status: &PodStatus| {
        status
            .container_statuses
            .iter()
            .any(|c| c.state.waiting.is_some())
    };
    let status = node.until(waits).await;
    let waiting = status.container_statuses[0].state.waiting.as_ref().unwrap();
    assert_eq!(waiting.reason, "CrashLoopBackOff");
    assert_eq!(
        waiting.message,
        "back-off 10s restarting failed container=a pod=p_n(uid-1)"
    );
    assert_eq!(status.phase, "Running");
}

#[tokio::test]
async fn a_pod_that_has_run_its_course_stays_ended() {
    let node = Node::new().await;
    let mut spec = pod(ONE);
    spec.spec.restart_policy = "Never".into();
    node.pool.update(Arc::new(spec));
    node.until(running).await;
    node.runtime.exit("a", 0);
    node.pool.poke(UID);
    let status = node.until(|status| status.phase == "Succeeded").await;
    assert_eq!(status.pod_ip, "10.0.0.9", "it keeps its address");
    node.until_called("stop sandbox").await;
    let finished = || {
        node.pool
            .known()
            .iter()
            .all(|known| known.stage == Stage::Finished)
    };
    let wait = async {
        while !finished() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok());
    assert!(!node.pool.holds(UID));
}

#[tokio::test]
async fn the_next_kubelet_adopts_what_runs() {
    let first = Node::new().await;
    first.pool.update(Arc::new(pod(ONE)));
    first.until(running).await;
    first.runtime.take_calls();
    first.shutdown.trigger();
    let second = Node::over(first.runtime.clone()).await;
    second.pool.update(Arc::new(pod(ONE)));
    let status = second.until(running).await;
    assert_eq!(status.container_statuses[0].restart_count, 0);
    assert_eq!(second.runtime.take_calls(), Vec::<String>::new());
}

#[tokio::test]
async fn less_time_ends_a_pod_sooner() {
    let node = Node::new().await;
    let spec = pod(ONE);
    node.pool.update(Arc::new(spec.clone()));
    node.until(running).await;
    node.runtime.make_stubborn("a");
    node.pool.update(deleted(spec.clone(), 30));
    node.until_called("stop a within 30s").await;
    node.pool.update(deleted(spec, 0));
    node.until_called("stop a within 2s").await;
    node.until(|status| status.phase == "Failed").await;
}

#[tokio::test]
async fn init_containers_run_before_and_sidecars_outlive() {
    let node = Node::new().await;
    let spec = pod(
        r#""initContainers":[{"name":"i","image":"x:1"},{"name":"s","image":"x:1","restartPolicy":"Always"}],
            "containers":[{"name":"a","image":"x:1"}]"#,
    );
    node.pool.update(Arc::new(spec.clone()));
    node.until_called("start i").await;
    node.runtime.exit("i", 0);
    node.pool.poke(UID);
    node.until(running).await;
    assert_eq!(node.runtime.take_calls(), ["start s", "start a"]);
    node.pool.update(deleted(spec, 9));
    node.until(|status| status.phase == "Failed").await;
    assert_eq!(
        node.runtime.take_calls(),
        ["stop a within 9s", "stop s within 9s", "stop sandbox"]
    );
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_told() {
    let node = Node::new().await;
    node.pool.update(Arc::new(pod(
        r#""containers":[{"name":"a","image":"missing:1"}]"#,
    )));
    let waits = |status: &PodStatus| {
        status.container_statuses.iter().any(|c| {
            c.state
                .waiting
                .as_ref()
                .is_some_and(|waiting| waiting.reason == "ErrImagePull")
        })
    };
    assert_eq!(node.until(waits).await.phase, "Pending");
    assert_eq!(node.runtime.take_calls(), ["sandbox", "pull"]);
}

#[tokio::test]
async fn containers_of_unknown_pods_are_ended() {
    let first = Node::new().await;
    first.pool.update(Arc::new(pod(ONE)));
    first.until(running).await;
    first.shutdown.trigger();
    let second = Node::over(first.runtime.clone()).await;
    second.runtime.take_calls();
    second.pool.end_orphan(UID, 1);
    second.until_gone().await;
    assert_eq!(second.runtime.take_calls(), ["stop a within 2s", "stop sandbox"]);
}
