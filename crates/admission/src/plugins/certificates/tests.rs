use api::certificates::v1::CertificateSigningRequestCondition;
use api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use auth::authorizers::Rbac;
use auth::{Change, Follower};
use pki::PrivateKey;
use pki::certificate::{AltNames, Subject};

use super::*;
use crate::testing::{Request, from_json, told};

/// Ada may approve for one signer, and sign for all of its domain.
fn authorizer() -> Arc<Rbac> {
    let rbac = Rbac::new();
    let role: ClusterRole = from_json(
        r#"{"metadata":{"name":"r"},"rules":[
            {"verbs":["approve"],"apiGroups":["certificates.k8s.io"],"resources":["signers"],"resourceNames":["example.com/one"]},
            {"verbs":["sign"],"apiGroups":["certificates.k8s.io"],"resources":["signers"],"resourceNames":["example.com/*"]}]}"#,
    );
    let binding: ClusterRoleBinding = from_json(
        r#"{"metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"User","name":"ada"}]}"#,
    );
    rbac.apply(Change::Set(&role));
    rbac.apply(Change::Set(&binding));
    Arc::new(rbac)
}

fn request(signer: &str) -> CertificateSigningRequest {
    from_json(&format!(
        r#"{{"metadata":{{"name":"c"}},"spec":{{"signerName":"{signer}"}}}}"#
    ))
}

#[tokio::test]
async fn approving_and_signing_need_the_signers_consent() {
    let (approval, signing) = (
        CertificateApproval::new(authorizer()),
        CertificateSigning::new(authorizer()),
    );
    let check = async |plugin: &dyn Plugin, subresource: &'static str, signer: &str, expected: &str| {
        let (mut new, old) = (request(signer), request(signer));
        new.status
            .conditions
            .push(CertificateSigningRequestCondition::default());
        let outcome = Request::update()
            .subresource(subresource)
            .run(plugin, Some(&mut new), Some(&old))
            .await;
        assert_eq!(told(&outcome), expected);
    };
    check(&approval, "approval", "example.com/one", "ok").await;
    let refused = r#"certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted to approve requests with signerName "example.com/two""#;
    check(&approval, "approval", "example.com/two", refused).await;
    check(&approval, "status", "example.com/two", "ok").await;
    check(&signing, "status", "example.com/two", "ok").await;
    let refused = r#"certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted to sign requests with signerName "other.com/one""#;
    check(&signing, "status", "other.com/one", refused).await;
}

#[tokio::test]
async fn a_status_that_stays_needs_no_right() {
    let (mut new, old) = (request("other.com/one"), request("other.com/one"));
    new.metadata.labels.insert("a".into(), "b".into());
    let signing = CertificateSigning::new(authorizer());
    let outcome = Request::update()
        .subresource("status")
        .run(&signing, Some(&mut new), Some(&old))
        .await;
    assert_eq!(told(&outcome), "ok");
}

#[tokio::test]
async fn nobody_becomes_a_master() {
    let check = async |signer: &str, groups: &[&str], expected: &str| {
        let key = PrivateKey::generate().unwrap();
        let mut request = request(signer);
        let text = pki::request::create(&Subject::new("eve", groups), &AltNames::default(), &key).unwrap();
        request.spec.request = text.into_bytes();
        let outcome = Request::create()
            .run(&CertificateSubjectRestriction, Some(&mut request), None)
            .await;
        assert!(told(&outcome).ends_with(expected), "{outcome:?}");
    };
    check(CLIENT_SIGNER, &["dev"], "ok").await;
    check(
        CLIENT_SIGNER,
        &["dev", "system:masters"],
        "signer with system:masters group is not allowed",
    )
    .await;
    check("example.com/one", &["system:masters"], "ok").await;
}
