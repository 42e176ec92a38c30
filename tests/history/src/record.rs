//! What clients did and were told, and when: the checker's input.

use std::collections::BTreeMap;

/// Microseconds since the run began, by one clock for all clients.
pub type Time = u64;

/// A resource version; a position `p` in the history of the store is "after revision `p`, before `p + 1`".
pub type Revision = u64;

/// One of the run's objects. Objects are named so that the order of names is that of numbers.
pub type Key = u32;

/// A write, unique within the run: objects carry the ids of the writes that made them.
pub type OpId = u32;

/// What an object holds: the write that set all of it (create, update), and the last one (a patch sets only this).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    pub base: OpId,
    pub last: OpId,
}

impl Value {
    /// As a create or an update writes it.
    pub fn whole(id: OpId) -> Self {
        Self { base: id, last: id }
    }

    /// The half of the selector that the object is in: every write decides it anew.
    pub fn half(self) -> Half {
        Half::of(self.last)
    }
}

/// A label with two values, by which lists and watches select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Even,
    Odd,
}

impl Half {
    pub fn of(id: OpId) -> Self {
        if id.is_multiple_of(2) {
            Half::Even
        } else {
            Half::Odd
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Half::Even => "even",
            Half::Odd => "odd",
        }
    }
}

/// An object as someone saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub key: Key,
    pub revision: Revision,
    pub uid: String,
    pub value: Value,
}

/// Which objects a list or a watch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    Everything,
    Half(Half),
    One(Key),
}

impl Selection {
    pub fn matches(self, key: Key, value: Value) -> bool {
        match self {
            Selection::Everything => true,
            Selection::Half(half) => value.half() == half,
            Selection::One(one) => one == key,
        }
    }
}

/// How fresh a list was asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// No resource version: everything acknowledged before the call.
    Consistent,
    /// Resource version 0.
    Any,
    AtLeast(Revision),
    Exactly(Revision),
}

/// What must hold of the object that a delete names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    None,
    Revision(Revision),
    Uid(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Create,
    Update {
        expected: Revision,
    },
    Patch,
    Delete(Precondition),
    Get,
    List {
        freshness: Freshness,
        selection: Selection,
    },
}

impl Call {
    pub fn is_write(&self) -> bool {
        !matches!(self, Call::Get | Call::List { .. })
    }
}

/// Why the server did not do what it was asked for: definite, nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
    /// The object is not as the caller expected.
    Conflict,
    /// The revision is compacted.
    Expired,
    /// Says nothing about the objects: too many requests.
    Busy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// None, or one that leaves open what happened.
    Lost,
    Refused(Refusal),
    /// Of create, update, patch and get.
    Object(Item),
    Deleted {
        uid: String,
    },
    Listed {
        revision: Revision,
        items: Vec<Item>,
    },
}

/// One request.
#[derive(Clone, Debug)]
pub struct Operation {
    pub id: OpId,
    /// 0 for lists.
    pub key: Key,
    pub called: Time,
    /// Without meaning when the answer is lost: the request may take effect much later.
    pub returned: Time,
    pub call: Call,
    pub answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    Modified,
    Deleted,
}

/// One item of a watch, and when it came.
#[derive(Clone, Debug)]
pub enum Seen {
    /// For a deletion the item is what stood there last, with the revision of the deletion.
    Event {
        at: Time,
        change: Change,
        item: Item,
    },
    Bookmark {
        at: Time,
        revision: Revision,
    },
}

/// Where a watch began.
#[derive(Clone, Debug)]
pub enum Start {
    /// After this revision, which the watcher has known since `learned`.
    After { revision: Revision, learned: Time },
    /// With the state, sent as events and ended by a bookmark.
    State,
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Closed, broken, or by the watcher.
    Closed,
    /// 410.
    Expired { at: Time },
    /// It saw all that it was to see at the end of the run.
    Finished,
    /// It did not, though it was given time.
    Stalled,
}

/// One watch request and all that came of it.
#[derive(Clone, Debug)]
pub struct Session {
    pub watcher: u32,
    pub selection: Selection,
    pub start: Start,
    pub seen: Vec<Seen>,
    pub end: End,
    /// The reader took breaks: it may be told that it fell behind.
    pub is_slow: bool,
}

/// A time in which caches may have been filled anew, so that revisions known before it may be refused after.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    pub from: Time,
    pub to: Time,
}

/// Everything about one run. No object exists at its start.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub operations: Vec<Operation>,
    pub sessions: Vec<Session>,
    pub disturbances: Vec<Disturbance>,
}

impl History {
    /// The writes by their ids.
    pub fn writes(&self) -> BTreeMap<OpId, &Operation> {
        let writes = self
            .operations
            .iter()
            .filter(|operation| operation.call.is_write());
        writes.map(|operation| (operation.id, operation)).collect()
    }
}
