//! ValidatingAdmissionPolicies: the plugin matches, evaluates and refuses.

mod decision;
mod rules;

use std::sync::Arc;

use api::Object;
use apimachinery::status::{Reason, Status};
use auth::{Authorizer, Follower, Objects};
use component_base::metrics::{IntCounterVec, Registry};
use serde_json::Value as Json;

use super::definition::{Binding, Policy};
use super::finder::{Finder, Invocation, Misconfigured, Subject, TOO_MANY_CHECKS};
use super::index::{Hook, Index};
use super::is_excluded;
use crate::expressions::answers::Known;
use crate::expressions::conditions::OnFailure;
use crate::expressions::inputs::{Documents, Inputs};
use crate::matching::{Kinds, ServedAs};
use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

use decision::{Decision, Findings, Note};
use rules::Checks;

/// Values of audit annotations are no longer, in bytes.
const LONGEST_ANNOTATION: usize = 10 * 1024;

pub struct ValidatingAdmissionPolicy {
    index: Arc<Index<Checks>>,
    finder: Finder,
    checks: IntCounterVec,
}

/// What refuses a request.
struct Denial {
    message: String,
    reason: Option<String>,
}

/// What policies find out about a request, once for all of them.
struct Session<'r> {
    subject: Subject<'r>,
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
            finder: Finder {
                objects,
                kinds,
                authorizer,
            },
            checks,
        }
    }

    /// What has to be fed with the policies and bindings.
    pub fn follower(&self) -> Arc<dyn Follower> {
        self.index.clone()
    }

    async fn check(
        &self,
        hooks: Arc<[Hook<Checks>]>,
        attributes: &Attributes<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Status> {
        let object = review.object.as_deref().map(|object| &**object);
        let mut session = Session {
            subject: Subject {
                attributes,
                object,
                old: review.old,
            },
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
        let denials = session.denials;
        let refusal = denials.first().map(|denial| refusal(attributes, object, denial));
        review.warnings.extend(session.warnings);
        review.annotations.extend(session.annotations);
        refusal.map_or(Ok(()), Err)
    }

    async fn check_policy(&self, hook: &Hook<Checks>, session: &mut Session<'_>) -> Result<(), Status> {
        let mut notes = decision::Notes::default();
        for found in self.finder.invocations(hook, session.subject).await {
            match found {
                Ok(invocation) => self.check_binding(&invocation, session, &mut notes).await?,
                Err(misconfigured) => session.misconfigured(&misconfigured),
            }
        }
        session.annotations.extend(notes.published(&hook.policy.name));
        Ok(())
    }

    async fn check_binding(
        &self,
        invocation: &Invocation<'_, Checks>,
        session: &mut Session<'_>,
        notes: &mut decision::Notes,
    ) -> Result<(), Status> {
        self.prepare(&invocation.form, session).await?;
        let findings = self.evaluate(invocation, session).await;
        self.act(invocation.policy, invocation.binding, findings, session, notes);
        Ok(())
    }

    /// Makes the documents of a form.
    async fn prepare(&self, form: &ServedAs, session: &mut Session<'_>) -> Result<(), Status> {
        if session.documents.iter().any(|(known, _)| known == form) {
            return Ok(());
        }
        let namespace = match &session.namespace {
            Some(namespace) => namespace.clone(),
            None => self.finder.namespace(session.subject.attributes).await?,
        };
        session.namespace = Some(namespace.clone());
        let documents = self.finder.documents(form, session.subject, namespace)?;
        session.documents.push((form.clone(), documents));
        Ok(())
    }

    async fn evaluate(&self, invocation: &Invocation<'_, Checks>, session: &Session<'_>) -> Findings {
        let (policy, param) = (invocation.policy, &invocation.param);
        let documents = session
            .documents
            .iter()
            .find(|(known, _)| *known == invocation.form);
        let Some((_, documents)) = documents else {
            return Findings::default();
        };
        let (attributes, known) = (session.subject.attributes, &session.known);
        let evaluate = || {
            policy.evaluate(&Inputs::new(
                attributes,
                documents,
                param,
                &policy.variables,
                known,
            ))
        };
        let findings = self.finder.evaluate(attributes, known, evaluate).await;
        findings.unwrap_or_else(|| policy.failed(TOO_MANY_CHECKS.to_owned()))
    }

    fn act(
        &self,
        policy: &Policy<Checks>,
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
    fn misconfigured(&mut self, found: &Misconfigured<'_, Checks>) {
        if found.policy.on_failure == OnFailure::Ignore {
            return;
        }
        self.denials.push(Denial {
            message: found.policy.denied(found.binding, &found.why),
            reason: None,
        });
    }
}

/// In the words of a plugin's refusal, under the reason that the policy gives.
fn refusal(attributes: &Attributes<'_>, object: Option<&dyn Object>, denial: &Denial) -> Status {
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

impl Plugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn handles(&self, _operation: Operation) -> bool {
        true
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        let hooks = self.index.hooks();
        if hooks.is_empty() || is_excluded(attributes) {
            return pass();
        }
        Box::pin(self.check(hooks, attributes, review))
    }
}

#[cfg(test)]
mod tests;
