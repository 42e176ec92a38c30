//! A service account for each controller, so that what it may do is what its role says and audit logs name it.
//!
//! Upstream: staging/src/k8s.io/controller-manager/pkg/clientbuilder

use std::sync::Arc;
use std::time::Duration;

use api::authentication::v1::TokenRequest;
use api::core::v1::ServiceAccount;
use client::credentials::{Credentials, SharedToken};
use client::transport::Transport;
use client::{Client, Config, Error};
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use tracing::{debug, warn};

/// Where the accounts of controllers live.
const NAMESPACE: &str = "kube-system";
const TOKEN_SECONDS: i64 = 3600;
/// Pause between attempts while the server gives no token.
const RETRY: Duration = Duration::from_secs(1);

/// Makes clients in the name of controllers.
#[derive(Clone)]
pub struct Identities {
    root: Client,
    config: Config,
    /// A transport that shows no client certificate: it would go before the token.
    plain: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
}

impl Identities {
    /// Every controller acts as this process.
    pub fn shared(root: Client, config: Config, clock: Arc<dyn Clock>, shutdown: Shutdown) -> Self {
        Identities {
            root,
            config,
            plain: None,
            clock,
            shutdown,
        }
    }

    /// Every controller acts as its own service account.
    pub fn separate(
        root: Client,
        config: Config,
        plain: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Self {
        Identities {
            root,
            config,
            plain: Some(plain),
            clock,
            shutdown,
        }
    }

    /// The client of a controller, whose average and burst of requests are so many times the configured ones; none when
    /// shutdown comes first.
    pub async fn client(&self, account: &str, (qps, burst): (u16, u16)) -> Option<Client> {
        let user_agent = format!("{}/{account}", self.config.user_agent);
        let rate = (
            self.config.qps * f32::from(qps),
            self.config.burst.saturating_mul(u32::from(burst)),
        );
        let config = self.config.clone().with_rate(rate.0, rate.1);
        let Some(transport) = &self.plain else {
            // As upstream: own rate limit and user agent, same credentials and connections.
            return Some(self.root.with_user_agent(&config, user_agent));
        };
        let (token, lifetime) = self.shutdown.guard(self.first_token(account)).await?;
        let shared = SharedToken::new(token);
        let config = Config {
            credentials: Credentials::Shared(shared.clone()),
            user_agent,
            ..config
        };
        let renewal = Renewal {
            identities: self.clone(),
            account: account.to_owned(),
            shared,
        };
        tokio::spawn(renewal.run(lifetime));
        Some(Client::with_transport(config, transport.clone()))
    }

    async fn first_token(&self, account: &str) -> (String, Duration) {
        loop {
            match self.request_token(account).await {
                Ok(token) => return token,
                Err(error) => {
                    debug!(account, %error, "no token yet for the controller");
                    self.clock.sleep(RETRY).await;
                }
            }
        }
    }

    /// A token and how long it is good.
    async fn request_token(&self, account: &str) -> Result<(String, Duration), Error> {
        let accounts = self.root.api::<ServiceAccount>().namespace(NAMESPACE);
        let mut request = TokenRequest::default();
        request.spec.expiration_seconds = Some(TOKEN_SECONDS);
        let answer = match accounts.create_subresource(account, "token", &request).await {
            Err(error) if error.is_not_found() => {
                self.create_account(account).await?;
                accounts.create_subresource(account, "token", &request).await?
            }
            answer => answer?,
        };
        let now = self.clock.now().as_second();
        let until = answer
            .status
            .expiration_timestamp
            .map(|time| time.timestamp().as_second());
        let seconds = until.map_or(TOKEN_SECONDS, |until| until - now);
        Ok((
            answer.status.token,
            Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        ))
    }

    async fn create_account(&self, name: &str) -> Result<(), Error> {
        let mut account = ServiceAccount::default();
        account.metadata.name = name.to_owned();
        account.metadata.namespace = NAMESPACE.to_owned();
        match self
            .root
            .api::<ServiceAccount>()
            .namespace(NAMESPACE)
            .create(&account)
            .await
        {
            Err(error) if error.is_already_exists() => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

/// Renews a controller's token when four fifths of its life are over.
struct Renewal {
    identities: Identities,
    account: String,
    shared: SharedToken,
}

impl Renewal {
    async fn run(self, mut lifetime: Duration) {
        let shutdown = self.identities.shutdown.clone();
        while shutdown
            .guard(self.identities.clock.sleep(lifetime.mul_f64(0.8).max(RETRY)))
            .await
            .is_some()
        {
            match self.identities.request_token(&self.account).await {
                Ok((token, next)) => {
                    self.shared.set(token);
                    lifetime = next;
                }
                Err(error) => {
                    warn!(account = %self.account, %error, "cannot renew the controller's token");
                    // What is left of the old one shrinks: try more and more often.
                    lifetime = lifetime.mul_f64(0.2);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
