use api::Object;
use api::meta::v1::ObjectMeta;
use api::rbac::v1::Subject;

use super::*;

fn strings(list: &str) -> Vec<String> {
    list.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            if part == "core" {
                String::new()
            } else {
                part.to_owned()
            }
        })
        .collect()
}

fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> PolicyRule {
    PolicyRule {
        verbs: strings(verbs),
        api_groups: strings(groups),
        resources: strings(resources),
        resource_names: strings(names),
        non_resource_urls: Vec::new(),
    }
}

fn meta(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: namespace.into(),
        name: name.into(),
        ..ObjectMeta::default()
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef {
        api_group: GROUP.into(),
        kind: kind.into(),
        name: name.into(),
    }
}

fn subject(kind: &str, namespace: &str, name: &str) -> Subject {
    Subject {
        kind: kind.into(),
        namespace: namespace.into(),
        name: name.into(),
        api_group: String::new(),
    }
}

fn objects() -> Vec<Box<dyn Object>> {
    let paths = PolicyRule {
        verbs: strings("get"),
        non_resource_urls: strings("/healthz,/metrics/*"),
        ..PolicyRule::default()
    };
    vec![
        Box::new(ClusterRole {
            metadata: meta("", "view"),
            rules: vec![rule("get,list", "core", "pods,pods/log,*/scale", ""), paths],
            ..ClusterRole::default()
        }),
        Box::new(Role {
            metadata: meta("ns", "edit"),
            rules: vec![rule("update", "apps", "deployments", "web")],
        }),
        Box::new(ClusterRoleBinding {
            metadata: meta("", "viewers"),
            subjects: vec![
                subject("Group", "", "dev"),
                subject("ServiceAccount", "ns", "bot"),
            ],
            role_ref: role_ref("ClusterRole", "view"),
        }),
        Box::new(RoleBinding {
            metadata: meta("ns", "editors"),
            subjects: vec![subject("User", "", "ada"), subject("ServiceAccount", "", "bot")],
            role_ref: role_ref("Role", "edit"),
        }),
        Box::new(RoleBinding {
            metadata: meta("ns", "broken"),
            subjects: vec![subject("User", "", "ada")],
            role_ref: role_ref("Role", "gone"),
        }),
    ]
}

fn rbac() -> Rbac {
    let rbac = Rbac::new();
    objects()
        .iter()
        .for_each(|object| rbac.apply(Change::Set(object.as_ref())));
    rbac
}

/// `who verb group resource/sub name namespace`, or `who verb /path`.
fn check(rbac: &Rbac, request: &str, expected: &str) {
    let words: Vec<&str> = request.split(' ').collect();
    let user = match words[0] {
        "bot" => UserInfo::service_account("ns", "bot", ""),
        name => UserInfo::new(name, if name == "dan" { &["dev"] } else { &[] }),
    };
    let mut attributes = Attributes {
        user,
        verb: words[1].into(),
        ..Attributes::default()
    };
    match words.as_slice() {
        [_, _, path] => attributes.path = (*path).to_owned(),
        [_, _, group, resource, name, namespace] => {
            let dash = |word: &str| {
                if word == "-" {
                    String::new()
                } else {
                    word.to_owned()
                }
            };
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            attributes.resource_request = true;
            attributes.api_group = dash(group);
            attributes.resource = resource.to_owned();
            attributes.subresource = subresource.to_owned();
            attributes.name = dash(name);
            attributes.namespace = dash(namespace);
        }
        _ => panic!("{request}"),
    }
    let told = match rbac.decide(&attributes) {
        Decision::Allow { reason } => format!("yes {reason}"),
        Decision::NoOpinion { reason } | Decision::Deny { reason } => format!("no {reason}"),
    };
    assert_eq!(told.trim_end(), expected, "{request}");
}

#[test]
fn bindings_reach_users_groups_and_service_accounts() {
    let rbac = rbac();
    let viewer = r#"yes RBAC: allowed by ClusterRoleBinding "viewers" of ClusterRole "view" to"#;
    check(&rbac, "dan list - pods - ns", &format!(r#"{viewer} Group "dev""#));
    check(
        &rbac,
        "bot list - pods - other",
        &format!(r#"{viewer} ServiceAccount "bot/ns""#),
    );
    check(&rbac, "dan delete - pods - ns", "no");
    check(&rbac, "eve list - pods - ns", "no");
    let editor = r#"yes RBAC: allowed by RoleBinding "editors/ns" of Role "edit" to"#;
    check(
        &rbac,
        "bot update apps deployments web ns",
        &format!(r#"{editor} ServiceAccount "bot/""#),
    );
    check(&rbac, "bot update apps deployments other ns", "no");
    check(&rbac, "bot update apps deployments web other", "no");
}

#[test]
fn rules_match_subresources_and_paths() {
    let rbac = rbac();
    let yes = r#"yes RBAC: allowed by ClusterRoleBinding "viewers" of ClusterRole "view" to Group "dev""#;
    check(&rbac, "dan get - pods/log a ns", yes);
    check(&rbac, "dan get - pods/exec a ns", "no");
    check(&rbac, "dan get - replicationcontrollers/scale a ns", yes);
    check(&rbac, "dan get apps deployments/scale a ns", "no");
    check(&rbac, "dan get /healthz", yes);
    check(&rbac, "dan get /metrics/slis", yes);
    check(&rbac, "dan get /healthz/etcd", "no");
    check(&rbac, "dan post /healthz", "no");
}

#[test]
fn a_missing_role_is_named() {
    let rbac = rbac();
    check(
        &rbac,
        "ada list - pods - ns",
        r#"no RBAC: role.rbac.authorization.k8s.io "gone" not found"#,
    );
}

#[test]
fn changes_take_effect() {
    let rbac = rbac();
    let objects = objects();
    rbac.apply(Change::Removed(objects[2].as_ref()));
    check(&rbac, "dan list - pods - ns", "no");
    rbac.apply(Change::Set(objects[2].as_ref()));
    let mut fewer = objects[2].downcast_ref::<ClusterRoleBinding>().unwrap().clone();
    fewer.subjects.remove(0);
    rbac.apply(Change::Set(&fewer));
    check(&rbac, "dan list - pods - ns", "no");
    let yes = r#"yes RBAC: allowed by ClusterRoleBinding "viewers" of ClusterRole "view" to ServiceAccount "bot/ns""#;
    check(&rbac, "bot list - pods - ns", yes);
    rbac.apply(Change::Removed(objects[0].as_ref()));
    check(
        &rbac,
        "bot list - pods - ns",
        r#"no RBAC: clusterrole.rbac.authorization.k8s.io "view" not found"#,
    );
}

#[test]
fn rules_of_a_user_are_listed() {
    let rules = rbac().rules_for(&UserInfo::service_account("ns", "bot", ""), "ns");
    assert_eq!(
        (rules.resource_rules.len(), rules.non_resource_rules.len()),
        (2, 1)
    );
    assert!(!rules.incomplete && rules.evaluation_error.is_empty());
}
