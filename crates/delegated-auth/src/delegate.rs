//! Who is asking, and may they.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::authentication::v1::TokenReview;
use api::authorization::v1::SubjectAccessReview;
use auth::{Attributes, Decision, UserInfo, user};
use client::Client;
use component_base::clock::Clock;
use component_base::serving::{Peer, Request};
use component_base::tls;
use futures_util::future::BoxFuture;
use http::header::AUTHORIZATION;
use pki::chain::{Purpose, Roots};
use rustls_pki_types::CertificateDer;
use tracing::debug;

use crate::cache::Cache;
use crate::review;

/// What is trusted, and for how long an answer holds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Authorities of client certificates; `None`: certificates are not looked at.
    pub client_ca_file: Option<PathBuf>,
    /// Whether a request without credentials is `system:anonymous` rather than refused.
    pub anonymous: bool,
    pub token_ttl: Duration,
    pub allow_ttl: Duration,
    pub deny_ttl: Duration,
}

impl Default for Options {
    /// Upstream's for controller-manager and scheduler.
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self {
            client_ca_file: None,
            anonymous: true,
            token_ttl: ten,
            allow_ttl: ten,
            deny_ttl: ten,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read client authorities")]
    Files(#[from] tls::Error),
    #[error("cannot use client authorities")]
    Authorities(#[from] pki::Error),
}

/// Asks the API server; clones share the answers.
#[derive(Clone)]
pub struct Delegate(Arc<Inner>);

struct Inner {
    client: Client,
    clock: Arc<dyn Clock>,
    options: Options,
    roots: Option<Roots>,
    users: Mutex<Cache<String, UserInfo>>,
    decisions: Mutex<Cache<Question, Decision>>,
}

/// [`Attributes`] as a key.
#[derive(PartialEq, Eq, Hash)]
struct Question(String);

impl Delegate {
    pub fn new(client: Client, clock: Arc<dyn Clock>, options: Options) -> Result<Self, Error> {
        let roots = match &options.client_ca_file {
            Some(path) => Some(Roots::new(&tls::certificates(path)?)?),
            None => None,
        };
        Ok(Self::with(client, clock, options, roots))
    }

    /// The same with other authorities of client certificates.
    pub fn with_roots(&self, roots: Roots) -> Self {
        let inner = &self.0;
        Self::with(
            inner.client.clone(),
            inner.clock.clone(),
            inner.options.clone(),
            Some(roots),
        )
    }

    fn with(client: Client, clock: Arc<dyn Clock>, options: Options, roots: Option<Roots>) -> Self {
        let (users, decisions) = Default::default();
        Self(Arc::new(Inner {
            client,
            clock,
            options,
            roots,
            users,
            decisions,
        }))
    }

    /// The user; `None` for 401. Why not is for the log only. The request is not kept while the answer is awaited.
    pub fn authenticate(&self, request: &Request) -> BoxFuture<'static, Option<UserInfo>> {
        let this = self.clone();
        let by_certificate = self.by_certificate(request).map(UserInfo::into_authenticated);
        let header = request.headers().get(AUTHORIZATION).cloned();
        Box::pin(async move {
            if by_certificate.is_some() {
                return by_certificate;
            }
            match header {
                None => this.0.options.anonymous.then(UserInfo::anonymous),
                Some(header) => {
                    let token = header.to_str().ok()?.strip_prefix("Bearer ")?.trim();
                    this.by_token(token).await.map(UserInfo::into_authenticated)
                }
            }
        })
    }

    fn by_certificate(&self, request: &Request) -> Option<UserInfo> {
        let chain = &request.extensions().get::<Peer>()?.certificates;
        let (roots, leaf) = (self.0.roots.as_ref()?, chain.first()?);
        if let Err(error) = roots.verify(chain, Purpose::Client, self.0.clock.now()) {
            debug!(%error, "client certificate refused");
            return None;
        }
        user_of_certificate(leaf)
    }

    async fn by_token(&self, token: &str) -> Option<UserInfo> {
        if token.is_empty() {
            return None;
        }
        let now = self.0.clock.monotonic();
        if let Some(user) = lock(&self.0.users).get(&token.to_owned(), now) {
            return Some(user);
        }
        let answer = self
            .0
            .client
            .api::<TokenReview>()
            .create(&review::token_review(token))
            .await;
        let user = match answer {
            Ok(answer) => review::user_of(answer)?,
            Err(error) => {
                debug!(%error, "cannot review token");
                return None;
            }
        };
        lock(&self.0.users).put(token.to_owned(), user.clone(), self.0.options.token_ttl, now);
        Some(user)
    }

    /// Whether the user may; an API server that cannot be asked is a no.
    pub async fn authorize(&self, attributes: &Attributes) -> Decision {
        if attributes.user.in_group(user::PRIVILEGED) {
            return Decision::Allow {
                reason: String::new(),
            };
        }
        let question = || Question(format!("{attributes:?}"));
        let now = self.0.clock.monotonic();
        if let Some(decision) = lock(&self.0.decisions).get(&question(), now) {
            return decision;
        }
        let answer = self
            .0
            .client
            .api::<SubjectAccessReview>()
            .create(&review::access_review(attributes))
            .await;
        let decision = match answer {
            Ok(answer) => review::decision_of(answer),
            Err(error) => {
                debug!(%error, "cannot review access");
                return Decision::NoOpinion {
                    reason: error.to_string(),
                };
            }
        };
        let options = &self.0.options;
        let ttl = if decision.is_allowed() {
            options.allow_ttl
        } else {
            options.deny_ttl
        };
        lock(&self.0.decisions).put(question(), decision.clone(), ttl, now);
        decision
    }
}

fn user_of_certificate(leaf: &CertificateDer<'_>) -> Option<UserInfo> {
    let certificate = pki::Certificate::from_der(leaf).ok()?;
    let subject = certificate.subject;
    let groups = subject.organizations;
    (!subject.common_name.is_empty()).then(|| UserInfo {
        name: subject.common_name,
        groups,
        ..UserInfo::default()
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
