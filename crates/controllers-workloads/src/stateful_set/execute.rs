//! Carries out what was planned, with the events that tell of it.

use api::apps::v1::StatefulSet;
use api::core::v1::{PersistentVolumeClaim, Pod};
use api::meta::v1::{DeleteOptions, Preconditions};
use client::{Client, Error};
use controller_runtime::Recorder;
use controller_runtime::event_recorder::EventType;

use super::claims::{self, Claims};
use super::identity;
use super::plan::{Groups, Observed, Step};
use crate::pods::control::slow_start;

pub(super) struct Executor {
    client: Client,
    recorder: Recorder,
}

/// What a step does, in the words of its events.
#[derive(Clone, Copy)]
enum Verb {
    Create,
    Update,
    Delete,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Verb::Create => "Create",
            Verb::Update => "Update",
            Verb::Delete => "Delete",
        }
    }
}

impl Executor {
    pub fn new(client: Client, recorder: Recorder) -> Executor {
        Executor { client, recorder }
    }

    /// Group after group, up to the first failure.
    pub async fn execute(&self, observed: &Observed, groups: Groups) -> Result<(), Error> {
        for group in &groups {
            let (_, error) = slow_start(group.len(), |index| self.step(observed, &group[index])).await;
            if let Some(error) = error {
                return Err(error);
            }
        }
        Ok(())
    }

    async fn step(&self, observed: &Observed, step: &Step) -> Result<(), Error> {
        let (set, claims) = (&observed.set, &observed.claims);
        match step {
            Step::Create(pod, ordinal) => self.create(set, pod, *ordinal, claims).await,
            Step::EnsureClaims(pod, ordinal) => {
                self.create_claims(set, pod, *ordinal, claims).await?;
                self.own_claims(set, pod, *ordinal, claims).await
            }
            Step::Correct(pod, ordinal) => self.correct(set, pod, *ordinal, claims).await,
            Step::OwnClaims(pod, ordinal) => self.own_claims(set, pod, *ordinal, claims).await,
            Step::Delete(pod) | Step::Replace(pod) => self.delete(set, pod).await,
        }
    }

    async fn create(&self, set: &StatefulSet, pod: &Pod, ordinal: i32, claims: &Claims) -> Result<(), Error> {
        if let Err(error) = self.create_claims(set, pod, ordinal, claims).await {
            self.tell(Verb::Create, set, pod, Err(&error));
            return Err(error);
        }
        let pods = self.client.api::<Pod>().namespace(&set.metadata.namespace);
        let created = pods.create(pod).await;
        match &created {
            // The cache is behind: the event was told when it was made.
            Err(error) if error.is_already_exists() => {}
            outcome => self.tell(Verb::Create, set, pod, outcome.as_ref().map(drop)),
        }
        created.map(drop)
    }

    async fn create_claims(
        &self,
        set: &StatefulSet,
        pod: &Pod,
        ordinal: i32,
        present: &Claims,
    ) -> Result<(), Error> {
        let api = self
            .client
            .api::<PersistentVolumeClaim>()
            .namespace(&set.metadata.namespace);
        for claim in claims::wanted(set, ordinal) {
            let name = &claim.metadata.name;
            if present.contains_key(name) {
                continue;
            }
            let created = api.create(&claim).await.map(drop);
            let (pod, set_name) = (&pod.metadata.name, &set.metadata.name);
            match &created {
                Ok(()) => {
                    let message = format!("Create Claim {name} Pod {pod} in StatefulSet {set_name} success");
                    self.recorder
                        .event(set, EventType::Normal, "SuccessfulCreate", message);
                }
                Err(error) if error.is_already_exists() => {}
                Err(error) => {
                    let message = format!(
                        "Create Claim {name} for Pod {pod} in StatefulSet {set_name} failed error: {error}"
                    );
                    self.recorder
                        .event(set, EventType::Warning, "FailedCreate", message);
                }
            }
            created?;
        }
        Ok(())
    }

    async fn own_claims(
        &self,
        set: &StatefulSet,
        pod: &Pod,
        ordinal: i32,
        claims: &Claims,
    ) -> Result<(), Error> {
        let api = self
            .client
            .api::<PersistentVolumeClaim>()
            .namespace(&set.metadata.namespace);
        for claim in claims::names(set, ordinal).filter_map(|name| claims.get(&name)) {
            let name = &claim.metadata.name;
            if claims::has_other_controller(set, pod, claim) {
                let message = format!(
                    "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim"
                );
                self.recorder
                    .event(set, EventType::Warning, "ConflictingController", message);
            }
            if let Some(owners) = claims::corrected_owners(set, pod, ordinal, claim) {
                let mut updated = (**claim).clone();
                updated.metadata.owner_references = owners;
                api.update(&updated).await?;
            }
        }
        Ok(())
    }

    async fn correct(
        &self,
        set: &StatefulSet,
        pod: &Pod,
        ordinal: i32,
        claims: &Claims,
    ) -> Result<(), Error> {
        let outcome = self.try_correct(set, pod, ordinal, claims).await;
        self.tell(Verb::Update, set, pod, outcome.as_ref().copied());
        outcome
    }

    async fn try_correct(
        &self,
        set: &StatefulSet,
        pod: &Pod,
        ordinal: i32,
        claims: &Claims,
    ) -> Result<(), Error> {
        let mut updated = pod.clone();
        identity::set_labels(&mut updated, ordinal);
        if !identity::storage_matches(set, pod, ordinal) {
            identity::set_volumes(set, &mut updated, ordinal);
            self.create_claims(set, pod, ordinal, claims).await?;
        }
        self.own_claims(set, pod, ordinal, claims).await?;
        if updated != *pod {
            let pods = self.client.api::<Pod>().namespace(&set.metadata.namespace);
            pods.update(&updated).await?;
        }
        Ok(())
    }

    /// This very pod, and not the one that may have come after it.
    async fn delete(&self, set: &StatefulSet, pod: &Pod) -> Result<(), Error> {
        let options = DeleteOptions {
            preconditions: Some(Box::new(Preconditions {
                uid: Some(pod.metadata.uid.clone()),
                ..Preconditions::default()
            })),
            ..DeleteOptions::default()
        };
        let pods = self.client.api::<Pod>().namespace(&set.metadata.namespace);
        match pods.delete(&pod.metadata.name, &options).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            outcome => {
                self.tell(Verb::Delete, set, pod, outcome.as_ref().copied());
                outcome
            }
        }
    }

    fn tell(&self, verb: Verb, set: &StatefulSet, pod: &Pod, outcome: Result<(), &Error>) {
        let (word, pod, name) = (verb.word(), &pod.metadata.name, &set.metadata.name);
        let (type_, reason, message) = match outcome {
            Ok(()) => (
                EventType::Normal,
                format!("Successful{word}"),
                format!("{word} Pod {pod} in StatefulSet {name} successful"),
            ),
            Err(error) => (
                EventType::Warning,
                format!("Failed{word}"),
                format!("{word} Pod {pod} in StatefulSet {name} failed error: {error}"),
            ),
        };
        self.recorder.event(set, type_, &reason, message);
    }
}
