//! How a server ends, as its clients see it.

#![allow(clippy::panic)]

use std::time::Duration;

use api::core::v1::ConfigMap;
use apiserver::stack::Refusal;
use client::{Client, Error, ListParams, Request, WatchEvent, WatchParams};
use futures_util::StreamExt;
use testkit::ApiServer;

/// Long enough for the requests of a test, on a slow machine.
const DELAY: Duration = Duration::from_secs(2);

fn map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = name.to_owned();
    map
}

/// Code and body of a path, whatever the code.
async fn get(client: &Client, path: &str) -> (u16, String) {
    match client.send(Request::get(path)).await {
        Ok(answer) => (answer.code, String::from_utf8_lossy(&answer.body).into_owned()),
        Err(Error::Api(status)) => (status.code, status.message),
        Err(error) => panic!("{path}: {error:?}"),
    }
}

#[tokio::test]
async fn a_server_is_unready_first_then_ends_its_watches_then_is_gone() {
    let mut server = ApiServer::start_with(|options| options.ending.delay = DELAY).await;
    let client = server.client();
    let maps = client.api::<ConfigMap>().namespace("default");
    let created = maps.create(&map("before")).await.expect("created");
    let params = WatchParams::from_version(created.metadata.resource_version);
    let mut events = Box::pin(maps.watch(&params).await.expect("a watch"));
    assert_eq!(get(&client, "/readyz").await.0, 200);

    server.shut_down();
    while get(&client, "/readyz").await.0 == 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&client, "/livez").await.0, 200);
    maps.create(&map("during")).await.expect("served as before");
    match events.next().await {
        Some(Ok(WatchEvent::Added(map))) => assert_eq!(map.metadata.name, "during"),
        other => panic!("{other:?}"),
    }
    // Then the watch ends as one that has timed out does: without an error, so that clients resume it elsewhere.
    assert!(events.next().await.is_none());
    server.ended().await;
    let refused = server
        .client()
        .api::<ConfigMap>()
        .namespace("default")
        .get("before")
        .await;
    assert!(matches!(refused, Err(Error::Transport(_))), "{refused:?}");
}

#[tokio::test]
async fn watches_end_one_after_the_other_while_others_are_sent_elsewhere() {
    let mut server = ApiServer::start_with(|options| {
        options.ending.refusal = Refusal::RetryAfter;
        options.ending.watch_grace = DELAY;
        options.max_streams_per_connection = 1000;
    })
    .await;
    let client = server.client();
    let maps = client.api::<ConfigMap>().namespace("default");
    let params = WatchParams::default();
    let watches = (0..600).map(|_| maps.watch(&params));
    let watches: Vec<_> = futures_util::stream::iter(watches).buffered(50).collect().await;
    server.shut_down();
    // The client heeds Retry-After: when it is back, the server is gone, as is its port.
    let refused = loop {
        match client
            .send(Request::get("/api/v1/namespaces/default/configmaps"))
            .await
        {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Transport(_)), "{refused:?}");
    for watch in watches {
        let mut events = Box::pin(watch.expect("a watch"));
        while let Some(event) = events.next().await {
            event.expect("no error at the end");
        }
    }
    server.ended().await;
}

#[tokio::test]
async fn checks_bear_upstreams_names() {
    let server = ApiServer::start().await;
    let client = server.client();
    for endpoint in ["livez", "readyz", "healthz"] {
        let (code, report) = get(&client, &format!("/{endpoint}?verbose")).await;
        assert_eq!(code, 200, "{report}");
        assert!(report.starts_with("[+]ping ok\n[+]log ok\n"), "{report}");
        assert!(report.contains("[+]etcd ok\n"), "{report}");
        assert!(
            report.contains("[+]poststarthook/rbac/bootstrap-roles ok\n"),
            "{report}"
        );
        assert_eq!(report.contains("[+]shutdown ok\n"), endpoint == "readyz");
        assert!(
            report.ends_with(&format!("{endpoint} check passed\n")),
            "{report}"
        );
        if let Some(folder) = std::env::var_os("OXIKUBE_REFERENCE") {
            compare_order(
                &report,
                &std::path::Path::new(&folder).join(format!("{endpoint}.txt")),
            );
        }
    }
}

/// Ours come in upstream's order; those that we lack are named.
fn compare_order(report: &str, reference: &std::path::Path) {
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| Some(line.strip_prefix("[+]")?.strip_suffix(" ok")?.to_owned()))
            .collect()
    };
    let theirs = names(&std::fs::read_to_string(reference).expect("the reference"));
    let ours = names(report);
    let shared: Vec<&String> = ours.iter().filter(|name| theirs.contains(name)).collect();
    let in_their_order: Vec<&String> = theirs.iter().filter(|name| ours.contains(name)).collect();
    assert_eq!(shared, in_their_order);
    let missing: Vec<&String> = theirs.iter().filter(|name| !ours.contains(name)).collect();
    println!("{}: not there yet: {missing:?}", reference.display());
}

#[tokio::test]
async fn clients_are_sent_away_now_and_then() {
    // Every request: each needs a new connection, and none fails.
    let server = ApiServer::start_with(|options| options.goaway_chance = 1.0).await;
    let maps = server.client().api::<ConfigMap>().namespace("default");
    for number in 0..20 {
        maps.create(&map(&format!("m-{number}"))).await.expect("created");
    }
    let listed = maps.list(&ListParams::default()).await.expect("listed");
    assert_eq!(
        listed
            .items
            .iter()
            .filter(|map| map.metadata.name.starts_with("m-"))
            .count(),
        20
    );
}
