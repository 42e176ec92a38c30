//! A token bucket: how long must a request wait so that no more than `qps` a second leave, after a burst.
//!
//! Upstream: client-go/util/flowcontrol/throttle.go

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Pure state of the bucket. Tokens may go negative: that is the debt of callers already told to wait.
#[derive(Debug)]
pub struct TokenBucket {
    qps: f64,
    burst: f64,
    tokens: f64,
    last: Instant,
}

impl TokenBucket {
    pub fn new(qps: f64, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        TokenBucket {
            qps,
            burst,
            tokens: burst,
            last: now,
        }
    }

    /// Takes one token and says how long to wait before using it.
    pub fn reserve(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.tokens = (self.tokens + elapsed * self.qps).min(self.burst) - 1.0;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.qps)
        }
    }
}

/// The limiter of a client; absent when the configured rate isn't positive.
#[derive(Debug)]
pub struct RateLimiter(Option<Mutex<TokenBucket>>);

impl RateLimiter {
    pub fn new(qps: f32, burst: u32) -> Self {
        let bucket = (qps > 0.0).then(|| Mutex::new(TokenBucket::new(f64::from(qps), burst, Instant::now())));
        RateLimiter(bucket)
    }

    pub async fn wait(&self) {
        let Some(bucket) = &self.0 else { return };
        let delay = match bucket.lock() {
            Ok(mut bucket) => bucket.reserve(Instant::now()),
            Err(poisoned) => poisoned.into_inner().reserve(Instant::now()),
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_passes_then_callers_queue_at_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10.0, 2, start);
        let waits: Vec<u128> = (0..4).map(|_| bucket.reserve(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100, 200]);
        // A second later the debt is paid and the burst is full again, not fuller.
        let later = start + Duration::from_secs(1);
        let waits: Vec<u128> = (0..3).map(|_| bucket.reserve(later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100]);
    }
}
