use super::reconcile::{BindingParts, RoleParts};
use super::*;
use crate::authorizers::rbac::rules::allows;
use crate::{Attributes, UserInfo};

#[test]
fn the_table_reads_whole() {
    let policy = policy();
    assert_eq!(
        (
            policy.cluster_roles.len(),
            policy.cluster_role_bindings.len(),
            policy.roles.len(),
            policy.role_bindings.len()
        ),
        (69, 50, 7, 7)
    );
    for binding in &policy.cluster_role_bindings {
        let role = policy
            .cluster_roles
            .iter()
            .find(|role| role.metadata.name == binding.role_ref.name);
        assert!(role.is_some(), "{} grants nothing", binding.metadata.name);
    }
    let admin = policy
        .cluster_roles
        .iter()
        .find(|role| role.metadata.name == "admin")
        .unwrap();
    let selectors = &admin.aggregation_rule.as_ref().unwrap().cluster_role_selectors;
    assert_eq!(
        selectors[0].match_labels["rbac.authorization.k8s.io/aggregate-to-admin"],
        "true"
    );
    assert!(super::policy::parse("ClusterRole a\n  get pods").is_err());
    assert!(super::policy::parse("Thing a").is_err());
}

/// Compares with what upstream's server has written, where the recording is at hand.
#[test]
fn the_table_says_what_upstream_wrote() {
    let Some(reference) = std::env::var_os("OXIKUBE_REFERENCE") else {
        return eprintln!("skipped: OXIKUBE_REFERENCE is not set");
    };
    use api::Message;
    let text = std::fs::read(std::path::Path::new(&reference).join("bootstrap/clusterroles.json")).unwrap();
    let recorded: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let recorded = recorded
        .get("items")
        .unwrap_or(&recorded)
        .as_array()
        .unwrap()
        .clone();
    let ours = policy().cluster_roles;
    assert_eq!(recorded.len(), ours.len());
    for role in recorded {
        let role = api::rbac::v1::ClusterRole::from_json(role.to_string().as_bytes()).unwrap();
        let same = ours.iter().find(|ours| ours.metadata.name == role.metadata.name);
        assert_eq!(
            same.map(|ours| &ours.rules),
            Some(&role.rules),
            "{}",
            role.metadata.name
        );
    }
}

#[test]
fn groups_default_to_core() {
    let policy = policy();
    let ask = Attributes {
        user: UserInfo::default(),
        verb: "list".into(),
        resource: "services".into(),
        resource_request: true,
        ..Attributes::default()
    };
    assert!(
        policy
            .rules_of("system:node")
            .iter()
            .any(|rule| allows(rule, &ask))
    );
    assert!(policy.rules_of("nobody").is_empty());
}

#[test]
fn roles_grow_and_never_shrink() {
    let policy = policy();
    let wanted = |name: &str| {
        let role = policy
            .cluster_roles
            .iter()
            .find(|role| role.metadata.name == name)
            .unwrap();
        RoleParts {
            metadata: role.metadata.clone(),
            rules: role.rules.clone(),
        }
    };
    let node = wanted("system:node");
    assert_eq!(role(&node, &node, false), Action::Nothing);
    let mut existing = node.clone();
    let dropped = existing.rules.remove(2);
    existing
        .rules
        .extend(wanted("cluster-admin").rules.into_iter().skip(1));
    existing.metadata.labels.clear();
    let Action::Update(updated) = role(&existing, &node, false) else {
        panic!("not updated")
    };
    assert_eq!(updated.rules.last(), Some(&dropped));
    assert_eq!(updated.rules.len(), existing.rules.len() + 1);
    assert_eq!(updated.metadata.labels, node.metadata.labels);
    existing
        .metadata
        .annotations
        .insert(super::policy::AUTOUPDATE.into(), "false".into());
    assert_eq!(role(&existing, &node, false), Action::Nothing);
}

#[test]
fn a_binding_to_another_role_is_made_anew() {
    let policy = policy();
    let found = &policy.cluster_role_bindings[0];
    let wanted = BindingParts {
        metadata: found.metadata.clone(),
        subjects: found.subjects.clone(),
        role: found.role_ref.clone(),
    };
    assert_eq!(binding(&wanted, &wanted), Action::Nothing);
    let mut existing = wanted.clone();
    existing.subjects.clear();
    assert_eq!(binding(&existing, &wanted), Action::Update(wanted.clone()));
    existing.role.name = "other".into();
    assert_eq!(binding(&existing, &wanted), Action::Recreate(wanted));
}
