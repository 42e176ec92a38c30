//! Signs the cluster's public configuration with every bootstrap token, so that a node that knows one can trust it.
//!
//! Upstream: pkg/controller/bootstrap/bootstrapsigner.go

use std::collections::BTreeMap;
use std::sync::Arc;

use api::core::v1::{ConfigMap, Secret};
use apimachinery::time::Time;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Informer, ObjectKey, Store, informer};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use pki::detached;

const NAME: &str = "bootstrap_signer_queue";
const CONFIG_NAMESPACE: &str = "kube-public";
const CONFIG_NAME: &str = "cluster-info";
/// What is signed.
const CONTENT: &str = "kubeconfig";
const SIGNATURE_PREFIX: &str = "jws-kubeconfig-";
const TOKEN_NAMESPACE: &str = "kube-system";
const TOKEN_TYPE: &str = "bootstrap.kubernetes.io/token";
const TOKEN_PREFIX: &str = "bootstrap-token-";

/// Runs the controller until shutdown. Reads only the objects that it is for.
pub async fn run(context: Context) {
    let tokens = Informer::start(
        context.client.api::<Secret>().namespace(TOKEN_NAMESPACE),
        informer::Options::fields(format!("type={TOKEN_TYPE}")),
        context.shutdown.clone(),
    );
    let configs = Informer::start(
        context.client.api::<ConfigMap>().namespace(CONFIG_NAMESPACE),
        informer::Options::fields(format!("metadata.name={CONFIG_NAME}")),
        context.shutdown.clone(),
    );
    let queue = context.queue(NAME);
    let key = ObjectKey::new(CONFIG_NAMESPACE, CONFIG_NAME);
    let (own, of_config) = (queue.clone(), key.clone());
    configs.add_handler(move |event| {
        if !event.is_deleted() {
            own.add(of_config.clone());
        }
    });
    let own = queue.clone();
    tokens.add_handler(move |_| own.add(key.clone()));
    let controller = Controller {
        tokens: tokens.store(),
        configs: configs.store(),
        context: context.clone(),
    };
    // Half of the tokens would take the others' signatures away.
    if context.shutdown.guard(tokens.synced()).await.is_some() {
        context.drive(NAME, queue, 1, Arc::new(controller)).await;
    }
}

struct Controller {
    context: Context,
    tokens: Store<Secret>,
    configs: Store<ConfigMap>,
}

/// The data with the signatures of these tokens and no others, if it differs.
fn signed(config: &ConfigMap, tokens: &[Arc<Secret>], now: Timestamp) -> Option<BTreeMap<String, String>> {
    let content = config.data.get(CONTENT)?;
    let mut data = config.data.clone();
    data.retain(|key, _| !key.starts_with(SIGNATURE_PREFIX));
    for (id, secret) in tokens.iter().filter_map(|token| signing_token(token, now)) {
        data.insert(
            format!("{SIGNATURE_PREFIX}{id}"),
            detached::sign(content, id, secret),
        );
    }
    (data != config.data).then_some(data)
}

/// Id and secret of a token that is for signing and hasn't expired.
fn signing_token(token: &Secret, now: Timestamp) -> Option<(&str, &str)> {
    let value = |key: &str| {
        let value = std::str::from_utf8(token.data.get(key)?).ok()?;
        Some(value).filter(|value| !value.is_empty())
    };
    let id = value("token-id")?;
    let is_named = token.metadata.name.strip_prefix(TOKEN_PREFIX) == Some(id);
    let is_well_formed = id.len() == 6 && id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    let is_current = match value("expiration") {
        None => true,
        // Unreadable: as if it had expired.
        Some(text) => Time::parse(text).is_ok_and(|expiry| expiry.timestamp() > now),
    };
    let is_for_signing = value("usage-bootstrap-signing") == Some("true");
    let secret = value("token-secret")?;
    (is_named && is_well_formed && is_current && is_for_signing).then_some((id, secret))
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(config) = self.configs.get(key) else {
                return Ok(Outcome::Done);
            };
            let Some(data) = signed(&config, &self.tokens.list(), self.context.clock.now()) else {
                return Ok(Outcome::Done);
            };
            let updated = ConfigMap {
                data,
                ..(*config).clone()
            };
            let configs = self.context.client.api::<ConfigMap>();
            match configs.namespace(&key.namespace).update(&updated).await {
                Err(error) if error.is_not_found() => {}
                outcome => drop(outcome?),
            }
            Ok(Outcome::Done)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, data: &[(&str, &str)]) -> Arc<Secret> {
        let mut token = Secret::default();
        token.metadata.name = name.into();
        let data = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
        token.data = data.collect();
        Arc::new(token)
    }

    /// The ids of the tokens whose signatures the configuration bears in the end.
    fn check(present: &[&str], tokens: &[Arc<Secret>], expected: Option<&[&str]>) {
        let mut config = ConfigMap::default();
        config.data.insert(CONTENT.into(), "content".into());
        for id in present {
            let signature = detached::sign("content", id, "s");
            config.data.insert(format!("{SIGNATURE_PREFIX}{id}"), signature);
        }
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("valid");
        let ids = signed(&config, tokens, now).map(|data| {
            let ids = data.into_keys();
            ids.filter_map(|key| key.strip_prefix(SIGNATURE_PREFIX).map(str::to_owned))
                .collect::<Vec<_>>()
        });
        assert_eq!(
            ids.as_deref(),
            expected
                .map(|ids| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
                .as_deref()
        );
    }

    #[test]
    fn signatures_are_those_of_the_valid_tokens() {
        let of = |id: &'static str, more: &[(&'static str, &'static str)]| {
            let mut data = vec![
                ("token-id", id),
                ("token-secret", "s"),
                ("usage-bootstrap-signing", "true"),
            ];
            data.extend(more);
            token(&format!("{TOKEN_PREFIX}{id}"), &data)
        };
        check(&[], &[of("aaaaaa", &[])], Some(&["aaaaaa"]));
        check(&["aaaaaa"], &[of("aaaaaa", &[])], None);
        check(&["bbbbbb"], &[of("aaaaaa", &[])], Some(&["aaaaaa"]));
        check(&["aaaaaa"], &[], Some(&[]));
        let expired = of("aaaaaa", &[("expiration", "2025-12-31T00:00:00Z")]);
        check(&["aaaaaa"], &[expired], Some(&[]));
        let current = of("aaaaaa", &[("expiration", "2026-01-02T00:00:00Z")]);
        check(&[], &[current], Some(&["aaaaaa"]));
        let misnamed = token(
            "bootstrap-token-cccccc",
            &[
                ("token-id", "aaaaaa"),
                ("token-secret", "s"),
                ("usage-bootstrap-signing", "true"),
            ],
        );
        check(&[], &[misnamed], None);
        check(
            &[],
            &[of("aaaaaa", &[("usage-bootstrap-signing", "false")])],
            None,
        );
    }
}
