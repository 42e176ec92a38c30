//! Which flow a request belongs to: FlowSchemas, prepared for matching.

use std::hash::{DefaultHasher, Hash, Hasher};

use api::flowcontrol::v1::{
    FlowSchema, NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject,
};
use auth::user::parse_service_account;

const ALL: &str = "*";

/// What schemas look at.
#[derive(Clone, Copy, Debug)]
pub struct Digest<'a> {
    pub user: &'a str,
    pub groups: &'a [String],
    pub resource_request: bool,
    pub verb: &'a str,
    pub api_group: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    /// Empty for requests that concern no namespace.
    pub namespace: &'a str,
    pub path: &'a str,
}

/// By what requests of one schema are told apart into flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distinguisher {
    Nothing,
    User,
    Namespace,
}

/// A FlowSchema, ready to match.
#[derive(Clone, Debug)]
pub struct Schema {
    pub name: String,
    pub uid: String,
    pub level: String,
    distinguisher: Distinguisher,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    subjects: Vec<Who>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

#[derive(Clone, Debug)]
enum Who {
    Anyone,
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
    ServiceAccountsOf(String),
}

/// One of a list of names, or any.
#[derive(Clone, Debug)]
enum Names {
    Any,
    Of(Vec<String>),
}

#[derive(Clone, Debug)]
struct ResourceRule {
    verbs: Names,
    api_groups: Names,
    resources: Names,
    namespaces: Names,
    cluster_scope: bool,
}

#[derive(Clone, Debug)]
struct PathRule {
    verbs: Names,
    paths: Vec<String>,
}

impl Schema {
    pub fn new(object: &FlowSchema) -> Schema {
        let spec = &object.spec;
        let method = spec.distinguisher_method.as_ref();
        Schema {
            name: object.metadata.name.clone(),
            uid: object.metadata.uid.clone(),
            level: spec.priority_level_configuration.name.clone(),
            distinguisher: match method.map(|method| method.type_.as_str()) {
                Some("ByUser") => Distinguisher::User,
                Some("ByNamespace") => Distinguisher::Namespace,
                _ => Distinguisher::Nothing,
            },
            rules: spec.rules.iter().map(Rule::new).collect(),
        }
    }

    pub fn matches(&self, digest: &Digest<'_>) -> bool {
        self.rules.iter().any(|rule| rule.matches(digest))
    }

    /// What tells the request's flow from others of this schema.
    pub fn distinguisher<'a>(&self, digest: &Digest<'a>) -> &'a str {
        match self.distinguisher {
            Distinguisher::Nothing => "",
            Distinguisher::User => digest.user,
            Distinguisher::Namespace => digest.namespace,
        }
    }

    /// Names the flow; flows of one name in one server have one hash.
    pub fn hash(&self, distinguisher: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.name.as_str(), distinguisher).hash(&mut hasher);
        hasher.finish()
    }
}

impl Rule {
    fn new(rule: &PolicyRulesWithSubjects) -> Rule {
        Rule {
            subjects: rule.subjects.iter().filter_map(Who::new).collect(),
            resources: rule.resource_rules.iter().map(ResourceRule::new).collect(),
            paths: rule.non_resource_rules.iter().map(PathRule::new).collect(),
        }
    }

    fn matches(&self, digest: &Digest<'_>) -> bool {
        if !self.subjects.iter().any(|subject| subject.is(digest)) {
            return false;
        }
        if digest.resource_request {
            self.resources.iter().any(|rule| rule.matches(digest))
        } else {
            self.paths.iter().any(|rule| rule.matches(digest))
        }
    }
}

impl Who {
    /// `None`: a subject that says nobody.
    fn new(subject: &Subject) -> Option<Who> {
        let any_or = |name: &str, some: fn(String) -> Who| match name {
            ALL => Who::Anyone,
            name => some(name.to_owned()),
        };
        match subject.kind.as_str() {
            "User" => Some(any_or(&subject.user.as_ref()?.name, Who::User)),
            "Group" => Some(any_or(&subject.group.as_ref()?.name, Who::Group)),
            "ServiceAccount" => {
                let account = subject.service_account.as_ref()?;
                let namespace = account.namespace.clone();
                Some(match account.name.as_str() {
                    ALL => Who::ServiceAccountsOf(namespace),
                    name => Who::ServiceAccount {
                        namespace,
                        name: name.to_owned(),
                    },
                })
            }
            _ => None,
        }
    }

    fn is(&self, digest: &Digest<'_>) -> bool {
        match self {
            Who::Anyone => true,
            Who::User(name) => name == digest.user,
            Who::Group(name) => digest.groups.contains(name),
            Who::ServiceAccountsOf(namespace) => {
                parse_service_account(digest.user).is_some_and(|(of, _)| of == namespace)
            }
            Who::ServiceAccount { namespace, name } => {
                parse_service_account(digest.user) == Some((namespace, name))
            }
        }
    }
}

impl Names {
    fn new(names: &[String]) -> Names {
        match names {
            [only] if only == ALL => Names::Any,
            names => Names::Of(names.to_vec()),
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Names::Any => true,
            Names::Of(names) => names.iter().any(|one| one == name),
        }
    }

    /// As [`Names::has`] for `resource/subresource`, without putting it together.
    fn has_resource(&self, resource: &str, subresource: &str) -> bool {
        if subresource.is_empty() {
            return self.has(resource);
        }
        match self {
            Names::Any => true,
            Names::Of(names) => names
                .iter()
                .any(|one| one.split_once('/') == Some((resource, subresource))),
        }
    }
}

impl ResourceRule {
    fn new(rule: &ResourcePolicyRule) -> ResourceRule {
        ResourceRule {
            verbs: Names::new(&rule.verbs),
            api_groups: Names::new(&rule.api_groups),
            resources: Names::new(&rule.resources),
            namespaces: Names::new(&rule.namespaces),
            cluster_scope: rule.cluster_scope,
        }
    }

    fn matches(&self, digest: &Digest<'_>) -> bool {
        let in_scope = match digest.namespace {
            "" => self.cluster_scope,
            namespace => self.namespaces.has(namespace),
        };
        in_scope
            && self.verbs.has(digest.verb)
            && self.api_groups.has(digest.api_group)
            && self.resources.has_resource(digest.resource, digest.subresource)
    }
}

impl PathRule {
    fn new(rule: &NonResourcePolicyRule) -> PathRule {
        PathRule {
            verbs: Names::new(&rule.verbs),
            paths: rule.non_resource_urls.clone(),
        }
    }

    fn matches(&self, digest: &Digest<'_>) -> bool {
        self.verbs.has(digest.verb) && self.paths.iter().any(|path| is_within(digest.path, path))
    }
}

/// Whether a path is what a rule names, or lies below it: `/a`, `/a/` and `/a/*` all mean what is below `/a`.
fn is_within(path: &str, rule: &str) -> bool {
    if rule == ALL || rule == path {
        return true;
    }
    let stem = rule.strip_suffix('*').unwrap_or(rule);
    let stem = stem.strip_suffix('/').unwrap_or(stem);
    path.strip_prefix(stem).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
