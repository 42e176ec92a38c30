//! Daemons that are killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::core::v1::ConfigMap;
use api::meta::v1::DeleteOptions;
use client::{Client, Config, ListParams};

use crate::cases::Scene;
use crate::cases::ledger::{Content, Ledger};
use crate::kubectl::{contains, same};
use crate::{Failure, Outcome};

/// How often the API server is killed during writes.
const KILLS: usize = 20;
const WRITERS: usize = 4;
/// Writes that must have been acknowledged before each kill.
const WRITES_BETWEEN_KILLS: usize = 60;
/// How long a server may take from its start to those writes.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

pub fn daemons_resume(scene: &Scene<'_>) -> Outcome {
    let kubectl = &scene.kubectl;
    kubectl.run(&[
        "create",
        "deployment",
        "web",
        "--image=oxikube.io/echo:v1",
        "--replicas=2",
    ])?;
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    let ids = || {
        let path = "jsonpath={range .items[*]}{.status.containerStatuses[0].containerID}{'\\n'}{end}";
        kubectl.run(&["get", "pods", "-l", "app=web", "-o", path])
    };
    let before = ids()?;
    let daemons = [
        "node-1-kubelet",
        "node-2-kube-proxy",
        "kube-scheduler",
        "kube-controller-manager",
    ];
    for daemon in daemons {
        scene.cluster.kill(daemon)?;
    }
    scene.cluster.up_again()?;
    kubectl.run(&["scale", "deployment/web", "--replicas=4"])?;
    kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    let after = ids()?;
    for id in before.lines() {
        contains(&after, id)?;
    }
    Ok(())
}

/// The API server is killed again and again in the middle of creates, updates and deletes.
pub fn no_acknowledged_write_is_lost(scene: &Scene<'_>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let shared = Arc::new(Shared::default());
        let mut writers = Vec::new();
        for number in 0..WRITERS {
            let writer = Writer {
                maps: maps(scene)?,
                number,
                ledger: Ledger::default(),
                shared: shared.clone(),
            };
            writers.push(tokio::spawn(writer.run()));
        }
        for round in 1..=KILLS {
            shared.wait_for(round * WRITES_BETWEEN_KILLS).await?;
            scene.cluster.kill("kube-apiserver")?;
            scene.cluster.restart("kube-apiserver")?;
        }
        shared.wait_for((KILLS + 1) * WRITES_BETWEEN_KILLS).await?;
        shared.stop.store(true, Ordering::Relaxed);
        // Leaders that could not renew their leases in time have ended, as they must.
        scene.cluster.restart_ended()?;
        let mut ledgers = Vec::new();
        for writer in writers {
            ledgers.push(writer.await.map_err(|error| error.to_string())?);
        }
        verify(&ledgers, &shared, &stored(scene).await?)
    })
}

fn verify(ledgers: &[Ledger], shared: &Shared, stored: &BTreeMap<String, u64>) -> Outcome {
    let lost: Vec<_> = ledgers.iter().flat_map(|ledger| ledger.lost(stored)).collect();
    same("lost writes", lost, Vec::new())?;
    let contradictions = shared
        .contradictions
        .lock()
        .map_err(|error| error.to_string())?
        .clone();
    same("answers that contradict earlier ones", contradictions, Vec::new())?;
    for ledger in ledgers {
        let count = ledger.acknowledged();
        if count.creates == 0 || count.updates == 0 || count.deletes == 0 {
            return Err(format!("a writer got too little done: {count:?}"));
        }
    }
    Ok(())
}

type Maps = client::Api<ConfigMap>;

fn maps(scene: &Scene<'_>) -> Result<Maps, Failure> {
    let config = Config::from_kubeconfig(scene.cluster.kubeconfig())
        .map_err(|error| error.to_string())?
        .with_rate(-1.0, 0);
    let client = Client::new(config).map_err(|error| error.to_string())?;
    Ok(client.api::<ConfigMap>().namespace(scene.namespace))
}

async fn stored(scene: &Scene<'_>) -> Result<BTreeMap<String, u64>, Failure> {
    let list = maps(scene)?
        .list(&ListParams::default())
        .await
        .map_err(|error| error.to_string())?;
    let value = |map: &ConfigMap| map.data.get("value").and_then(|text| text.parse().ok());
    Ok(list
        .items
        .iter()
        .filter_map(|map| Some((map.metadata.name.clone(), value(map)?)))
        .collect())
}

/// What the writers and whoever kills the server tell each other.
#[derive(Default)]
struct Shared {
    acknowledged: AtomicUsize,
    stop: AtomicBool,
    contradictions: Mutex<Vec<String>>,
}

impl Shared {
    async fn wait_for(&self, writes: usize) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let acknowledged = self.acknowledged.load(Ordering::Relaxed);
            if acknowledged >= writes {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "only {acknowledged} of {writes} writes were acknowledged"
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Creates, updates and, every other time, deletes one object after the other.
struct Writer {
    maps: Maps,
    number: usize,
    ledger: Ledger,
    shared: Arc<Shared>,
}

impl Writer {
    async fn run(mut self) -> Ledger {
        for count in 0.. {
            if self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let name = format!("w-{}-{count}", self.number);
            let contents = [Some(1), Some(2), None];
            let steps = if count % 2 == 0 { 3 } else { 2 };
            for content in &contents[..steps] {
                // After a failure nobody knows what the object holds: the next one's turn.
                if !self.write(&name, *content).await {
                    tokio::time::sleep(PAUSE).await;
                    break;
                }
            }
        }
        self.ledger
    }

    async fn write(&mut self, name: &str, content: Content) -> bool {
        let mut map = ConfigMap::default();
        map.metadata.name = name.to_owned();
        map.data
            .insert("value".to_owned(), content.unwrap_or_default().to_string());
        self.ledger.begin(name, content);
        let answer = match content {
            Some(1) => self.maps.create(&map).await.map(drop),
            Some(_) => self.maps.update(&map).await.map(drop),
            None => self.maps.delete(name, &DeleteOptions::default()).await,
        };
        match answer {
            Ok(()) => {
                self.ledger.acknowledge(name);
                self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                true
            }
            // Its creation was acknowledged before.
            Err(error) if error.is_not_found() && content != Some(1) => {
                if let Ok(mut contradictions) = self.shared.contradictions.lock() {
                    contradictions.push(format!("{name}: {error}"));
                }
                false
            }
            Err(_) => false,
        }
    }
}
