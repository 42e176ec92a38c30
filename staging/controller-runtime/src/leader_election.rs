//! One replica acts, the others wait: leadership by a Lease that its holder keeps renewing.
//!
//! [`rules`] decides from what was observed; [`Elector`] does the requests.
//!
//! Upstream: client-go/tools/leaderelection

pub mod rules;

use std::sync::Arc;
use std::time::Duration;

use api::coordination::v1::Lease;
use client::{Api, Client, Error};
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use tracing::{debug, info, warn};

use crate::backoff::{Random, jitter};
use crate::causes::Causes;
use rules::{Decision, Observed, Record};

/// What upstream's candidates stretch the pause between attempts by; the deadline has to leave room for it.
const JITTER_FACTOR: f64 = 1.2;
/// What ours stretch it by, so that they don't march in step: the later a renewal is seen, the later a lease that
/// is not renewed any more counts as over.
const WAITING_JITTER: f64 = 0.2;

/// Which lease, who we are, and how long things may take. The defaults are upstream's.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub namespace: String,
    pub name: String,
    /// Unique to this process, such as `host_uuid`.
    pub identity: String,
    /// How long others wait after the last renewal before they take over.
    pub lease_duration: Duration,
    /// How long the holder tries to renew before it gives up acting.
    pub renew_deadline: Duration,
    pub retry_period: Duration,
    /// Give the lease up at shutdown, so that the next holder needn't wait.
    pub release_on_cancel: bool,
}

impl Config {
    pub fn new(namespace: &str, name: &str, identity: impl Into<String>) -> Self {
        Config {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            release_on_cancel: false,
        }
    }
}

/// A configuration that can't keep a lease.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("leaseDuration must be greater than renewDeadline")]
    LeaseTooShort,
    #[error("renewDeadline must be greater than retryPeriod*JitterFactor")]
    DeadlineTooShort,
}

/// A candidate.
pub struct Elector {
    leases: Api<Lease>,
    config: Config,
    clock: Arc<dyn Clock>,
    observed: Option<Observed>,
    /// When the lease was last read.
    looked: Option<Duration>,
    random: Random,
}

impl Elector {
    pub fn new(client: &Client, config: Config, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        if config.lease_duration <= config.renew_deadline {
            return Err(ConfigError::LeaseTooShort);
        }
        if config.renew_deadline <= config.retry_period.mul_f64(JITTER_FACTOR) {
            return Err(ConfigError::DeadlineTooShort);
        }
        let leases = client.api::<Lease>().namespace(&config.namespace);
        Ok(Elector {
            leases,
            config,
            clock,
            observed: None,
            looked: None,
            random: Random::from_entropy(),
        })
    }

    /// Waits until this candidate holds the lease; `false` when shutdown came first.
    pub async fn acquire(&mut self, shutdown: &Shutdown) -> bool {
        info!(lease = %self.describe(), "attempting to acquire leader lease");
        loop {
            match shutdown.guard(self.try_acquire_or_renew()).await {
                None => return false,
                Some(true) => break,
                Some(false) => {}
            }
            let pause = self.pause();
            if shutdown.guard(self.clock.sleep(pause)).await.is_none() {
                return false;
            }
        }
        info!(lease = %self.describe(), identity = %self.config.identity, "acquired lease");
        true
    }

    /// Until the next attempt: the lease is taken as soon as it is over.
    fn pause(&mut self) -> Duration {
        let pause = jitter(self.config.retry_period, WAITING_JITTER, self.random.next_unit());
        let left = self.observed.as_ref().and_then(|observed| {
            let over = observed.at + self.config.lease_duration;
            over.checked_sub(self.clock.monotonic())
        });
        left.filter(|left| !left.is_zero())
            .map_or(pause, |left| left.min(pause))
    }

    /// Keeps the lease until shutdown or until it is lost. Whoever acts under it has to stop then, and to call
    /// [`Elector::give_up`] when it has stopped.
    pub async fn hold(&mut self, shutdown: &Shutdown) {
        while shutdown
            .guard(self.clock.sleep(self.config.retry_period))
            .await
            .is_some()
        {
            let clock = self.clock.clone();
            let deadline = clock.sleep(self.config.renew_deadline);
            let renewed = tokio::select! {
                renewed = shutdown.guard(self.renew()) => renewed.is_some(),
                () = deadline => false,
            };
            if !renewed {
                if !shutdown.is_triggered() {
                    warn!(lease = %self.describe(), "failed to renew lease");
                }
                break;
            }
        }
    }

    /// Lets the next holder act at once, if so configured and the lease is still ours.
    pub async fn give_up(&self) {
        if self.config.release_on_cancel {
            self.release().await;
        }
    }

    async fn renew(&mut self) {
        while !self.try_acquire_or_renew().await {
            self.clock.sleep(self.config.retry_period).await;
        }
    }

    async fn try_acquire_or_renew(&mut self) -> bool {
        match self.attempt().await {
            Ok(held) => held,
            Err(error) if error.is_conflict() || error.is_already_exists() => {
                debug!(lease = %self.describe(), "another candidate was faster");
                false
            }
            Err(error) => {
                warn!(lease = %self.describe(), error = %Causes(&error), "cannot acquire or renew lease");
                false
            }
        }
    }

    async fn attempt(&mut self) -> Result<bool, Error> {
        let lease = match self.leases.get(&self.config.name).await {
            Ok(lease) => lease,
            Err(error) if error.is_not_found() => {
                let record = Record::first(&self.config, self.clock.now());
                let mut lease = Lease::default();
                lease.metadata.namespace = self.config.namespace.clone();
                lease.metadata.name = self.config.name.clone();
                record.write(&mut lease.spec);
                return self
                    .leases
                    .create(&lease)
                    .await
                    .map(|lease| self.observe(&lease))
                    .map(|()| true);
            }
            Err(error) => return Err(error),
        };
        self.observe(&lease);
        let (now, elapsed) = (self.clock.now(), self.clock.monotonic());
        match rules::decide(&self.config, self.observed.as_ref(), now, elapsed) {
            Decision::Wait => Ok(false),
            Decision::Take(record) => {
                let mut lease = lease;
                record.write(&mut lease.spec);
                let lease = self.leases.update(&lease).await?;
                self.observe(&lease);
                Ok(true)
            }
        }
    }

    fn observe(&mut self, lease: &Lease) {
        let record = Record::read(&lease.spec);
        if self
            .observed
            .as_ref()
            .is_none_or(|observed| observed.record != record)
        {
            let now = self.clock.monotonic();
            let known = self
                .observed
                .as_ref()
                .is_some_and(|old| old.record.holder == record.holder);
            // A renewal was made between our last look and this one, at the latest when the holder says.
            let since = match (known, self.looked) {
                (true, Some(looked)) => {
                    rules::seen_late(&self.config, &record, now - looked, self.clock.now())
                }
                _ => Duration::ZERO,
            };
            self.observed = Some(Observed {
                record,
                at: now.saturating_sub(since),
            });
        }
        self.looked = Some(self.clock.monotonic());
    }

    /// Lets the lease go, if it is still ours.
    async fn release(&self) {
        let released = tokio::time::timeout(self.config.renew_deadline, self.try_release()).await;
        match released {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(lease = %self.describe(), error = %Causes(&error), "failed to release lease")
            }
            Err(_) => warn!(lease = %self.describe(), "failed to release lease in time"),
        }
    }

    async fn try_release(&self) -> Result<(), Error> {
        let mut lease = self.leases.get(&self.config.name).await?;
        let record = Record::read(&lease.spec);
        if record.holder != self.config.identity {
            return Ok(());
        }
        record.released(self.clock.now()).write(&mut lease.spec);
        self.leases.update(&lease).await.map(drop)
    }

    fn describe(&self) -> String {
        format!("{}/{}", self.config.namespace, self.config.name)
    }
}

#[cfg(test)]
mod tests;
