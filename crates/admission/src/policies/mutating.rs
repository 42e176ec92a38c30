//! MutatingAdmissionPolicies: one mutation after the other, each sees what the ones before have made.
//!
//! Which policies are about a request is decided by the object as it came; conditions and mutations see it as it is
//! then. When one has changed the object, the chain runs a second time, and policies that want to hear of such changes
//! mutate once more.

mod mutation;

use std::sync::Arc;

use apimachinery::patch;
use apimachinery::quote::quote;
use apimachinery::status::{Reason, Status};
use auth::{Authorizer, Follower, Objects};
use cel::authorizer::Check;
use component_base::clock::Clock;
use component_base::metrics::{HistogramVec, IntCounterVec, Registry};
use serde_json::Value as Json;

use super::definition::{Binding, Policy};
use super::finder::{Finder, Invocation, Subject, TOO_MANY_CHECKS};
use super::index::{Hook, Index};
use super::{error_type, is_excluded};
use crate::expressions::answers::Known;
use crate::expressions::conditions::{OnFailure, Verdict};
use crate::expressions::inputs::{Documents, Inputs};
use crate::matching::{Kinds, ServedAs, Unknown};
use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

use mutation::{Change, Mutation, Mutations};

/// In seconds: reading a field takes about as much as the first, the most that an expression may cost about as much as
/// the last.
const BUCKETS: &[f64] = &[0.000_000_5, 0.001, 0.01, 0.1, 1.0];

pub struct MutatingAdmissionPolicy {
    index: Arc<Index<Mutations>>,
    finder: Finder,
    clock: Arc<dyn Clock>,
    checks: IntCounterVec,
    durations: HistogramVec,
}

/// Why a policy could not do its part.
struct Failure {
    message: String,
    is_invalid: bool,
}

/// What ends a mutation.
enum Error {
    /// As the policy wants failures to be handled.
    Policy(String),
    /// The request fails, whatever the policy says of failures.
    Request(Status),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Request(status)
    }
}

/// What is known of a request while policies change its object.
struct Session<'a> {
    attributes: &'a Attributes<'a>,
    known: Arc<Known>,
    namespace: Json,
    /// The documents in the last form, until the object changes.
    documents: Option<(ServedAs, Documents)>,
    failures: Vec<Failure>,
    /// Whether any mutation was carried out, be it without effect.
    is_touched: bool,
}

impl Session<'_> {
    fn fail(&mut self, policy: &Policy<Mutations>, failure: Failure) {
        if policy.on_failure == OnFailure::Fail {
            self.failures.push(failure);
        }
    }
}

impl Failure {
    fn new(policy: &str, binding: Option<&Binding>, why: &str, is_invalid: bool) -> Self {
        let message = match binding {
            Some(binding) => {
                let binding = &binding.name;
                format!("policy '{policy}' with binding '{binding}' denied request: {why}")
            }
            None => format!("policy {} denied request: {why}", quote(policy)),
        };
        Self { message, is_invalid }
    }
}

impl MutatingAdmissionPolicy {
    pub fn new(
        objects: Arc<dyn Objects>,
        kinds: Arc<dyn Kinds>,
        authorizer: Arc<dyn Authorizer>,
        clock: Arc<dyn Clock>,
        metrics: &Registry,
    ) -> Self {
        let labels = ["policy", "policy_binding", "error_type"];
        Self {
            index: Arc::default(),
            finder: Finder {
                objects,
                kinds,
                authorizer,
            },
            clock,
            checks: metrics.counter_vec(
                "apiserver_mutating_admission_policy_check_total",
                "Mutation admission policy check total, labeled by policy and further identified by binding.",
                &labels,
            ),
            durations: metrics.histogram_vec(
                "apiserver_mutating_admission_policy_check_duration_seconds",
                "Mutation admission latency for individual mutation expressions in seconds, labeled by policy and binding.",
                &labels,
                BUCKETS,
            ),
        }
    }

    /// What has to be fed with the policies and bindings.
    pub fn follower(&self) -> Arc<dyn Follower> {
        self.index.clone()
    }

    async fn dispatch(
        &self,
        hooks: Arc<[Hook<Mutations>]>,
        attributes: &Attributes<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Status> {
        let mut session = Session {
            attributes,
            known: Arc::default(),
            namespace: Json::Null,
            documents: None,
            failures: Vec::new(),
            is_touched: false,
        };
        let due = self.find(&hooks, &mut session, review).await;
        if !due.is_empty() {
            session.namespace = self.finder.namespace(attributes).await?;
            self.run(&due, &mut session, review).await?;
        }
        refuse(&session.failures, attributes, review)
    }

    /// What is to be evaluated, by the object as it came.
    async fn find<'h>(
        &self,
        hooks: &'h [Hook<Mutations>],
        session: &mut Session<'_>,
        review: &Review<'_>,
    ) -> Vec<Invocation<'h, Mutations>> {
        let mut due = Vec::new();
        for hook in hooks {
            for found in self
                .finder
                .invocations(hook, subject(session.attributes, review))
                .await
            {
                match found {
                    Ok(invocation) => due.push(invocation),
                    Err(found) => {
                        let failure = Failure::new(&found.policy.name, found.binding, &found.why, false);
                        session.fail(found.policy, failure);
                    }
                }
            }
        }
        due
    }

    async fn run(
        &self,
        due: &[Invocation<'_, Mutations>],
        session: &mut Session<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Status> {
        if review.reinvocation.again {
            let object = review.object.as_deref().map(|object| &**object);
            review.reinvocation.policies.resume(object);
        }
        for invocation in due {
            self.invoke(invocation, session, review).await?;
        }
        let reinvocation = &mut review.reinvocation;
        if session.is_touched {
            reinvocation.policies.changed();
            reinvocation.requested = true;
        }
        let object = review.object.as_deref().map(|object| &**object);
        reinvocation.policies.pause(object);
        Ok(())
    }

    /// All mutations of a policy with a parameter.
    async fn invoke(
        &self,
        invocation: &Invocation<'_, Mutations>,
        session: &mut Session<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Status> {
        let policy = invocation.policy;
        if !self.is_wanted(invocation, session, review).await? {
            return Ok(());
        }
        let id = identity(invocation);
        if review.reinvocation.again && !review.reinvocation.policies.is_due_again(&id) {
            return Ok(());
        }
        let mut has_changed = false;
        for mutation in &policy.rules.all {
            if review.object.is_none() {
                break;
            }
            let started = self.clock.monotonic();
            let outcome = self.mutate_by(mutation, invocation, session, review).await;
            let took = self.clock.monotonic().saturating_sub(started);
            let kind = match &outcome {
                Ok(_) => error_type(""),
                Err(Error::Policy(why)) => error_type(why),
                Err(Error::Request(status)) => error_type(&status.message),
            };
            let labels = [policy.name.as_str(), &invocation.binding.name, kind];
            self.checks.with_label_values(&labels).inc();
            self.durations
                .with_label_values(&labels)
                .observe(took.as_secs_f64());
            match outcome {
                Ok(changed) => {
                    session.is_touched = true;
                    has_changed |= changed;
                }
                Err(Error::Request(status)) => return Err(status),
                Err(Error::Policy(why)) => {
                    let failure = Failure::new(&policy.name, Some(invocation.binding), &why, true);
                    session.fail(policy, failure);
                }
            }
        }
        let policies = &mut review.reinvocation.policies;
        if has_changed {
            policies.changed();
        }
        if policy.rules.is_reinvoked {
            policies.asked(&id);
        }
        Ok(())
    }

    /// Whether the policy's conditions match.
    async fn is_wanted(
        &self,
        invocation: &Invocation<'_, Mutations>,
        session: &mut Session<'_>,
        review: &Review<'_>,
    ) -> Result<bool, Status> {
        let policy = invocation.policy;
        if policy.conditions.is_empty() {
            return Ok(true);
        }
        let decide = |inputs: &Inputs<'_>| match policy.conditions.decide(inputs, policy.on_failure) {
            Verdict::Unanswered(check) => Err(check),
            verdict => Ok(verdict),
        };
        let verdict = self.evaluate(invocation, session, review, decide).await?;
        let why = match verdict {
            Some(Verdict::Matches) => return Ok(true),
            Some(Verdict::Excluded | Verdict::Unanswered(_)) => return Ok(false),
            Some(Verdict::Fails(why)) => why,
            None => TOO_MANY_CHECKS.to_owned(),
        };
        let failure = Failure::new(&policy.name, Some(invocation.binding), &why, true);
        session.fail(policy, failure);
        Ok(false)
    }

    /// Whether a mutation has changed the object.
    async fn mutate_by(
        &self,
        mutation: &Mutation,
        invocation: &Invocation<'_, Mutations>,
        session: &mut Session<'_>,
        review: &mut Review<'_>,
    ) -> Result<bool, Error> {
        let found = self
            .evaluate(invocation, session, review, |inputs| mutation.evaluate(inputs))
            .await?;
        let change = found.unwrap_or_else(|| Err(TOO_MANY_CHECKS.to_owned()));
        let change = change.map_err(Error::Policy)?;
        let (Some((_, documents)), Some(object)) = (&session.documents, review.object.as_deref_mut()) else {
            return Ok(false);
        };
        let kind = &invocation.form.kind;
        let (document, unknown) = match &change {
            Change::Configuration(configuration) => {
                let merged = self.finder.kinds.merge(&documents.object, configuration, kind);
                let merged = merged.map_err(|why| Error::Policy(format!("error applying patch: {why}")))?;
                (merged, Unknown::Dropped)
            }
            Change::Operations(operations) => {
                let mut document = documents.object.clone();
                match patch::json_patch(&mut document, operations) {
                    Ok(()) => (document, Unknown::Refused),
                    // A test that fails leaves the object as it is.
                    Err(patch::Error::TestFailed { .. }) => return Ok(false),
                    Err(error) => return Err(Error::Policy(format!("JSON Patch: {error}"))),
                }
            }
        };
        let document = serde_json::to_vec(&document).map_err(Status::internal)?;
        let mutated = self.finder.kinds.object(&document, kind, &**object, unknown)?;
        let changed = mutated.encode_to_vec() != object.encode_to_vec();
        if changed {
            *object = mutated;
            session.documents = None;
        }
        Ok(changed)
    }

    /// Evaluates expressions over the object as it is now.
    async fn evaluate<T>(
        &self,
        invocation: &Invocation<'_, Mutations>,
        session: &mut Session<'_>,
        review: &Review<'_>,
        evaluate: impl Fn(&Inputs<'_>) -> Result<T, Box<Check>>,
    ) -> Result<Option<T>, Status> {
        let form = &invocation.form;
        let attributes = session.attributes;
        let documents = match session.documents.take() {
            Some((known, documents)) if known == *form => documents,
            _ => {
                let namespace = session.namespace.clone();
                self.finder
                    .documents(form, subject(attributes, review), namespace)?
            }
        };
        let (_, documents) = session.documents.insert((form.clone(), documents));
        let (documents, known) = (&*documents, &session.known);
        let (param, variables) = (&invocation.param, &invocation.policy.variables);
        let evaluate = || evaluate(&Inputs::new(attributes, documents, param, variables, known));
        Ok(self.finder.evaluate(attributes, known, evaluate).await)
    }
}

fn subject<'r>(attributes: &'r Attributes<'r>, review: &'r Review<'_>) -> Subject<'r> {
    Subject {
        attributes,
        object: review.object.as_deref().map(|object| &**object),
        old: review.old,
    }
}

/// By what the second round knows a policy with its binding and parameter.
fn identity(invocation: &Invocation<'_, Mutations>) -> String {
    let metadata = &invocation.param["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    let (policy, binding) = (&invocation.policy.name, &invocation.binding.name);
    format!("{policy}/{binding}/{}/{}", text("namespace"), text("name"))
}

/// The first failure is told, all are listed.
fn refuse(failures: &[Failure], attributes: &Attributes<'_>, review: &Review<'_>) -> Result<(), Status> {
    let Some(first) = failures.first() else {
        return Ok(());
    };
    let mut status = attributes.forbidden(review.object(), "admission request denied by policy");
    status.message.clone_from(&first.message);
    if first.is_invalid {
        status.reason = Reason::Invalid;
    }
    let list = |status: Status, failure: &Failure| status.with_cause("", failure.message.as_str(), "");
    Err(failures.iter().fold(status, list))
}

impl Plugin for MutatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
    }

    /// What is deleted has no object to change.
    fn handles(&self, operation: Operation) -> bool {
        operation != Operation::Delete && !self.index.hooks().is_empty()
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        let hooks = self.index.hooks();
        if hooks.is_empty() || is_excluded(attributes) {
            return pass();
        }
        Box::pin(self.dispatch(hooks, attributes, review))
    }
}

#[cfg(test)]
mod tests;
