//! Deletes bootstrap tokens that have expired.
//!
//! Upstream: pkg/controller/bootstrap/tokencleaner.go

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Secret;
use apimachinery::time::Time;
use client::DeleteParams;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Informer, ObjectKey, Store, informer};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tracing::info;

const NAME: &str = "token_cleaner";
const WORKERS: usize = 1;
const NAMESPACE: &str = "kube-system";
const TYPE: &str = "bootstrap.kubernetes.io/token";
const EXPIRATION: &str = "expiration";

/// Runs the controller until shutdown. Reads only the secrets that it is for.
pub async fn run(context: Context) {
    let tokens = Informer::start(
        context.client.api::<Secret>().namespace(NAMESPACE),
        informer::Options::fields(format!("type={TYPE}")),
        context.shutdown.clone(),
    );
    let queue = context.queue(NAME);
    let own = queue.clone();
    tokens.add_handler(move |event| {
        if !event.is_deleted() {
            own.add(ObjectKey::of(&event.object().metadata));
        }
    });
    let controller = Controller {
        tokens: tokens.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, WORKERS, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    tokens: Store<Secret>,
}

/// How long a token is good from now on: none when it has expired or when its expiry can't be read, for a token that
/// may never expire is worse than one deleted; `Duration::MAX` when it never does.
fn lifetime(token: &Secret, now: Timestamp) -> Option<Duration> {
    let Some(expiration) = token.data.get(EXPIRATION).filter(|text| !text.is_empty()) else {
        return Some(Duration::MAX);
    };
    let at = Time::parse(std::str::from_utf8(expiration).ok()?).ok()?;
    let left = at.timestamp().as_second() - now.as_second();
    u64::try_from(left)
        .ok()
        .filter(|left| *left > 0)
        .map(Duration::from_secs)
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(token) = self.tokens.get(key) else {
                return Ok(Outcome::Done);
            };
            match lifetime(&token, self.context.clock.now()) {
                Some(Duration::MAX) => return Ok(Outcome::Done),
                Some(left) => return Ok(Outcome::RequeueAfter(left)),
                None => {}
            }
            let secrets = self.context.client.api::<Secret>().namespace(NAMESPACE);
            match secrets
                .delete(&key.name, &DeleteParams::uid(&token.metadata.uid))
                .await
            {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => info!(secret = %key, "deleted an expired bootstrap token"),
            }
            Ok(Outcome::Done)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        let check = |expiration: Option<&str>, expected: Option<Duration>| {
            let mut token = Secret::default();
            if let Some(expiration) = expiration {
                token.data.insert(EXPIRATION.into(), expiration.into());
            }
            let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("valid");
            assert_eq!(lifetime(&token, now), expected, "{expiration:?}");
        };
        check(None, Some(Duration::MAX));
        check(Some("2026-01-01T00:01:00Z"), Some(Duration::from_secs(60)));
        check(Some("2025-12-31T00:00:00Z"), None);
        check(Some("2026-01-01T00:00:00Z"), None);
        check(Some("soon"), None);
    }
}
