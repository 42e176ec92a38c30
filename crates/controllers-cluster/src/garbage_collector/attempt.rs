//! Looks at one object on the server and does what the plan says.

use std::sync::{Arc, PoisonError};

use api::meta::v1::{DeleteOptions, ObjectMeta, OwnerReference, Preconditions};
use client::metadata::MetadataApi;
use client::{Error, Patch, ResourcePath, Scope};
use controller_runtime::Context;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use futures_util::future::{BoxFuture, join_all};
use serde_json::{Value, json};
use tracing::{debug, info};

use super::Shared;
use super::graph::{FOREGROUND, Identity, Kind, Node, ORPHAN};
use super::plan::{self, Action, Dependents, OwnerState, Policy};

/// Attempts at a patch that carries a version, when others write the object too.
const PATCH_ATTEMPTS: u32 = 5;

pub(super) fn delete_worker(context: &Context, shared: &Arc<Shared>) -> Arc<dyn Reconcile<String>> {
    Arc::new(DeleteWorker(Worker {
        context: context.clone(),
        shared: shared.clone(),
    }))
}

pub(super) fn orphan_worker(context: &Context, shared: &Arc<Shared>) -> Arc<dyn Reconcile<String>> {
    Arc::new(OrphanWorker(Worker {
        context: context.clone(),
        shared: shared.clone(),
    }))
}

struct DeleteWorker(Worker);
struct OrphanWorker(Worker);

impl Reconcile<String> for DeleteWorker {
    fn reconcile<'a>(&'a self, uid: &'a String) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let node = self.0.shared.graph().get(uid).cloned();
            match node {
                Some(node) => self.0.attempt_delete(&node).await,
                None => Ok(Outcome::Done),
            }
        })
    }
}

impl Reconcile<String> for OrphanWorker {
    fn reconcile<'a>(&'a self, uid: &'a String) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let node = self.0.shared.graph().get(uid).cloned();
            match node {
                Some(node) => self.0.orphan(&node).await,
                None => Ok(Outcome::Done),
            }
        })
    }
}

/// A kind that discovery doesn't know (yet).
#[derive(Debug, thiserror::Error)]
#[error("no resource is known for kind {kind:?} of group {group:?}")]
struct UnknownKind {
    group: String,
    kind: String,
}

struct Worker {
    context: Context,
    shared: Arc<Shared>,
}

impl Worker {
    /// The resource that an object is in, and whether it is namespaced.
    fn resource(&self, kind: &Kind, namespace: &str) -> Result<(MetadataApi, bool), UnknownKind> {
        let resources = self
            .shared
            .resources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (gvr, namespaced) = resources.get(kind).ok_or_else(|| UnknownKind {
            group: kind.group.to_string(),
            kind: kind.kind.to_string(),
        })?;
        let scope = if namespaced {
            Scope::Namespace(namespace.to_owned())
        } else {
            Scope::All
        };
        Ok((
            MetadataApi::new(self.context.client.clone(), ResourcePath::new(gvr, scope)),
            namespaced,
        ))
    }

    async fn attempt_delete(&self, node: &Node) -> Result<Outcome, driver::Error> {
        // On its way already; only waiting for dependents needs our help.
        if node.being_deleted && !node.deleting_dependents {
            return Ok(Outcome::Done);
        }
        let (api, _) = self.resource(&node.identity.kind, &node.identity.namespace)?;
        let live = match api.get(&node.identity.name).await {
            Ok(object) if object.metadata.uid == node.identity.uid => object.metadata,
            Ok(_) => return Ok(self.absent(&node.identity)),
            Err(error) if error.is_not_found() => return Ok(self.absent(&node.identity)),
            Err(error) => return Err(error.into()),
        };
        if node.deleting_dependents {
            self.finish_foreground(&api, node).await?;
        } else {
            self.collect(&api, node, &live).await?;
        }
        // It exists but its watch hasn't told: until then it may vanish unseen.
        Ok(if node.is_virtual {
            Outcome::Retry
        } else {
            Outcome::Done
        })
    }

    fn absent(&self, identity: &Identity) -> Outcome {
        let work = self.shared.graph().forget_absent(identity);
        self.shared.enqueue(work);
        Outcome::Done
    }

    async fn collect(&self, api: &MetadataApi, node: &Node, live: &ObjectMeta) -> Result<(), driver::Error> {
        let mut owners = Vec::with_capacity(live.owner_references.len());
        for reference in &live.owner_references {
            match self.owner_state(node, reference).await? {
                Some(state) => owners.push((reference.clone(), state)),
                // A cluster-scoped object can't have a namespaced owner: no retry will mend that.
                None => return Ok(()),
            }
        }
        let dependents = {
            let graph = self.shared.graph();
            let dependents = graph.dependents(&node.identity.uid);
            Dependents {
                any: !dependents.is_empty(),
                any_deleting_theirs: dependents.iter().any(|dependent| dependent.deleting_dependents),
            }
        };
        match plan::plan(live, &owners, dependents) {
            Action::Keep => Ok(()),
            Action::DropOwners(uids) => Ok(drop_owners(api, live, &uids).await?),
            Action::Delete {
                policy,
                unblock_owners,
            } => {
                if unblock_owners {
                    unblock(api, live).await?;
                }
                self.delete(api, node, live, policy, unblock_owners).await
            }
        }
    }

    /// The live state of an owner; none when the reference is invalid.
    async fn owner_state(
        &self,
        node: &Node,
        reference: &OwnerReference,
    ) -> Result<Option<OwnerState>, driver::Error> {
        let claimed = Identity::claimed(reference, &node.identity.namespace);
        let anywhere = Identity {
            namespace: String::new(),
            ..claimed.clone()
        };
        {
            let mut absent = self.shared.absent();
            if absent.contains(&claimed) || absent.contains(&anywhere) {
                return Ok(Some(OwnerState::Absent));
            }
        }
        let (api, namespaced) = self.resource(&claimed.kind, &node.identity.namespace)?;
        if namespaced && node.identity.namespace.is_empty() {
            self.tell_invalid_owner(node, reference);
            return Ok(None);
        }
        let key = if namespaced { claimed } else { anywhere };
        match api.get(&reference.name).await {
            Ok(owner) if owner.metadata.uid == reference.uid => {
                let waits = owner.metadata.deletion_timestamp.is_some()
                    && owner
                        .metadata
                        .finalizers
                        .iter()
                        .any(|finalizer| finalizer == FOREGROUND);
                Ok(Some(if waits {
                    OwnerState::WaitsForDependents
                } else {
                    OwnerState::Exists
                }))
            }
            Err(error) if !error.is_not_found() => Err(error.into()),
            Ok(_) | Err(_) => {
                self.shared.absent().insert(&key);
                Ok(Some(OwnerState::Absent))
            }
        }
    }

    fn tell_invalid_owner(&self, node: &Node, reference: &OwnerReference) {
        let identity = &node.identity;
        let object = api::core::v1::ObjectReference {
            kind: identity.kind.kind.to_string(),
            namespace: identity.namespace.clone(),
            name: identity.name.clone(),
            uid: identity.uid.clone(),
            ..Default::default()
        };
        let message = format!(
            "ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in namespace {:?}",
            reference.api_version,
            reference.kind,
            identity.namespace,
            reference.name,
            reference.uid,
            identity.namespace
        );
        let recorder = &self.context.recorder;
        recorder.event_for(
            object,
            EventType::Warning,
            "OwnerRefInvalidNamespace",
            "",
            message,
        );
    }

    async fn delete(
        &self,
        api: &MetadataApi,
        node: &Node,
        live: &ObjectMeta,
        policy: Policy,
        patched: bool,
    ) -> Result<(), driver::Error> {
        // The version guards against an owner that was added since we looked.
        let resource_version = (!patched).then(|| live.resource_version.clone());
        let options = DeleteOptions {
            propagation_policy: Some(policy.as_str().into()),
            preconditions: Some(Box::new(Preconditions {
                uid: Some(live.uid.clone()),
                resource_version,
            })),
            ..DeleteOptions::default()
        };
        match api.delete(&live.name, &options).await {
            Err(error) if error.is_not_found() => drop(self.absent(&node.identity)),
            outcome => {
                outcome?;
                let kind = &node.identity.kind.kind;
                info!(%kind, namespace = %live.namespace, name = %live.name, policy = policy.as_str(),
                    "deleted an object without owners");
            }
        }
        Ok(())
    }

    /// Lets an owner go once nothing blocks it, else sees to it that what blocks it goes.
    async fn finish_foreground(&self, api: &MetadataApi, node: &Node) -> Result<(), driver::Error> {
        let uid = &node.identity.uid;
        let blocking: Vec<(String, bool)> = {
            let graph = self.shared.graph();
            let blocking = graph.blocking_dependents(uid);
            blocking
                .iter()
                .map(|d| (d.identity.uid.clone(), d.deleting_dependents))
                .collect()
        };
        if blocking.is_empty() {
            remove_finalizer(api, &node.identity, FOREGROUND).await?;
        }
        for (dependent, deleting_theirs) in blocking {
            if !deleting_theirs {
                self.shared.to_delete.add(dependent);
            }
        }
        Ok(())
    }

    async fn orphan(&self, node: &Node) -> Result<Outcome, driver::Error> {
        let uid = &node.identity.uid;
        let dependents: Vec<Identity> = {
            let graph = self.shared.graph();
            graph
                .dependents(uid)
                .iter()
                .map(|dependent| dependent.identity.clone())
                .collect()
        };
        let released = join_all(dependents.iter().map(|dependent| self.release(dependent, uid))).await;
        released.into_iter().collect::<Result<(), driver::Error>>()?;
        let (api, _) = self.resource(&node.identity.kind, &node.identity.namespace)?;
        remove_finalizer(&api, &node.identity, ORPHAN).await?;
        debug!(kind = %node.identity.kind.kind, name = %node.identity.name, "orphaned dependents");
        Ok(Outcome::Done)
    }

    /// Takes an owner out of one dependent. One that is gone or was replaced needs nothing.
    async fn release(&self, dependent: &Identity, owner: &str) -> Result<(), driver::Error> {
        let (api, _) = self.resource(&dependent.kind, &dependent.namespace)?;
        match api.get(&dependent.name).await {
            Ok(live) if live.metadata.uid == dependent.uid => {
                Ok(drop_owners(&api, &live.metadata, &[owner.to_owned()]).await?)
            }
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Removes references by a strategic patch where the kind takes one, else by replacing the list.
async fn drop_owners(api: &MetadataApi, live: &ObjectMeta, uids: &[String]) -> Result<(), Error> {
    let entries: Vec<Value> = uids
        .iter()
        .map(|uid| json!({"$patch": "delete", "uid": uid}))
        .collect();
    let strategic = json!({"metadata": {"ownerReferences": entries, "uid": live.uid}});
    let kept = live
        .owner_references
        .iter()
        .filter(|reference| !uids.contains(&reference.uid));
    patch_owners(api, live, strategic, kept.cloned().collect()).await
}

/// Makes an object's references block its owners no more, so that the two don't wait for each other.
async fn unblock(api: &MetadataApi, live: &ObjectMeta) -> Result<(), Error> {
    let mut references = live.owner_references.clone();
    references
        .iter_mut()
        .for_each(|reference| reference.block_owner_deletion = Some(false));
    let entries: Vec<Value> = live
        .owner_references
        .iter()
        .filter(|reference| reference.block_owner_deletion == Some(true))
        .map(|reference| json!({"uid": reference.uid, "blockOwnerDeletion": false}))
        .collect();
    let strategic = json!({"metadata": {"ownerReferences": entries, "uid": live.uid}});
    patch_owners(api, live, strategic, references).await
}

async fn patch_owners(
    api: &MetadataApi,
    live: &ObjectMeta,
    strategic: Value,
    whole: Vec<OwnerReference>,
) -> Result<(), Error> {
    let outcome = match api.patch(&live.name, &Patch::Strategic(strategic)).await {
        // Custom resources have no merge keys.
        Err(error) if error.status().is_some_and(|status| status.code == 415) => {
            let list: Vec<Value> = whole
                .iter()
                .map(client::dynamic::to_value)
                .collect::<Result<_, _>>()?;
            let version = &live.resource_version;
            let patch = json!({"metadata": {"resourceVersion": version, "ownerReferences": list}});
            api.patch(&live.name, &Patch::Merge(patch)).await
        }
        outcome => outcome,
    };
    match outcome {
        Err(error) if error.is_not_found() => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Removes a finalizer from the live object, guarded by its version.
async fn remove_finalizer(api: &MetadataApi, identity: &Identity, finalizer: &str) -> Result<(), Error> {
    for attempt in 1.. {
        let live = match api.get(&identity.name).await {
            Ok(object) if object.metadata.uid == identity.uid => object.metadata,
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let kept: Vec<&String> = live
            .finalizers
            .iter()
            .filter(|other| *other != finalizer)
            .collect();
        if kept.len() == live.finalizers.len() {
            return Ok(());
        }
        let patch = json!({"metadata": {"resourceVersion": live.resource_version, "finalizers": kept}});
        match api.patch(&live.name, &Patch::Merge(patch)).await {
            Err(error) if error.is_conflict() && attempt < PATCH_ATTEMPTS => {}
            Err(error) if error.is_not_found() => return Ok(()),
            outcome => return outcome.map(drop),
        }
    }
    Ok(())
}
