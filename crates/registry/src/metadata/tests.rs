use super::*;
use apimachinery::validation::name_is_dns_subdomain;

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: name.into(),
        namespace: "default".into(),
        resource_version: "1".into(),
        ..ObjectMeta::default()
    }
}

#[track_caller]
fn check(errors: ErrorList, expected: &[&str]) {
    let found: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", error.field, error.type_))
        .collect();
    assert_eq!(found, expected);
}

fn create(metadata: &ObjectMeta) -> ErrorList {
    validate(metadata, true, name_is_dns_subdomain)
}

#[test]
fn new_metadata() {
    check(create(&named("a.b")), &[]);
    check(create(&named("A")), &["metadata.name: Invalid value"]);
    check(
        create(&ObjectMeta {
            namespace: String::new(),
            ..named("")
        }),
        &[
            "metadata.name: Required value",
            "metadata.namespace: Required value",
        ],
    );
    check(
        validate(&named("a"), false, name_is_dns_subdomain),
        &["metadata.namespace: Forbidden"],
    );
    let mut metadata = named("a");
    metadata.labels = [
        ("-".to_owned(), "ok".to_owned()),
        ("ok".to_owned(), "-".to_owned()),
    ]
    .into();
    metadata.annotations = [("X.io/Y".to_owned(), "anything goes".to_owned())].into();
    check(
        create(&metadata),
        &["metadata.labels: Invalid value", "metadata.labels: Invalid value"],
    );
    metadata = named("a");
    metadata.annotations = [("big".to_owned(), "x".repeat(MAX_ANNOTATIONS_BYTES))].into();
    check(create(&metadata), &["metadata.annotations: Too long"]);
    metadata = named("a");
    metadata.finalizers = vec![ORPHAN.into(), FOREGROUND.into()];
    check(create(&metadata), &["metadata.finalizers: Invalid value"]);
}

#[test]
fn owners() {
    let owner = |name: &str| OwnerReference {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        name: name.into(),
        uid: "u".into(),
        controller: Some(true),
        ..OwnerReference::default()
    };
    let metadata = ObjectMeta {
        owner_references: vec![owner("a"), owner("b")],
        ..named("p")
    };
    let errors = create(&metadata);
    assert_eq!(
        errors[0].detail,
        "Only one reference can have Controller set to true. Found \"true\" in references for ReplicaSet/a and ReplicaSet/b"
    );
    let bad = OwnerReference {
        api_version: "a/b/c".into(),
        uid: String::new(),
        ..owner("a")
    };
    check(
        create(&ObjectMeta {
            owner_references: vec![bad],
            ..named("p")
        }),
        &[
            "metadata.ownerReferences.apiVersion: Invalid value",
            "metadata.ownerReferences.uid: Invalid value",
        ],
    );
}

#[test]
fn changes() {
    let old = ObjectMeta {
        uid: "u".into(),
        generation: 2,
        ..named("a")
    };
    check(validate_update(&old, &old), &[]);
    let new = ObjectMeta {
        uid: "v".into(),
        generation: 1,
        resource_version: String::new(),
        ..old.clone()
    };
    check(
        validate_update(&new, &old),
        &[
            "metadata.resourceVersion: Invalid value",
            "metadata.generation: Invalid value",
            "metadata.uid: Invalid value",
        ],
    );
    let going = ObjectMeta {
        deletion_timestamp: Some(apimachinery::time::Time::default()),
        ..old
    };
    let added = ObjectMeta {
        finalizers: vec!["x.io/y".into()],
        ..going.clone()
    };
    assert_eq!(
        validate_update(&added, &going)[0].detail,
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x.io/y\"}"
    );
}
