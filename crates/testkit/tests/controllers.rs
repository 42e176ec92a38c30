//! Controllers against a real server, as the service accounts that they run as. The test plays the kubelet.

#[path = "controllers/autoscaler.rs"]
mod autoscaler;
#[path = "controllers/mirroring.rs"]
mod mirroring;
#[path = "controllers/quota.rs"]
mod quota;
#[path = "controllers/storage.rs"]
mod storage;

use std::time::Duration;

use api::Resource;
use api::apps::v1::StatefulSet;
use api::batch::v1::{CronJob, Job};
use api::core::v1::{PersistentVolumeClaim, Pod, ServiceAccount};
use api::policy::v1::PodDisruptionBudget;
use client::{Api, Client, ListParams, Patch, PatchParams};
use component_base::clock::{Clock, FakeClock, SystemClock};
use component_base::metrics::Registry;
use component_base::shutdown::Shutdown;
use controller_runtime::{Context, Informers, Recorder};
use controllers_cluster::disruption;
use controllers_workloads::{cron_job, finished_jobs, job, stateful_set};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testkit::ApiServer;

const NAMESPACE: &str = "default";

struct Cluster {
    server: ApiServer,
    client: Client,
    shutdown: Shutdown,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Cluster {
    async fn start() -> Cluster {
        let server = ApiServer::start().await;
        let client = server.client();
        let mut account = ServiceAccount::default();
        account.metadata.name = "default".into();
        let accounts = client.api::<ServiceAccount>().namespace(NAMESPACE);
        accounts.create(&account).await.expect("the account of pods");
        Cluster {
            server,
            client,
            shutdown: Shutdown::new(),
        }
    }

    /// The surroundings of a controller that acts as its account.
    fn context(&self, account: &str) -> Context {
        let user = format!("system:serviceaccount:kube-system:{account}");
        let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system"];
        let clock = SystemClock::shared();
        Context {
            client: self.server.client_as(&user, &groups),
            informers: Informers::new(self.client.clone(), self.shutdown.clone()),
            recorder: Recorder::start(
                self.client.clone(),
                account,
                "",
                clock.clone(),
                self.shutdown.clone(),
            ),
            clock,
            metrics: Registry::new(),
            shutdown: self.shutdown.clone(),
        }
    }

    fn api<K: Resource>(&self) -> Api<K> {
        self.client.api::<K>().namespace(NAMESPACE)
    }

    async fn create<K: Resource>(&self, object: serde_json::Value) {
        let object = K::from_json(object.to_string().as_bytes()).expect("well-formed");
        self.api::<K>().create(&object).await.expect("created");
    }

    async fn names<K: Resource>(&self) -> Vec<String> {
        let list = self
            .api::<K>()
            .list(&ListParams::default())
            .await
            .expect("a list");
        let names = list.items.iter().map(|object| object.metadata().name.clone());
        names.collect()
    }

    /// What a kubelet says of a pod.
    async fn report(&self, pod: &str, phase: &str, ready: &str) {
        let patch = Patch::Strategic(json!({"status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }}));
        let pods = self.api::<Pod>();
        pods.patch_status(pod, &patch, &PatchParams::default())
            .await
            .expect("a status");
    }
}

/// Asks until the answer is the expected one.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let ask = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ask)
        .await
        .expect("the expected state in time");
}

fn template(restart_policy: &str) -> serde_json::Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "restartPolicy": restart_policy,
            "containers": [{"name": "main", "image": "main"}],
        },
    })
}

#[tokio::test]
async fn a_stateful_set_grows_and_shrinks_in_order() {
    let cluster = Cluster::start().await;
    tokio::spawn(stateful_set::run(cluster.context("statefulset-controller"), 2));
    cluster
        .create::<StatefulSet>(json!({
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 2,
                "serviceName": "web",
                "selector": {"matchLabels": {"app": "web"}},
                "template": template("Always"),
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }],
            },
        }))
        .await;
    until(async || cluster.names::<Pod>().await == ["web-0"]).await;
    assert_eq!(cluster.names::<PersistentVolumeClaim>().await, ["data-web-0"]);
    let pod = cluster.api::<Pod>().get("web-0").await.expect("the pod");
    assert_eq!(pod.spec.hostname, "web-0");
    cluster.report("web-0", "Running", "True").await;
    until(async || cluster.names::<Pod>().await == ["web-0", "web-1"]).await;
    cluster.report("web-1", "Running", "True").await;
    let sets = cluster.api::<StatefulSet>();
    let status = async || sets.get("web").await.expect("the set").status;
    until(async || status().await.ready_replicas == 2).await;
    until(async || status().await.current_revision == status().await.update_revision).await;

    // An update begins with the highest.
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "newer"}]}}}});
    let patch = Patch::Strategic(image);
    sets.patch("web", &patch, &PatchParams::default())
        .await
        .expect("patched");
    let image = async |pod: &str| match cluster.api::<Pod>().get(pod).await {
        Ok(pod) => pod.spec.containers[0].image.clone(),
        Err(_) => String::new(),
    };
    until(async || image("web-1").await == "newer").await;
    assert_eq!(image("web-0").await, "main");
    cluster.report("web-1", "Running", "True").await;
    until(async || image("web-0").await == "newer").await;
    cluster.report("web-0", "Running", "True").await;
    until(async || status().await.updated_replicas == 2).await;

    let patch = Patch::Merge(json!({"spec": {"replicas": 1}}));
    sets.patch("web", &patch, &PatchParams::default())
        .await
        .expect("patched");
    until(async || cluster.names::<Pod>().await == ["web-0"]).await;
    assert_eq!(
        cluster.names::<PersistentVolumeClaim>().await,
        ["data-web-0", "data-web-1"]
    );
}

fn job(spec: serde_json::Value) -> serde_json::Value {
    let mut job = json!({"metadata": {"name": "work"}, "spec": spec});
    job["spec"]["template"] = template("Never");
    job
}

#[tokio::test]
async fn a_job_runs_to_its_end_and_goes() {
    let cluster = Cluster::start().await;
    tokio::spawn(job::run(cluster.context("job-controller"), 2));
    tokio::spawn(finished_jobs::run(
        cluster.context("ttl-after-finished-controller"),
        1,
    ));
    let spec = json!({"completions": 3, "parallelism": 2, "completionMode": "Indexed"});
    cluster.create::<Job>(job(spec)).await;
    for _ in 0..3 {
        until(async || !pending(&cluster).await.is_empty()).await;
        let pod = pending(&cluster).await.remove(0);
        cluster.report(&pod, "Succeeded", "False").await;
    }
    let jobs = cluster.api::<Job>();
    let status = async || jobs.get("work").await.expect("the job").status;
    let is = async |type_: &str| {
        let conditions = status().await.conditions;
        conditions.iter().any(|condition| condition.type_ == type_)
    };
    until(async || is("Complete").await).await;
    let end = status().await;
    assert_eq!((end.succeeded, end.failed, end.active), (3, 0, 0));
    assert_eq!(end.completed_indexes, "0-2");
    let pods = cluster.api::<Pod>().list(&ListParams::default()).await;
    for pod in pods.expect("pods").items {
        assert!(pod.metadata.finalizers.is_empty(), "{:?}", pod.metadata);
    }

    let patch = Patch::Merge(json!({"spec": {"ttlSecondsAfterFinished": 0}}));
    jobs.patch("work", &patch, &PatchParams::default())
        .await
        .expect("patched");
    until(async || match jobs.get("work").await {
        Ok(job) => job.metadata.deletion_timestamp.is_some(),
        Err(error) => error.is_not_found(),
    })
    .await;
}

async fn pending(cluster: &Cluster) -> Vec<String> {
    let pods = cluster
        .api::<Pod>()
        .list(&ListParams::default())
        .await
        .expect("pods");
    let pending = pods.items.into_iter().filter(|pod| pod.status.phase == "Pending");
    pending.map(|pod| pod.metadata.name).collect()
}

#[tokio::test]
async fn a_job_fails_beyond_its_limit() {
    let cluster = Cluster::start().await;
    tokio::spawn(job::run(cluster.context("job-controller"), 2));
    let spec = json!({"completions": 2, "parallelism": 2, "backoffLimit": 0});
    cluster.create::<Job>(job(spec)).await;
    until(async || pending(&cluster).await.len() == 2).await;
    let pod = pending(&cluster).await.remove(0);
    cluster.report(&pod, "Failed", "False").await;
    let jobs = cluster.api::<Job>();
    until(async || {
        let status = jobs.get("work").await.expect("the job").status;
        let failed = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Failed");
        failed.is_some_and(|failed| failed.reason == "BackoffLimitExceeded") && status.failed == 2
    })
    .await;
}

#[tokio::test]
async fn a_cron_job_starts_a_job_when_its_minute_comes() {
    let cluster = Cluster::start().await;
    // Two minutes from now: one start is due as soon as the cron job is there.
    let clock = FakeClock::new(Timestamp::now() + SignedDuration::from_mins(2));
    let context = Context {
        clock: clock.clone(),
        ..cluster.context("cronjob-controller")
    };
    tokio::spawn(cron_job::run(context, 1));
    let spec = json!({"template": template("Never")});
    cluster
        .create::<CronJob>(json!({
            "metadata": {"name": "tick"},
            "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": spec}},
        }))
        .await;
    let minute = clock.now().as_second() / 60;
    let name = format!("tick-{minute}");
    until(async || cluster.names::<Job>().await == [name.clone()]).await;
    let crons = cluster.api::<CronJob>();
    until(async || {
        let status = crons.get("tick").await.expect("the cron job").status;
        status.active.len() == 1 && status.active[0].name == name && status.last_schedule_time.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_budget_counts_its_pods() {
    let cluster = Cluster::start().await;
    tokio::spawn(disruption::run(cluster.context("disruption-controller")));
    cluster
        .create::<PodDisruptionBudget>(json!({
            "metadata": {"name": "web"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }))
        .await;
    for name in ["a", "b"] {
        let mut pod = template("Always");
        pod["metadata"]["name"] = name.into();
        cluster.create::<Pod>(pod).await;
        cluster.report(name, "Running", "True").await;
    }
    let budgets = cluster.api::<PodDisruptionBudget>();
    let allowed = async || budgets.get("web").await.expect("the budget").status;
    until(async || allowed().await.disruptions_allowed == 1).await;
    assert_eq!(allowed().await.conditions[0].reason, "SufficientPods");
    cluster.report("a", "Running", "False").await;
    until(async || allowed().await.disruptions_allowed == 0).await;
    assert_eq!(allowed().await.current_healthy, 1);
}
