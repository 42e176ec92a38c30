//! The flow schemas: which requests belong to which priority level, and to which flow in it.

use api::flowcontrol::v1::{
    FlowDistinguisherMethod, FlowSchema, GroupSubject, NonResourcePolicyRule, PolicyRulesWithSubjects,
    ResourcePolicyRule, ServiceAccountSubject, Subject, UserSubject,
};

use super::Upkeep;

const BY_USER: Option<&str> = Some("ByUser");
const BY_NAMESPACE: Option<&str> = Some("ByNamespace");

const EVERYBODY: [&str; 2] = ["system:unauthenticated", "system:authenticated"];

/// Before which others a schema is asked, where its requests go, and what tells its flows apart.
struct Place {
    name: &'static str,
    precedence: i32,
    level: &'static str,
    flows: Option<&'static str>,
}

/// All of them, the suggested ones first.
pub(super) fn all() -> Vec<(Upkeep, FlowSchema)> {
    let mut all: Vec<(Upkeep, FlowSchema)> = suggested()
        .into_iter()
        .map(|schema| (Upkeep::Suggested, schema))
        .collect();
    let exempt = place("exempt", 1, "exempt", None);
    let catch_all = place("catch-all", 10_000, "catch-all", BY_USER);
    for schema in [
        exempt.with(rules(vec![group("system:masters")], everything())),
        catch_all.with(rules(EVERYBODY.map(group).into(), everything())),
    ] {
        all.push((Upkeep::Mandatory, schema));
    }
    all
}

fn suggested() -> Vec<FlowSchema> {
    let system_accounts = || service_account("kube-system", "*");
    let controller_manager = || user("system:kube-controller-manager");
    let scheduler = || user("system:kube-scheduler");
    let to_all = |subject| rules(vec![subject], everything());
    vec![
        place("system-nodes", 500, "system", BY_USER).with(to_all(group("system:nodes"))),
        place("system-node-high", 400, "node-high", BY_USER).with(rules(
            vec![group("system:nodes")],
            (
                vec![
                    resources("", &["nodes", "nodes/status"], &["*"], Scope::Both),
                    resources("coordination.k8s.io", &["leases"], &["*"], Scope::Namespaces),
                ],
                Vec::new(),
            ),
        )),
        place("probes", 2, "exempt", None).with(rules(
            EVERYBODY.map(group).into(),
            (
                Vec::new(),
                vec![paths(&["get"], &["/healthz", "/readyz", "/livez"])],
            ),
        )),
        place("system-leader-election", 100, "leader-election", BY_USER).with(rules(
            vec![controller_manager(), scheduler(), system_accounts()],
            (
                vec![resources(
                    "coordination.k8s.io",
                    &["leases"],
                    &["get", "create", "update"],
                    Scope::Namespaces,
                )],
                Vec::new(),
            ),
        )),
        place("kube-controller-manager", 800, "workload-high", BY_NAMESPACE)
            .with(to_all(controller_manager())),
        place("kube-scheduler", 800, "workload-high", BY_NAMESPACE).with(to_all(scheduler())),
        place("kube-system-service-accounts", 900, "workload-high", BY_NAMESPACE)
            .with(to_all(system_accounts())),
        place("service-accounts", 9000, "workload-low", BY_USER)
            .with(to_all(group("system:serviceaccounts"))),
        place("global-default", 9900, "global-default", BY_USER)
            .with(rules(EVERYBODY.map(group).into(), everything())),
    ]
}

fn place(name: &'static str, precedence: i32, level: &'static str, flows: Option<&'static str>) -> Place {
    Place {
        name,
        precedence,
        level,
        flows,
    }
}

impl Place {
    fn with(self, rules: PolicyRulesWithSubjects) -> FlowSchema {
        let mut schema = FlowSchema::default();
        schema.metadata.name = self.name.to_owned();
        schema.spec.matching_precedence = self.precedence;
        schema.spec.priority_level_configuration.name = self.level.to_owned();
        schema.spec.distinguisher_method = self.flows.map(|type_| {
            Box::new(FlowDistinguisherMethod {
                type_: type_.to_owned(),
            })
        });
        schema.spec.rules = vec![rules];
        schema
    }
}

type Rules = (Vec<ResourcePolicyRule>, Vec<NonResourcePolicyRule>);

fn rules(subjects: Vec<Subject>, (resource_rules, non_resource_rules): Rules) -> PolicyRulesWithSubjects {
    PolicyRulesWithSubjects {
        subjects,
        resource_rules,
        non_resource_rules,
    }
}

fn everything() -> Rules {
    (
        vec![resources("*", &["*"], &["*"], Scope::Both)],
        vec![paths(&["*"], &["*"])],
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Namespaces,
    /// In namespaces and beside them.
    Both,
}

fn resources(group: &str, resources: &[&str], verbs: &[&str], scope: Scope) -> ResourcePolicyRule {
    ResourcePolicyRule {
        verbs: owned(verbs),
        api_groups: owned(&[group]),
        resources: owned(resources),
        cluster_scope: scope == Scope::Both,
        namespaces: owned(&["*"]),
    }
}

fn paths(verbs: &[&str], paths: &[&str]) -> NonResourcePolicyRule {
    NonResourcePolicyRule {
        verbs: owned(verbs),
        non_resource_urls: owned(paths),
    }
}

fn user(name: &str) -> Subject {
    Subject {
        kind: "User".to_owned(),
        user: Some(Box::new(UserSubject {
            name: name.to_owned(),
        })),
        ..Subject::default()
    }
}

fn group(name: &str) -> Subject {
    Subject {
        kind: "Group".to_owned(),
        group: Some(Box::new(GroupSubject {
            name: name.to_owned(),
        })),
        ..Subject::default()
    }
}

fn service_account(namespace: &str, name: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        service_account: Some(Box::new(ServiceAccountSubject {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })),
        ..Subject::default()
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
