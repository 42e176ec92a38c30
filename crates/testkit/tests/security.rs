//! Who may do what, over the real port: tokens, roles, nodes, and what admission adds or refuses.

use std::time::Duration;

use api::Resource;
use api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use api::core::v1::{Node, Pod, ResourceQuota, Secret, ServiceAccount};
use api::meta::v1::{DeleteOptions, ObjectMeta};
use api::rbac::v1::{ClusterRole, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use client::{Client, Config, Error, ListParams};
use testkit::ApiServer;

const NAMESPACE: &str = "default";

fn from_json<T: Resource>(json: &str) -> T {
    T::from_json(json.as_bytes()).expect("well-formed")
}

/// Indexes follow writes within moments: asks again until the answer is the expected one.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Result<T, Error>) -> T {
    let retry = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), retry)
        .await
        .expect("the expected answer in time")
}

async fn list_pods(client: &Client) -> Result<usize, Error> {
    Ok(client
        .api::<Pod>()
        .namespace(NAMESPACE)
        .list(&ListParams::default())
        .await?
        .items
        .len())
}

async fn make_account(admin: &Client, name: &str) {
    let metadata = ObjectMeta {
        name: name.into(),
        ..ObjectMeta::default()
    };
    let account = ServiceAccount {
        metadata,
        ..ServiceAccount::default()
    };
    admin
        .api::<ServiceAccount>()
        .namespace(NAMESPACE)
        .create(&account)
        .await
        .expect("an account");
}

async fn make_pod(admin: &Client, name: &str, node: &str) -> Pod {
    let pod = from_json::<Pod>(&format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"serviceAccountName":"web","nodeName":"{node}",
            "containers":[{{"name":"c","image":"x"}}],
            "volumes":[{{"name":"s","secret":{{"secretName":"used"}}}}]}}}}"#
    ));
    admin
        .api::<Pod>()
        .namespace(NAMESPACE)
        .create(&pod)
        .await
        .expect("a pod")
}

/// A client with a token for the account `web`, bound to a pod or to nothing.
async fn client_with_token(server: &ApiServer, by: &Client, bound: Option<&Pod>) -> Result<Client, Error> {
    let bound_object_ref = bound.map(|pod| {
        Box::new(BoundObjectReference {
            kind: "Pod".into(),
            api_version: "v1".into(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        })
    });
    let spec = TokenRequestSpec {
        bound_object_ref,
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest {
        spec,
        ..TokenRequest::default()
    };
    let accounts = by.api::<ServiceAccount>().namespace(NAMESPACE);
    let issued = accounts.create_subresource("web", "token", &request).await?;
    let config = Config::from_kubeconfig(server.kubeconfig("nobody", &[])).expect("a kubeconfig");
    Ok(Client::new(config.with_token(issued.status.token).with_rate(-1.0, 0)).expect("a client"))
}

fn bind(name: &str, role: &str, subject: Subject) -> RoleBinding {
    RoleBinding {
        metadata: ObjectMeta {
            name: name.into(),
            ..ObjectMeta::default()
        },
        subjects: vec![subject],
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: role.into(),
        },
    }
}

#[tokio::test]
async fn a_token_is_as_good_as_its_bindings_and_its_pod() {
    let server = ApiServer::start().await;
    let admin = server.client();
    make_account(&admin, "web").await;
    let pod = make_pod(&admin, "p", "").await;
    let web = client_with_token(&server, &admin, Some(&pod))
        .await
        .expect("a token");
    let refused = list_pods(&web).await.expect_err("no role yet");
    let expected = r#"pods is forbidden: User "system:serviceaccount:default:web" cannot list resource "pods" in API group "" in the namespace "default""#;
    assert_eq!(
        refused.status().map(|status| status.message.as_str()),
        Some(expected)
    );

    let subject = Subject {
        kind: "ServiceAccount".into(),
        name: "web".into(),
        ..Subject::default()
    };
    let bindings = admin.api::<RoleBinding>().namespace(NAMESPACE);
    bindings
        .create(&bind("view", "view", subject))
        .await
        .expect("a binding");
    assert_eq!(eventually(|| list_pods(&web)).await, 1);

    let now = DeleteOptions {
        grace_period_seconds: Some(0),
        ..DeleteOptions::default()
    };
    admin
        .api::<Pod>()
        .namespace(NAMESPACE)
        .delete("p", &now)
        .await
        .expect("deleted");
    eventually(async || match list_pods(&web).await {
        Err(error) if error.status().is_some_and(|status| status.code == 401) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => list_pods(&server.client_as("nobody", &[])).await.map(drop),
    })
    .await;
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_have() {
    let server = ApiServer::start().await;
    let admin = server.client();
    let subject = Subject {
        kind: "User".into(),
        api_group: "rbac.authorization.k8s.io".into(),
        name: "ada".into(),
        ..Subject::default()
    };
    let bindings = admin.api::<RoleBinding>().namespace(NAMESPACE);
    bindings
        .create(&bind("ada", "admin", subject.clone()))
        .await
        .expect("a binding");
    let ada = server.client_as("ada", &[]);
    eventually(|| list_pods(&ada)).await;

    let rule = |verb: &str, resource: &str| PolicyRule {
        verbs: vec![verb.into()],
        api_groups: vec![String::new()],
        resources: vec![resource.into()],
        ..PolicyRule::default()
    };
    let role = |name: &str, rule: PolicyRule| Role {
        metadata: ObjectMeta {
            name: name.into(),
            ..ObjectMeta::default()
        },
        rules: vec![rule],
    };
    let roles = ada.api::<Role>().namespace(NAMESPACE);
    roles
        .create(&role("within", rule("get", "pods")))
        .await
        .expect("a role within her own");
    let refused = roles
        .create(&role("beyond", rule("get", "nodes")))
        .await
        .expect_err("beyond her own");
    let message = refused.status().expect("a status").message.clone();
    assert!(
        message.ends_with(
            "RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\"]}"
        ),
        "{message}"
    );
    let hers = ada.api::<RoleBinding>().namespace(NAMESPACE);
    assert!(
        hers.create(&bind("all", "cluster-admin", subject))
            .await
            .is_err_and(|error| error.is_forbidden())
    );
    let cluster = ada.api::<ClusterRole>().all().list(&ListParams::default()).await;
    assert!(cluster.is_err_and(|error| error.is_forbidden()));
}

#[tokio::test]
async fn a_node_reaches_its_own_pods_secrets_alone() {
    let server = ApiServer::start().await;
    let admin = server.client();
    make_account(&admin, "web").await;
    for name in ["used", "other"] {
        let secret = from_json::<Secret>(&format!(r#"{{"metadata":{{"name":"{name}"}}}}"#));
        admin
            .api::<Secret>()
            .namespace(NAMESPACE)
            .create(&secret)
            .await
            .expect("a secret");
    }
    let node = server.client_as("system:node:a", &["system:nodes"]);
    let stranger = server.client_as("system:node:b", &["system:nodes"]);
    let a_node = from_json::<Node>(r#"{"metadata":{"name":"a"}}"#);
    assert!(
        stranger
            .api::<Node>()
            .all()
            .create(&a_node)
            .await
            .is_err_and(|error| error.is_forbidden())
    );
    let made = node
        .api::<Node>()
        .all()
        .create(&a_node)
        .await
        .expect("its own node");
    assert_eq!(made.spec.taints[0].key, "node.kubernetes.io/not-ready");

    let pod = make_pod(&admin, "p", "a").await;
    let secrets = |client: &Client| client.api::<Secret>().namespace(NAMESPACE);
    eventually(async || secrets(&node).get("used").await).await;
    assert!(
        secrets(&node)
            .get("other")
            .await
            .is_err_and(|error| error.is_forbidden())
    );
    assert!(
        secrets(&stranger)
            .get("used")
            .await
            .is_err_and(|error| error.is_forbidden())
    );
    client_with_token(&server, &node, Some(&pod))
        .await
        .expect("a token for its pod");
    let refused = client_with_token(&server, &node, None)
        .await
        .err()
        .expect("a refusal");
    let message = refused.status().expect("a status").message.clone();
    assert!(
        message.ends_with("node requested token not bound to a pod"),
        "{message}"
    );
    let refused = client_with_token(&server, &stranger, Some(&pod)).await;
    assert!(refused.is_err_and(|error| error.is_forbidden()));
}

#[tokio::test]
async fn concurrent_pods_share_what_a_quota_leaves() {
    let server = ApiServer::start().await;
    let admin = server.client();
    make_account(&admin, "web").await;
    let quotas = admin.api::<ResourceQuota>().namespace(NAMESPACE);
    let quota = from_json::<ResourceQuota>(r#"{"metadata":{"name":"q"},"spec":{"hard":{"pods":"3"}}}"#);
    let mut quota = quotas.create(&quota).await.expect("a quota");
    // What the quota controller would count.
    let counted = r#"{"status":{"hard":{"pods":"3"},"used":{"pods":"0"}}}"#;
    quota.status = from_json::<ResourceQuota>(counted).status;
    quotas.update_status(&quota).await.expect("counted");
    let counted = async || {
        let quota = quotas.get("q").await?;
        if quota.status.hard.is_empty() {
            list_pods(&server.client_as("nobody", &[])).await
        } else {
            Ok(0)
        }
    };
    eventually(counted).await;

    let pods = admin.api::<Pod>().namespace(NAMESPACE);
    let create = |index: usize| {
        let pods = &pods;
        async move {
            let json = format!(
                r#"{{"metadata":{{"name":"p{index}"}},"spec":{{"serviceAccountName":"web","containers":[{{"name":"c","image":"x"}}]}}}}"#
            );
            pods.create(&from_json::<Pod>(&json)).await
        }
    };
    let outcomes = futures_util::future::join_all((0..10).map(create)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    let refused = outcomes.into_iter().find_map(Result::err).expect("a refusal");
    let message = refused.status().expect("a status").message.clone();
    assert!(
        message.ends_with("exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3"),
        "{message}"
    );
    assert_eq!(
        quotas.get("q").await.expect("the quota").status.used["pods"].to_string(),
        "3"
    );
}
