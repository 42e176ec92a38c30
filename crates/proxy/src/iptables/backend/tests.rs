use super::*;
use crate::fake_tool::FakeTool;
use crate::iptables::rules::compile;
use crate::scenario::Scenario;

const ONE: &str = "service ns/a tcp 10.96.0.1:80\n endpoint 10.0.0.1:80";
const TWO: &str = "service ns/a tcp 10.96.0.1:80\n endpoint 10.0.0.1:80\n service ns/b tcp 10.96.0.2:80";

fn rules(text: &str) -> RuleSet {
    compile(&Scenario::parse(text).input()).0
}

#[tokio::test]
async fn jumps_come_after_the_chains_that_they_lead_to() {
    let tool = FakeTool::new();
    let mut backend = Backend::new(tool.runner(), Family::V6);
    backend.sync(&rules(ONE)).await.unwrap();
    let calls = tool.take_calls();
    let position = |part: &str| calls.iter().position(|call| call.contains(part)).unwrap();
    assert!(
        position("ip6tables-restore -w 5 --noflush --counters") < position("-C PREROUTING"),
        "{calls:?}"
    );
    assert!(
        calls.iter().all(|call| !call.contains("-I ")),
        "jumps that exist are not made again"
    );
    assert!(
        tool.take_input()
            .contains("*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n")
    );
}

#[tokio::test]
async fn a_failure_is_followed_by_everything() {
    let tool = FakeTool::new();
    let mut backend = Backend::new(tool.runner(), Family::V4);
    backend.sync(&rules(ONE)).await.unwrap();
    tool.take_calls();
    backend.sync(&rules(ONE)).await.unwrap();
    assert!(tool.take_calls().is_empty(), "nothing changed, nothing is run");
    tool.fail(true);
    let error = backend.sync(&rules(TWO)).await.unwrap_err();
    assert!(
        error.to_string().starts_with("iptables-restore failed"),
        "{error}"
    );
    assert!(!backend.intact().await);
    tool.fail(false);
    assert_eq!(backend.next_extent(), Extent::Full);
    tool.take_calls();
    backend.sync(&rules(TWO)).await.unwrap();
    assert!(
        tool.take_calls()[0].starts_with("iptables-save"),
        "what stands there is asked for"
    );
    assert!(backend.intact().await);
}

#[test]
fn versions_are_read() {
    assert_eq!(version("iptables v1.8.9 (nf_tables)\n"), Some((1, 8, 9)));
    assert_eq!(version("iptables v1.4.21"), Some((1, 4, 21)));
    assert_eq!(version("what?"), None);
}
