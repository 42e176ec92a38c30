use api::apps::v1::Deployment;
use auth::objects::MemoryObjects;

use super::*;
use crate::testing::{Request, from_json, told};

fn namespace(labels: &str) -> Namespace {
    from_json(&format!(
        r#"{{"metadata":{{"name":"ns","labels":{{{labels}}}}}}}"#
    ))
}

fn plugin(labels: &str) -> (Arc<MemoryObjects>, PodSecurity) {
    let objects = Arc::new(MemoryObjects::new());
    objects.insert(namespace(labels));
    (objects.clone(), PodSecurity::new(objects, &Registry::new()))
}

fn pod(spec: &str) -> Pod {
    from_json(&format!(
        r#"{{"metadata":{{"namespace":"ns","name":"p"}},"spec":{{{spec}}}}}"#
    ))
}

const BASELINE: &str = r#""pod-security.kubernetes.io/enforce":"baseline""#;
const RESTRICTED: &str = r#""pod-security.kubernetes.io/enforce":"restricted""#;
const SAFE: &str = r#""securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},
    "containers":[{"name":"a","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]"#;

async fn check(labels: &str, spec: &str, expected: &str) {
    let outcome = Request::create()
        .run(&plugin(labels).1, Some(&mut pod(spec)), None)
        .await;
    let told = told(&outcome);
    let refusal = told
        .strip_prefix(r#"pods "p" is forbidden: violates PodSecurity "#)
        .unwrap_or(told);
    assert_eq!(refusal, expected);
}

#[tokio::test]
async fn the_baseline_keeps_the_host_out() {
    let root = r#""containers":[{"name":"a","image":"x"}]"#;
    check("", r#""hostNetwork":true,"containers":[]"#, "ok").await;
    check(BASELINE, root, "ok").await;
    let host = r#""hostNetwork":true,"hostPID":true,"volumes":[{"name":"v","hostPath":{"path":"/"}}],
        "containers":[{"name":"a","ports":[{"hostPort":80}],"securityContext":{"privileged":true,"capabilities":{"add":["SYS_ADMIN"]}}}]"#;
    let expected = r#""baseline:latest": non-default capabilities (container "a" must not include "SYS_ADMIN" in securityContext.capabilities.add), host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume "v"), hostPort (container "a" uses hostPort 80), privileged (container "a" must not set securityContext.privileged=true)"#;
    check(BASELINE, host, expected).await;
    let sysctl = r#""securityContext":{"sysctls":[{"name":"net.ipv4.tcp_rmem"},{"name":"kernel.msgmax"}]},"containers":[]"#;
    check(
        BASELINE,
        sysctl,
        r#""baseline:latest": forbidden sysctls (kernel.msgmax)"#,
    )
    .await;
    let older = r#""pod-security.kubernetes.io/enforce":"baseline","pod-security.kubernetes.io/enforce-version":"v1.28""#;
    check(
        older,
        sysctl,
        r#""baseline:v1.28": forbidden sysctls (net.ipv4.tcp_rmem, kernel.msgmax)"#,
    )
    .await;
}

#[tokio::test]
async fn restricted_pods_say_what_they_do_without() {
    check(RESTRICTED, SAFE, "ok").await;
    let expected = r#""restricted:latest": allowPrivilegeEscalation != false (containers "a", "b" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true), seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")"#;
    check(
        RESTRICTED,
        r#""containers":[{"name":"a"},{"name":"b"}]"#,
        expected,
    )
    .await;
    let volumes = format!(
        r#"{SAFE},"volumes":[{{"name":"h","hostPath":{{"path":"/"}}}},{{"name":"n","nfs":{{}}}},{{"name":"e","emptyDir":{{}}}}]"#
    );
    let expected = r#""restricted:latest": restricted volume types (volumes "h", "n" use restricted volume types "hostPath", "nfs")"#;
    check(RESTRICTED, &volumes, expected).await;
}

#[tokio::test]
async fn makers_of_pods_are_warned() {
    let mut deployment: Deployment = from_json(
        r#"{"metadata":{"namespace":"ns","name":"d"},"spec":{"template":{"spec":{"hostPID":true,"containers":[]}}}}"#,
    );
    let warnings = Request::create()
        .run(&plugin(BASELINE).1, Some(&mut deployment), None)
        .await
        .unwrap();
    assert_eq!(
        warnings,
        [r#"would violate PodSecurity "baseline:latest": host namespaces (hostPID=true)"#]
    );
}

#[tokio::test]
async fn labels_must_be_valid_and_stricter_ones_warn_of_running_pods() {
    let (objects, plugin) = plugin("");
    let mut bad = namespace(r#""pod-security.kubernetes.io/enforce":"strict""#);
    let refused = Request::create().run(&plugin, Some(&mut bad), None).await;
    let message = r#"Namespace "ns" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted"#;
    assert_eq!(told(&refused), message);
    objects.insert(pod(r#""hostPID":true,"containers":[]"#));
    let (mut new, old) = (namespace(BASELINE), namespace(""));
    let warnings = Request::update()
        .run(&plugin, Some(&mut new), Some(&old))
        .await
        .unwrap();
    let head =
        r#"existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest""#;
    assert_eq!(warnings, [head, "p: host namespaces"]);
}

#[tokio::test]
async fn an_update_that_leaves_the_containers_is_let_through() {
    let (mut new, old) = (
        pod(r#""hostPID":true,"containers":[{"name":"a","image":"x"}]"#),
        pod(r#""containers":[{"name":"a","image":"x"}]"#),
    );
    let (_, plugin) = plugin(BASELINE);
    assert_eq!(
        told(&Request::update().run(&plugin, Some(&mut new), Some(&old)).await),
        "ok"
    );
    new.spec.containers[0].image = "y".into();
    assert_ne!(
        told(&Request::update().run(&plugin, Some(&mut new), Some(&old)).await),
        "ok"
    );
}
