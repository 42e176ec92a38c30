//! Which requests a webhook or a policy is about: rules, selectors, equivalent forms of a resource.
//!
//! Pure but for the labels of a namespace, which are looked up through [`auth::Objects`].
//!
//! Upstream: `k8s.io/apiserver/pkg/admission/plugin/webhook/predicates`, `.../plugin/policy/matching`.

use std::collections::BTreeMap;

use api::Object;
use api::admissionregistration::v1::{NamedRuleWithOperations, RuleWithOperations};
use api::core::v1::Namespace;
use api::meta::v1::LabelSelector;
use apimachinery::gvk::{GroupResource, GroupVersionKind, GroupVersionResource};
use apimachinery::labels::{self, Selector};
use apimachinery::status::Status;
use auth::Objects;
use serde_json::Value as Json;

use crate::{Attributes, Operation};

/// A form in which one stored resource is served: by what name, as what kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedAs {
    pub resource: GroupVersionResource,
    pub kind: GroupVersionKind,
}

/// What the server tells admission of the kinds that it serves.
pub trait Kinds: Send + Sync {
    /// All forms in which the objects of a resource are served, this one among them: its versions, and other groups
    /// where they are the same in the store.
    fn served_as(&self, resource: &GroupVersionResource, subresource: &str) -> Vec<ServedAs>;

    /// An object, as the write path holds it, as a JSON document of a kind that it is served as.
    ///
    /// # Errors
    /// 500: the object has no such form.
    fn document(&self, object: &dyn Object, kind: &GroupVersionKind) -> Result<Vec<u8>, Status>;

    /// The object that a document of that kind states, defaulted, as the write path would hold it in the place of
    /// `standing`.
    ///
    /// # Errors
    /// 500: the document does not state such an object, or has unknown members that are to be refused.
    fn object(
        &self,
        document: &[u8],
        kind: &GroupVersionKind,
        standing: &dyn Object,
        unknown: Unknown,
    ) -> Result<Box<dyn Object>, Status>;

    /// A document of that kind with a configuration laid over it, as an apply does.
    ///
    /// # Errors
    /// The configuration is not of the kind, or would replace what is atomic.
    fn merge(&self, document: &Json, configuration: &Json, kind: &GroupVersionKind) -> Result<Json, String>;
}

/// What becomes of members that a kind does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    Dropped,
    Refused,
}

/// Whether a rule about one version of a resource is about the others too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchPolicy {
    Exact,
    Equivalent,
}

impl MatchPolicy {
    /// From the field of that name; the API defaults it, so one that is missing widens nothing.
    pub fn from_field(field: Option<&str>) -> Self {
        match field {
            Some("Equivalent") => Self::Equivalent,
            _ => Self::Exact,
        }
    }
}

/// A rule of a webhook or of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'r> {
    pub rule: &'r RuleWithOperations,
    /// Only objects of these names; all if there are none.
    pub names: &'r [String],
}

impl<'r> From<&'r RuleWithOperations> for Rule<'r> {
    fn from(rule: &'r RuleWithOperations) -> Self {
        Rule { rule, names: &[] }
    }
}

impl<'r> From<&'r NamedRuleWithOperations> for Rule<'r> {
    fn from(named: &'r NamedRuleWithOperations) -> Self {
        Rule {
            rule: &named.rule_with_operations,
            names: &named.resource_names,
        }
    }
}

impl Rule<'_> {
    /// Is it about the request, were that about `resource`?
    fn matches(&self, attributes: &Attributes<'_>, resource: &GroupVersionResource) -> bool {
        let rule = &self.rule.rule;
        matches_scope(rule.scope.as_deref(), attributes.namespace, resource)
            && contains(&self.rule.operations, attributes.operation.as_str())
            && contains(&rule.api_groups, &resource.group)
            && contains(&rule.api_versions, &resource.version)
            && rule
                .resources
                .iter()
                .any(|named| matches_resource(named, &resource.resource, attributes.subresource))
            && (self.names.is_empty() || self.names.iter().any(|name| name == attributes.name))
    }
}

/// The form in which the rules are about the request: as it came if any rule says so, else the first equivalent form
/// that a rule names, earlier rules first. `equivalents` gives all forms of the request's resource; it is asked only
/// if need be.
pub fn find<'r, R>(
    rules: R,
    policy: MatchPolicy,
    attributes: &Attributes<'_>,
    equivalents: impl FnOnce() -> Vec<ServedAs>,
) -> Option<ServedAs>
where
    R: IntoIterator<Item = Rule<'r>>,
    R::IntoIter: Clone,
{
    let rules = rules.into_iter();
    if rules
        .clone()
        .any(|rule| rule.matches(attributes, &attributes.resource))
    {
        return Some(ServedAs {
            resource: attributes.resource.clone(),
            kind: attributes.kind.clone(),
        });
    }
    if policy == MatchPolicy::Exact || rules.clone().next().is_none() {
        return None;
    }
    let others: Vec<ServedAs> = equivalents()
        .into_iter()
        .filter(|form| form.resource != attributes.resource)
        .collect();
    rules.into_iter().find_map(|rule| {
        others
            .iter()
            .find(|form| rule.matches(attributes, &form.resource))
            .cloned()
    })
}

/// Requests about the kinds that configure webhooks and policies are never put before either: nobody could undo a
/// configuration that refuses everything.
pub fn is_exempt(kind: &GroupVersionKind) -> bool {
    kind.group == "admissionregistration.k8s.io"
        && matches!(
            kind.kind.as_str(),
            "ValidatingWebhookConfiguration"
                | "MutatingWebhookConfiguration"
                | "ValidatingAdmissionPolicy"
                | "ValidatingAdmissionPolicyBinding"
                | "MutatingAdmissionPolicy"
                | "MutatingAdmissionPolicyBinding"
        )
}

fn contains(items: &[String], wanted: &str) -> bool {
    items.iter().any(|item| item == "*" || item == wanted)
}

/// Namespaces themselves are cluster-scoped, although requests about them bear their name as namespace.
fn matches_scope(scope: Option<&str>, namespace: &str, resource: &GroupVersionResource) -> bool {
    let is_namespace =
        resource.group.is_empty() && resource.resource == "namespaces" && resource.version == "v1";
    let namespaced = !is_namespace && !namespace.is_empty();
    match scope {
        None | Some("*") => true,
        Some("Namespaced") => namespaced,
        Some("Cluster") => !namespaced,
        Some(_) => false,
    }
}

/// `pods`, `pods/log`, `pods/*`, `*/status`, `*`, `*/*`.
fn matches_resource(named: &str, resource: &str, subresource: &str) -> bool {
    let (of, sub) = named.split_once('/').unwrap_or((named, ""));
    (of == "*" || of == resource) && (sub == "*" || sub == subresource)
}

/// `namespaceSelector` and `objectSelector`, compiled.
#[derive(Clone, Debug, Default)]
pub struct Selectors {
    namespaces: Selector,
    objects: Selector,
}

impl Selectors {
    /// # Errors
    /// A selector that validation would not let through.
    pub fn new(
        namespaces: Option<&LabelSelector>,
        objects: Option<&LabelSelector>,
    ) -> Result<Self, labels::Error> {
        let compile = |selector: Option<&LabelSelector>| match selector {
            Some(selector) => api::selector::from_label_selector(selector),
            None => Ok(Selector::everything()),
        };
        Ok(Self {
            namespaces: compile(namespaces)?,
            objects: compile(objects)?,
        })
    }

    /// Does either state of the object bear the wanted labels?
    pub fn match_object(&self, object: Option<&dyn Object>, old: Option<&dyn Object>) -> bool {
        self.objects.is_everything()
            || [object, old]
                .into_iter()
                .flatten()
                .any(|object| self.objects.matches(&object.metadata().labels))
    }

    /// Both selectors.
    ///
    /// # Errors
    /// The labels of the namespace are needed and can't be had: 404 if there is no such namespace.
    pub async fn matches(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
        objects: &dyn Objects,
    ) -> Result<bool, Status> {
        Ok(self.match_object(object, old) && self.match_namespace(attributes, object, objects).await?)
    }

    async fn match_namespace(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        objects: &dyn Objects,
    ) -> Result<bool, Status> {
        let about_namespace = attributes.resource.resource == "namespaces";
        if self.namespaces.is_everything() || (attributes.namespace.is_empty() && !about_namespace) {
            return Ok(true);
        }
        // The cache does not have the labels yet that a namespace is to get.
        let written = matches!(attributes.operation, Operation::Create | Operation::Update);
        if about_namespace && attributes.subresource.is_empty() && written {
            return Ok(object.is_some_and(|object| self.namespaces.matches(&object.metadata().labels)));
        }
        let name = if attributes.namespace.is_empty() {
            attributes.name
        } else {
            attributes.namespace
        };
        let labels = namespace_labels(name, objects).await?;
        Ok(self.namespaces.matches(&labels))
    }
}

async fn namespace_labels(name: &str, objects: &dyn Objects) -> Result<BTreeMap<String, String>, Status> {
    let namespace = objects.find::<Namespace>("", name).await?;
    let namespace =
        namespace.ok_or_else(|| Status::not_found(&GroupResource::new("", "namespaces"), name))?;
    Ok(namespace.metadata.labels)
}

#[cfg(test)]
mod tests;
