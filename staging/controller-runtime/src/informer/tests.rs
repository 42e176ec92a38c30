use api::core::v1::Pod;
use client::transport::fake::{FakeTransport, json};
use client::{Client, Config};

use super::*;

fn pod(name: &str, version: &str) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = name.into();
    pod.metadata.resource_version = version.into();
    pod
}

fn render(event: &Event<Pod>) -> String {
    let of = |pod: &Pod| format!("{}@{}", pod.metadata.name, pod.metadata.resource_version);
    match event {
        Event::Added(pod) => format!("+{}", of(pod)),
        Event::Updated { old, new } => format!("{}>{}", of(old), of(new)),
        Event::Deleted(pod) => format!("-{}", of(pod)),
    }
}

fn drain(events: &mut mpsc::UnboundedReceiver<Event<Pod>>) -> Vec<String> {
    std::iter::from_fn(|| events.try_recv().ok())
        .map(|event| render(&event))
        .collect()
}

#[test]
fn relist_yields_only_the_differences() {
    let informer = Informer::fixed([pod("a", "1"), pod("b", "2"), pod("c", "3")]);
    let mut events = informer.subscribe();
    drain(&mut events);
    informer.0.take(
        Change::Replace(vec![pod("a", "1"), pod("b", "9"), pod("d", "8")]),
        None,
    );
    assert_eq!(drain(&mut events), ["b@2>b@9", "+d@8", "-c@3"]);
    informer.0.take(Change::Delete(pod("b", "10")), None);
    informer.0.take(Change::Delete(pod("unknown", "11")), None);
    assert_eq!(drain(&mut events), ["-b@10"]);
}

#[test]
fn late_handlers_hear_of_what_is_there() {
    let informer = Informer::fixed([pod("a", "1")]);
    assert_eq!(drain(&mut informer.subscribe()), ["+a@1"]);
}

/// The whole road over a fake transport: list, watch until the server says 410, list again.
#[tokio::test(start_paused = true)]
async fn watch_survives_expiry() {
    let lists = std::sync::atomic::AtomicU32::new(0);
    let transport = FakeTransport::new(move |request| {
        let query = request.uri().query().unwrap_or_default();
        if query.contains("watch=true") {
            let body = if query.contains("resourceVersion=5&") {
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"6\"}}}\n\
                 {\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":410,\"reason\":\"Expired\"}}\n"
            } else if query.contains("resourceVersion=20&") {
                "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"21\"}}}\n"
            } else {
                return Err(client::transport::Error::Broken("away".into()));
            };
            return Ok(json(200, body));
        }
        let first = lists.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        assert_eq!(
            query.contains("resourceVersion=0"),
            first,
            "only the first list may be stale"
        );
        Ok(json(
            200,
            if first {
                r#"{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a","resourceVersion":"4"}}]}"#
            } else {
                r#"{"metadata":{"resourceVersion":"20"},"items":[{"metadata":{"name":"b","resourceVersion":"6"}}]}"#
            },
        ))
    });
    let config = Config {
        qps: 0.0,
        ..Config::default()
    };
    let client = Client::with_transport(config, Arc::new(transport));
    let shutdown = Shutdown::new();
    let informer = Informer::start(client.api::<Pod>(), Options::default(), shutdown.clone());
    let mut events = informer.subscribe();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(render(&events.recv().await.expect("the informer runs")));
    }
    assert_eq!(seen, ["+a@4", "+b@6", "-a@4", "b@6>b@21"]);
    informer.synced().await;
    shutdown.trigger();
}
