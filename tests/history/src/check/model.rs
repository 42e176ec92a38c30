//! Histories of a store that is right by construction, or wrong in one way that was asked for.
//!
//! Clients call, a store of a few lines takes effect somewhere between call and answer, watchers follow its log.
//! Answers get lost, with and without effect, and the effect may come late.

mod store;
mod watching;

use std::collections::BTreeMap;

use crate::random::Random;
use crate::record::{
    Answer, Call, End, Freshness, Half, History, Item, Key, OpId, Operation, Precondition, Revision,
    Selection, Session, Time,
};

const KEYS: u64 = 4;
const CLIENTS: usize = 5;

/// What the store does wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    Nothing,
    /// An update replaces a version that it did not expect.
    LostUpdate,
    /// A patch puts back what an earlier version held.
    LostPatch,
    /// A get answers with the version before, or with nothing.
    StaleGet,
    /// A list shows an old state as the newest.
    StaleList,
    /// A list shows the newest revision with an old state.
    TornList,
    /// A list leaves an object out.
    ShortList,
    /// A write is acknowledged and not made.
    LostWrite,
    /// A delete is acknowledged and not made.
    LostDelete,
    /// A write is refused and made.
    AppliedRefusal,
    /// The newest writes are gone after a restart, and their revisions are given again.
    TimeTravel,
    LostEvent,
    RepeatedEvent,
    SwappedEvents,
    EarlyBookmark,
    /// 410 for no reason.
    Expired,
    /// A watcher gets nothing more.
    Silence,
}

/// One change of the store.
#[derive(Clone)]
struct Logged {
    before: Option<Item>,
    /// With the deletion's revision when nothing is left.
    item: Item,
    is_deletion: bool,
}

enum Client {
    Idle,
    Called(Operation),
    Answered(Operation),
}

struct Watcher {
    id: u32,
    selection: Selection,
    session: Option<Session>,
    /// Index into the log of what comes next.
    next: usize,
    position: Revision,
}

struct Model {
    random: Random,
    plant: Plant,
    planted: bool,
    now: Time,
    revision: Revision,
    objects: BTreeMap<Key, Item>,
    log: Vec<Logged>,
    clients: Vec<Client>,
    watchers: Vec<Watcher>,
    late: Vec<Operation>,
    next_id: OpId,
    uids: u64,
    history: History,
}

/// A history of about `steps` steps; the flag tells whether there was an occasion for the plant.
pub fn simulate(seed: u64, steps: u64, plant: Plant) -> (History, bool) {
    let selections = [
        Selection::Everything,
        Selection::Half(Half::Even),
        Selection::Half(Half::Odd),
        Selection::One(1),
        Selection::Everything,
    ];
    let watchers = selections.into_iter().zip(0..).map(|(selection, id)| Watcher {
        id,
        selection,
        session: None,
        next: 0,
        position: 0,
    });
    let mut model = Model {
        random: Random::new(seed),
        plant,
        planted: false,
        now: 0,
        revision: 100,
        objects: BTreeMap::new(),
        log: Vec::new(),
        clients: (0..CLIENTS).map(|_| Client::Idle).collect(),
        watchers: watchers.collect(),
        late: Vec::new(),
        next_id: 1,
        uids: 0,
        history: History::default(),
    };
    for step in 0..steps {
        model.step(step > steps / 3);
    }
    model.finish();
    (model.history, model.planted)
}

impl Model {
    fn step(&mut self, may_plant: bool) {
        self.now += 1;
        match self.random.below(10) {
            0..=5 => {
                let client = self.random.below(CLIENTS as u64) as usize;
                self.client_step(client, may_plant);
            }
            6 if !self.late.is_empty() => {
                let late = self.late.remove(0);
                self.apply(&late, false);
            }
            _ => {
                let watcher = self.random.below(self.watchers.len() as u64) as usize;
                self.watcher_step(watcher, may_plant);
            }
        }
    }

    fn plants(&mut self, plant: Plant, may_plant: bool) -> bool {
        let does = may_plant && !self.planted && self.plant == plant;
        self.planted |= does;
        does
    }

    fn client_step(&mut self, index: usize, may_plant: bool) {
        let client = std::mem::replace(&mut self.clients[index], Client::Idle);
        self.clients[index] = match client {
            Client::Idle => Client::Called(self.call()),
            Client::Called(operation) => self.serve(operation, may_plant),
            Client::Answered(mut operation) => {
                operation.returned = self.now;
                self.history.operations.push(operation);
                Client::Idle
            }
        };
    }

    fn call(&mut self) -> Operation {
        let key = self.random.below(KEYS) as Key;
        let known = self.known(key);
        let call = match (self.random.below(9), known) {
            (0, _) => Call::Get,
            (1, _) => Call::List {
                freshness: self.freshness(),
                selection: [
                    Selection::Everything,
                    Selection::Half(Half::Odd),
                    Selection::One(2),
                ][self.random.below(3) as usize],
            },
            (2, _) => Call::Patch,
            (3, Some(item)) => Call::Delete(match self.random.below(3) {
                0 => Precondition::None,
                1 => Precondition::Revision(item.revision),
                _ => Precondition::Uid(item.uid),
            }),
            (4..=6, Some(item)) => Call::Update {
                expected: item.revision,
            },
            _ => Call::Create,
        };
        let id = self.next_id;
        self.next_id += 1;
        Operation {
            id,
            key,
            called: self.now,
            returned: 0,
            call,
            answer: Answer::Lost,
        }
    }

    fn freshness(&mut self) -> Freshness {
        match self.random.below(4) {
            0 => Freshness::Any,
            1 => Freshness::AtLeast(self.revision),
            _ => Freshness::Consistent,
        }
    }

    /// What a client may know of the object: the newest version, or one that it saw before.
    fn known(&mut self, key: Key) -> Option<Item> {
        if !self.random.one_in(4) {
            return self.objects.get(&key).cloned();
        }
        let operations = self.history.operations.iter().rev();
        operations
            .filter_map(|operation| match &operation.answer {
                Answer::Object(item) if item.key == key => Some(item.clone()),
                _ => None,
            })
            .next()
    }

    fn serve(&mut self, mut operation: Operation, may_plant: bool) -> Client {
        if self.random.one_in(12) {
            match self.random.below(3) {
                0 => {}
                1 => drop(self.apply(&operation, false)),
                _ => self.late.push(operation.clone()),
            }
            return Client::Answered(operation);
        }
        let last = self.log.last();
        let is_settled = last.is_some_and(|last| !last.is_deletion && self.is_settled(&last.item, self.now));
        if is_settled && self.plants(Plant::TimeTravel, may_plant) {
            self.travel();
        }
        operation.answer = self.apply(&operation, may_plant);
        Client::Answered(operation)
    }

    /// A last look at everything.
    fn look(&mut self) {
        let list = Call::List {
            freshness: Freshness::Consistent,
            selection: Selection::Everything,
        };
        for (key, call) in (0..KEYS as Key).map(|key| (key, Call::Get)).chain([(0, list)]) {
            self.now += 2;
            let mut operation = Operation {
                id: self.next_id,
                key,
                called: self.now,
                returned: self.now + 1,
                call,
                answer: Answer::Lost,
            };
            operation.answer = self.apply(&operation, false);
            self.next_id += 1;
            self.history.operations.push(operation);
        }
    }

    /// Everyone comes to an end: calls are answered, watchers see all.
    fn finish(&mut self) {
        for index in 0..self.clients.len() {
            while !matches!(self.clients[index], Client::Idle) {
                self.now += 1;
                self.client_step(index, false);
            }
        }
        self.look();
        for index in 0..self.watchers.len() {
            self.now += 1;
            if self.watchers[index].session.is_none() {
                continue;
            }
            while self.next_event(index).is_some() {
                self.deliver(index, false);
            }
            self.end_session(index, End::Finished);
        }
    }
}
