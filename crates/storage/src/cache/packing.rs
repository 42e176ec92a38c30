//! Values that were written a while ago are packed, in the background: what a cache holds, its store and both their
//! histories share.
//!
//! Young values stay plain: watchers are about to get them, and the next write of the same object reads them. The
//! bound on their bytes, and not their age, is what counts under load.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::state::Mirror;
use crate::KeyValue;
use crate::packer::Packer;

/// Plain bytes of one cache that may wait for their time; beyond, the oldest are packed at once.
const MAX_YOUNG_BYTES: usize = 4 << 20;
/// Values that are packed before others have their turn on the processor: about a millisecond's work.
const BATCH: usize = 32;

/// The values that are still to be packed, oldest first.
#[derive(Default)]
pub(super) struct Young {
    queue: Mutex<Queue>,
    /// Rung when the first value comes, and when they are too many.
    rung: Notify,
}

#[derive(Default)]
struct Queue {
    values: VecDeque<Waiting>,
    bytes: usize,
}

struct Waiting {
    since: Instant,
    bytes: usize,
    /// Nothing waits for a value that is gone meanwhile.
    item: Weak<KeyValue>,
}

/// What is to be done now.
enum Next {
    Pack(Vec<Arc<KeyValue>>),
    WaitUntil(Instant),
    WaitForMore,
}

impl Young {
    pub fn add<'a>(&self, items: impl Iterator<Item = &'a Arc<KeyValue>>) {
        let since = Instant::now();
        let mut queue = self.queue.lock();
        let was_waiting = !queue.values.is_empty() && queue.bytes <= MAX_YOUNG_BYTES;
        for item in items.filter(|item| !item.value.is_packed()) {
            let bytes = item.value.len();
            queue.bytes += bytes;
            queue.values.push_back(Waiting {
                since,
                bytes,
                item: Arc::downgrade(item),
            });
        }
        if !was_waiting || queue.bytes > MAX_YOUNG_BYTES {
            self.rung.notify_one();
        }
    }

    fn next(&self, age: Duration) -> Next {
        let now = Instant::now();
        let mut queue = self.queue.lock();
        let Some(oldest) = queue.values.front().map(|waiting| waiting.since) else {
            return Next::WaitForMore;
        };
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            let is_due = |waiting: &mut Waiting| waiting.since + age <= now;
            let Some(waiting) = (if queue.bytes > MAX_YOUNG_BYTES {
                queue.values.pop_front()
            } else {
                queue.values.pop_front_if(is_due)
            }) else {
                break;
            };
            queue.bytes -= waiting.bytes;
            batch.extend(waiting.item.upgrade());
        }
        if queue.values.is_empty() {
            queue.values = VecDeque::new();
        }
        if batch.is_empty()
            && queue
                .values
                .front()
                .is_some_and(|waiting| waiting.since == oldest)
        {
            return Next::WaitUntil(oldest + age);
        }
        Next::Pack(batch)
    }
}

/// Packs values of that age until the future is dropped.
pub(super) async fn keep_packing(mirror: Arc<Mirror>, age: Duration) {
    let mut packer = Packer::default();
    loop {
        match mirror.young.next(age) {
            Next::Pack(batch) => {
                batch.iter().for_each(|item| packer.pack(&item.value));
                drop(batch);
                tokio::task::yield_now().await;
            }
            Next::WaitUntil(due) => tokio::select! {
                () = sleep_until(due) => {}
                () = mirror.young.rung.notified() => {}
            },
            Next::WaitForMore => mirror.young.rung.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Revision};

    fn item(n: u64, len: usize) -> Arc<KeyValue> {
        let value = "0123456789abcdef".repeat(len / 16);
        Arc::new(KeyValue {
            key: Key::from(format!("/{n}")),
            value: bytes::Bytes::from(value).into(),
            create_revision: Revision(n),
            mod_revision: Revision(n),
        })
    }

    fn next(young: &Young, age: Duration) -> String {
        match young.next(age) {
            Next::Pack(batch) => {
                let keys: Vec<_> = batch.iter().map(|item| item.key.to_string()).collect();
                format!("pack {}", keys.join(" "))
            }
            Next::WaitUntil(due) => format!("wait {:?}", due - Instant::now()),
            Next::WaitForMore => "wait for more".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn values_are_packed_by_age_and_when_they_are_many() {
        let young = Young::default();
        let age = Duration::from_secs(2);
        assert_eq!(next(&young, age), "wait for more");
        let small = [item(1, 1600), item(2, 1600), item(3, 1600)];
        young.add(small[..2].iter());
        tokio::time::advance(Duration::from_secs(1)).await;
        young.add(small[2..].iter());
        assert_eq!(next(&young, age), "wait 1s");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(next(&young, age), "pack /1 /2");
        assert_eq!(next(&young, age), "wait 1s");
        let (large, gone) = (item(4, MAX_YOUNG_BYTES), item(5, 1600));
        young.add([&large, &gone].into_iter());
        drop(gone);
        assert_eq!(next(&young, age), "pack /3 /4");
        assert_eq!(next(&young, age), "wait 2s");
        tokio::time::advance(age).await;
        assert_eq!(next(&young, age), "pack ", "nothing is left of it");
        assert_eq!(next(&young, age), "wait for more");
        assert_eq!(young.queue.lock().bytes, 0);
    }
}
