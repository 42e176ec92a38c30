//! What can be wrong with a history.

use crate::record::{Change, Item, Key, OpId, Revision, Time};

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Violation {
    #[error("revision {revision} was given to two writes: {one}, {other}")]
    RevisionReused {
        revision: Revision,
        one: String,
        other: String,
    },
    #[error("write {id} took effect at revision {first} and again at {second}")]
    AppliedTwice {
        id: OpId,
        first: Revision,
        second: Revision,
    },
    #[error("write {id} was refused, and took effect at revision {revision}")]
    RefusedButApplied { id: OpId, revision: Revision },
    #[error("{item:?} holds what nobody wrote there")]
    Unwritten { item: Item },
    #[error("write {id} at revision {revision} overwrote {overwritten:?}, which it did not know")]
    LostUpdate {
        id: OpId,
        revision: Revision,
        overwritten: Item,
    },
    #[error("write {id} at revision {revision} changed object {key}, which did not exist")]
    WroteToNothing { id: OpId, revision: Revision, key: Key },
    #[error("object {key} at revision {revision} changed its uid without being created anew")]
    UidChanged { key: Key, revision: Revision },
    #[error("{item:?} was gone by revision {by}, and nobody had deleted it")]
    Vanished { item: Item, by: Revision },
    #[error("the deletion at {revision} shows {shown:?}, but {stood:?} stood there")]
    DeletedAnother {
        revision: Revision,
        shown: Item,
        stood: Option<Item>,
    },
    #[error("object {key} with uid {uid} was deleted {times} times")]
    DeletedTwice { key: Key, uid: String, times: usize },
    #[error("delete {id} removed object {key} in spite of its precondition")]
    PreconditionIgnored { id: OpId, key: Key },
    #[error("the state at revision {revision} was shown without {missing:?}")]
    MissingFromState { revision: Revision, missing: Item },
    #[error("the state at revision {revision} was shown with {shown:?}, which was not in it")]
    NotInState { revision: Revision, shown: Item },
    #[error(
        "lists disagree on when object {key} was deleted: it was there at {present}, and not at {absent}"
    )]
    StatesDisagree {
        key: Key,
        present: Revision,
        absent: Revision,
    },
    #[error("a list at revision {revision} is not in the order of keys")]
    ListOrder { revision: Revision },
    #[error("list {id} shows revision {revision}, and was asked for {asked}")]
    WrongRevision {
        id: OpId,
        revision: Revision,
        asked: Revision,
    },
    #[error(
        "operation {id} called at {called} ({what}) does not fit behind revision {floor}, which was known by then"
    )]
    NotLinearizable {
        id: OpId,
        what: String,
        called: Time,
        floor: Revision,
    },
    #[error("object {key} with uid {uid} was read at {at} after its delete was acknowledged")]
    ReadAfterDelete { key: Key, uid: String, at: Time },
    #[error("watcher {watcher} was told of revision {revision} after {position}")]
    OutOfOrder {
        watcher: u32,
        revision: Revision,
        position: Revision,
    },
    #[error("watcher {watcher} was told of revision {revision} twice")]
    Duplicate { watcher: u32, revision: Revision },
    #[error("watcher {watcher} was not told of revision {revision} of object {key} before {position}")]
    LostEvent {
        watcher: u32,
        revision: Revision,
        key: Key,
        position: Revision,
    },
    #[error("watcher {watcher} was told {change:?} {item:?}, which is not what happened")]
    WrongEvent {
        watcher: u32,
        change: Change,
        item: Item,
    },
    #[error("watcher {watcher} was given a bookmark at {revision} after revision {position}")]
    BookmarkBehind {
        watcher: u32,
        revision: Revision,
        position: Revision,
    },
    #[error("watcher {watcher} was told at {at} that revision {position} is too old, without a reason")]
    Expired {
        watcher: u32,
        at: Time,
        position: Revision,
    },
    #[error("watcher {watcher} never saw the end of the run, after revision {position}")]
    Stalled { watcher: u32, position: Revision },
}
