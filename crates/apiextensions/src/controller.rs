//! Keeps what is served in step with the definitions, and their statuses with what is served.
//!
//! Level-triggered: a change of any definition starts a pass over all of them as they are then, so that a server that starts
//! and one that hears of another's write do the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::apiextensions::v1::CustomResourceDefinition;
use apimachinery::status::Status;
use apiserver::local::Local;
use apiserver::objects::failed;
use apiserver::openapi::CustomKind;
use apiserver::resource::Table;
use component_base::shutdown::Shutdown;
use futures_util::{FutureExt, StreamExt};
use registry::extensions::approval;
use storage::Key;
use storage::cache::{Freshness, Scope, Start, Watch, WatchRequest};
use tokio::sync::{mpsc, oneshot};

use crate::conditions::{ESTABLISHED, NAMES_ACCEPTED, holds, set};
use crate::conversion::Metrics;
use crate::names::{self, Decision};
use crate::rows::Rows;
use crate::served::CustomResource;
use crate::{conformance, discovery, finalizing};

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How long a pass waits for the cache of a new resource. What is not there then is served when it is.
const CACHE_WAIT: Duration = Duration::from_secs(10);
/// Definitions whose end can be reported at a time; more wait.
const ENDINGS: usize = 64;

/// Post-start hooks that are done when what was defined before is served.
const HOOKS: [&str; 3] = [
    "start-apiextensions-informers",
    "start-apiextensions-controllers",
    "crd-informer-synced",
];

/// See the module.
pub struct Controller {
    local: Local,
    rows: Rows,
    conversions: Arc<Metrics>,
    resources: BTreeMap<String, CustomResource>,
    /// Definitions, by uid, that conformed when they were last looked at: large schemas are not judged each time.
    judged: BTreeMap<String, Judged>,
    /// What OpenAPI documents show.
    published: Vec<CustomKind>,
    /// Definitions, by uid, whose objects are being deleted.
    finalizing: BTreeSet<String>,
    ended: (mpsc::Sender<String>, mpsc::Receiver<String>),
}

impl Controller {
    /// A controller of the server that it is a client of.
    pub fn new(local: Local) -> Controller {
        let conversions = Arc::new(Metrics::new(&local.api().metrics.registry));
        Controller {
            local,
            conversions,
            rows: Rows::default(),
            resources: BTreeMap::new(),
            judged: BTreeMap::new(),
            published: Vec::new(),
            finalizing: BTreeSet::new(),
            ended: mpsc::channel(ENDINGS),
        }
    }

    /// Runs until the shutdown. `ready` is told once everything that was defined before is served.
    pub fn start(self, ready: oneshot::Sender<()>, shutdown: Shutdown) {
        tokio::spawn(async move { shutdown.guard(self.run(ready)).await });
    }

    async fn run(mut self, ready: oneshot::Sender<()>) {
        let mut ready = Some(ready);
        loop {
            if let Err(error) = self.follow(&mut ready).await {
                tracing::warn!(%error, "following the definitions of custom resources starts anew");
            }
            self.local.api().clock.sleep(RETRY).await;
        }
    }

    /// A pass for each change, until the watch ends or a pass fails.
    async fn follow(&mut self, ready: &mut Option<oneshot::Sender<()>>) -> Result<(), Status> {
        let mut watch = self.watch().await?;
        loop {
            self.pass().await?;
            if let Some(ready) = ready.take() {
                HOOKS.iter().for_each(|hook| self.local.api().health.done(hook));
                // Nobody waits any more if the server is going down.
                ready.send(()).ok();
            }
            let (_, ended) = &mut self.ended;
            tokio::select! {
                event = watch.next() => match event {
                    Some(event) => drop(event.map_err(|error| failed(&error))?),
                    None => return Ok(()),
                },
                Some(uid) = ended.recv() => drop(self.finalizing.remove(&uid)),
            }
            // Whatever came meanwhile is seen by the same pass.
            while let Some(Some(event)) = watch.next().now_or_never() {
                event.map_err(|error| failed(&error))?;
            }
        }
    }

    async fn watch(&self) -> Result<Watch, Status> {
        let objects = self.local.api().resources.objects(GROUP, PLURAL);
        let objects = objects.ok_or_else(|| Status::internal(format!("{PLURAL} are not served")))?;
        let request = WatchRequest {
            scope: Scope::Prefix(Key::from(objects.prefix())),
            start: Start::State(Freshness::Latest),
            predicate: None,
            bookmarks: false,
            initial_events_end: true,
        };
        let watch = objects.cache.watch(request).await;
        watch.map_err(|error| failed(&error))
    }

    async fn pass(&mut self) -> Result<(), Status> {
        let mut definitions = self.local.list::<CustomResourceDefinition>("").await?;
        let all: Vec<&CustomResourceDefinition> =
            definitions.iter().map(|definition| &**definition).collect();
        let decisions = names::decide(&all);
        let now = self.local.api().clock.now();
        let mut undecided = Vec::new();
        let mut judged = BTreeMap::new();
        for (definition, decision) in definitions.iter_mut().zip(decisions) {
            let state = Judged::of(definition);
            let conforms = self.judged.get(&definition.metadata.uid) == Some(&state)
                || conformance::outdated(definition).is_empty();
            if conforms {
                judged.insert(definition.metadata.uid.clone(), state);
            }
            if decision.is_some() || !conforms {
                // What is to be established is served before anybody can read that it is.
                let before = definition.clone();
                apply(definition, decision.as_ref(), now);
                undecided.push((before, decision));
            }
        }
        self.judged = judged;
        self.serve(&definitions).await;
        for (definition, decision) in undecided {
            self.write(&definition, decision).await?;
        }
        for definition in definitions
            .into_iter()
            .filter(|definition| finalizing::is_due(definition))
        {
            self.finalize(*definition);
        }
        Ok(())
    }

    /// Serves what the definitions say, and nothing else.
    async fn serve(&mut self, definitions: &[Box<CustomResourceDefinition>]) {
        let is_served = |definition: &CustomResourceDefinition| {
            holds(definition, NAMES_ACCEPTED) || holds(definition, ESTABLISHED)
        };
        let mut before = std::mem::take(&mut self.resources);
        let mut new = Vec::new();
        for definition in definitions.iter().filter(|definition| is_served(definition)) {
            let name = definition.metadata.name.clone();
            let known = before.remove(&name).filter(|known| {
                let is_same = known.is_of(definition);
                if !is_same {
                    known.cache.retire();
                }
                is_same
            });
            let resource = match known {
                Some(mut known) => {
                    known.follow(definition);
                    known
                }
                None => match CustomResource::open(
                    definition,
                    &mut self.rows,
                    self.local.api(),
                    &self.conversions,
                ) {
                    Ok(opened) => {
                        new.push(opened.cache.clone());
                        opened
                    }
                    Err(error) => {
                        tracing::error!(definition = %name, %error, "a custom resource can't be served");
                        continue;
                    }
                },
            };
            self.resources.insert(name, resource);
        }
        let filled = futures_util::future::join_all(new.iter().map(|cache| cache.ready()));
        if tokio::time::timeout(CACHE_WAIT, filled).await.is_err() {
            tracing::warn!("caches of new custom resources are not filled yet");
        }
        self.publish();
        before.into_values().for_each(|gone| gone.cache.retire());
    }

    fn publish(&mut self) {
        let mut table = Table::default();
        self.resources
            .values()
            .for_each(|resource| resource.add_to(&mut table));
        let api = self.local.api();
        api.resources.set_custom(table);
        api.groups.set_custom(discovery::groups(self.resources.values()));
        let kinds = self.resources.values().filter(|resource| resource.is_shown);
        let kinds: Vec<CustomKind> = kinds.flat_map(CustomResource::kinds).collect();
        if kinds != self.published {
            self.published.clone_from(&kinds);
            let documents = api.openapi.load().with_custom(kinds);
            api.openapi.store(Arc::new(documents));
        }
    }

    /// Writes a decision, unless the definition has become another meanwhile: then there comes another pass.
    async fn write(
        &self,
        definition: &CustomResourceDefinition,
        decision: Option<Decision>,
    ) -> Result<(), Status> {
        let now = self.local.api().clock.now();
        let (uid, spec) = (definition.metadata.uid.clone(), definition.spec.clone());
        let name = &definition.metadata.name;
        let written = self
            .local
            .update_status::<CustomResourceDefinition>("", name, move |current| {
                if current.metadata.uid == uid && current.spec == spec {
                    apply(current, decision.as_ref(), now);
                }
            });
        match written.await {
            Err(status) if status.is_not_found() => Ok(()),
            done => done.map(drop),
        }
    }

    fn finalize(&mut self, definition: CustomResourceDefinition) {
        let uid = definition.metadata.uid.clone();
        if !self.finalizing.insert(uid.clone()) {
            return;
        }
        let (local, ended) = (self.local.clone(), self.ended.0.clone());
        let resource = self.resources.get(&definition.metadata.name);
        let stored = resource.and_then(|resource| {
            let stored = resource.versions.iter().find(|version| version.row.is_stored());
            stored.map(|version| version.objects.clone())
        });
        tokio::spawn(async move {
            if let Err(error) = finalizing::finalize(&local, &definition, stored).await {
                let name = &definition.metadata.name;
                tracing::warn!(definition = %name, %error, "objects of a deleted definition are still there");
                local.api().clock.sleep(RETRY).await;
            }
            // The controller may have ended.
            ended.send(uid).await.ok();
        });
    }
}

/// What it depends on whether a definition conforms.
#[derive(PartialEq, Eq)]
struct Judged {
    generation: i64,
    approval: String,
    conditions: usize,
}

impl Judged {
    fn of(definition: &CustomResourceDefinition) -> Judged {
        Judged {
            generation: definition.metadata.generation,
            approval: approval::stated(definition).to_owned(),
            conditions: definition.status.conditions.len(),
        }
    }
}

fn apply(definition: &mut CustomResourceDefinition, decision: Option<&Decision>, now: jiff::Timestamp) {
    if let Some(decision) = decision {
        definition.status.accepted_names.clone_from(&decision.accepted);
        set(definition, decision.names.clone(), now);
        set(definition, decision.established.clone(), now);
    }
    for (kind, wanted) in conformance::outdated(definition) {
        match wanted {
            Some(condition) => set(definition, condition, now),
            None => definition
                .status
                .conditions
                .retain(|condition| condition.type_ != kind),
        }
    }
}
