use super::*;
use crate::fake_tool::FakeTool;
use crate::nftables::rules::compile;
use crate::scenario::Scenario;

const ONE: &str = "service ns/a tcp 10.96.0.1:80\n endpoint 10.0.0.1:80";
const TWO: &str = "service ns/a tcp 10.96.0.1:80\n endpoint 10.0.0.1:80\n service ns/b tcp 10.96.0.2:80";

fn rules(text: &str) -> RuleSet {
    compile(&Scenario::parse(text).input()).0
}

#[tokio::test]
async fn a_failure_is_followed_by_everything() {
    let (tool, now) = (FakeTool::new(), Instant::now());
    let mut backend = Backend::new(tool.runner(), Family::V4);
    assert_eq!(backend.next_extent(), Extent::Full);
    backend.sync(rules(ONE), now).await.unwrap();
    assert!(tool.take_input().starts_with("add table ip kube-proxy\n"));
    tool.take_calls();

    backend.sync(rules(ONE), now).await.unwrap();
    assert!(tool.take_calls().is_empty(), "nothing changed, nothing is run");

    tool.fail(true);
    backend.sync(rules(TWO), now).await.unwrap_err();
    tool.take_input();
    assert_eq!(backend.next_extent(), Extent::Full);
    tool.fail(false);
    backend.sync(rules(TWO), now).await.unwrap();
    assert!(tool.take_input().starts_with("add table ip kube-proxy\n"));
    assert_eq!(backend.next_extent(), Extent::Partial);
}

#[tokio::test]
async fn chains_are_deleted_after_a_rest() {
    let (tool, start) = (FakeTool::new(), Instant::now());
    let mut backend = Backend::new(tool.runner(), Family::V4);
    backend.sync(rules(ONE), start).await.unwrap();
    backend.sync(rules(""), start).await.unwrap();
    assert!(backend.has_stale_chains());
    tool.take_input();
    backend
        .sync(rules(""), start + Duration::from_millis(900))
        .await
        .unwrap();
    assert_eq!(tool.take_input(), "", "old kernels would still refuse");
    backend
        .sync(rules(""), start + Duration::from_secs(1))
        .await
        .unwrap();
    let chain = crate::nftables::names::ServiceChains::new(
        Scenario::parse(ONE).service_ports.first_key_value().unwrap().0,
    );
    assert_eq!(
        tool.take_input(),
        format!("delete chain ip kube-proxy {}\n", chain.cluster)
    );
    assert!(!backend.has_stale_chains());
}

#[tokio::test]
async fn a_chain_that_is_wanted_again_stays() {
    let (tool, start) = (FakeTool::new(), Instant::now());
    let mut backend = Backend::new(tool.runner(), Family::V4);
    for text in [ONE, "", ONE] {
        backend.sync(rules(text), start).await.unwrap();
    }
    tool.take_input();
    backend
        .sync(rules(ONE), start + Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(tool.take_input(), "");
}

#[tokio::test]
async fn what_stands_there_at_start_is_replaced() {
    let tool = FakeTool::new();
    tool.print(
        r#"{"nftables": [{"metainfo": {}}, {"table": {"name": "kube-proxy"}},
            {"chain": {"name": "service-OLD-a/b/tcp/"}}, {"set": {"name": "affinity-OLD"}},
            {"map": {"name": "service-ips"}}]}"#,
    );
    let mut backend = Backend::new(tool.runner(), Family::V4);
    backend.sync(rules(ONE), Instant::now()).await.unwrap();
    let input = tool.take_input();
    for line in [
        "flush chain ip kube-proxy service-OLD-a/b/tcp/",
        "delete set ip kube-proxy affinity-OLD",
        "flush map ip kube-proxy service-ips",
    ] {
        assert!(
            input.lines().any(|found| found == line),
            "no {line:?} in:\n{input}"
        );
    }
    assert!(backend.has_stale_chains());
}
