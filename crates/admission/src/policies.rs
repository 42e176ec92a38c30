//! ValidatingAdmissionPolicies: rules for requests, as expressions in the API.
//!
//! [`index`] follows the policies and their bindings, compiled once when they change ([`compiled`]); [`params`] finds
//! the objects that a binding gives to its policy; the plugin here matches, evaluates and refuses.
//!
//! Upstream: `k8s.io/apiserver/pkg/admission/plugin/policy`.

mod compiled;
mod decision;
mod index;
mod params;

use std::sync::Arc;

use api::core::v1::Namespace;
use apimachinery::gvk::GroupResource;
use apimachinery::status::{Reason, Status};
use auth::{Authorizer, Follower, Objects};
use component_base::metrics::{IntCounterVec, Registry};
use serde_json::Value as Json;

use crate::expressions::answers::{Known, MOST_CHECKS};
use crate::expressions::conditions::OnFailure;
use crate::expressions::inputs::{self, Documents, Inputs};
use crate::matching::{Kinds, ServedAs};
use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review, matching};

use compiled::{Binding, Policy};
use decision::{Decision, Findings, Note};
use index::{Hook, Index};

/// Values of audit annotations are no longer, in bytes.
const LONGEST_ANNOTATION: usize = 10 * 1024;

pub struct ValidatingAdmissionPolicy {
    index: Arc<Index>,
    objects: Arc<dyn Objects>,
    kinds: Arc<dyn Kinds>,
    authorizer: Arc<dyn Authorizer>,
    checks: IntCounterVec,
}

/// What refuses a request.
struct Denial {
    message: String,
    reason: Option<String>,
}

/// What policies find out about a request, once for all of them.
struct Session<'r> {
    attributes: &'r Attributes<'r>,
    object: Option<&'r dyn api::Object>,
    old: Option<&'r dyn api::Object>,
    known: Arc<Known>,
    /// `None`: not looked for yet.
    namespace: Option<Json>,
    /// The documents in the forms that policies asked for.
    documents: Vec<(ServedAs, Documents)>,
    denials: Vec<Denial>,
    warnings: Vec<String>,
    annotations: Vec<(String, String)>,
}

impl ValidatingAdmissionPolicy {
    pub fn new(
        objects: Arc<dyn Objects>,
        kinds: Arc<dyn Kinds>,
        authorizer: Arc<dyn Authorizer>,
        metrics: &Registry,
    ) -> Self {
        let checks = metrics.counter_vec(
            "apiserver_validating_admission_policy_check_total",
            "Validation admission policy check total, labeled by policy and further identified by binding and enforcement action taken.",
            &["policy", "policy_binding", "error_type", "enforcement_action"],
        );
        Self {
            index: Arc::default(),
            objects,
            kinds,
            authorizer,
            checks,
        }
    }

    /// What has to be fed with the policies and bindings.
    pub fn follower(&self) -> Arc<dyn Follower> {
        self.index.clone()
    }

    async fn check(
        &self,
        hooks: Arc<[Hook]>,
        attributes: &Attributes<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Status> {
        let mut session = Session {
            attributes,
            object: review.object.as_deref().map(|object| &**object),
            old: review.old,
            known: Arc::default(),
            namespace: None,
            documents: Vec::new(),
            denials: Vec::new(),
            warnings: Vec::new(),
            annotations: Vec::new(),
        };
        for hook in hooks.iter() {
            self.check_policy(hook, &mut session).await?;
        }
        let (object, denials) = (session.object, session.denials);
        let refusal = denials.first().map(|denial| refusal(attributes, object, denial));
        review.warnings.extend(session.warnings);
        review.annotations.extend(session.annotations);
        refusal.map_or(Ok(()), Err)
    }

    async fn check_policy(&self, hook: &Hook, session: &mut Session<'_>) -> Result<(), Status> {
        let policy = &hook.policy;
        let form = match self.form(&policy.constraints, session).await {
            Ok(Some(form)) => form,
            Ok(None) => return Ok(()),
            Err(error) => {
                session.misconfigured(policy, None, &error);
                return Ok(());
            }
        };
        if let Err(error) = params::resolve(policy.param_kind.as_ref()) {
            session.misconfigured(policy, None, &error);
            return Ok(());
        }
        let mut notes = decision::Notes::default();
        for binding in &hook.bindings {
            match self.form_of_binding(binding, session).await {
                Ok(true) => {
                    self.check_binding(policy, binding, &form, session, &mut notes)
                        .await?
                }
                Ok(false) => {}
                Err(error) => session.misconfigured(policy, Some(binding), &error),
            }
        }
        session.annotations.extend(notes.published(&policy.name));
        Ok(())
    }

    /// The form in which constraints are about the request, if they are.
    async fn form(
        &self,
        constraints: &compiled::Constraints,
        session: &Session<'_>,
    ) -> Result<Option<ServedAs>, String> {
        let attributes = session.attributes;
        let equivalents = || self.kinds.served_as(&attributes.resource, attributes.subresource);
        let Some(form) = constraints.form(attributes, equivalents) else {
            return Ok(None);
        };
        let selectors = constraints.selectors.as_ref().map_err(Clone::clone)?;
        let matches = selectors
            .matches(attributes, session.object, session.old, &*self.objects)
            .await
            .map_err(|status| status.message)?;
        Ok(matches.then_some(form))
    }

    async fn form_of_binding(&self, binding: &Binding, session: &Session<'_>) -> Result<bool, String> {
        match &binding.constraints {
            Some(constraints) => Ok(self.form(constraints, session).await?.is_some()),
            None => Ok(true),
        }
    }

    async fn check_binding(
        &self,
        policy: &Policy,
        binding: &Binding,
        form: &ServedAs,
        session: &mut Session<'_>,
        notes: &mut decision::Notes,
    ) -> Result<(), Status> {
        let (kind, of) = (policy.param_kind.as_ref(), binding.param_ref.as_ref());
        let found = params::collect(
            kind,
            of,
            session.attributes.namespace,
            &*self.objects,
            &*self.kinds,
        );
        let params = match found {
            Ok(params) => params,
            Err(error) => {
                session.misconfigured(policy, Some(binding), &error);
                return Ok(());
            }
        };
        if params.is_empty() {
            return Ok(());
        }
        self.prepare(form, session).await?;
        for param in &params {
            let findings = self.evaluate(policy, form, param, session).await;
            self.act(policy, binding, findings, session, notes);
        }
        Ok(())
    }

    /// Makes the documents of a form.
    async fn prepare(&self, form: &ServedAs, session: &mut Session<'_>) -> Result<(), Status> {
        if session.documents.iter().any(|(known, _)| known == form) {
            return Ok(());
        }
        let namespace = match &session.namespace {
            Some(namespace) => namespace.clone(),
            None => self.namespace(session.attributes).await?,
        };
        session.namespace = Some(namespace.clone());
        let document = |object: Option<&dyn api::Object>| match object {
            Some(object) => {
                let bytes = self.kinds.document(object, &form.kind)?;
                serde_json::from_slice(&bytes).map_err(Status::internal)
            }
            None => Ok(Json::Null),
        };
        let documents = Documents {
            object: document(session.object)?,
            old: document(session.old)?,
            request: inputs::request(session.attributes, form),
            namespace,
        };
        session.documents.push((form.clone(), documents));
        Ok(())
    }

    async fn namespace(&self, attributes: &Attributes<'_>) -> Result<Json, Status> {
        let kind = &attributes.kind;
        let is_namespace = kind.group.is_empty() && kind.kind == "Namespace";
        if attributes.namespace.is_empty() || is_namespace {
            return Ok(Json::Null);
        }
        let name = attributes.namespace;
        let found = self.objects.find::<Namespace>("", name).await?;
        match found {
            Some(found) => Ok(inputs::namespace(&found)),
            None => Err(Status::not_found(&GroupResource::new("", "namespaces"), name)),
        }
    }

    /// Evaluates a policy with a parameter, as often as it asks something new of the authorizer.
    async fn evaluate(
        &self,
        policy: &Policy,
        form: &ServedAs,
        param: &Json,
        session: &Session<'_>,
    ) -> Findings {
        let attributes = session.attributes;
        let documents = session.documents.iter().find(|(known, _)| known == form);
        let Some((_, documents)) = documents else {
            return Findings::default();
        };
        for _ in 0..MOST_CHECKS {
            let outcome = {
                let inputs = Inputs::new(attributes, documents, param, &policy.variables, &session.known);
                policy.evaluate(&inputs)
            };
            match outcome {
                Ok(findings) => return findings,
                Err(check) => {
                    session
                        .known
                        .ask(&*self.authorizer, attributes.user, *check)
                        .await
                }
            }
        }
        policy.failed("too many authorization checks".to_owned())
    }

    fn act(
        &self,
        policy: &Policy,
        binding: &Binding,
        findings: Findings,
        session: &mut Session<'_>,
        notes: &mut decision::Notes,
    ) {
        let count = |decision: &Decision, action: &str| {
            let labels = [&policy.name, &binding.name, decision.error_type(), action];
            self.checks.with_label_values(&labels).inc();
        };
        for (index, decision) in findings.decisions.iter().enumerate() {
            if !decision.denies {
                if decision.is_error {
                    count(decision, "allow");
                }
                continue;
            }
            for action in &binding.actions {
                match action.as_str() {
                    "Deny" => session.denials.push(Denial {
                        message: policy.denied(Some(binding), &decision.message),
                        reason: decision.reason.clone(),
                    }),
                    "Warn" => session.warnings.push(format!(
                        "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                        policy.name, binding.name, decision.message
                    )),
                    "Audit" => session
                        .annotations
                        .push(binding.failure(index, &decision.message)),
                    _ => continue,
                }
                count(decision, &action.to_lowercase());
            }
        }
        for note in findings.notes {
            match note {
                Note::Publish { key, value } => notes.add(key, cut(&value, LONGEST_ANNOTATION)),
                Note::Fails(message) => session.denials.push(Denial {
                    message: policy.denied(Some(binding), &message),
                    reason: None,
                }),
            }
        }
    }
}

/// So much of a text, at a character's end.
fn cut(text: &str, length: usize) -> &str {
    let end = (0..=length.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

impl Session<'_> {
    /// A policy that cannot be applied refuses, unless failures are to be ignored.
    fn misconfigured(&mut self, policy: &Policy, binding: Option<&Binding>, error: &str) {
        if policy.on_failure == OnFailure::Ignore {
            return;
        }
        let what = if binding.is_some() { "binding" } else { "policy" };
        let message = format!("failed to configure {what}: {error}");
        self.denials.push(Denial {
            message: policy.denied(binding, &message),
            reason: None,
        });
    }
}

/// In the words of a plugin's refusal, under the reason that the policy gives.
fn refusal(attributes: &Attributes<'_>, object: Option<&dyn api::Object>, denial: &Denial) -> Status {
    let (code, reason) = match denial.reason.as_deref() {
        Some("Forbidden") => (403, Reason::Forbidden),
        Some("Unauthorized") => (401, Reason::Unauthorized),
        Some("RequestEntityTooLarge") => (413, Reason::RequestEntityTooLarge),
        _ => (422, Reason::Invalid),
    };
    let refusal = attributes.forbidden(object, denial.message.as_str());
    Status {
        code,
        reason,
        ..refusal.with_cause("", denial.message.as_str(), "")
    }
}

/// Reviews of tokens and rights answer questions: refusing them would break clients, not protect objects.
fn is_review(attributes: &Attributes<'_>) -> bool {
    match attributes.resource.group.as_str() {
        "authentication.k8s.io" => matches!(
            attributes.resource.resource.as_str(),
            "tokenreviews" | "selfsubjectreviews"
        ),
        "authorization.k8s.io" => true,
        _ => false,
    }
}

impl Plugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn handles(&self, _operation: Operation) -> bool {
        true
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        let hooks = self.index.hooks();
        if hooks.is_empty() || matching::is_exempt(&attributes.kind) || is_review(attributes) {
            return pass();
        }
        Box::pin(self.check(hooks, attributes, review))
    }
}

#[cfg(test)]
mod tests;
