use std::sync::LazyLock;

use api::admissionregistration::v1;
use api::core::v1::ConfigMap;
use auth::UserInfo;
use auth::objects::MemoryObjects;

use super::*;

fn rule(operations: &[&str], group: &str, version: &str, resource: &str, scope: &str) -> RuleWithOperations {
    RuleWithOperations {
        operations: operations.iter().map(ToString::to_string).collect(),
        rule: v1::Rule {
            api_groups: vec![group.to_owned()],
            api_versions: vec![version.to_owned()],
            resources: vec![resource.to_owned()],
            scope: Some(scope.to_owned()),
        },
    }
}

/// A request, as `CREATE apps/v1/deployments/scale in ns`, about the object `x`.
fn request(text: &str) -> Attributes<'_> {
    static USER: LazyLock<UserInfo> = LazyLock::new(|| UserInfo::new("ada", &[]));
    let words: Vec<&str> = text.split(' ').collect();
    let operation = match words[0] {
        "CREATE" => Operation::Create,
        "UPDATE" => Operation::Update,
        "DELETE" => Operation::Delete,
        _ => Operation::Connect,
    };
    let path: Vec<&str> = words[1].split('/').collect();
    Attributes {
        operation,
        kind: GroupVersionKind::new(path[0], path[1], "Some"),
        resource: GroupVersionResource::new(path[0], path[1], path[2]),
        subresource: path.get(3).copied().unwrap_or_default(),
        namespace: words.get(3).copied().unwrap_or_default(),
        name: "x",
        user: &USER,
        dry_run: false,
        options: &[],
        now: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn rules_are_about_requests() {
    let check = |rule: RuleWithOperations, text: &str, expected: bool| {
        let found = find([Rule::from(&rule)], MatchPolicy::Exact, &request(text), Vec::new);
        assert_eq!(found.is_some(), expected, "{rule:?} and {text}");
    };
    let pods = || rule(&["CREATE"], "", "v1", "pods", "*");
    check(pods(), "CREATE /v1/pods in ns", true);
    check(pods(), "UPDATE /v1/pods in ns", false);
    check(pods(), "CREATE /v1/pods/status in ns", false);
    check(pods(), "CREATE apps/v1/pods in ns", false);
    check(pods(), "CREATE /v2/pods in ns", false);
    let any = |resource| rule(&["*"], "*", "*", resource, "*");
    check(any("*"), "CONNECT /v1/pods/exec in ns", false);
    check(any("*/*"), "CONNECT /v1/pods/exec in ns", true);
    check(any("*/*"), "DELETE x.io/v3/things", true);
    check(any("pods/*"), "UPDATE /v1/pods in ns", true);
    check(any("*/scale"), "UPDATE apps/v1/deployments/scale in ns", true);
    let scoped = |scope| rule(&["*"], "*", "*", "*", scope);
    check(scoped("Cluster"), "CREATE /v1/nodes", true);
    check(scoped("Namespaced"), "CREATE /v1/nodes", false);
    check(scoped("Namespaced"), "CREATE /v1/pods in ns", true);
    check(scoped("Cluster"), "UPDATE /v1/namespaces in ns", true);
    check(scoped("Namespaced"), "UPDATE /v1/namespaces in ns", false);
    check(scoped("Other"), "CREATE /v1/pods in ns", false);
}

#[test]
fn names_restrict_a_rule() {
    let rule = rule(&["*"], "*", "*", "*", "*");
    for (name, expected) in [("x", true), ("y", false)] {
        let names = [name.to_owned()];
        let named = Rule {
            rule: &rule,
            names: &names,
        };
        let deleted = request("DELETE /v1/pods in ns");
        let found = find([named], MatchPolicy::Exact, &deleted, Vec::new);
        assert_eq!(found.is_some(), expected);
    }
}

#[test]
fn equivalent_forms_count_if_asked_for() {
    let form = |version: &str| ServedAs {
        resource: GroupVersionResource::new("x.io", version, "things"),
        kind: GroupVersionKind::new("x.io", version, "Thing"),
    };
    let forms = || vec![form("v1"), form("v2"), form("v3")];
    let check = |versions: &[&str], policy, expected: Option<&str>| {
        let rules: Vec<_> = versions
            .iter()
            .map(|version| rule(&["*"], "x.io", version, "things", "*"))
            .collect();
        let created = request("CREATE x.io/v1/things in ns");
        let found = find(rules.iter().map(Rule::from), policy, &created, forms);
        let version = found.map(|form| form.resource.version);
        assert_eq!(version.as_deref(), expected, "{versions:?}");
    };
    check(&["v3", "v2"], MatchPolicy::Equivalent, Some("v3"));
    check(&["v3", "v1"], MatchPolicy::Equivalent, Some("v1"));
    check(&["v3"], MatchPolicy::Exact, None);
    check(&["v4"], MatchPolicy::Equivalent, None);
    check(&[], MatchPolicy::Equivalent, None);
}

#[tokio::test]
async fn selectors_look_at_labels() {
    let selector = |text: Option<&str>| {
        text.map(|text| {
            let (key, value) = text.split_once('=').expect("a label");
            LabelSelector {
                match_labels: [(key.to_owned(), value.to_owned())].into(),
                ..LabelSelector::default()
            }
        })
    };
    let objects = MemoryObjects::new();
    let mut namespace = Namespace::default();
    namespace.metadata.name = "x".to_owned();
    namespace
        .metadata
        .labels
        .insert("env".to_owned(), "test".to_owned());
    objects.insert(namespace);
    let labelled = |value: &str| {
        let mut object = ConfigMap::default();
        object.metadata.labels.insert("app".to_owned(), value.to_owned());
        object
    };
    let (web, db) = (labelled("web"), labelled("db"));
    let check = async |namespaces, of_objects, text: &str, new: &dyn Object, old: &dyn Object| {
        let selectors = Selectors::new(selector(namespaces).as_ref(), selector(of_objects).as_ref());
        let selectors = selectors.expect("well-formed selectors");
        let outcome = selectors
            .matches(&request(text), Some(new), Some(old), &objects)
            .await;
        match outcome {
            Ok(matches) => matches.to_string(),
            Err(status) => format!("{} {}", status.code, status.message),
        }
    };
    let pods = "CREATE /v1/pods in x";
    assert_eq!(check(None, None, pods, &db, &db).await, "true");
    assert_eq!(check(None, Some("app=web"), pods, &db, &db).await, "false");
    assert_eq!(check(None, Some("app=web"), pods, &db, &web).await, "true");
    assert_eq!(check(Some("env=test"), None, pods, &db, &db).await, "true");
    assert_eq!(check(Some("env=prod"), None, pods, &db, &db).await, "false");
    let elsewhere = "CREATE /v1/pods in gone";
    let missing = r#"404 namespaces "gone" not found"#;
    assert_eq!(check(Some("env=test"), None, elsewhere, &db, &db).await, missing);
    assert_eq!(
        check(Some("env=prod"), None, "CREATE /v1/nodes", &db, &db).await,
        "true"
    );
    let made = "CREATE /v1/namespaces";
    assert_eq!(check(Some("app=web"), None, made, &web, &db).await, "true");
    assert_eq!(check(Some("env=test"), None, made, &web, &db).await, "false");
    let deleted = "DELETE /v1/namespaces";
    assert_eq!(check(Some("env=test"), None, deleted, &web, &db).await, "true");
}
