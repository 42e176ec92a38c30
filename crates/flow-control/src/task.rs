//! What goes on beside the requests: new configurations, the adjustment of seats, the clock of those who wait, and
//! the conditions of schemas.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api::flowcontrol::v1::FlowSchemaCondition;
use apimachinery::status::Status;
use component_base::shutdown::Shutdown;
use futures_util::future::BoxFuture;

use crate::flow_control::FlowControl;

/// Between two adjustments of seats to demand.
const ADJUSTMENT_PERIOD: Duration = Duration::from_secs(10);
/// A condition is written so many times a minute at most: servers that disagree must not fight all the time.
const MOST_WRITES: usize = 6;
const WRITES_WINDOW: Duration = Duration::from_secs(60);
/// How long one is left alone that was written too often.
const REST: Duration = Duration::from_secs(45);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Writes the status of schemas.
pub trait Conditions: Send + Sync {
    /// Sets one condition and leaves the others. A schema that has gone meanwhile is no error.
    fn set<'a>(
        &'a self,
        schema: &'a str,
        condition: FlowSchemaCondition,
    ) -> BoxFuture<'a, Result<(), Status>>;
}

impl FlowControl {
    /// Runs until the shutdown.
    pub async fn run(self, conditions: Arc<dyn Conditions>, shutdown: Shutdown) {
        let configure = Configure {
            flow_control: self.clone(),
            conditions,
            written: VecDeque::new(),
            retry: FIRST_RETRY,
        };
        let all = futures_util::future::join3(configure.run(), self.keep_adjusting(), self.keep_turning());
        // Each of the three goes on for ever.
        shutdown.guard(all).await;
    }

    async fn keep_adjusting(&self) {
        loop {
            self.shared.clock.sleep(ADJUSTMENT_PERIOD).await;
            self.adjust();
        }
    }

    /// Seats that linger are given to those who wait for them as soon as they are free.
    async fn keep_turning(&self) {
        let clock = &self.shared.clock;
        loop {
            // Looking at the levels is what gives out the seats that are free.
            match self.next_turn() {
                None => self.shared.turn.notified().await,
                Some(at) => {
                    let wait = clock.sleep(at.saturating_sub(clock.monotonic()));
                    tokio::select! {
                        () = wait => {}
                        () = self.shared.turn.notified() => {}
                    }
                }
            }
        }
    }
}

/// Keeps the configuration in force, and the conditions true.
struct Configure {
    flow_control: FlowControl,
    conditions: Arc<dyn Conditions>,
    /// When which schema was written, oldest first, within the window.
    written: VecDeque<(Duration, String)>,
    retry: Duration,
}

impl Configure {
    async fn run(mut self) {
        loop {
            let pause = self.step().await;
            let shared = &self.flow_control.shared;
            match pause {
                None => shared.changed.notified().await,
                Some(pause) => {
                    tokio::select! {
                        () = shared.clock.sleep(pause) => {}
                        () = shared.changed.notified() => {}
                    }
                }
            }
        }
    }

    /// After how long to try again; `None`: all is well.
    async fn step(&mut self) -> Option<Duration> {
        let wrong = self.flow_control.reconfigure();
        let (mut failed, mut too_often) = (false, false);
        for (schema, condition) in wrong {
            let now = self.flow_control.shared.clock.monotonic();
            if !self.may_write(&schema, now) {
                too_often = true;
                continue;
            }
            self.written.push_back((now, schema.clone()));
            if let Err(error) = self.conditions.set(&schema, condition).await {
                tracing::warn!(%schema, %error, "the condition of a flow schema can't be written");
                failed = true;
            }
        }
        if failed {
            let pause = self.retry;
            self.retry = (self.retry * 2).min(LAST_RETRY);
            return Some(pause);
        }
        self.retry = FIRST_RETRY;
        too_often.then_some(REST)
    }

    fn may_write(&mut self, schema: &str, now: Duration) -> bool {
        let past = |at: &Duration| now.saturating_sub(*at) > WRITES_WINDOW;
        while self.written.front().is_some_and(|(at, _)| past(at)) {
            self.written.pop_front();
        }
        let writes = self.written.iter().filter(|(_, name)| name == schema);
        writes.count() < MOST_WRITES
    }
}
