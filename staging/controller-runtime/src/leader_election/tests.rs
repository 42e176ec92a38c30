use std::sync::Mutex;

use api::Message;
use client::transport::fake::{FakeTransport, json};
use client::{Config as ClientConfig, wire};
use component_base::clock::SystemClock;

use super::*;

/// A server that holds one lease, with conflicts on stale versions.
fn server() -> (Client, Arc<Mutex<Option<Lease>>>) {
    let stored = Arc::new(Mutex::new(None::<Lease>));
    let state = stored.clone();
    let transport = FakeTransport::new(move |request| {
        let mut stored = state.lock().expect("lock");
        if request.method() == http::Method::GET {
            let missing = r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404}"#;
            return Ok(stored
                .as_ref()
                .map_or_else(|| json(404, missing), |lease| json(200, lease.to_json())));
        }
        let envelope = wire::unwrap(request.body()).expect("protobuf");
        let mut sent = Lease::decode(&envelope.raw).expect("lease");
        let current = stored
            .as_ref()
            .map(|lease| lease.metadata.resource_version.clone())
            .unwrap_or_default();
        if sent.metadata.resource_version != current {
            let conflict = r#"{"kind":"Status","status":"Failure","reason":"Conflict","code":409}"#;
            return Ok(json(409, conflict));
        }
        sent.metadata.resource_version.push('1');
        *stored = Some(sent.clone());
        Ok(json(200, sent.to_json()))
    });
    let config = ClientConfig {
        qps: 0.0,
        ..ClientConfig::default()
    };
    (Client::with_transport(config, Arc::new(transport)), stored)
}

fn elector(client: &Client, identity: &str) -> Elector {
    elector_at(client, identity, SystemClock::shared())
}

fn elector_at(client: &Client, identity: &str, clock: Arc<dyn Clock>) -> Elector {
    let config = Config {
        release_on_cancel: true,
        ..Config::new("kube-system", "test", identity)
    };
    Elector::new(client, config, clock).expect("valid")
}

/// The runtime's own time, which a test pauses.
#[derive(Debug)]
struct RuntimeClock(tokio::time::Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> jiff::Timestamp {
        let elapsed = jiff::SignedDuration::try_from(self.0.elapsed()).expect("in range");
        jiff::Timestamp::UNIX_EPOCH + elapsed
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> futures_util::future::BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

fn holder(stored: &Mutex<Option<Lease>>) -> String {
    let stored = stored.lock().expect("lock");
    stored
        .as_ref()
        .and_then(|lease| lease.spec.holder_identity.clone())
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn the_second_candidate_leads_once_the_first_released() {
    let (client, stored) = server();
    let (first_stop, second_stop) = (Shutdown::new(), Shutdown::new());
    let mut first = elector(&client, "first");
    assert!(first.acquire(&first_stop).await);
    let holding = {
        let stop = first_stop.clone();
        tokio::spawn(async move {
            first.hold(&stop).await;
            first.give_up().await;
        })
    };
    let mut second = elector(&client, "second");
    let waiting = tokio::spawn(async move { second.acquire(&second_stop).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(holder(&stored), "first");
    assert!(!waiting.is_finished());

    first_stop.trigger();
    holding.await.expect("ends");
    assert!(waiting.await.expect("acquires"));
    assert_eq!(holder(&stored), "second");
    let lease = stored.lock().expect("lock").clone().expect("lease");
    assert_eq!(lease.spec.lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_second_candidate_leads_within_the_lease_once_the_first_has_died() {
    let (client, stored) = server();
    let stop = Shutdown::new();
    let clock = Arc::new(RuntimeClock(tokio::time::Instant::now()));
    let mut first = elector_at(&client, "first", clock.clone());
    assert!(first.acquire(&stop).await);
    let holding = {
        let stop = stop.clone();
        tokio::spawn(async move { first.hold(&stop).await })
    };
    let mut second = elector_at(&client, "second", clock);
    let waiting = tokio::spawn(async move { second.acquire(&stop).await });
    for seconds in [60, 61, 63] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        assert_eq!(holder(&stored), "first");
    }
    // No release: the task is gone as a killed process is.
    holding.abort();
    let died = tokio::time::Instant::now();
    assert!(waiting.await.expect("acquires"));
    // However late the candidate saw the last renewal, it dates it.
    assert!(died.elapsed() <= Duration::from_secs(15), "{:?}", died.elapsed());
    assert_eq!(holder(&stored), "second");
}

#[tokio::test(start_paused = true)]
async fn leadership_ends_when_the_lease_cannot_be_renewed() {
    let (client, stored) = server();
    let stop = Shutdown::new();
    let mut elector = elector(&client, "me");
    assert!(elector.acquire(&stop).await);
    // Somebody else's hand: from now on the lease is theirs and fresh.
    let mut usurped = stored.lock().expect("lock").clone().expect("lease");
    usurped.spec.holder_identity = Some("usurper".into());
    *stored.lock().expect("lock") = Some(usurped);
    let start = tokio::time::Instant::now();
    elector.hold(&stop).await;
    elector.give_up().await;
    assert!(
        start.elapsed() <= Duration::from_secs(12),
        "gave up within the deadline: {:?}",
        start.elapsed()
    );
    assert_eq!(holder(&stored), "usurper");
}

#[test]
fn impossible_timings_are_refused() {
    let (client, _) = server();
    let base = Config::new("ns", "x", "me");
    let short_lease = Config {
        lease_duration: Duration::from_secs(10),
        ..base.clone()
    };
    let short_deadline = Config {
        renew_deadline: Duration::from_secs(2),
        ..base
    };
    let error = |config| Elector::new(&client, config, SystemClock::shared()).err();
    assert_eq!(error(short_lease), Some(ConfigError::LeaseTooShort));
    assert_eq!(error(short_deadline), Some(ConfigError::DeadlineTooShort));
}
