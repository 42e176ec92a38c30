//! Writes what a plan says.

use api::apps::v1::{Deployment, ReplicaSet};
use api::meta::v1::DeleteOptions;
use apimachinery::time::Time;
use client::{Api, Error};
use controller_runtime::Context;
use controller_runtime::driver::{self, Outcome};
use controller_runtime::event_recorder::EventType;
use controller_runtime::ownership::is_controlled_by;
use tracing::info;

use super::plan::{Action, Plan};
use super::{conditions, sizes, template_hash};

pub(super) async fn execute(
    context: &Context,
    deployment: &Deployment,
    plan: Plan,
) -> Result<Outcome, driver::Error> {
    let namespace = &deployment.metadata.namespace;
    let executor = Executor {
        context,
        deployment,
        deployments: context.client.api::<Deployment>().namespace(namespace),
        sets: context.client.api::<ReplicaSet>().namespace(namespace),
    };
    for action in plan.actions {
        if let Some(outcome) = executor.act(action).await? {
            return Ok(outcome);
        }
    }
    Ok(plan.check_after.map_or(Outcome::Done, Outcome::RequeueAfter))
}

struct Executor<'a> {
    context: &'a Context,
    deployment: &'a Deployment,
    deployments: Api<Deployment>,
    sets: Api<ReplicaSet>,
}

impl Executor<'_> {
    /// An outcome ends the plan early.
    async fn act(&self, action: Action) -> Result<Option<Outcome>, Error> {
        match action {
            Action::CreateReplicaSet(set) => return self.create(&set).await,
            Action::UpdateReplicaSet { replica_set, event } => {
                self.sets.update(&replica_set).await?;
                if let Some(event) = event {
                    self.tell(EventType::Normal, "ScalingReplicaSet", event);
                }
            }
            Action::DeleteReplicaSet { name } => {
                match self.sets.delete(&name, &DeleteOptions::default()).await {
                    Err(error) if error.is_not_found() => {}
                    outcome => outcome?,
                }
            }
            Action::UpdateStatus(deployment) => drop(self.deployments.update_status(&deployment).await?),
        }
        Ok(None)
    }

    async fn create(&self, set: &ReplicaSet) -> Result<Option<Outcome>, Error> {
        match self.sets.create(set).await {
            Ok(created) => {
                let size = sizes::size(&created);
                if size > 0 {
                    let name = &created.metadata.name;
                    let event = format!("Scaled up replica set {name} from 0 to {size}");
                    self.tell(EventType::Normal, "ScalingReplicaSet", event);
                }
                Ok(None)
            }
            Err(error) if error.is_already_exists() => self.collision(set).await,
            // Nothing can be created there any more.
            Err(error) if error.is_namespace_terminating() => Ok(Some(Outcome::Done)),
            Err(error) => {
                self.creation_failed(set, &error).await;
                Err(error)
            }
        }
    }

    /// The name is taken: by the very replica set we want, made a moment ago, or by another whose hash is the same.
    async fn collision(&self, set: &ReplicaSet) -> Result<Option<Outcome>, Error> {
        let existing = self.sets.get(&set.metadata.name).await?;
        let ours = is_controlled_by(&existing.metadata, &self.deployment.metadata.uid)
            && template_hash::same_template(&existing.spec.template, &set.spec.template);
        if ours {
            return Ok(None);
        }
        let mut updated = self.deployment.clone();
        let collisions = updated.status.collision_count.unwrap_or_default() + 1;
        updated.status.collision_count = Some(collisions);
        self.deployments.update_status(&updated).await?;
        info!(deployment = %self.deployment.metadata.name, collisions, "hash collision of replica sets");
        Ok(Some(Outcome::Retry))
    }

    async fn creation_failed(&self, set: &ReplicaSet, error: &Error) {
        let message = format!(
            "Failed to create new replica set {:?}: {error}",
            set.metadata.name
        );
        if sizes::has_progress_deadline(self.deployment) {
            let mut updated = self.deployment.clone();
            let now = Time(self.context.clock.now());
            let condition = conditions::new(
                conditions::PROGRESSING,
                "False",
                conditions::CREATE_FAILED,
                message.clone(),
                now,
            );
            conditions::set(&mut updated.status, condition);
            if let Err(error) = self.deployments.update_status(&updated).await {
                // The greater trouble is returned by the caller; this one will be told at the next attempt.
                tracing::debug!(%error, "cannot report that a replica set can't be created");
            }
        }
        self.tell(EventType::Warning, conditions::CREATE_FAILED, message);
    }

    fn tell(&self, type_: EventType, reason: &str, message: String) {
        self.context
            .recorder
            .event(self.deployment, type_, reason, message);
    }
}
