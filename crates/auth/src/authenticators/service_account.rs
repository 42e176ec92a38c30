//! Service-account tokens, bound (from TokenRequest) and legacy (from secrets).
//!
//! The signature is checked once for each token and remembered; that the objects a token is bound to still
//! exist is checked on every request.

mod bound;
mod remembered;

use std::sync::Arc;

use api::core::v1::{Secret, ServiceAccount};
use arc_swap::ArcSwap;
use component_base::clock::Clock;
use component_base::metrics::{IntCounter, IntCounterVec, Registry};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use pki::token::{Claims, LegacyClaims, Refusal, Verifier};

use crate::user::CREDENTIAL_ID_KEY;
use crate::{Error, Objects, TokenAuthenticator, TokenIdentity, UserInfo};
use remembered::Remembered;

/// Claims of either kind, with a signature that holds.
#[derive(Clone, Debug)]
enum Token {
    Bound(Arc<Claims>),
    Legacy(Arc<LegacyClaims>),
}

pub struct ServiceAccountTokens {
    verifier: ArcSwap<Generation>,
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    /// The API server's own audiences.
    audiences: Vec<String>,
    stale: IntCounter,
    valid: IntCounter,
    legacy: IntCounter,
    cache: IntCounterVec,
}

/// What is remembered belongs to the keys that verified it.
struct Generation {
    verifier: Verifier,
    remembered: Remembered<Token>,
}

impl Generation {
    fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            remembered: Remembered::default(),
        }
    }
}

impl ServiceAccountTokens {
    pub fn new(
        verifier: Verifier,
        objects: Arc<dyn Objects>,
        audiences: Vec<String>,
        clock: Arc<dyn Clock>,
        metrics: &Registry,
    ) -> Self {
        Self {
            verifier: ArcSwap::from_pointee(Generation::new(verifier)),
            objects,
            clock,
            audiences,
            stale: metrics.counter(
                "serviceaccount_stale_tokens_total",
                "[ALPHA] Cumulative stale projected service account tokens used",
            ),
            valid: metrics.counter(
                "serviceaccount_valid_tokens_total",
                "[ALPHA] Cumulative valid projected service account tokens used",
            ),
            legacy: metrics.counter(
                "serviceaccount_legacy_tokens_total",
                "[ALPHA] Cumulative legacy service account tokens used",
            ),
            cache: metrics.counter_vec(
                "authentication_token_cache_request_total",
                "[ALPHA] Requests for the verification of a token, by whether it was remembered.",
                &["status"],
            ),
        }
    }

    /// Takes other keys or issuers from now on.
    pub fn replace(&self, verifier: Verifier) {
        self.verifier.store(Arc::new(Generation::new(verifier)));
    }

    async fn identity(&self, text: &str, audiences: &[String]) -> Result<Option<TokenIdentity>, Error> {
        match self.verified(text)? {
            None => Ok(None),
            Some(Token::Bound(claims)) => self.bound(&claims, audiences).await.map(Some),
            Some(Token::Legacy(claims)) => self.legacy(&claims, text, audiences).await.map(Some),
        }
    }

    /// The claims of a token of one of our issuers whose signature holds.
    fn verified(&self, text: &str) -> Result<Option<Token>, Error> {
        let generation = self.verifier.load();
        if let Some(token) = generation.remembered.get(text) {
            self.cache.with_label_values(&["hit"]).inc();
            return Ok(Some(token));
        }
        self.cache.with_label_values(&["miss"]).inc();
        let verified = match generation.verifier.verify(text) {
            Ok(None) => return Ok(None),
            Ok(Some(verified)) => verified,
            Err(Refusal::Signature | Refusal::Malformed) => {
                return Err(Error::Token("[invalid signature]".to_owned()));
            }
        };
        let legacy = verified.issuer == pki::token::claims::LEGACY_ISSUER;
        let token = if legacy {
            LegacyClaims::from_json(&verified.claims).map(|claims| Token::Legacy(Arc::new(claims)))
        } else {
            Claims::from_json(&verified.claims).map(|claims| Token::Bound(Arc::new(claims)))
        };
        let token =
            token.ok_or_else(|| Error::Token("the claims are not those of a service account".to_owned()))?;
        generation.remembered.put(text, token.clone());
        Ok(Some(token))
    }

    async fn bound(&self, claims: &Claims, audiences: &[String]) -> Result<TokenIdentity, Error> {
        let now = self.clock.now();
        let audiences = self.matching_audiences(&claims.audiences, audiences)?;
        bound::check_times(claims, now)?;
        bound::check_objects(&*self.objects, claims, now).await?;
        match claims.warn_after {
            Some(at) if now > at => {
                tracing::warn!(subject = %claims.subject(), "stale service-account token is used");
                self.stale.inc();
            }
            _ => self.valid.inc(),
        }
        Ok(TokenIdentity {
            user: bound::user(claims),
            audiences,
        })
    }

    async fn legacy(
        &self,
        claims: &LegacyClaims,
        text: &str,
        audiences: &[String],
    ) -> Result<TokenIdentity, Error> {
        let audiences = self.matching_audiences(&self.audiences, audiences)?;
        let refused = |reason: &str| Error::Token(reason.to_owned());
        let namespace = claims.namespace.as_str();
        let account = find::<ServiceAccount>(&*self.objects, namespace, &claims.service_account.name).await?;
        let account = account.ok_or_else(|| refused("the service account does not exist"))?;
        if account.metadata.uid != claims.service_account.uid {
            return Err(refused("the service account was replaced by another"));
        }
        let secret = find::<Secret>(&*self.objects, namespace, &claims.secret).await?;
        let secret = secret.ok_or_else(|| refused("service account token has been invalidated"))?;
        if secret.metadata.deletion_timestamp.is_some()
            || secret.data.get("token").map(Vec::as_slice) != Some(text.as_bytes())
        {
            return Err(refused("service account token has been invalidated"));
        }
        self.legacy.inc();
        let mut user = UserInfo::service_account(namespace, &account.metadata.name, &account.metadata.uid);
        user.extra.remove(CREDENTIAL_ID_KEY);
        Ok(TokenIdentity { user, audiences })
    }

    /// Those of the wanted audiences that the token holds; there must be one.
    fn matching_audiences(&self, held: &[String], wanted: &[String]) -> Result<Vec<String>, Error> {
        let wanted = if wanted.is_empty() {
            &self.audiences
        } else {
            wanted
        };
        let held = if held.is_empty() { &self.audiences } else { held };
        let matching: Vec<String> = held
            .iter()
            .filter(|audience| wanted.contains(audience))
            .cloned()
            .collect();
        if matching.is_empty() && !self.audiences.is_empty() {
            return Err(Error::Token(format!(
                "token audiences {held:?} is invalid for the target audiences {wanted:?}"
            )));
        }
        Ok(matching)
    }
}

impl TokenAuthenticator for ServiceAccountTokens {
    fn authenticate_token<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<TokenIdentity>, Error>> {
        Box::pin(self.identity(token, audiences))
    }
}

/// Reads an object that a token refers to.
async fn find<T: api::Resource>(
    objects: &dyn Objects,
    namespace: &str,
    name: &str,
) -> Result<Option<Box<T>>, Error> {
    objects
        .find::<T>(namespace, name)
        .await
        .map_err(|status| Error::Token(status.message))
}

/// Deleted for so long that clocks cannot explain it.
fn is_gone(metadata: &api::meta::v1::ObjectMeta, now: Timestamp) -> bool {
    const LEEWAY: std::time::Duration = std::time::Duration::from_secs(60);
    let Some(deleted) = &metadata.deletion_timestamp else {
        return false;
    };
    now.saturating_sub(LEEWAY).is_ok_and(|limit| deleted.0 < limit)
}

#[cfg(test)]
mod tests;
