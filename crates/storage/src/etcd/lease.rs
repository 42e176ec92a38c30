//! Times to live: keys that expire at about the same time share a lease.

use std::time::{Duration, Instant};

use component_base::metrics::Histogram;
use tokio::sync::Mutex;

use super::calls::Calls;
use crate::Error;

/// Grants and reuses leases.
pub(super) struct Leases {
    reuse: Duration,
    /// Keys on one lease: etcd deletes them in one transaction when it ends.
    max_keys: usize,
    /// Keys of each lease that was given up for the next.
    sizes: Option<Histogram>,
    last: Mutex<Option<Lease>>,
}

#[derive(Clone, Copy)]
struct Lease {
    id: i64,
    ends: Instant,
    keys: usize,
}

impl Leases {
    pub fn new(reuse: Duration, max_keys: usize, sizes: Option<Histogram>) -> Self {
        Self {
            reuse,
            max_keys,
            sizes,
            last: Mutex::new(None),
        }
    }

    /// A lease that ends when the time has passed, or up to the reuse time (a twentieth at most) later.
    pub async fn lease(&self, calls: &Calls, ttl: Duration) -> Result<i64, Error> {
        let now = Instant::now();
        let slack = self.reuse.min(ttl / 20);
        let mut last = self.last.lock().await;
        let usable = |lease: &&mut Lease| is_usable(lease, self.max_keys, now + ttl, slack);
        if let Some(lease) = last.as_mut().filter(usable) {
            lease.keys += 1;
            return Ok(lease.id);
        }
        let id = calls.grant(ttl + slack).await?;
        let before = last.replace(Lease {
            id,
            ends: now + ttl + slack,
            keys: 1,
        });
        if let (Some(before), Some(sizes)) = (before, &self.sizes) {
            sizes.observe(before.keys as f64);
        }
        Ok(id)
    }
}

fn is_usable(lease: &Lease, max_keys: usize, wanted: Instant, slack: Duration) -> bool {
    lease.keys < max_keys && lease.ends >= wanted && lease.ends <= wanted + slack
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_serves_keys_that_end_shortly_before_it() {
        let now = Instant::now();
        let seconds = Duration::from_secs;
        let lease = Lease {
            id: 1,
            ends: now + seconds(105),
            keys: 1,
        };
        for (wanted, usable) in [(105, true), (100, true), (99, false), (106, false)] {
            assert_eq!(
                is_usable(&lease, 1000, now + seconds(wanted), seconds(5)),
                usable,
                "{wanted}"
            );
        }
        assert!(!is_usable(
            &Lease { keys: 1000, ..lease },
            1000,
            now + seconds(105),
            seconds(5)
        ));
    }
}
