//! The model's watchers: they follow the log of the store, each at its own pace.

use super::{Logged, Model, Plant};
use crate::record::{
    Answer, Call, Change, Disturbance, End, Freshness, Item, Operation, Seen, Selection, Session, Start,
};

impl Model {
    pub fn watcher_step(&mut self, index: usize, may_plant: bool) {
        if self.watchers[index].session.is_none() {
            return self.begin_session(index);
        }
        match self.random.below(20) {
            0 => self.end_session(index, End::Closed),
            1 => self.bookmark(index, may_plant),
            2 if self.random.one_in(4) && self.planted_expiry(index, may_plant) => {}
            _ => self.deliver(index, may_plant),
        }
    }

    fn planted_expiry(&mut self, index: usize, may_plant: bool) -> bool {
        let is_planted = self.plants(Plant::Expired, may_plant);
        if is_planted || self.plant != Plant::Expired && self.random.one_in(3) {
            let now = self.now;
            if !is_planted {
                self.history.disturbances.push(Disturbance { from: now, to: now });
            }
            self.end_session(index, End::Expired { at: now });
            self.watchers[index].position = 0;
        }
        is_planted
    }

    /// From a list when nothing is known, else from where it was; sometimes with the state.
    fn begin_session(&mut self, index: usize) {
        let with_state = self.random.one_in(4);
        let now = self.now;
        let watcher = &self.watchers[index];
        let (selection, id, fresh) = (watcher.selection, watcher.id, watcher.position == 0);
        let mut seen = Vec::new();
        if fresh || with_state {
            let items: Vec<_> = self
                .objects
                .values()
                .filter(|item| selection.matches(item.key, item.value))
                .cloned()
                .collect();
            self.watchers[index].position = self.revision;
            self.watchers[index].next = self.log.len();
            if with_state {
                let added = items.into_iter().map(|item| Seen::Event {
                    at: now,
                    change: Change::Added,
                    item,
                });
                seen.extend(added);
                seen.push(Seen::Bookmark {
                    at: now,
                    revision: self.revision,
                });
            } else {
                self.history.operations.push(Operation {
                    id: self.next_id,
                    key: 0,
                    called: now,
                    returned: now,
                    call: Call::List {
                        freshness: Freshness::Consistent,
                        selection,
                    },
                    answer: Answer::Listed {
                        revision: self.revision,
                        items,
                    },
                });
                self.next_id += 1;
            }
        }
        let start = if with_state {
            Start::State
        } else {
            Start::After {
                revision: self.watchers[index].position,
                learned: now,
            }
        };
        self.watchers[index].session = Some(Session {
            watcher: id,
            selection,
            start,
            seen,
            end: End::Closed,
            is_slow: false,
        });
    }

    pub fn end_session(&mut self, index: usize, end: End) {
        if let Some(mut session) = self.watchers[index].session.take() {
            session.end = end;
            self.history.sessions.push(session);
        }
    }

    fn bookmark(&mut self, index: usize, may_plant: bool) {
        let owes = self.next_event(index).is_some();
        if owes && !self.plants(Plant::EarlyBookmark, may_plant) {
            return;
        }
        let (at, revision) = (self.now, self.revision);
        self.show(index, Seen::Bookmark { at, revision });
        self.watchers[index].position = revision;
        if !owes {
            self.watchers[index].next = self.log.len();
        }
    }

    /// The next event for a watcher, and the index of the change after it.
    pub fn next_event(&self, index: usize) -> Option<(usize, Change, Item)> {
        let watcher = &self.watchers[index];
        let rest = self.log.iter().enumerate().skip(watcher.next);
        rest.filter(|(_, logged)| logged.item.revision > watcher.position)
            .find_map(|(at, logged)| {
                event(logged, watcher.selection).map(|(change, item)| (at + 1, change, item))
            })
    }

    pub fn deliver(&mut self, index: usize, may_plant: bool) {
        let Some((next, change, item)) = self.next_event(index) else {
            return;
        };
        let at = self.now;
        let event = |change, item| Seen::Event { at, change, item };
        self.watchers[index].next = next;
        let position = self.watchers[index].position;
        self.watchers[index].position = item.revision;
        let following = self.next_event(index);
        if self.plants(Plant::Silence, may_plant) {
            self.watchers[index].position = position;
            return self.end_session(index, End::Stalled);
        }
        if let Some((next, later_change, later)) = following {
            if self.plants(Plant::SwappedEvents, may_plant) {
                self.watchers[index].next = next;
                self.watchers[index].position = later.revision;
                self.show(index, event(later_change, later));
                return self.show(index, event(change, item));
            }
            if self.plants(Plant::LostEvent, may_plant) {
                self.watchers[index].next = next;
                self.watchers[index].position = later.revision;
                return self.show(index, event(later_change, later));
            }
        }
        self.show(index, event(change, item.clone()));
        if self.plants(Plant::RepeatedEvent, may_plant) {
            self.show(index, event(change, item));
        }
    }

    fn show(&mut self, index: usize, seen: Seen) {
        if let Some(session) = &mut self.watchers[index].session {
            session.seen.push(seen);
        }
    }
}

fn event(logged: &Logged, selection: Selection) -> Option<(Change, Item)> {
    let matches = |item: &Item| selection.matches(item.key, item.value);
    let before = logged.before.as_ref().filter(|item| matches(item));
    let after = Some(&logged.item).filter(|item| !logged.is_deletion && matches(item));
    let was = |before: &Item| Item {
        revision: logged.item.revision,
        ..before.clone()
    };
    match (before, after) {
        (None, None) => None,
        (None, Some(after)) => Some((Change::Added, after.clone())),
        (Some(_), Some(after)) => Some((Change::Modified, after.clone())),
        (Some(before), None) => Some((Change::Deleted, was(before))),
    }
}
