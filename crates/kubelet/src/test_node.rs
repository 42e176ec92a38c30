//! A node in one process for tests: real workers over a fake runtime.

use crate::{
    cgroup::{
        hierarchy::Hierarchy,
        layout::Layout,
        pods::PodGroups,
        resources::{DEFAULT_PERIOD_US, Policy},
    },
    config::Config,
    dns::Cluster,
    events::Events,
    gc::{images::ImageGc, reclaim::Reclaimer},
    image::Images,
    metrics::Metrics,
    mirror::{MirrorTable, Mirrors},
    node::runtime_health::RuntimeHealth,
    objects::Detached,
    pod_table::PodTable,
    probe::manager::Probes,
    resize::Resizes,
    runtime::fake::FakeRuntime,
    settings::Settings,
    status::manager::Statuses,
    sync::execute::{Executor, Parts},
    volume::{directory::Root, manager::Volumes},
    worker::{Pool, pass::Passes},
};
use api::core::v1::PodStatus;
use apimachinery::quantity::Quantity;
use client::Client;
use component_base::{
    clock::{Clock, FakeClock},
    metrics::Registry,
    shutdown::Shutdown,
};
use cri_api::Runtime;
use jiff::Timestamp;
use std::{fs, sync::Arc, time::Duration};

/// A test that hangs has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const UID: &str = "uid-1";

pub struct Node {
    pub runtime: Arc<FakeRuntime>,
    pub passes: Arc<Passes>,
    pub pool: Arc<Pool>,
    pub statuses: Arc<Statuses>,
    pub shutdown: Shutdown,
    pub folder: tempfile::TempDir,
}

impl Node {
    pub async fn new() -> Self {
        Self::over(FakeRuntime::new()).await
    }

    /// A kubelet that finds this runtime as it is.
    pub async fn over(runtime: Arc<FakeRuntime>) -> Self {
        Self::build(runtime, None).await
    }

    /// A kubelet with an API server.
    pub async fn attached(client: Client) -> Self {
        Self::build(FakeRuntime::new(), Some(client)).await
    }

    async fn build(runtime: Arc<FakeRuntime>, client: Option<Client>) -> Self {
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
            allocatable: [("pods".into(), Quantity::parse("10").unwrap())].into(),
            huge_page_sizes: vec![],
            seccomp_default: false,
            allowed_unsafe_sysctls: vec![],
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
        let root = settings.root.path();
        let resizes = Arc::new(Resizes::open(root, clock.clone(), metrics.clone()).unwrap());
        let groups = PodGroups::new(Hierarchy::detect(&groups).unwrap(), layout, policy);
        let images = Images::new(dynamic.clone(), events.clone(), clock.clone(), metrics.clone(), 1);
        let passes = Arc::new(Passes {
            runtime: dynamic.clone(),
            executor: Executor::new(Parts {
                runtime: dynamic.clone(),
                events: events.clone(),
                objects: objects.clone(),
                images,
                settings: settings.clone(),
                clock: clock.clone(),
                metrics: metrics.clone(),
                resizes: resizes.clone(),
                groups: groups.clone(),
            }),
            resizes,
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
            groups,
            health,
            mirrors: Mirrors::new(client, mirrors, "node"),
            events,
            clock,
            metrics,
        });
        let pool = Pool::new(passes.clone(), shutdown.clone());
        Self {
            runtime,
            passes,
            pool,
            statuses,
            shutdown,
            folder,
        }
    }

    pub fn reclaimer(&self, pods: &Arc<PodTable>) -> Arc<Reclaimer> {
        let images = ImageGc::new(
            self.passes.runtime.clone(),
            self.passes.clock.clone(),
            self.passes.events.clone(),
            Arc::new(Config::default()),
            self.folder.path().to_path_buf(),
        );
        Arc::new(Reclaimer {
            runtime: self.passes.runtime.clone(),
            clock: self.passes.clock.clone(),
            pool: self.pool.clone(),
            pods: pods.clone(),
            settings: self.passes.settings.clone(),
            images: images.into(),
        })
    }

    /// Waits until the status of the pod with [`UID`] is as wanted.
    pub async fn until(&self, wanted: impl Fn(&PodStatus) -> bool) -> PodStatus {
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
    pub async fn until_called(&self, call: &str) -> Vec<String> {
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

    pub async fn until_gone(&self) {
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
