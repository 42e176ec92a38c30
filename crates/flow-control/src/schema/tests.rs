use api::flowcontrol::v1::{FlowDistinguisherMethod, GroupSubject, ServiceAccountSubject, UserSubject};

use super::*;

fn strings(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

/// `User ada`, `Group dev`, `ServiceAccount ns/name`.
fn subject(text: &str) -> Subject {
    let (kind, name) = text.split_once(' ').expect("a kind and a name");
    let mut subject = Subject {
        kind: kind.to_owned(),
        ..Subject::default()
    };
    match (kind, name.split_once('/')) {
        ("User", _) => {
            subject.user = Some(Box::new(UserSubject {
                name: name.to_owned(),
            }))
        }
        ("Group", _) => {
            subject.group = Some(Box::new(GroupSubject {
                name: name.to_owned(),
            }))
        }
        (_, Some((namespace, name))) => {
            subject.service_account = Some(Box::new(ServiceAccountSubject {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }));
        }
        _ => {}
    }
    subject
}

fn everything(subjects: &[&str]) -> Schema {
    schema(subjects, "*", "*", "*", true, "*")
}

fn schema(
    subjects: &[&str],
    verbs: &str,
    resources: &str,
    namespaces: &str,
    cluster_scope: bool,
    paths: &str,
) -> Schema {
    let mut object = FlowSchema::default();
    object.metadata.name = "s".to_owned();
    object.spec.rules = vec![PolicyRulesWithSubjects {
        subjects: subjects.iter().map(|text| subject(text)).collect(),
        resource_rules: vec![ResourcePolicyRule {
            verbs: strings(verbs),
            api_groups: strings("*"),
            resources: strings(resources),
            cluster_scope,
            namespaces: strings(namespaces),
        }],
        non_resource_rules: vec![NonResourcePolicyRule {
            verbs: strings(verbs),
            non_resource_urls: strings(paths),
        }],
    }];
    Schema::new(&object)
}

fn digest<'a>(user: &'a str, groups: &'a [String]) -> Digest<'a> {
    Digest {
        user,
        groups,
        resource_request: true,
        verb: "get",
        api_group: "",
        resource: "pods",
        subresource: "",
        namespace: "ns",
        path: "/api/v1/namespaces/ns/pods/p",
    }
}

#[test]
fn subjects_are_users_groups_and_service_accounts() {
    let groups = strings("dev system:authenticated");
    let account = "system:serviceaccount:ns:web";
    let check = |subjects: &[&str], user: &str, expected: bool| {
        assert_eq!(
            everything(subjects).matches(&digest(user, &groups)),
            expected,
            "{subjects:?} {user}"
        );
    };
    check(&["User ada"], "ada", true);
    check(&["User bob"], "ada", false);
    check(&["User *"], "ada", true);
    check(&["Group ops", "Group dev"], "ada", true);
    check(&["Group ops"], "ada", false);
    check(&["Group *"], "ada", true);
    check(&["ServiceAccount ns/web"], account, true);
    check(&["ServiceAccount ns/we"], account, false);
    check(&["ServiceAccount ns/*"], account, true);
    check(&["ServiceAccount n/*"], account, false);
    check(&["ServiceAccount ns/*"], "ada", false);
    check(&[], "ada", false);
}

#[test]
fn resources_match_by_scope_verb_and_subresource() {
    let check = |schema: &Schema, change: fn(&mut Digest<'static>), expected: bool| {
        let mut digest = digest("ada", &[]);
        change(&mut digest);
        assert_eq!(schema.matches(&digest), expected, "{digest:?}");
    };
    let anyone = ["User *"];
    let pods = schema(&anyone, "get list", "pods nodes/status", "ns", false, "/none");
    check(&pods, |_| {}, true);
    check(&pods, |digest| digest.verb = "watch", false);
    check(&pods, |digest| digest.resource = "services", false);
    check(&pods, |digest| digest.subresource = "status", false);
    check(
        &pods,
        |digest| (digest.resource, digest.subresource) = ("nodes", "status"),
        true,
    );
    check(&pods, |digest| digest.namespace = "other", false);
    check(&pods, |digest| digest.namespace = "", false);
    check(&everything(&anyone), |digest| digest.namespace = "", true);
}

#[test]
fn paths_match_by_prefix() {
    let check = |rule: &str, path: &str, expected: bool| {
        assert_eq!(is_within(path, rule), expected, "{path} in {rule}");
    };
    check("*", "/anything", true);
    check("/healthz", "/healthz", true);
    check("/healthz", "/healthz/etcd", true);
    check("/healthz", "/healthzz", false);
    check("/healthz/*", "/healthz/etcd", true);
    check("/healthz/", "/healthz/etcd", true);
    check("/apis/*", "/api", false);
    check("/*", "/version", true);
}

#[test]
fn flows_are_told_apart_as_the_schema_says() {
    let mut object = FlowSchema::default();
    object.metadata.name = "s".to_owned();
    let groups = [];
    let digest = digest("ada", &groups);
    let check = |object: &FlowSchema, expected: &str| {
        assert_eq!(Schema::new(object).distinguisher(&digest), expected);
    };
    check(&object, "");
    for (type_, expected) in [("ByUser", "ada"), ("ByNamespace", "ns")] {
        object.spec.distinguisher_method = Some(Box::new(FlowDistinguisherMethod {
            type_: type_.to_owned(),
        }));
        check(&object, expected);
    }
    let schema = Schema::new(&object);
    assert_ne!(schema.hash("a"), schema.hash("b"));
    assert_eq!(schema.hash("a"), schema.clone().hash("a"));
}
