//! A history checker: clients work concurrently from a seed, and what they saw must fit one order of events.
//!
//! The order is known: every write has a revision. So it is enough that each answer agrees with the state at the
//! revision that it names, that revisions respect real time, and that a watch saw exactly the writes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use storage::{Error, RangeRequest, Revision};

use crate::subject::{Driver, Subject};

const CLIENTS: u64 = 6;
const OPERATIONS: u64 = 60;
const KEYS: u64 = 5;

/// Something that a client did, and what it was told.
#[derive(Clone, Debug)]
enum Seen {
    Wrote {
        revision: Revision,
        key: String,
        value: Option<String>,
    },
    Read {
        revision: Revision,
        key: String,
        value: Option<String>,
    },
    Listed {
        revision: Revision,
        items: Vec<(String, String)>,
    },
    Conflict,
}

#[derive(Clone, Debug)]
struct Observation {
    seen: Seen,
    /// The newest revision that anyone had been told of when the operation began.
    known_before: u64,
}

/// Pseudo-random numbers (xorshift*): a run can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Runs each seed on a store of its own kind and checks it.
pub async fn check(subject: &impl Subject, seeds: RangeInclusive<u64>) {
    let store = subject.open();
    for seed in seeds {
        println!("seed {seed}");
        let start = store.current_revision().await.unwrap();
        let prefix = format!("/h{seed}/");
        let known = Arc::new(AtomicU64::new(start.0));
        let clients = (0..CLIENTS).map(|client| {
            let (store, prefix, known) = (Driver(store.clone()), prefix.clone(), known.clone());
            let random = Random(seed * 1000 + client + 1);
            tokio::spawn(async move { run_client(store, prefix, known, random, client).await })
        });
        let mut observations = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            observations.extend(client.await.unwrap());
        }
        let writes = verify(&observations);
        let watched = Driver(store.clone())
            .watch(&prefix, Some(start))
            .await
            .unwrap()
            .take(writes.len())
            .await;
        let told: Vec<_> = watched
            .iter()
            .map(|event| event.split(' ').next().unwrap().to_owned())
            .collect();
        let written: Vec<_> = writes.iter().map(|revision| revision.to_string()).collect();
        assert_eq!(told, written, "a watch shows every write once and in order");
    }
}

async fn run_client(
    store: Driver,
    prefix: String,
    known: Arc<AtomicU64>,
    mut random: Random,
    client: u64,
) -> Vec<Observation> {
    let mut observations = Vec::new();
    for operation in 0..OPERATIONS {
        let known_before = known.load(Ordering::SeqCst);
        let key = format!("{prefix}{}", random.below(KEYS));
        let value = format!("{client}.{operation}");
        let seen = match random.below(5) {
            0 => list(&store, &prefix).await,
            1 => read(&store, key).await,
            _ => write(&store, key, value, random.below(4) == 0).await,
        };
        if let Seen::Wrote { revision, .. } | Seen::Read { revision, .. } | Seen::Listed { revision, .. } =
            &seen
        {
            known.fetch_max(revision.0, Ordering::SeqCst);
        }
        observations.push(Observation { seen, known_before });
    }
    observations
}

async fn read(store: &Driver, key: String) -> Seen {
    let (revision, item) = store.0.get(key.as_bytes(), None).await.unwrap();
    let value = item.map(|item| String::from_utf8(item.value.bytes().to_vec()).unwrap());
    Seen::Read { revision, key, value }
}

async fn list(store: &Driver, prefix: &str) -> Seen {
    let page = store
        .0
        .range(RangeRequest {
            prefix: prefix.into(),
            ..Default::default()
        })
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let items = page
        .items
        .iter()
        .map(|item| (text(&item.key), text(&item.value.bytes())))
        .collect();
    Seen::Listed {
        revision: page.revision,
        items,
    }
}

async fn write(store: &Driver, key: String, value: String, delete: bool) -> Seen {
    let (_, current) = store.0.get(key.as_bytes(), None).await.unwrap();
    let outcome = match current {
        None => store
            .create(&key, &value)
            .await
            .map(|revision| (revision, Some(value))),
        Some(item) if delete => store
            .delete(&key, item.mod_revision)
            .await
            .map(|revision| (revision, None)),
        Some(item) => store
            .update(&key, item.mod_revision, &value)
            .await
            .map(|revision| (revision, Some(value))),
    };
    match outcome {
        Ok((revision, value)) => Seen::Wrote { revision, key, value },
        Err(Error::Conflict { .. }) => Seen::Conflict,
        Err(error) => panic!("{error}"),
    }
}

/// Checks every observation against the order of the writes; returns the writes' revisions.
fn verify(observations: &[Observation]) -> Vec<Revision> {
    let mut writes = BTreeMap::new();
    for Observation { seen, known_before } in observations {
        if let Seen::Wrote { revision, key, value } = seen {
            assert!(
                revision.0 > *known_before,
                "{seen:?} is older than {known_before}, known before it began"
            );
            assert!(
                writes.insert(*revision, (key.clone(), value.clone())).is_none(),
                "{revision} was given twice"
            );
        }
    }
    for Observation { seen, known_before } in observations {
        match seen {
            Seen::Read { revision, key, value } => {
                assert!(
                    revision.0 >= *known_before,
                    "{seen:?} is older than {known_before}"
                );
                assert_eq!(state_at(&writes, *revision).get(key), value.as_ref(), "{seen:?}");
            }
            Seen::Listed { revision, items } => {
                assert!(
                    revision.0 >= *known_before,
                    "{seen:?} is older than {known_before}"
                );
                assert_eq!(
                    &state_at(&writes, *revision).into_iter().collect::<Vec<_>>(),
                    items
                );
            }
            Seen::Wrote { .. } | Seen::Conflict => {}
        }
    }
    writes.into_keys().collect()
}

fn state_at(writes: &BTreeMap<Revision, (String, Option<String>)>, at: Revision) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    for (key, value) in writes.range(..=at).map(|(_, write)| write) {
        match value {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
    state
}
