//! What a run does, from its seed alone: the operations of each client, the watchers, and the faults. Pure.

use crate::random::Random;
use crate::record::{Half, Key, Selection};

/// Servers of seeded runs forget their history as they go, so that what goes on after a fault may find it gone.
pub const COMPACTION: &str = "--etcd-compaction-interval=500ms";

/// Few objects, so that clients meet at each.
pub const KEYS: Key = 6;
const CLIENTS: u64 = 8;
const OPERATIONS: u64 = 50;

/// Which store the servers run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Memory,
    Embedded,
    Etcd,
}

impl Backend {
    pub fn parse(text: &str) -> Option<Self> {
        [Backend::Memory, Backend::Embedded, Backend::Etcd]
            .into_iter()
            .find(|backend| backend.name() == text)
    }

    pub fn name(self) -> &'static str {
        match self {
            Backend::Memory => "memory",
            Backend::Embedded => "embedded",
            Backend::Etcd => "etcd",
        }
    }

    /// API servers on the store: only etcd takes more than one.
    pub fn servers(self) -> usize {
        if self == Backend::Etcd { 2 } else { 1 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteBy {
    Name,
    Revision,
    Uid,
}

/// The kinds of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListBy {
    Consistent,
    /// In pages of two.
    Paged,
    /// Resource version 0.
    Any,
    /// At least as new as the newest revision that the client knows.
    AtLeastKnown,
    /// Exactly at it.
    ExactlyKnown,
}

/// What a client does next; what it knows of the object by then decides the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    /// Of the version that the client knows, which may be old; `fresh`: after a get.
    Update {
        fresh: bool,
    },
    Patch,
    Delete(DeleteBy),
    Get,
    List(ListBy, Selection),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    pub key: Key,
    pub action: Action,
    /// Before it, in microseconds.
    pub pause: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatcherPlan {
    pub selection: Selection,
    /// Begins with the state as events, not with a list.
    pub with_state: bool,
    /// Takes breaks between events.
    pub is_slow: bool,
    /// Ends its watch after so many events and begins a new one where it was.
    pub events_per_watch: u64,
}

/// What happens to the machinery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// SIGKILL, and a new process on the same data.
    KillServer,
    /// SIGSTOP, SIGCONT.
    PauseServer,
    /// All connections of clients break at once: requests and answers in flight are lost.
    CutClients,
    /// Nothing passes between clients and server for a while.
    HoldClients,
    /// No connection between server and etcd.
    CutStore,
    HoldStore,
    KillStore,
    PauseStore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When so many operations were answered.
    pub after: u64,
    pub trouble: Trouble,
    pub server: usize,
    pub millis: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub seed: u64,
    pub clients: Vec<Vec<Intent>>,
    pub watchers: Vec<WatcherPlan>,
    pub faults: Vec<Fault>,
}

impl Schedule {
    /// The run of a seed on a kind of store.
    pub fn new(seed: u64, backend: Backend) -> Self {
        let random = Random::new(seed);
        let clients = (0..CLIENTS).map(|client| {
            let mut random = random.fork(client);
            (0..OPERATIONS).map(|_| intent(&mut random)).collect()
        });
        Self {
            seed,
            clients: clients.collect(),
            watchers: watchers(&mut random.fork(1000)),
            faults: faults(&mut random.fork(2000), backend),
        }
    }

    /// The same clients; of the troubles only kills of the server, so many, evenly spread.
    pub fn with_kills(seed: u64, kills: u64) -> Self {
        let total = CLIENTS * OPERATIONS;
        let faults = (1..=kills).map(|kill| Fault {
            after: kill * total / (kills + 1),
            trouble: Trouble::KillServer,
            server: 0,
            millis: 0,
        });
        Self {
            faults: faults.collect(),
            ..Self::new(seed, Backend::Embedded)
        }
    }
}

fn selection(random: &mut Random) -> Selection {
    match random.below(6) {
        0 => Selection::Half(Half::Even),
        1 => Selection::Half(Half::Odd),
        2 => Selection::One(random.below(u64::from(KEYS)) as Key),
        _ => Selection::Everything,
    }
}

fn intent(random: &mut Random) -> Intent {
    let action = match random.below(20) {
        0..=3 => Action::Create,
        4..=6 => Action::Update { fresh: false },
        7..=9 => Action::Update { fresh: true },
        10..=11 => Action::Patch,
        12 => Action::Delete(DeleteBy::Name),
        13 => Action::Delete(DeleteBy::Revision),
        14 => Action::Delete(DeleteBy::Uid),
        15..=16 => Action::Get,
        _ => {
            let by = match random.below(7) {
                0..=1 => ListBy::Consistent,
                2 => ListBy::Paged,
                3 => ListBy::Any,
                4 => ListBy::AtLeastKnown,
                _ => ListBy::ExactlyKnown,
            };
            Action::List(by, selection(random))
        }
    };
    let pause = if random.one_in(3) { random.below(8000) } else { 0 };
    Intent {
        key: random.below(u64::from(KEYS)) as Key,
        action,
        pause,
    }
}

fn watchers(random: &mut Random) -> Vec<WatcherPlan> {
    let selections = [
        Selection::Everything,
        Selection::Everything,
        Selection::Everything,
        Selection::Half(Half::Even),
        Selection::Half(Half::Odd),
        Selection::One(0),
    ];
    let watchers = selections
        .into_iter()
        .enumerate()
        .map(|(index, selection)| WatcherPlan {
            selection,
            with_state: index % 2 == 1,
            is_slow: index == 2,
            events_per_watch: random.between(5, 120),
        });
    watchers.collect()
}

fn faults(random: &mut Random, backend: Backend) -> Vec<Fault> {
    let troubles: &[Trouble] = match backend {
        // What is in memory does not outlive its process.
        Backend::Memory => &[Trouble::PauseServer, Trouble::CutClients, Trouble::HoldClients],
        Backend::Embedded => &[
            Trouble::KillServer,
            Trouble::KillServer,
            Trouble::PauseServer,
            Trouble::CutClients,
            Trouble::HoldClients,
        ],
        Backend::Etcd => &[
            Trouble::KillServer,
            Trouble::PauseServer,
            Trouble::CutClients,
            Trouble::CutStore,
            Trouble::HoldStore,
            Trouble::KillStore,
            Trouble::PauseStore,
        ],
    };
    let total = CLIENTS * OPERATIONS;
    let mut faults: Vec<_> = (0..random.between(3, 5))
        .map(|_| Fault {
            after: random.between(10, total * 9 / 10),
            trouble: troubles[random.below(troubles.len() as u64) as usize],
            server: random.below(backend.servers() as u64) as usize,
            // Some last longer than clients wait for an answer.
            millis: if random.one_in(16) {
                random.between(2000, 5000)
            } else {
                random.between(20, 600)
            },
        })
        .collect();
    faults.sort_by_key(|fault| fault.after);
    faults
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_is_a_schedule() {
        for backend in [Backend::Memory, Backend::Embedded, Backend::Etcd] {
            assert_eq!(Schedule::new(7, backend), Schedule::new(7, backend));
            assert_ne!(
                Schedule::new(7, backend).clients,
                Schedule::new(8, backend).clients
            );
        }
    }

    #[test]
    fn every_trouble_of_a_store_comes_up() {
        let troubles = |backend| {
            let schedules = (0..50).flat_map(|seed| Schedule::new(seed, backend).faults);
            schedules
                .map(|fault| format!("{:?}", fault.trouble))
                .collect::<BTreeSet<_>>()
                .len()
        };
        assert_eq!(troubles(Backend::Memory), 3);
        assert_eq!(troubles(Backend::Embedded), 4);
        assert_eq!(troubles(Backend::Etcd), 7);
    }

    #[test]
    fn kills_are_spread() {
        let kills = Schedule::with_kills(1, 20).faults;
        assert_eq!(kills.len(), 20);
        assert!(kills.windows(2).all(|pair| pair[0].after < pair[1].after));
    }
}
