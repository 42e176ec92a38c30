//! Sources, workers and the status manager with a real API server: what a user sees of a pod.

use super::{dispatch::Dispatch, follow_api, housekeeping::Housekeeping};
use crate::{
    pleg::Pleg,
    pod,
    pod_table::PodTable,
    source::Change,
    test_node::{Node, PATIENCE},
};
use api::{
    Message,
    core::v1::{Node as ApiNode, Pod, ServiceAccount},
};
use client::{Api, Client, params::DeleteParams};
use component_base::clock::SystemClock;
use controller_runtime::{Informer, informer::Options};
use std::sync::Arc;
use testkit::ApiServer;
use tokio::sync::{mpsc, watch};

struct Attached {
    node: Node,
    changes: mpsc::UnboundedSender<Change>,
    admin: Client,
    _server: ApiServer,
}

impl Attached {
    async fn start() -> Self {
        let server = ApiServer::start().await;
        let admin = server.client();
        let client = server.client_as("system:node:node", &["system:nodes"]);
        let mut account = ServiceAccount::default();
        account.metadata.name = "default".into();
        admin
            .api::<ServiceAccount>()
            .namespace("default")
            .create(&account)
            .await
            .unwrap();
        let mut object = ApiNode::default();
        object.metadata.name = "node".into();
        let object = client.api::<ApiNode>().create(&object).await.unwrap();
        let node = Node::attached(client.clone()).await;
        node.passes.mirrors.set_node_uid(&object.metadata.uid);
        let changes = Self::run(&node, client, object);
        Self {
            node,
            changes,
            admin,
            _server: server,
        }
    }

    /// Starts what an agent would, but for what looks at the machine.
    fn run(node: &Node, client: Client, object: ApiNode) -> mpsc::UnboundedSender<Change> {
        let passes = &node.passes;
        let clock = SystemClock::shared();
        let shutdown = node.shutdown.clone();
        let (changes, receiver) = mpsc::unbounded_channel();
        let informer = Informer::start(
            client.api::<Pod>(),
            Options::fields("spec.nodeName=node"),
            shutdown.clone(),
        );
        tokio::spawn(follow_api(informer, changes.clone()));
        tokio::spawn(node.statuses.clone().run(client, clock.clone(), shutdown.clone()));
        let pods = Arc::new(PodTable::default());
        let pool = node.pool.clone();
        let pleg = Pleg::new(
            passes.runtime.clone(),
            clock.clone(),
            passes.metrics.clone(),
            Box::new(|_| {}),
        );
        let dispatch = Dispatch {
            client: None,
            resizes: node.passes.resizes.clone(),
            waiting: crate::agent::resizes::Waiting::default(),
            pool: pool.clone(),
            pods: pods.clone(),
            statuses: node.statuses.clone(),
            mirrors: passes.mirrors.clone(),
            events: passes.events.clone(),
            clock: clock.clone(),
            metrics: passes.metrics.clone(),
            settings: passes.settings.clone(),
            node: watch::channel(Some(Arc::new(object))).1,
            labels: Default::default(),
            pressure: Default::default(),
        };
        let housekeeping = Housekeeping {
            reclaimer: node.reclaimer(&pods),
            pool,
            pods,
            pleg,
            passes: passes.clone(),
            statuses: node.statuses.clone(),
            mirrors: passes.mirrors.clone(),
            metrics: passes.metrics.clone(),
            rounds: 0,
        };
        tokio::spawn(async move { dispatch.run(receiver, 1, housekeeping, &shutdown).await });
        changes
    }

    fn api(&self) -> Api<Pod> {
        self.admin.api::<Pod>().namespace("default")
    }

    /// Waits until the API shows of the pod what is wanted; nothing stands for its absence.
    async fn until(&self, name: &str, wanted: impl Fn(Option<&Pod>) -> bool) -> Option<Pod> {
        let informer = Informer::start(
            self.api(),
            Options::fields(format!("metadata.name={name}")),
            self.node.shutdown.child(),
        );
        let mut events = informer.subscribe();
        informer.synced().await;
        let wait = async {
            loop {
                let current = informer.store().list().first().map(|pod| Pod::clone(pod));
                if wanted(current.as_ref()) {
                    return current;
                }
                events.recv().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("{name} stays {:?}", informer.store().list()))
    }
}

fn manifest(name: &str) -> Pod {
    let json = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"default"}},"spec":{{"nodeName":"node",
            "automountServiceAccountToken":false,"containers":[{{"name":"a","image":"x:1"}}]}}}}"#
    );
    Pod::from_json(json.as_bytes()).unwrap()
}

fn is_ready(pod: Option<&Pod>) -> bool {
    pod.is_some_and(|pod| {
        pod.status.phase == "Running"
            && pod
                .status
                .conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_shown_as_ready_and_goes_when_deleted() {
    let attached = Attached::start().await;
    attached.api().create(&manifest("web")).await.unwrap();
    let pod = attached.until("web", is_ready).await.unwrap();
    assert_eq!(
        (pod.status.pod_ip.as_str(), pod.status.host_ip.as_str()),
        ("10.0.0.9", "192.168.0.1")
    );
    assert_eq!(pod.status.observed_generation, pod.metadata.generation);
    attached
        .api()
        .delete("web", &DeleteParams::grace(5))
        .await
        .unwrap();
    attached.until("web", |pod| pod.is_none()).await;
    assert!(
        attached
            .node
            .runtime
            .take_calls()
            .contains(&"stop a within 5s".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_does_not_fit_is_failed_with_the_reason() {
    let attached = Attached::start().await;
    let mut spec = manifest("picky");
    spec.spec.node_selector.insert("disk".into(), "ssd".into());
    attached.api().create(&spec).await.unwrap();
    let failed = |pod: Option<&Pod>| pod.is_some_and(|pod| pod.status.phase == "Failed");
    let pod = attached.until("picky", failed).await.unwrap();
    assert_eq!(pod.status.reason, "NodeAffinity");
    assert!(
        pod.status
            .message
            .starts_with("Pod was rejected: Predicate NodeAffinity failed")
    );
    attached
        .api()
        .delete("picky", &DeleteParams::grace(30))
        .await
        .unwrap();
    attached.until("picky", |pod| pod.is_none()).await;
    assert_eq!(attached.node.runtime.take_calls(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_pod_is_mirrored_for_as_long_as_it_is_there() {
    let attached = Attached::start().await;
    let mut spec = manifest("etcd-node");
    spec.metadata.uid = "0123456789abcdef0123456789abcdef".into();
    spec.metadata
        .annotations
        .insert(pod::CONFIG_SOURCE.into(), "file".into());
    spec.metadata
        .annotations
        .insert(pod::CONFIG_HASH.into(), spec.metadata.uid.clone());
    let spec = Arc::new(spec);
    attached.changes.send(Change::Set(spec.clone())).unwrap();
    let mirror = attached.until("etcd-node", is_ready).await.unwrap();
    assert!(pod::is_mirror(&mirror));
    assert_eq!(mirror.metadata.owner_references[0].kind, "Node");
    attached
        .api()
        .delete("etcd-node", &DeleteParams::grace(0))
        .await
        .unwrap();
    let another =
        |pod: Option<&Pod>| pod.is_some_and(|pod| pod.metadata.uid != mirror.metadata.uid) && is_ready(pod);
    attached.until("etcd-node", another).await;
    attached
        .changes
        .send(Change::Removed(spec.metadata.uid.clone()))
        .unwrap();
    attached.until("etcd-node", |pod| pod.is_none()).await;
}
