//! Health of a store: asked in the background, so that a check answers at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use component_base::health::Check;
use component_base::shutdown::Shutdown;
use storage::Store;
use tokio::sync::watch;

/// Between two questions.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the store answered last: how long it took, or why it did not.
type Outcome = Result<Duration, String>;

/// A store that is asked from time to time.
pub(super) struct Probe {
    outcome: watch::Receiver<Outcome>,
}

impl Probe {
    /// Asks until the shutdown; an answer may take `limit`.
    pub fn start(store: Arc<dyn Store>, limit: Duration, shutdown: Shutdown) -> Self {
        let (sender, outcome) = watch::channel(Err("the store was not asked yet".to_owned()));
        let asking = async move {
            loop {
                let answer = ask(&*store, limit).await;
                sender.send_if_modified(|kept| {
                    let is_news = kept.is_ok() != answer.is_ok();
                    *kept = answer;
                    is_news
                });
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::spawn(async move { shutdown.guard(asking).await });
        Self { outcome }
    }

    /// A check that fails when the last answer took longer than this, or there was none.
    pub fn check(&self, name: String, timeout: Duration) -> Arc<dyn Check> {
        Arc::new(StoreCheck {
            name,
            timeout,
            outcome: self.outcome.clone(),
        })
    }
}

async fn ask(store: &dyn Store, limit: Duration) -> Outcome {
    let began = Instant::now();
    match tokio::time::timeout(limit, store.probe()).await {
        Ok(Ok(())) => Ok(began.elapsed()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the store did not answer within {limit:?}")),
    }
}

struct StoreCheck {
    name: String,
    timeout: Duration,
    outcome: watch::Receiver<Outcome>,
}

impl Check for StoreCheck {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self) -> Result<(), String> {
        match &*self.outcome.borrow() {
            Ok(took) if *took <= self.timeout => Ok(()),
            Ok(took) => Err(format!("the store took {took:?} to answer")),
            Err(reason) => Err(reason.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(kept: Outcome, timeout: Duration) -> Result<(), String> {
        let probe = Probe {
            outcome: watch::channel(kept).1,
        };
        probe.check("etcd".to_owned(), timeout).check()
    }

    #[test]
    fn slow_and_missing_answers_fail() {
        let ms = Duration::from_millis;
        assert_eq!(outcome(Ok(ms(10)), ms(20)), Ok(()));
        assert_eq!(
            outcome(Ok(ms(30)), ms(20)),
            Err("the store took 30ms to answer".to_owned())
        );
        assert_eq!(outcome(Err("gone".to_owned()), ms(20)), Err("gone".to_owned()));
    }
}
