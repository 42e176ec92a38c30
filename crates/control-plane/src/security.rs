//! Authenticators, authorizers and admission as the options ask for.

mod reload;

use std::path::Path;
use std::sync::Arc;

use admission::matching::Kinds;
use admission::policies::{MutatingAdmissionPolicy, ValidatingAdmissionPolicy};
use admission::{Chain as AdmissionChain, Selection, plugins, webhooks};
use apiserver::Security;
use apiserver::outbound::{Reach, WebhookClient};
use apiserver::paths::TokenKeys;
use auth::authenticators::request_header::HeaderNames;
use auth::authenticators::{
    Bearer, BootstrapTokens, RequestHeader, ServiceAccountTokens, TokenFile, TokenUnion, Trust, Union, X509,
};
use auth::authorizers::{
    AlwaysAllow, AlwaysDeny, Chain, Counted, Measured, NodeAuthorizer, PrivilegedGroup, Rbac,
};
use auth::{Authenticator, Authorizer, Follower, Objects, TokenAuthenticator};
use component_base::clock::Clock;
use component_base::metrics::Registry;
use component_base::shutdown::Shutdown;
use component_base::tls;
use pki::token::claims::LEGACY_ISSUER;
use pki::token::{Signer, Verifier, discovery};
use pki::{PrivateKey, PublicKey};

use crate::Error;
use crate::options::{AuthenticationOptions, Options, ServiceAccountOptions};
use reload::Watched;

/// Keys of service-account tokens.
pub struct TokenAuthority {
    /// Verify.
    pub keys: Vec<PublicKey>,
    /// Signs; without it TokenRequest is not served.
    pub signer: Option<Arc<Signer>>,
    pub issuers: Vec<String>,
    pub audiences: Vec<String>,
}

impl TokenAuthority {
    /// Loads the keys that the options name.
    pub fn load(options: &ServiceAccountOptions) -> Result<TokenAuthority, Error> {
        let signing = options
            .signing_key_file
            .as_deref()
            .map(PrivateKey::load)
            .transpose()?;
        let mut keys = Vec::new();
        for file in &options.key_files {
            keys.extend(PublicKey::load(file)?);
        }
        if let (true, Some(key)) = (keys.is_empty(), &signing) {
            keys.push(key.public().clone());
        }
        let issuer = options.issuers.first().cloned().unwrap_or_default();
        Ok(TokenAuthority {
            keys,
            signer: signing.map(|key| Arc::new(Signer::new(key, &issuer))),
            issuers: options.issuers.clone(),
            audiences: options.audiences.clone(),
        })
    }

    /// The documents for those who verify tokens elsewhere: only for an `https` issuer, as the standard has it.
    pub fn documents(
        &self,
        options: &ServiceAccountOptions,
        server_address: &str,
    ) -> Result<TokenKeys, Error> {
        let Some(issuer) = self
            .issuers
            .first()
            .filter(|issuer| issuer.starts_with("https://"))
        else {
            return Ok(TokenKeys::default());
        };
        let keys_uri = match options.jwks_uri.as_str() {
            "" => format!("https://{server_address}{}", discovery::KEYS_PATH),
            uri => uri.to_owned(),
        };
        Ok(TokenKeys {
            configuration: Some(discovery::configuration(issuer, &keys_uri, &self.keys)),
            keys: Some(discovery::keys(&self.keys)?),
        })
    }

    fn verifier(&self) -> Verifier {
        let mut issuers = self.issuers.clone();
        // Tokens that are kept in secrets name no issuer of a cluster's own.
        issuers.push(LEGACY_ISSUER.to_owned());
        Verifier::new(self.keys.clone(), issuers)
    }
}

/// What the parts share.
pub struct Parts<'a> {
    pub options: &'a Options,
    pub tokens: &'a TokenAuthority,
    /// The token with which this process calls itself, and whom it then is.
    pub loopback: Option<Arc<dyn TokenAuthenticator>>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Registry,
    pub shutdown: Shutdown,
    /// How the services of webhooks are reached.
    pub reach: Reach,
}

/// Builds all of it over the served objects.
pub fn build(parts: &Parts<'_>, objects: Arc<dyn Objects>, kinds: Arc<dyn Kinds>) -> Result<Security, Error> {
    let mut watched = Vec::new();
    let (authenticator, token_authenticator) = authenticators(parts, &objects, &mut watched)?;
    tokio::spawn(reload::follow(
        watched,
        parts.clock.clone(),
        parts.shutdown.clone(),
    ));
    let (authorizer, mut followers, rbac) = authorizers(parts)?;
    let selection = Selection::new(&parts.options.enable_admission, &parts.options.disable_admission)
        .map_err(apiserver::Error::from)?;
    let webhooks = webhooks::build(&webhooks::Dependencies {
        objects: objects.clone(),
        kinds: kinds.clone(),
        caller: Arc::new(WebhookClient::new(parts.reach.services(objects.clone()))),
        authorizer: authorizer.clone(),
        clock: parts.clock.clone(),
        metrics: parts.metrics.clone(),
    });
    followers.extend(webhooks.followers);
    let policies =
        ValidatingAdmissionPolicy::new(objects.clone(), kinds.clone(), authorizer.clone(), &parts.metrics);
    followers.push(policies.follower());
    let mutating = MutatingAdmissionPolicy::new(
        objects.clone(),
        kinds.clone(),
        authorizer.clone(),
        parts.clock.clone(),
        &parts.metrics,
    );
    followers.push(mutating.follower());
    let mut plugins = plugins::all(&plugins::Dependencies {
        objects,
        kinds,
        authorizer: authorizer.clone(),
        rbac,
        clock: parts.clock.clone(),
        metrics: parts.metrics.clone(),
        not_ready_toleration_seconds: parts.options.not_ready_toleration.as_secs() as i64,
        unreachable_toleration_seconds: parts.options.unreachable_toleration.as_secs() as i64,
    });
    plugins.extend(webhooks.plugins);
    plugins.push(Arc::new(mutating));
    plugins.push(Arc::new(policies));
    let admission = AdmissionChain::new(plugins, &selection, parts.clock.clone(), &parts.metrics)
        .map_err(apiserver::Error::from)?;
    Ok(Security {
        authenticator,
        token_authenticator,
        authorizer,
        admission,
        followers,
    })
}

/// Of requests, and of bearer tokens alone (for TokenReview).
type Authenticators = (Arc<dyn Authenticator>, Arc<dyn TokenAuthenticator>);

fn authenticators(
    parts: &Parts<'_>,
    objects: &Arc<dyn Objects>,
    watched: &mut Vec<Watched>,
) -> Result<Authenticators, Error> {
    let Parts { clock, metrics, .. } = parts;
    let options = &parts.options.authentication;
    let mut all: Vec<Arc<dyn Authenticator>> = Vec::new();
    if let Some(proxy) = front_proxy(options, clock, watched)? {
        all.push(Arc::new(proxy));
    }
    if let Some(file) = &options.client_ca_file {
        all.push(Arc::new(X509::new(trust(file, watched)?, clock.clone(), metrics)));
    }
    let tokens: Arc<dyn TokenAuthenticator> =
        Arc::new(TokenUnion::new(token_authenticators(parts, objects, watched)?));
    all.push(Arc::new(Bearer::new(
        tokens.clone(),
        parts.tokens.audiences.clone(),
    )));
    Ok((
        Arc::new(Union::new(all, options.anonymous.authenticator())),
        tokens,
    ))
}

fn token_authenticators(
    parts: &Parts<'_>,
    objects: &Arc<dyn Objects>,
    watched: &mut Vec<Watched>,
) -> Result<Vec<Arc<dyn TokenAuthenticator>>, Error> {
    let options = &parts.options.authentication;
    let mut all: Vec<Arc<dyn TokenAuthenticator>> = Vec::new();
    all.extend(parts.loopback.clone());
    if let Some(file) = &options.token_file {
        all.push(Arc::new(TokenFile::load(file)?));
    }
    if !parts.tokens.keys.is_empty() {
        let verifier = parts.tokens.verifier();
        let tokens = Arc::new(ServiceAccountTokens::new(
            verifier,
            objects.clone(),
            parts.tokens.audiences.clone(),
            parts.clock.clone(),
            &parts.metrics,
        ));
        watched.push(Watched::keys(&parts.options.service_accounts, tokens.clone()));
        all.push(tokens);
    }
    if options.bootstrap_tokens {
        all.push(Arc::new(BootstrapTokens::new(
            objects.clone(),
            parts.clock.clone(),
        )));
    }
    Ok(all)
}

fn front_proxy(
    options: &AuthenticationOptions,
    clock: &Arc<dyn Clock>,
    watched: &mut Vec<Watched>,
) -> Result<Option<RequestHeader>, Error> {
    let Some(file) = &options.front_proxy_ca_file else {
        return Ok(None);
    };
    let names = HeaderNames {
        username: options.username_headers.clone(),
        uid: options.uid_headers.clone(),
        group: options.group_headers.clone(),
        extra_prefix: options.extra_prefixes.clone(),
    };
    Ok(Some(RequestHeader::new(
        trust(file, watched)?,
        options.front_proxy_names.clone(),
        names,
        clock.clone(),
    )))
}

/// Trust in the authorities of a file, kept up to date with it.
fn trust(file: &Path, watched: &mut Vec<Watched>) -> Result<Arc<Trust>, Error> {
    let trust = Trust::new(&tls::certificates(file)?)?;
    watched.push(Watched::authorities(file, trust.clone()));
    Ok(trust)
}

/// All authorizers as one, the indexes to be fed, and the roles where those are in force.
type Authorization = (Arc<dyn Authorizer>, Vec<Arc<dyn Follower>>, Option<Arc<Rbac>>);

/// The authorizers in the order of the modes, behind the group that may do anything.
fn authorizers(parts: &Parts<'_>) -> Result<Authorization, Error> {
    let mut all: Vec<Arc<dyn Authorizer>> = vec![Arc::new(PrivilegedGroup)];
    let mut followers: Vec<Arc<dyn Follower>> = Vec::new();
    let mut roles = None;
    let counted = |inner: Arc<dyn Authorizer>, mode| Arc::new(Counted::new(inner, mode, &parts.metrics));
    for mode in &parts.options.authorization_modes {
        match mode.as_str() {
            "AlwaysAllow" => all.push(counted(Arc::new(AlwaysAllow), "AlwaysAllow")),
            "AlwaysDeny" => all.push(counted(Arc::new(AlwaysDeny), "AlwaysDeny")),
            "RBAC" => {
                let rbac = Arc::new(Rbac::new());
                followers.push(rbac.clone());
                roles = Some(rbac.clone());
                all.push(counted(rbac, "RBAC"));
            }
            "Node" => {
                let node = Arc::new(NodeAuthorizer::new(
                    auth::bootstrap::policy().rules_of("system:node").to_vec(),
                ));
                followers.push(node.clone());
                all.push(counted(node, "Node"));
            }
            other => {
                return Err(Error::Flag {
                    flag: "authorization-mode",
                    why: format!("{other:?} is not a valid mode"),
                });
            }
        }
    }
    let all = Measured::new(Arc::new(Chain::new(all)), parts.clock.clone(), &parts.metrics);
    Ok((Arc::new(all), followers, roles))
}
