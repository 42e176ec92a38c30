//! One webhook asked once: is it about the request, what is it sent, what does it answer.

use std::sync::Arc;

use api::Object;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::quote::quote;
use apimachinery::status::Status;
use auth::{Authorizer, Objects};
use component_base::clock::Clock;
use serde_json::Value as Json;

use super::hooks::Hook;
use super::metrics::Metrics;
use super::review::{self, Answer, Documents, Question, Sort, Version};
use super::{Caller, Dependencies, Failure};
use crate::expressions::answers::{Known, MOST_CHECKS};
use crate::expressions::conditions::{OnFailure, Verdict};
use crate::expressions::inputs::{self, Inputs};
use crate::matching::{self, Kinds, Rule, ServedAs};
use crate::{Attributes, Review};

/// What a failed call counts as if nothing was answered.
const UNAVAILABLE: u16 = 503;
const BAD_REQUEST: u16 = 400;

/// Asks webhooks.
pub struct Asking {
    pub kinds: Arc<dyn Kinds>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    objects: Arc<dyn Objects>,
    caller: Arc<dyn Caller>,
    authorizer: Arc<dyn Authorizer>,
}

/// The name of what a request is about; a new object may not have one yet.
pub fn name<'a>(attributes: &'a Attributes<'_>, object: Option<&'a dyn Object>) -> &'a str {
    match object {
        Some(object) if attributes.name.is_empty() => &object.metadata().name,
        _ => attributes.name,
    }
}

impl Asking {
    pub fn new(with: &Dependencies) -> Self {
        Self {
            kinds: with.kinds.clone(),
            clock: with.clock.clone(),
            metrics: Metrics::new(&with.metrics),
            objects: with.objects.clone(),
            caller: with.caller.clone(),
            authorizer: with.authorizer.clone(),
        }
    }

    /// The form in which the request is put before a webhook; `None`: the webhook is not about it.
    ///
    /// # Errors
    /// Whether it is can't be said, although its rules say so: 404 if the namespace is missing.
    pub async fn concerns(
        &self,
        hook: &Hook,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<Option<ServedAs>, Status> {
        let rules = hook.rules.iter().map(Rule::from);
        let found = matching::find(rules, hook.policy, attributes, || {
            self.kinds.served_as(&attributes.resource, attributes.subresource)
        });
        let Some(found) = found else {
            return Ok(None);
        };
        let selectors = hook.selectors.as_ref().map_err(Status::internal)?;
        let selected = selectors.matches(attributes, object, old, &*self.objects).await?;
        if !selected || hook.conditions.is_empty() {
            return Ok(selected.then_some(found));
        }
        let holds = self.holds(hook, attributes, object, old, &found).await?;
        Ok(holds.then_some(found))
    }

    /// Whether the match conditions hold, evaluated as often as they ask something new of the authorizer.
    async fn holds(
        &self,
        hook: &Hook,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
        form: &ServedAs,
    ) -> Result<bool, Status> {
        let document = |object: Option<&dyn Object>| match object {
            Some(object) => {
                let document = self.kinds.document(object, &form.kind)?;
                serde_json::from_slice(&document).map_err(Status::internal)
            }
            None => Ok(Json::Null),
        };
        let documents = inputs::Documents {
            object: document(object)?,
            old: document(old)?,
            request: inputs::request(attributes, form),
            namespace: Json::Null,
        };
        let known = Arc::new(Known::default());
        for _ in 0..MOST_CHECKS {
            let verdict = {
                let inputs = Inputs::new(attributes, &documents, &Json::Null, &[], &known);
                hook.conditions.decide(&inputs, OnFailure::of(hook.fails_open))
            };
            match verdict {
                Verdict::Matches => return Ok(true),
                Verdict::Excluded => return Ok(false),
                Verdict::Fails(message) => return Err(attributes.forbidden(object, message)),
                Verdict::Unanswered(check) => known.ask(&*self.authorizer, attributes.user, *check).await,
            }
        }
        Err(attributes.forbidden(object, "too many authorization checks"))
    }

    /// Both states of the object as documents of a kind; the options of a connect are its object.
    pub fn documents(&self, kind: &GroupVersionKind, review: &Review<'_>) -> Result<Documents, Status> {
        let document = |object: &dyn Object| self.kinds.document(object, kind);
        let object = review.object().map(document).transpose()?;
        Ok(Documents {
            object: object.or_else(|| review.connect.clone()),
            old: review.old.map(document).transpose()?,
        })
    }

    /// Sends the question, and reads the answer: it may be a refusal.
    pub async fn ask(
        &self,
        hook: &Hook,
        sort: Sort,
        attributes: &Attributes<'_>,
        name: &str,
        served_as: &ServedAs,
        documents: &Documents,
    ) -> Result<Answer, Failure> {
        check_dry_run(hook, attributes)?;
        let version = Version::choose(&hook.versions).ok_or_else(|| Failure::Calling {
            why: "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)".to_owned(),
            code: BAD_REQUEST,
        })?;
        let uid = uuid::Uuid::new_v4().to_string();
        let question = Question {
            uid: &uid,
            version,
            attributes,
            name,
            served_as,
            documents,
        };
        let document = question
            .document()
            .map_err(|error| Failure::Unfit(Status::internal(error)))?;
        let called = self.caller.call(&hook.client, document, hook.timeout).await;
        let answered = called.map_err(|error| Failure::Calling {
            code: error.code.unwrap_or(UNAVAILABLE),
            why: format!("failed to call webhook: {error}"),
        })?;
        review::read(&answered, &uid, version, sort).map_err(|error| Failure::Calling {
            why: match error {
                review::Error::Unreadable(why) => format!("failed to call webhook: {why}"),
                review::Error::Invalid(why) => format!("received invalid webhook response: {why}"),
            },
            code: UNAVAILABLE,
        })
    }
}

/// A webhook that does more than answer must not be asked about what won't happen.
fn check_dry_run(hook: &Hook, attributes: &Attributes<'_>) -> Result<(), Failure> {
    if !attributes.dry_run {
        return Ok(());
    }
    match hook.side_effects.as_deref() {
        Some("None" | "NoneOnDryRun") => Ok(()),
        Some(_) => Err(Failure::Unfit(Status::bad_request(format!(
            "admission webhook {} does not support dry run",
            quote(&hook.name)
        )))),
        None => Err(Failure::Calling {
            why: "Webhook SideEffects is nil".to_owned(),
            code: BAD_REQUEST,
        }),
    }
}
