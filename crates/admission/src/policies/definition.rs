//! Policies and bindings in the form in which requests use them.

use api::Resource;
use api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, ParamKind, ParamRef, Variable,
};
use api::meta::v1::ObjectMeta;

use crate::Attributes;
use crate::expressions::conditions::{Conditions, OnFailure};
use crate::expressions::{Compiled, Compiler};
use crate::matching::{self, MatchPolicy, Rule, Selectors, ServedAs};

/// What a sort of policies adds to what all have.
pub trait Rules: Sized + Send + Sync + 'static {
    type Policy: Resource;
    type Binding: Resource;

    /// Groups and plurals of policies and bindings.
    const RESOURCES: &'static [(&'static str, &'static str)];

    fn policy(policy: &Self::Policy) -> Policy<Self>;

    fn binding(binding: &Self::Binding) -> Binding;
}

/// `matchConstraints` of a policy, `matchResources` of a binding.
pub struct Constraints {
    rules: Vec<NamedRuleWithOperations>,
    excluded: Vec<NamedRuleWithOperations>,
    policy: MatchPolicy,
    pub selectors: Result<Selectors, String>,
}

impl Constraints {
    pub fn new(resources: &MatchResources) -> Self {
        let selectors = Selectors::new(
            resources.namespace_selector.as_deref(),
            resources.object_selector.as_deref(),
        );
        Self {
            rules: resources.resource_rules.clone(),
            excluded: resources.exclude_resource_rules.clone(),
            policy: MatchPolicy::from_field(resources.match_policy.as_deref()),
            selectors: selectors.map_err(|error| error.to_string()),
        }
    }

    /// The form in which the rules are about a request. Without rules they are about all.
    pub fn form(
        &self,
        attributes: &Attributes<'_>,
        equivalents: impl Fn() -> Vec<ServedAs>,
    ) -> Option<ServedAs> {
        let find = |rules: &[NamedRuleWithOperations]| {
            matching::find(
                rules.iter().map(Rule::from),
                self.policy,
                attributes,
                &equivalents,
            )
        };
        if find(&self.excluded).is_some() {
            return None;
        }
        if self.rules.is_empty() {
            return Some(ServedAs {
                resource: attributes.resource.clone(),
                kind: attributes.kind.clone(),
            });
        }
        find(&self.rules)
    }
}

/// What policies of all sorts state.
pub struct Stated<'p> {
    pub metadata: &'p ObjectMeta,
    pub failure_policy: Option<&'p str>,
    pub param_kind: Option<&'p ParamKind>,
    pub constraints: Option<&'p MatchResources>,
    pub variables: &'p [Variable],
    pub conditions: &'p [MatchCondition],
}

/// A policy with its expressions compiled.
pub struct Policy<R> {
    pub name: String,
    uid: String,
    generation: i64,
    pub on_failure: OnFailure,
    pub constraints: Constraints,
    pub param_kind: Option<ParamKind>,
    pub variables: Vec<(String, Compiled)>,
    pub conditions: Conditions,
    pub rules: R,
}

impl<R> Policy<R> {
    pub fn new(stated: &Stated<'_>, rules: impl FnOnce(&Compiler) -> R) -> Self {
        let mut compiler = Compiler::new(stated.param_kind.is_some()).with_variables();
        let mut variables: Vec<(String, Compiled)> = Vec::new();
        for variable in stated.variables {
            let compiled = compiler.variable(&variable.name, &variable.expression);
            // The last of a name counts.
            match variables.iter_mut().find(|(name, _)| *name == variable.name) {
                Some(known) => known.1 = compiled,
                None => variables.push((variable.name.clone(), compiled)),
            }
        }
        let everything = MatchResources::default();
        Self {
            name: stated.metadata.name.clone(),
            uid: stated.metadata.uid.clone(),
            generation: stated.metadata.generation,
            on_failure: OnFailure::from_field(stated.failure_policy),
            constraints: Constraints::new(stated.constraints.unwrap_or(&everything)),
            param_kind: stated.param_kind.cloned(),
            conditions: Conditions::new(stated.conditions, &compiler),
            rules: rules(&compiler),
            variables,
        }
    }

    /// Whether it was compiled from this state of the policy.
    pub fn is_of(&self, metadata: &ObjectMeta) -> bool {
        self.uid == metadata.uid && self.generation == metadata.generation && self.generation != 0
    }
}

/// What puts a policy in force.
pub struct Binding {
    pub name: String,
    pub policy: String,
    pub param_ref: Option<ParamRef>,
    pub constraints: Option<Constraints>,
    /// What follows where a policy validates.
    pub actions: Vec<String>,
}
