use auth::objects::MemoryObjects;
use component_base::clock::FakeClock;

use super::*;
use crate::testing::{Request, from_json, told};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn plugin(account: &str) -> ServiceAccountPlugin {
    let objects = Arc::new(MemoryObjects::new());
    objects.insert::<ServiceAccount>(from_json(account));
    ServiceAccountPlugin::new(objects, FakeClock::new(jiff::Timestamp::UNIX_EPOCH))
}

const ACCOUNT: &str =
    r#"{"metadata":{"namespace":"ns","name":"default"},"imagePullSecrets":[{"name":"pull"}]}"#;

fn pod(spec: &str) -> Pod {
    from_json(&format!(
        r#"{{"metadata":{{"namespace":"ns","name":"p"}},"spec":{{{spec}}}}}"#
    ))
}

#[tokio::test]
async fn a_pod_gets_account_token_and_pull_secrets() {
    let mut pod = pod(&format!(
        r#""initContainers":[{{"name":"i"}}],
           "containers":[{{"name":"a"}},{{"name":"b","volumeMounts":[{{"name":"own","mountPath":"{MOUNT_PATH}"}}]}}]"#
    ));
    assert_eq!(
        told(
            &Request::create()
                .run(&plugin(ACCOUNT), Some(&mut pod), None)
                .await
        ),
        "ok"
    );
    assert_eq!(pod.spec.service_account_name, "default");
    assert_eq!(pod.spec.image_pull_secrets[0].name, "pull");
    let volume = &pod.spec.volumes[0];
    assert!(
        volume.name.starts_with("kube-api-access-") && volume.name.len() == 21,
        "{}",
        volume.name
    );
    let source = volume.volume_source.projected.as_ref().unwrap();
    assert_eq!(source.default_mode, Some(420));
    assert_eq!(
        source.sources[0]
            .service_account_token
            .as_ref()
            .unwrap()
            .expiration_seconds,
        Some(3607)
    );
    assert_eq!(
        source.sources[1]
            .config_map
            .as_ref()
            .unwrap()
            .local_object_reference
            .name,
        "kube-root-ca.crt"
    );
    let mounts = |container: &api::core::v1::Container| container.volume_mounts[0].name.clone();
    assert_eq!(mounts(&pod.spec.init_containers[0]), volume.name);
    assert_eq!(mounts(&pod.spec.containers[0]), volume.name);
    assert_eq!(mounts(&pod.spec.containers[1]), "own");
}

#[tokio::test]
async fn nothing_is_mounted_against_the_pods_will() {
    let mut pod = pod(r#""automountServiceAccountToken":false,"containers":[{"name":"a"}]"#);
    Request::create()
        .run(&plugin(ACCOUNT), Some(&mut pod), None)
        .await
        .unwrap();
    assert!(pod.spec.volumes.is_empty());
}

#[tokio::test]
async fn an_account_that_is_missing_is_named() {
    let mut pod = pod(r#""serviceAccountName":"web","containers":[{"name":"a"}]"#);
    let refused = Request::create()
        .run(&plugin(ACCOUNT), Some(&mut pod), None)
        .await;
    let message =
        r#"pods "p" is forbidden: error looking up service account ns/web: serviceaccount "web" not found"#;
    assert_eq!(told(&refused), message);
}

#[tokio::test]
async fn mirror_pods_stay_as_they_are_and_name_no_account() {
    let mirror = |spec: &str| {
        let mut pod = pod(spec);
        pod.metadata.annotations.insert(MIRROR_POD.into(), "x".into());
        pod
    };
    let mut plain = mirror(r#""containers":[{"name":"a"}]"#);
    assert_eq!(
        told(
            &Request::create()
                .run(&plugin(ACCOUNT), Some(&mut plain), None)
                .await
        ),
        "ok"
    );
    assert!(plain.spec.service_account_name.is_empty() && plain.spec.volumes.is_empty());
    let mut named = mirror(r#""serviceAccountName":"default""#);
    let refused = Request::create()
        .run(&plugin(ACCOUNT), Some(&mut named), None)
        .await;
    assert_eq!(
        told(&refused),
        r#"pods "p" is forbidden: a mirror pod may not reference service accounts"#
    );
    let mut secret = mirror(r#""volumes":[{"name":"s","secret":{"secretName":"x"}}]"#);
    let refused = Request::create()
        .run(&plugin(ACCOUNT), Some(&mut secret), None)
        .await;
    assert_eq!(
        told(&refused),
        r#"pods "p" is forbidden: a mirror pod may not reference secrets"#
    );
}

#[tokio::test]
async fn secrets_can_be_limited_to_the_accounts_own() {
    let account = r#"{"metadata":{"namespace":"ns","name":"default",
        "annotations":{"kubernetes.io/enforce-mountable-secrets":"true"}},"secrets":[{"name":"mine"}]}"#;
    let mut allowed = pod(r#""volumes":[{"name":"s","secret":{"secretName":"mine"}}]"#);
    assert_eq!(
        told(
            &Request::create()
                .run(&plugin(account), Some(&mut allowed), None)
                .await
        ),
        "ok"
    );
    let mut other = pod(r#""volumes":[{"name":"s","secret":{"secretName":"other"}}]"#);
    let refused = Request::create()
        .run(&plugin(account), Some(&mut other), None)
        .await;
    assert!(told(&refused).ends_with("because service account default does not reference that secret"));
}
