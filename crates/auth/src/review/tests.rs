use api::authorization::v1::FieldSelectorAttributes;
use api::meta::v1::FieldSelectorRequirement;
use futures_util::future::BoxFuture;

use super::*;
use crate::{Error, TokenIdentity};

/// Knows `good`, with the audiences asked for that are `api`; refuses `bad`.
struct Tokens;

impl TokenAuthenticator for Tokens {
    fn authenticate_token<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<TokenIdentity>, Error>> {
        let audiences: Vec<String> = audiences
            .iter()
            .filter(|audience| *audience == "api")
            .cloned()
            .collect();
        Box::pin(std::future::ready(match token {
            "good" => Ok(Some(TokenIdentity {
                user: UserInfo::new("ada", &["dev"]),
                audiences,
            })),
            "bad" => Err(Error::Token("expired".to_owned())),
            _ => Ok(None),
        }))
    }
}

async fn check(token: &str, audiences: &[&str], expected: &str) {
    let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
    let spec = TokenReviewSpec {
        token: token.to_owned(),
        audiences,
    };
    let status = super::token(&Tokens, &spec, &["api".to_owned()]).await;
    let told = format!(
        "{} {} {:?} {:?} {}",
        status.authenticated, status.user.username, status.user.groups, status.audiences, status.error
    );
    assert_eq!(told.trim_end(), expected);
}

#[tokio::test]
async fn tokens_are_reviewed_for_their_audience() {
    check("good", &[], r#"true ada ["dev", "system:authenticated"] ["api"]"#).await;
    check(
        "good",
        &["vault", "api"],
        r#"true ada ["dev", "system:authenticated"] ["api"]"#,
    )
    .await;
    check("good", &["vault"], "false  [] [] token audiences do not match").await;
    check("bad", &[], "false  [] [] invalid bearer token: expired").await;
    check("other", &[], "false  [] [] invalid bearer token").await;
}

#[test]
fn a_review_asks_what_its_spec_says() {
    let requirement = FieldSelectorRequirement {
        key: "spec.nodeName".into(),
        operator: "In".into(),
        values: vec!["a".into()],
    };
    let selector = FieldSelectorAttributes {
        requirements: vec![requirement],
        ..FieldSelectorAttributes::default()
    };
    let resource = ResourceAttributes {
        verb: "list".into(),
        resource: "pods".into(),
        field_selector: Some(Box::new(selector)),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: "ada".into(),
        groups: vec!["dev".into()],
        resource_attributes: Some(Box::new(resource)),
        ..SubjectAccessReviewSpec::default()
    };
    let attributes = attributes_of(&spec);
    assert_eq!(
        (
            attributes.field_selector.as_str(),
            attributes.api_version.as_str()
        ),
        ("spec.nodeName=a", "*")
    );
    assert!(attributes.resource_request && attributes.user.in_group("dev"));
    let path = NonResourceAttributes {
        path: "/metrics".into(),
        verb: "get".into(),
    };
    let spec = SelfSubjectAccessReviewSpec {
        non_resource_attributes: Some(Box::new(path)),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let attributes = attributes_of_self(&UserInfo::new("ada", &[]), &spec);
    assert_eq!(attributes.refusal(), r#"User "ada" cannot get path "/metrics""#);
}

#[test]
fn decisions_become_statuses() {
    let status = access(Decision::Deny { reason: "no".into() }, None);
    assert!(!status.allowed && status.denied && status.reason == "no");
    assert!(
        access(
            Decision::Allow {
                reason: String::new()
            },
            None
        )
        .allowed
    );
    assert!(!access(Decision::no_opinion(), None).denied);
}

#[test]
fn selectors_that_cannot_be_read_are_told() {
    use api::authorization::v1::{FieldSelectorAttributes, LabelSelectorAttributes, ResourceAttributes};
    use api::meta::v1::FieldSelectorRequirement;

    let requirement = |operator: &str| FieldSelectorRequirement {
        key: "spec.nodeName".to_owned(),
        operator: operator.to_owned(),
        values: vec!["n".to_owned()],
    };
    let resource = ResourceAttributes {
        field_selector: Some(Box::new(FieldSelectorAttributes {
            requirements: vec![requirement("In"), requirement("Near")],
            ..FieldSelectorAttributes::default()
        })),
        label_selector: Some(Box::new(LabelSelectorAttributes {
            raw_selector: "!!".to_owned(),
            ..LabelSelectorAttributes::default()
        })),
        ..ResourceAttributes::default()
    };
    assert_eq!(
        access(Decision::no_opinion(), Some(&resource)).evaluation_error,
        "spec.resourceAttributes.fieldSelector partially ignored due to parse error; \
         spec.resourceAttributes.labelSelector ignored due to parse error"
    );
}
