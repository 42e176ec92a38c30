//! Fills secrets that are for tokens of service accounts, and deletes those whose account is gone.
//!
//! Upstream: pkg/controller/serviceaccount/tokens_controller.go

use std::fmt;
use std::sync::Arc;

use api::core::v1::{Secret, ServiceAccount};
use client::{DeleteParams, Error};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Event, Informer, ObjectKey, Store, WorkQueue, informer};
use futures_util::future::BoxFuture;
use pki::token::{LegacyClaims, Reference, Signer};

const NAME: &str = "serviceaccount_tokens_secret";
const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const TOKEN: &str = "token";
const NAMESPACE: &str = "namespace";
const ROOT_CA: &str = "ca.crt";

/// What tokens are made of.
#[derive(Clone)]
pub struct Options {
    pub workers: usize,
    pub signer: Arc<Signer>,
    /// The authorities to put beside each token, in PEM.
    pub root_ca: Option<String>,
}

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Secret(ObjectKey),
    /// An account may still name a secret that is gone.
    Reference {
        account: ObjectKey,
        secret: Box<str>,
    },
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Secret(key) => key.fmt(f),
            Key::Reference { account, secret } => write!(f, "{account}: {secret}"),
        }
    }
}

/// Runs the controller until shutdown. Reads only the secrets that it is for.
pub async fn run(context: Context, options: Options) {
    let secrets = Informer::start(
        context.client.api::<Secret>(),
        informer::Options::fields(format!("type={TYPE}")),
        context.shutdown.clone(),
    );
    let accounts = context.informers.of::<ServiceAccount>();
    let queue: WorkQueue<Key> = context.queue(NAME);
    let own = queue.clone();
    secrets.add_handler(move |event| {
        let metadata = &event.object().metadata;
        let key = match (event, account_of(event.object())) {
            (Event::Deleted(_), Some(account)) => Key::Reference {
                account,
                secret: metadata.name.as_str().into(),
            },
            _ => Key::Secret(ObjectKey::of(metadata)),
        };
        own.add(key);
    });
    let (store, own) = (secrets.store(), queue.clone());
    accounts.add_handler(move |event| {
        if event.is_deleted() {
            let account = ObjectKey::of(&event.object().metadata);
            let tokens = store.namespace(&account.namespace);
            let tokens = tokens
                .iter()
                .filter(|secret| account_of(secret).as_ref() == Some(&account));
            tokens.for_each(|secret| own.add(Key::Secret(ObjectKey::of(&secret.metadata))));
        }
    });
    let workers = options.workers;
    let controller = Controller {
        secrets: secrets.store(),
        accounts: accounts.store(),
        options,
        context: context.clone(),
    };
    if context.shutdown.guard(secrets.synced()).await.is_some() {
        context.drive(NAME, queue, workers, Arc::new(controller)).await;
    }
}

/// The account that a secret's token is of.
fn account_of(secret: &Secret) -> Option<ObjectKey> {
    let name = secret.metadata.annotations.get(ACCOUNT_NAME)?;
    (!name.is_empty()).then(|| ObjectKey::new(&secret.metadata.namespace, name))
}

/// Whether this account is the one meant: a later one of that name isn't.
fn is_meant(secret: &Secret, account: &ServiceAccount) -> bool {
    let uid = secret.metadata.annotations.get(ACCOUNT_UID);
    uid.is_none_or(|uid| uid.is_empty() || *uid == account.metadata.uid)
}

struct Controller {
    context: Context,
    options: Options,
    secrets: Store<Secret>,
    accounts: Store<ServiceAccount>,
}

/// The secret with what it lacks, if it lacks anything. The token is signed only when one is needed.
fn filled(
    secret: &Secret,
    account: &ServiceAccount,
    root_ca: Option<&str>,
    sign: impl FnOnce(&LegacyClaims) -> Result<String, pki::Error>,
) -> Result<Option<Secret>, pki::Error> {
    let has = |key: &str| secret.data.get(key).is_some_and(|value| !value.is_empty());
    let root_ca = root_ca.filter(|ca| secret.data.get(ROOT_CA).is_none_or(|have| have != ca.as_bytes()));
    if root_ca.is_none() && has(NAMESPACE) && has(TOKEN) {
        return Ok(None);
    }
    let mut filled = secret.clone();
    if let Some(ca) = root_ca {
        filled.data.insert(ROOT_CA.into(), ca.as_bytes().to_vec());
    }
    let namespace = &secret.metadata.namespace;
    if !has(NAMESPACE) {
        filled
            .data
            .insert(NAMESPACE.into(), namespace.as_bytes().to_vec());
    }
    if !has(TOKEN) {
        let claims = LegacyClaims {
            namespace: namespace.clone(),
            secret: secret.metadata.name.clone(),
            service_account: Reference {
                name: account.metadata.name.clone(),
                uid: account.metadata.uid.clone(),
            },
        };
        filled.data.insert(TOKEN.into(), sign(&claims)?.into_bytes());
    }
    let annotations = &mut filled.metadata.annotations;
    annotations.insert(ACCOUNT_NAME.into(), account.metadata.name.clone());
    annotations.insert(ACCOUNT_UID.into(), account.metadata.uid.clone());
    Ok(Some(filled))
}

impl Reconcile<Key> for Controller {
    fn reconcile<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            match key {
                Key::Secret(key) => self.sync(key).await?,
                Key::Reference { account, secret } => self.drop_reference(account, secret).await?,
            }
            Ok(Outcome::Done)
        })
    }
}

impl Controller {
    async fn sync(&self, key: &ObjectKey) -> Result<(), driver::Error> {
        let Some(secret) = self.secrets.get(key) else {
            return Ok(());
        };
        let Some(account) = account_of(&secret) else {
            return Ok(());
        };
        let secrets = self.context.client.api::<Secret>().namespace(&key.namespace);
        let Some(account) = self.account(&account, &secret).await? else {
            let uid = DeleteParams::uid(&secret.metadata.uid);
            return match secrets.delete(&key.name, &uid).await {
                Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error.into()),
                _ => Ok(()),
            };
        };
        let options = &self.options;
        let sign = |claims: &LegacyClaims| options.signer.sign_legacy(claims);
        let Some(filled) = filled(&secret, &account, options.root_ca.as_deref(), sign)? else {
            return Ok(());
        };
        // A conflict means that the cache is behind: the change that is missing comes by itself.
        match secrets.update(&filled).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The account from the cache, or from the server before it is said not to exist.
    async fn account(&self, key: &ObjectKey, secret: &Secret) -> Result<Option<ServiceAccount>, Error> {
        if let Some(account) = self.accounts.get(key)
            && is_meant(secret, &account)
        {
            return Ok(Some((*account).clone()));
        }
        let accounts = self.context.client.api::<ServiceAccount>();
        match accounts.namespace(&key.namespace).get(&key.name).await {
            Ok(account) => Ok(Some(account).filter(|account| is_meant(secret, account))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn drop_reference(&self, key: &ObjectKey, secret: &str) -> Result<(), Error> {
        let has = |account: &ServiceAccount| account.secrets.iter().any(|named| named.name == secret);
        let is_back = self
            .secrets
            .get(&ObjectKey::new(&key.namespace, secret))
            .is_some();
        let cached = self.accounts.get(key);
        if is_back || !cached.is_some_and(|account| has(&account)) {
            return Ok(());
        }
        let accounts = self.context.client.api::<ServiceAccount>();
        let accounts = accounts.namespace(&key.namespace);
        let mut account = match accounts.get(&key.name).await {
            Ok(account) if has(&account) => account,
            Err(error) if !error.is_not_found() => return Err(error),
            _ => return Ok(()),
        };
        account.secrets.retain(|named| named.name != secret);
        match accounts.update(&account).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(uid: &str) -> ServiceAccount {
        let mut account = ServiceAccount::default();
        account.metadata.name = "a".into();
        account.metadata.uid = uid.into();
        account
    }

    fn secret(data: &[&str]) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = "s".into();
        secret.metadata.namespace = "ns".into();
        let data = data.iter().map(|key| ((*key).to_owned(), b"old".to_vec()));
        secret.data = data.collect();
        secret
    }

    #[test]
    fn a_secret_gets_what_it_lacks() {
        let check = |data: &[&str], ca: Option<&str>, expected: Option<&str>| {
            let sign = |claims: &LegacyClaims| {
                Ok(format!(
                    "{}/{}",
                    claims.service_account.name, claims.service_account.uid
                ))
            };
            let filled = filled(&secret(data), &account("1"), ca, sign).expect("signed");
            let shown = filled.map(|secret| {
                assert_eq!(secret.metadata.annotations[ACCOUNT_UID], "1");
                let pairs = secret.data.iter();
                let pairs: Vec<String> = pairs
                    .map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(value)))
                    .collect();
                pairs.join(" ")
            });
            assert_eq!(shown.as_deref(), expected, "{data:?}");
        };
        check(&[], Some("ca"), Some("ca.crt=ca namespace=ns token=a/1"));
        check(&[TOKEN, NAMESPACE], None, None);
        check(&[TOKEN, NAMESPACE, ROOT_CA], Some("old"), None);
        check(
            &[TOKEN, NAMESPACE],
            Some("ca"),
            Some("ca.crt=ca namespace=old token=old"),
        );
    }

    #[test]
    fn a_later_account_of_the_name_is_another() {
        let mut token = secret(&[]);
        assert!(is_meant(&token, &account("1")));
        token.metadata.annotations.insert(ACCOUNT_UID.into(), "1".into());
        assert!(is_meant(&token, &account("1")) && !is_meant(&token, &account("2")));
    }
}
