//! Roles by name, and bindings by subject: a request looks at the bindings of its user and groups alone,
//! however many there are for others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use api::rbac::v1::{PolicyRule, RoleRef, Subject};

use crate::UserInfo;
use crate::user::service_account_user;

/// Which role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RoleKey {
    Cluster(String),
    Namespaced {
        namespace: String,
        name: String,
    },
    /// A reference to something that is no role.
    Unknown {
        kind: String,
        name: String,
    },
}

impl RoleKey {
    pub fn cluster(name: &str) -> Self {
        Self::Cluster(name.to_owned())
    }

    pub fn namespaced(namespace: &str, name: &str) -> Self {
        Self::Namespaced {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// What a binding in a namespace (empty: cluster-wide) refers to.
    pub fn of(reference: &RoleRef, namespace: &str) -> Self {
        match (reference.kind.as_str(), namespace) {
            ("ClusterRole", _) => Self::cluster(&reference.name),
            ("Role", namespace) if !namespace.is_empty() => Self::namespaced(namespace, &reference.name),
            (kind, _) => Self::Unknown {
                kind: kind.to_owned(),
                name: reference.name.clone(),
            },
        }
    }

    pub fn kind(&self) -> &str {
        match self {
            Self::Cluster(_) => "ClusterRole",
            Self::Namespaced { .. } => "Role",
            Self::Unknown { kind, .. } => kind,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(name) | Self::Namespaced { name, .. } | Self::Unknown { name, .. } => name,
        }
    }

    pub fn not_found(&self) -> String {
        match self {
            Self::Cluster(name) => format!("clusterrole.rbac.authorization.k8s.io {name:?} not found"),
            Self::Namespaced { name, .. } => format!("role.rbac.authorization.k8s.io {name:?} not found"),
            Self::Unknown { kind, .. } => format!("unsupported role reference kind: {kind:?}"),
        }
    }
}

/// Whom a subject stands for. Service accounts are users by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    User(String),
    Group(String),
}

impl Who {
    /// `None`: a subject of a kind that nobody has.
    fn of(subject: &Subject, namespace: &str) -> Option<Self> {
        match subject.kind.as_str() {
            "User" => Some(Self::User(subject.name.clone())),
            "Group" => Some(Self::Group(subject.name.clone())),
            "ServiceAccount" => {
                // A subject without a namespace means the binding's own.
                let namespace = if subject.namespace.is_empty() {
                    namespace
                } else {
                    &subject.namespace
                };
                (!namespace.is_empty()).then(|| Self::User(service_account_user(namespace, &subject.name)))
            }
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Binding {
    role: RoleKey,
    subjects: Vec<Subject>,
}

/// A role that a user has, and how it came to be.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    pub role: RoleKey,
    pub binding: &'a str,
    /// Of the binding; empty: cluster-wide.
    pub namespace: &'a str,
    pub subject: &'a Subject,
}

/// The bindings of one namespace, or of the cluster.
#[derive(Debug, Default)]
struct Scope {
    bindings: BTreeMap<String, Binding>,
    by_subject: HashMap<Who, BTreeSet<String>>,
}

#[derive(Debug, Default)]
pub struct Index {
    roles: HashMap<RoleKey, Arc<[PolicyRule]>>,
    /// By namespace; the cluster's under the empty name.
    scopes: HashMap<String, Scope>,
}

impl Index {
    /// Sets a role's rules, or removes the role.
    pub fn set_role(&mut self, key: RoleKey, rules: Option<Vec<PolicyRule>>) {
        match rules {
            Some(rules) => drop(self.roles.insert(key, rules.into())),
            None => drop(self.roles.remove(&key)),
        }
    }

    /// Sets a binding, or removes it.
    pub fn set_binding(&mut self, namespace: &str, name: &str, content: Option<(&RoleRef, &[Subject])>) {
        let scope = self.scopes.entry(namespace.to_owned()).or_default();
        scope.remove(name, namespace);
        if let Some((role, subjects)) = content {
            let binding = Binding {
                role: RoleKey::of(role, namespace),
                subjects: subjects.to_vec(),
            };
            scope.insert(name, namespace, binding);
        }
        if scope.bindings.is_empty() {
            self.scopes.remove(namespace);
        }
    }

    pub fn role(&self, key: &RoleKey) -> Option<&[PolicyRule]> {
        self.roles.get(key).map(AsRef::as_ref)
    }

    /// The roles of a user: cluster-wide ones first, then those of the namespace; by the binding's name.
    pub fn grants<'a>(&'a self, user: &UserInfo, namespace: &str) -> Vec<Grant<'a>> {
        let who: Vec<Who> = std::iter::once(Who::User(user.name.clone()))
            .chain(user.groups.iter().map(|group| Who::Group(group.clone())))
            .collect();
        let mut grants = self.grants_in("", &who);
        if !namespace.is_empty() {
            grants.extend(self.grants_in(namespace, &who));
        }
        grants
    }

    fn grants_in<'a>(&'a self, namespace: &str, who: &[Who]) -> Vec<Grant<'a>> {
        let Some((namespace, scope)) = self.scopes.get_key_value(namespace) else {
            return Vec::new();
        };
        let names: BTreeSet<&String> = who
            .iter()
            .filter_map(|who| scope.by_subject.get(who))
            .flatten()
            .collect();
        let grant = |name: &'a String| {
            let binding = scope.bindings.get(name)?;
            let is_user = |subject: &&Subject| {
                Who::of(subject, namespace).is_some_and(|subject| who.contains(&subject))
            };
            let subject = binding.subjects.iter().find(is_user)?;
            Some(Grant {
                role: binding.role.clone(),
                binding: name,
                namespace,
                subject,
            })
        };
        names.into_iter().filter_map(grant).collect()
    }
}

impl Scope {
    fn insert(&mut self, name: &str, namespace: &str, binding: Binding) {
        for who in binding
            .subjects
            .iter()
            .filter_map(|subject| Who::of(subject, namespace))
        {
            self.by_subject.entry(who).or_default().insert(name.to_owned());
        }
        self.bindings.insert(name.to_owned(), binding);
    }

    fn remove(&mut self, name: &str, namespace: &str) {
        let Some(binding) = self.bindings.remove(name) else {
            return;
        };
        for who in binding
            .subjects
            .iter()
            .filter_map(|subject| Who::of(subject, namespace))
        {
            if let Some(names) = self.by_subject.get_mut(&who) {
                names.remove(name);
                if names.is_empty() {
                    self.by_subject.remove(&who);
                }
            }
        }
    }
}
