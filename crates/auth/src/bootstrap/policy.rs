//! Reading the table.

use api::meta::v1::{LabelSelector, ObjectMeta};
use api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

const TABLE: &str = include_str!("../../data/bootstrap-policy.txt");
const GROUP: &str = "rbac.authorization.k8s.io";

/// While this annotation is not `false`, a server that starts adds what is missing.
pub const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");

/// Every object of the table.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub cluster_roles: Vec<ClusterRole>,
    pub cluster_role_bindings: Vec<ClusterRoleBinding>,
    pub roles: Vec<Role>,
    pub role_bindings: Vec<RoleBinding>,
}

impl Policy {
    /// The rules of a cluster role.
    pub fn rules_of(&self, cluster_role: &str) -> &[PolicyRule] {
        let role = self
            .cluster_roles
            .iter()
            .find(|role| role.metadata.name == cluster_role);
        role.map_or(&[], |role| &role.rules)
    }
}

/// The table's objects.
pub fn policy() -> Policy {
    parse(TABLE).expect("invariant: the table is part of the program and a test reads it")
}

/// The first line that cannot be read is the error.
pub(super) fn parse(table: &str) -> Result<Policy, String> {
    let mut policy = Policy::default();
    let mut current: Option<Entry> = None;
    for line in table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
    {
        match line.strip_prefix("  ") {
            None => {
                if let Some(entry) = current.take() {
                    entry.add_to(&mut policy)?;
                }
                current = Some(Entry::new(line).ok_or(line)?);
            }
            Some(detail) => current
                .as_mut()
                .and_then(|entry| entry.read(detail))
                .ok_or(line)?,
        }
    }
    if let Some(entry) = current {
        entry.add_to(&mut policy)?;
    }
    Ok(policy)
}

/// An object as far as it has been read.
struct Entry {
    kind: String,
    metadata: ObjectMeta,
    aggregates: Vec<LabelSelector>,
    rules: Vec<PolicyRule>,
    role: RoleRef,
    subjects: Vec<Subject>,
}

impl Entry {
    fn new(line: &str) -> Option<Self> {
        let (kind, name) = line.split_once(' ')?;
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        let (label, value) = BOOTSTRAPPING;
        let metadata = ObjectMeta {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            labels: [(label.to_owned(), value.to_owned())].into(),
            annotations: [(AUTOUPDATE.to_owned(), "true".to_owned())].into(),
            ..ObjectMeta::default()
        };
        let (aggregates, rules, subjects) = Default::default();
        Some(Self {
            kind: kind.to_owned(),
            metadata,
            aggregates,
            rules,
            role: RoleRef::default(),
            subjects,
        })
    }

    fn read(&mut self, detail: &str) -> Option<()> {
        let (word, rest) = detail.split_once(' ')?;
        match word {
            "label" => {
                let (key, value) = rest.split_once('=')?;
                self.metadata.labels.insert(key.to_owned(), value.to_owned());
            }
            "aggregates" => {
                let (key, value) = rest.split_once('=')?;
                let match_labels = [(key.to_owned(), value.to_owned())].into();
                self.aggregates.push(LabelSelector {
                    match_labels,
                    ..LabelSelector::default()
                });
            }
            "grants" => {
                let (kind, name) = rest.split_once(' ')?;
                self.role = RoleRef {
                    api_group: GROUP.to_owned(),
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                };
            }
            "to" => self.subjects.push(subject(rest)?),
            _ => self.rules.push(rule(detail)?),
        }
        Some(())
    }

    fn add_to(self, policy: &mut Policy) -> Result<(), String> {
        let Self {
            kind,
            metadata,
            aggregates,
            rules,
            role: role_ref,
            subjects,
        } = self;
        match kind.as_str() {
            "ClusterRole" => {
                let aggregation = AggregationRule {
                    cluster_role_selectors: aggregates,
                };
                let aggregation_rule =
                    (!aggregation.cluster_role_selectors.is_empty()).then(|| Box::new(aggregation));
                policy.cluster_roles.push(ClusterRole {
                    metadata,
                    rules,
                    aggregation_rule,
                });
            }
            "Role" => policy.roles.push(Role { metadata, rules }),
            "ClusterRoleBinding" => policy.cluster_role_bindings.push(ClusterRoleBinding {
                metadata,
                subjects,
                role_ref,
            }),
            "RoleBinding" => policy.role_bindings.push(RoleBinding {
                metadata,
                subjects,
                role_ref,
            }),
            _ => return Err(kind),
        }
        Ok(())
    }
}

fn subject(text: &str) -> Option<Subject> {
    let (kind, name) = text.split_once(' ')?;
    Some(match (kind, name.split_once('/')) {
        ("ServiceAccount", Some((namespace, name))) => Subject {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Subject::default()
        },
        _ => Subject {
            kind: kind.to_owned(),
            api_group: GROUP.to_owned(),
            name: name.to_owned(),
            ..Subject::default()
        },
    })
}

/// `VERBS at PATHS`, or `VERBS on RESOURCES [of GROUPS] [named NAMES]`.
fn rule(text: &str) -> Option<PolicyRule> {
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut words = text.split(' ');
    let mut rule = PolicyRule {
        verbs: list(words.next()?),
        ..PolicyRule::default()
    };
    while let Some(word) = words.next() {
        let values = list(words.next()?);
        match word {
            "at" => rule.non_resource_urls = values,
            "on" => rule.resources = values,
            "of" => {
                rule.api_groups = values
                    .into_iter()
                    .map(|group| if group == "core" { String::new() } else { group })
                    .collect()
            }
            "named" => rule.resource_names = values,
            _ => return None,
        }
    }
    if !rule.resources.is_empty() && rule.api_groups.is_empty() {
        rule.api_groups.push(String::new());
    }
    Some(rule)
}
