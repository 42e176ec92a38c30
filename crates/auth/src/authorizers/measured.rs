//! Counting and timing decisions, under upstream's metric names.

use std::sync::Arc;

use component_base::clock::Clock;
use component_base::metrics::{HistogramVec, IntCounterVec, Registry, exponential_buckets};
use futures_util::future::BoxFuture;

use crate::attributes::UserRules;
use crate::{Attributes, Authorizer, Decision, UserInfo};

/// Around all authorizers: how many requests were decided how, and in what time.
pub struct Measured {
    inner: Arc<dyn Authorizer>,
    clock: Arc<dyn Clock>,
    attempts: IntCounterVec,
    durations: HistogramVec,
}

impl Measured {
    pub fn new(inner: Arc<dyn Authorizer>, clock: Arc<dyn Clock>, metrics: &Registry) -> Self {
        Self {
            inner,
            clock,
            attempts: metrics.counter_vec(
                "authorization_attempts_total",
                "[ALPHA] Counter of authorization attempts broken down by result.",
                &["result"],
            ),
            durations: metrics.histogram_vec(
                "authorization_duration_seconds",
                "[ALPHA] Authorization duration in seconds broken out by result.",
                &["result"],
                &exponential_buckets(0.001, 2.0, 15),
            ),
        }
    }
}

impl Authorizer for Measured {
    fn authorize<'a>(&'a self, attributes: &'a Attributes) -> BoxFuture<'a, Decision> {
        Box::pin(async move {
            let started = self.clock.monotonic();
            let decision = self.inner.authorize(attributes).await;
            let elapsed = self.clock.monotonic().saturating_sub(started);
            let result = match decision {
                Decision::Allow { .. } => "allowed",
                Decision::Deny { .. } => "denied",
                Decision::NoOpinion { .. } => "no-opinion",
            };
            self.attempts.with_label_values(&[result]).inc();
            self.durations
                .with_label_values(&[result])
                .observe(elapsed.as_secs_f64());
            decision
        })
    }

    fn rules_for(&self, user: &UserInfo, namespace: &str) -> UserRules {
        self.inner.rules_for(user, namespace)
    }
}

/// Around one authorizer of a chain: which one has decided.
pub struct Counted {
    inner: Arc<dyn Authorizer>,
    /// As in `--authorization-mode`.
    mode: &'static str,
    decisions: IntCounterVec,
}

impl Counted {
    pub fn new(inner: Arc<dyn Authorizer>, mode: &'static str, metrics: &Registry) -> Self {
        let decisions = metrics.counter_vec(
            "apiserver_authorization_decisions_total",
            "[ALPHA] Total number of terminal decisions made by an authorizer split by authorizer type, name, and decision.",
            &["decision", "name", "type"],
        );
        Self {
            inner,
            mode,
            decisions,
        }
    }
}

impl Authorizer for Counted {
    fn authorize<'a>(&'a self, attributes: &'a Attributes) -> BoxFuture<'a, Decision> {
        Box::pin(async move {
            let decision = self.inner.authorize(attributes).await;
            let result = match decision {
                Decision::Allow { .. } => "allowed",
                Decision::Deny { .. } => "denied",
                Decision::NoOpinion { .. } => return decision,
            };
            let name = self.mode.to_lowercase();
            self.decisions
                .with_label_values(&[result, &name, self.mode])
                .inc();
            decision
        })
    }

    fn rules_for(&self, user: &UserInfo, namespace: &str) -> UserRules {
        self.inner.rules_for(user, namespace)
    }
}

#[cfg(test)]
mod tests {
    use component_base::clock::FakeClock;

    use super::*;
    use crate::authorizers::{AlwaysAllow, AlwaysDeny, Chain};

    #[tokio::test]
    async fn decisions_are_counted_once_by_whoever_made_them() {
        let metrics = Registry::new();
        let counted = |inner: Arc<dyn Authorizer>, mode| -> Arc<dyn Authorizer> {
            Arc::new(Counted::new(inner, mode, &metrics))
        };
        let chain = Chain::new(vec![
            counted(Arc::new(AlwaysDeny), "Node"),
            counted(Arc::new(AlwaysAllow), "RBAC"),
        ]);
        let clock = FakeClock::new(jiff::Timestamp::UNIX_EPOCH);
        let measured = Measured::new(Arc::new(chain), clock, &metrics);
        assert!(measured.authorize(&Attributes::default()).await.is_allowed());
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains(
            r#"apiserver_authorization_decisions_total{decision="allowed",name="rbac",type="RBAC"} 1"#
        ));
        assert!(!text.contains(r#"type="Node""#));
        assert!(text.contains(r#"authorization_attempts_total{result="allowed"} 1"#));
        assert!(text.contains(r#"authorization_duration_seconds_count{result="allowed"} 1"#));
    }
}
