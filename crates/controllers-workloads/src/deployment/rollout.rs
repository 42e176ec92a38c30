//! The working state of a plan: replica sets as they will be, and what must be written to get there.

use api::apps::v1::{Deployment, ReplicaSet};
use api::meta::v1::LabelSelector;
use apimachinery::time::Time;
use controller_runtime::ownership::controller_ref;

use super::plan::{Action, Observed, Plan};
use super::{annotations, conditions, progress, sizes, template_hash};

/// The label that tells the pods of a deployment's replica sets apart.
pub const HASH_LABEL: &str = "pod-template-hash";

/// Whether the new template's replica set is made when there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateNew {
    Never,
    IfMissing,
}

/// A replica set as it was and as it will be.
#[derive(Clone, Debug)]
pub struct Sized {
    pub set: ReplicaSet,
    stored: Option<Box<ReplicaSet>>,
    event: Option<String>,
}

impl Sized {
    fn stored(set: &ReplicaSet) -> Self {
        Sized {
            set: set.clone(),
            stored: Some(Box::new(set.clone())),
            event: None,
        }
    }

    pub fn size(&self) -> i32 {
        sizes::size(&self.set)
    }

    pub fn available(&self) -> i32 {
        self.set.status.available_replicas
    }
}

pub struct Rollout {
    pub deployment: Deployment,
    pub new: Option<Sized>,
    /// Oldest first.
    pub old: Vec<Sized>,
    pub now: Time,
    stored: Deployment,
    deleted: Vec<String>,
}

impl Rollout {
    pub fn new(observed: &Observed, now: Time) -> Self {
        let deployment = observed.deployment.clone();
        let mut sets: Vec<&ReplicaSet> = observed.replica_sets.iter().collect();
        sets.sort_by_key(|set| (set.metadata.creation_timestamp, set.metadata.name.as_str()));
        let template = &deployment.spec.template;
        let found = sets
            .iter()
            .position(|set| template_hash::same_template(&set.spec.template, template));
        let new = found.map(|index| Sized::stored(sets.remove(index)));
        let old = sets.into_iter().map(Sized::stored).collect();
        Rollout {
            stored: deployment.clone(),
            deployment,
            new,
            old,
            now,
            deleted: Vec::new(),
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &Sized> {
        self.old.iter().chain(&self.new)
    }

    /// Pods that all replica sets together are to have.
    pub fn total_size(&self) -> i32 {
        self.all().map(Sized::size).sum()
    }

    pub fn total_available(&self) -> i32 {
        self.all().map(Sized::available).sum()
    }

    /// A progress deadline starts to count when a paused rollout resumes, not while it is paused.
    pub fn note_pause(&mut self) {
        if !sizes::has_progress_deadline(&self.deployment) {
            return;
        }
        let current = conditions::find(&self.deployment.status, conditions::PROGRESSING);
        let reason = current
            .map(|condition| condition.reason.as_str())
            .unwrap_or_default();
        let (reason, message) = match (self.deployment.spec.paused, reason) {
            (_, conditions::TIMED_OUT) | (true, conditions::PAUSED) => return,
            (true, _) => (conditions::PAUSED, "Deployment is paused"),
            (false, conditions::PAUSED) => (conditions::RESUMED, "Deployment is resumed"),
            (false, _) => return,
        };
        let condition = conditions::new(
            conditions::PROGRESSING,
            "Unknown",
            reason,
            message.to_owned(),
            self.now,
        );
        conditions::set(&mut self.deployment.status, condition);
    }

    /// Brings the new replica set's revision and annotations up to date, and the deployment's with them.
    pub fn adopt_new(&mut self, create: CreateNew) {
        let revision = annotations::max_revision(self.old.iter().map(|old| &old.set)) + 1;
        let Some(new) = &mut self.new else {
            if create == CreateNew::IfMissing {
                self.create_new(revision);
            }
            return;
        };
        let changed = annotations::update_new(&self.deployment, &mut new.set, revision);
        if changed || new.set.spec.min_ready_seconds != self.deployment.spec.min_ready_seconds {
            new.set.spec.min_ready_seconds = self.deployment.spec.min_ready_seconds;
        }
        if let Some(revision) = new.set.metadata.annotations.get(annotations::REVISION) {
            let annotations = &mut self.deployment.metadata.annotations;
            annotations.insert(annotations::REVISION.to_owned(), revision.clone());
        }
        let message = format!("Found new replica set {:?}", new.set.metadata.name);
        let untold = conditions::find(&self.deployment.status, conditions::PROGRESSING).is_none();
        if untold && sizes::has_progress_deadline(&self.deployment) {
            self.tell_progress(conditions::FOUND_NEW, message);
        }
    }

    fn create_new(&mut self, revision: i64) {
        let deployment = &self.deployment;
        let hash = template_hash::hash(&deployment.spec.template, deployment.status.collision_count);
        let mut set = ReplicaSet::default();
        set.metadata.name = template_hash::replica_set_name(&deployment.metadata.name, &hash);
        set.metadata.namespace = deployment.metadata.namespace.clone();
        set.metadata.owner_references = vec![controller_ref(deployment)];
        set.spec.min_ready_seconds = deployment.spec.min_ready_seconds;
        set.spec.template = deployment.spec.template.clone();
        set.spec
            .template
            .metadata
            .labels
            .insert(HASH_LABEL.to_owned(), hash.clone());
        set.metadata.labels = set.spec.template.metadata.labels.clone();
        let mut selector: LabelSelector = deployment.spec.selector.as_deref().cloned().unwrap_or_default();
        selector.match_labels.insert(HASH_LABEL.to_owned(), hash);
        set.spec.selector = Some(Box::new(selector));
        set.spec.replicas = Some(sizes::new_replica_set_size(deployment, self.total_size(), 0));
        annotations::update_new(deployment, &mut set, revision);
        annotations::set_sizes(deployment, &mut set);

        let annotations = &mut self.deployment.metadata.annotations;
        annotations.insert(annotations::REVISION.to_owned(), revision.to_string());
        if sizes::has_progress_deadline(&self.deployment) {
            let message = format!("Created new replica set {:?}", set.metadata.name);
            self.tell_progress(conditions::CREATED_NEW, message);
        }
        self.new = Some(Sized {
            set,
            stored: None,
            event: None,
        });
    }

    /// Whether the new replica set exists only in this plan so far.
    pub fn creates_new(&self) -> bool {
        self.new.as_ref().is_some_and(|new| new.stored.is_none())
    }

    fn tell_progress(&mut self, reason: &str, message: String) {
        let condition = conditions::new(conditions::PROGRESSING, "True", reason, message, self.now);
        conditions::set(&mut self.deployment.status, condition);
    }

    /// Sets the size of one replica set; `force` also when only its annotations change. Gives whether the size changed.
    pub fn resize(deployment: &Deployment, sized: &mut Sized, size: i32, force: bool) -> bool {
        let before = sized.size();
        if before == size && !force {
            return false;
        }
        annotations::set_sizes(deployment, &mut sized.set);
        if before == size {
            return false;
        }
        sized.set.spec.replicas = Some(size);
        let direction = if before < size { "up" } else { "down" };
        let name = &sized.set.metadata.name;
        sized.event = Some(format!(
            "Scaled {direction} replica set {name} from {before} to {size}"
        ));
        true
    }

    /// Deletes the oldest empty replica sets beyond the history's limit.
    pub fn clean_up(&mut self) {
        let Some(limit) = sizes::revision_history_limit(&self.deployment) else {
            return;
        };
        let mut alive: Vec<&Sized> = self
            .old
            .iter()
            .filter(|old| old.set.metadata.deletion_timestamp.is_none())
            .collect();
        alive.sort_by_key(|old| annotations::revision(&old.set));
        let surplus = alive.len().saturating_sub(limit);
        let idle = |old: &&&Sized| {
            let status = &old.set.status;
            status.replicas == 0
                && old.size() == 0
                && old.set.metadata.generation <= status.observed_generation
        };
        let names = alive
            .iter()
            .take(surplus)
            .filter(idle)
            .map(|old| old.set.metadata.name.clone());
        self.deleted = names.collect();
    }

    /// Turns the differences into actions. `status` makes the deployment's new status.
    pub fn finish(mut self, status: impl Fn(&Rollout) -> api::apps::v1::DeploymentStatus) -> Plan {
        self.deployment.status = status(&self);
        let mut actions = Vec::new();
        for sized in self.old.iter().chain(&self.new) {
            match &sized.stored {
                None => actions.push(Action::CreateReplicaSet(Box::new(sized.set.clone()))),
                Some(stored) if **stored != sized.set => actions.push(Action::UpdateReplicaSet {
                    replica_set: Box::new(sized.set.clone()),
                    event: sized.event.clone(),
                }),
                Some(_) => {}
            }
        }
        actions.extend(
            self.deleted
                .iter()
                .cloned()
                .map(|name| Action::DeleteReplicaSet { name }),
        );
        let check_after = progress::check_after(&self.stored, &self.deployment.status, self.now);
        if self.deployment != self.stored {
            actions.push(Action::UpdateStatus(Box::new(self.deployment)));
        }
        Plan { actions, check_after }
    }

    /// The deployment as the server has it.
    pub fn stored(&self) -> &Deployment {
        &self.stored
    }
}
