//! What a ValidatingAdmissionPolicy checks.

use api::admissionregistration::v1;
use cel::Value;
use serde_json::json;

use super::decision::{Decision, Findings, Note};
use crate::expressions::conditions::{OUT_OF_BUDGET, OnFailure, Verdict, resulted};
use crate::expressions::inputs::{Failure, Inputs};
use crate::expressions::{BUDGET, Compiled, Compiler};
use crate::policies::definition::{Binding, Constraints, Policy, Rules, Stated};

/// Longer messages of expressions are not shown, in bytes.
const LONGEST_MESSAGE: usize = 5 * 1024;

/// The checks of one policy.
pub struct Checks {
    validations: Vec<Validation>,
    annotations: Vec<Annotation>,
}

struct Validation {
    source: String,
    compiled: Compiled,
    message: String,
    message_expression: Option<Compiled>,
    reason: Option<String>,
}

struct Annotation {
    key: String,
    source: String,
    compiled: Compiled,
}

impl Rules for Checks {
    type Policy = v1::ValidatingAdmissionPolicy;
    type Binding = v1::ValidatingAdmissionPolicyBinding;

    const RESOURCES: &'static [(&'static str, &'static str)] = &[
        ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
        (
            "admissionregistration.k8s.io",
            "validatingadmissionpolicybindings",
        ),
    ];

    fn policy(policy: &v1::ValidatingAdmissionPolicy) -> Policy<Self> {
        let spec = &policy.spec;
        let stated = Stated {
            metadata: &policy.metadata,
            failure_policy: spec.failure_policy.as_deref(),
            param_kind: spec.param_kind.as_deref(),
            constraints: spec.match_constraints.as_deref(),
            variables: &spec.variables,
            conditions: &spec.match_conditions,
        };
        Policy::new(&stated, |compiler| Self::new(spec, compiler))
    }

    fn binding(binding: &v1::ValidatingAdmissionPolicyBinding) -> Binding {
        let spec = &binding.spec;
        Binding {
            name: binding.metadata.name.clone(),
            policy: spec.policy_name.clone(),
            param_ref: spec.param_ref.as_deref().cloned(),
            constraints: spec.match_resources.as_deref().map(Constraints::new),
            actions: spec.validation_actions.clone(),
        }
    }
}

impl Checks {
    fn new(spec: &v1::ValidatingAdmissionPolicySpec, compiler: &Compiler) -> Self {
        let message = |source: &str| (!source.is_empty()).then(|| compiler.message(source));
        Self {
            validations: spec
                .validations
                .iter()
                .map(|validation| Validation {
                    source: validation.expression.clone(),
                    compiled: compiler.condition(&validation.expression),
                    message: validation.message.clone(),
                    message_expression: message(&validation.message_expression),
                    reason: validation.reason.clone(),
                })
                .collect(),
            annotations: spec
                .audit_annotations
                .iter()
                .map(|annotation| Annotation {
                    key: annotation.key.clone(),
                    source: annotation.value_expression.clone(),
                    compiled: compiler.annotation(&annotation.value_expression),
                })
                .collect(),
        }
    }
}

impl Policy<Checks> {
    /// The words of a refusal.
    pub fn denied(&self, binding: Option<&Binding>, message: &str) -> String {
        let name = &self.name;
        match binding {
            Some(binding) => format!(
                "ValidatingAdmissionPolicy '{name}' with binding '{}' denied request: {message}",
                binding.name
            ),
            None => format!("ValidatingAdmissionPolicy '{name}' denied request: {message}"),
        }
    }

    /// A policy that failed as a whole.
    pub fn failed(&self, message: String) -> Findings {
        Findings {
            decisions: vec![self.error(message)],
            notes: Vec::new(),
        }
    }

    fn error(&self, message: String) -> Decision {
        Decision {
            denies: self.on_failure == OnFailure::Fail,
            is_error: true,
            message,
            reason: None,
        }
    }

    /// What the expressions say.
    ///
    /// # Errors
    /// A check that the authorizer has to answer first.
    pub fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Findings, Box<cel::authorizer::Check>> {
        match self.conditions.decide(inputs, self.on_failure) {
            Verdict::Matches => {}
            Verdict::Excluded => return Ok(Findings::default()),
            Verdict::Fails(message) => return Ok(self.failed(message)),
            Verdict::Unanswered(check) => return Err(check),
        }
        let mut budget = BUDGET;
        let mut values = Vec::with_capacity(self.rules.validations.len());
        for validation in &self.rules.validations {
            match value(&validation.compiled, &validation.source, inputs, &mut budget) {
                Err(Failure::Unanswered(check)) => return Err(check),
                Err(Failure::OutOfBudget) => return Ok(self.failed(OUT_OF_BUDGET.to_owned())),
                Ok(value) => values.push(Ok(value)),
                Err(Failure::Expression(message)) => values.push(Err(message)),
            }
        }
        let mut decisions = Vec::with_capacity(values.len());
        for (validation, value) in self.rules.validations.iter().zip(values) {
            decisions.push(match value {
                Ok(Value::Bool(true)) => Decision::default(),
                Err(message) => self.error(message),
                Ok(_) => match validation.message(inputs, &mut budget) {
                    Ok(message) => Decision {
                        denies: true,
                        is_error: false,
                        message,
                        reason: validation.reason.clone(),
                    },
                    Err(Failure::Unanswered(check)) => return Err(check),
                    Err(_) => self.error(format!("failed messageExpression: {OUT_OF_BUDGET}")),
                },
            });
        }
        let notes = self.notes(inputs)?;
        Ok(match notes {
            Some(notes) => Findings { decisions, notes },
            None => self.failed(OUT_OF_BUDGET.to_owned()),
        })
    }

    /// The audit annotations; `None`: the budget does not allow for them.
    fn notes(&self, inputs: &Inputs<'_>) -> Result<Option<Vec<Note>>, Box<cel::authorizer::Check>> {
        let (mut budget, mut notes) = (BUDGET, Vec::new());
        for annotation in &self.rules.annotations {
            match value(&annotation.compiled, &annotation.source, inputs, &mut budget) {
                Err(Failure::Unanswered(check)) => return Err(check),
                Err(Failure::OutOfBudget) => return Ok(None),
                Err(Failure::Expression(_)) if self.on_failure == OnFailure::Ignore => {}
                Err(Failure::Expression(message)) => notes.push(Note::Fails(message)),
                Ok(Value::String(text)) if !text.trim().is_empty() => notes.push(Note::Publish {
                    key: annotation.key.clone(),
                    value: text.trim().to_owned(),
                }),
                Ok(_) => {}
            }
        }
        Ok(Some(notes))
    }
}

fn value<'a>(
    compiled: &Compiled,
    source: &str,
    inputs: &Inputs<'a>,
    budget: &mut u64,
) -> Result<Value<'a>, Failure> {
    match compiled {
        Err(error) => Err(Failure::Expression(format!("compilation error: {error}"))),
        Ok(program) => inputs.evaluate(program, budget).map_err(|failure| match failure {
            Failure::Expression(error) => Failure::Expression(resulted(source, &error)),
            other => other,
        }),
    }
}

impl Validation {
    /// Of the expression for it, if that gives one line that is not too long; else the fixed one; else the
    /// expression that failed.
    fn message(&self, inputs: &Inputs<'_>, budget: &mut u64) -> Result<String, Failure> {
        if let Some(Ok(program)) = &self.message_expression {
            match inputs.evaluate(program, budget) {
                Ok(Value::String(text)) => {
                    let text = text.trim();
                    if !text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n') {
                        return Ok(text.to_owned());
                    }
                }
                Ok(_) | Err(Failure::Expression(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(match self.message.trim() {
            "" => format!("failed expression: {}", self.source.trim()),
            message => message.to_owned(),
        })
    }
}

impl Binding {
    /// The audit annotation about a failure.
    pub fn failure(&self, index: usize, message: &str) -> (String, String) {
        let value = json!([{
            "message": message,
            "policy": self.policy,
            "binding": self.name,
            "expressionIndex": index,
            "validationActions": self.actions,
        }]);
        (
            "validation.policy.admission.k8s.io/validation_failure".to_owned(),
            value.to_string(),
        )
    }
}
