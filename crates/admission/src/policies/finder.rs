//! What policies are about a request, and what they are told of it.

use std::sync::Arc;

use api::Object;
use api::core::v1::Namespace;
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use auth::{Authorizer, Objects};
use cel::authorizer::Check;
use serde_json::Value as Json;

use super::definition::{Binding, Constraints, Policy};
use super::index::Hook;
use super::params;
use crate::Attributes;
use crate::expressions::answers::{Known, MOST_CHECKS};
use crate::expressions::inputs::{self, Documents};
use crate::matching::{Kinds, ServedAs};

/// What is looked up for policies.
pub struct Finder {
    pub objects: Arc<dyn Objects>,
    pub kinds: Arc<dyn Kinds>,
    pub authorizer: Arc<dyn Authorizer>,
}

/// A request with its objects.
#[derive(Clone, Copy)]
pub struct Subject<'r> {
    pub attributes: &'r Attributes<'r>,
    pub object: Option<&'r dyn Object>,
    pub old: Option<&'r dyn Object>,
}

/// A policy that is about a request by a binding, with one of its parameters.
pub struct Invocation<'h, R> {
    pub policy: &'h Policy<R>,
    pub binding: &'h Binding,
    /// How the policy sees the request.
    pub form: ServedAs,
    pub param: Json,
}

/// A policy that cannot be applied.
pub struct Misconfigured<'h, R> {
    pub policy: &'h Policy<R>,
    pub binding: Option<&'h Binding>,
    pub why: String,
}

impl<'h, R> Misconfigured<'h, R> {
    fn new(policy: &'h Policy<R>, binding: Option<&'h Binding>, error: &str) -> Self {
        let what = if binding.is_some() { "binding" } else { "policy" };
        Self {
            policy,
            binding,
            why: format!("failed to configure {what}: {error}"),
        }
    }
}

impl Finder {
    /// How often, and with what, a policy is to be evaluated.
    pub async fn invocations<'h, R: Send + Sync>(
        &self,
        hook: &'h Hook<R>,
        subject: Subject<'_>,
    ) -> Vec<Result<Invocation<'h, R>, Misconfigured<'h, R>>> {
        let policy = &*hook.policy;
        let unfit = |error: String| vec![Err(Misconfigured::new(policy, None, &error))];
        let form = match self.form(&policy.constraints, subject).await {
            Ok(Some(form)) => form,
            Ok(None) => return Vec::new(),
            Err(error) => return unfit(error),
        };
        if let Err(error) = params::resolve(policy.param_kind.as_ref()) {
            return unfit(error);
        }
        let mut found = Vec::new();
        for binding in &hook.bindings {
            let invoked = |param| {
                Ok(Invocation {
                    policy,
                    binding,
                    form: form.clone(),
                    param,
                })
            };
            match self.bound(policy, binding, subject).await {
                Ok(params) => found.extend(params.into_iter().map(invoked)),
                Err(error) => found.push(Err(Misconfigured::new(policy, Some(binding), &error))),
            }
        }
        found
    }

    /// The parameters that a binding gives to its policy for the request; none if it is not about that.
    async fn bound<R>(
        &self,
        policy: &Policy<R>,
        binding: &Binding,
        subject: Subject<'_>,
    ) -> Result<Vec<Json>, String> {
        if let Some(constraints) = &binding.constraints
            && self.form(constraints, subject).await?.is_none()
        {
            return Ok(Vec::new());
        }
        params::collect(
            policy.param_kind.as_ref(),
            binding.param_ref.as_ref(),
            subject.attributes.namespace,
            &*self.objects,
            &*self.kinds,
        )
    }

    /// The form in which constraints are about the request, if they are.
    async fn form(
        &self,
        constraints: &Constraints,
        subject: Subject<'_>,
    ) -> Result<Option<ServedAs>, String> {
        let attributes = subject.attributes;
        let equivalents = || self.kinds.served_as(&attributes.resource, attributes.subresource);
        let Some(form) = constraints.form(attributes, equivalents) else {
            return Ok(None);
        };
        let selectors = constraints.selectors.as_ref().map_err(Clone::clone)?;
        let matches = selectors
            .matches(attributes, subject.object, subject.old, &*self.objects)
            .await
            .map_err(|status| status.message)?;
        Ok(matches.then_some(form))
    }

    /// The documents of a form.
    ///
    /// # Errors
    /// 500: there is no such form.
    pub fn documents(
        &self,
        form: &ServedAs,
        subject: Subject<'_>,
        namespace: Json,
    ) -> Result<Documents, Status> {
        let document = |object: Option<&dyn Object>| match object {
            Some(object) => {
                let bytes = self.kinds.document(object, &form.kind)?;
                serde_json::from_slice(&bytes).map_err(Status::internal)
            }
            None => Ok(Json::Null),
        };
        Ok(Documents {
            object: document(subject.object)?,
            old: document(subject.old)?,
            request: inputs::request(subject.attributes, form),
            namespace,
        })
    }

    /// The request's namespace; null for what is in none.
    ///
    /// # Errors
    /// 404: it is not there.
    pub async fn namespace(&self, attributes: &Attributes<'_>) -> Result<Json, Status> {
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

    /// Evaluates as often as something new is asked of the authorizer; `None`: too often.
    pub async fn evaluate<T>(
        &self,
        attributes: &Attributes<'_>,
        known: &Known,
        evaluate: impl Fn() -> Result<T, Box<Check>>,
    ) -> Option<T> {
        for _ in 0..MOST_CHECKS {
            match evaluate() {
                Ok(found) => return Some(found),
                Err(check) => known.ask(&*self.authorizer, attributes.user, *check).await,
            }
        }
        None
    }
}

/// What is told where [`Finder::evaluate`] gives up.
pub const TOO_MANY_CHECKS: &str = "too many authorization checks";
