//! The guarantees of watches: every change after the beginning, once, in order; bookmarks that are never ahead.

use super::log::{Entry, Expected};
use super::states::initial_state;
use super::timeline::{Ending, NEVER, Timelines};
use super::violation::Violation;
use crate::record::{Change, End, History, Item, Revision, Seen, Session, Start, Time};

pub fn check(history: &History, timelines: &Timelines, log: &[Entry], violations: &mut Vec<Violation>) {
    let unseen = unseen_deletions(timelines);
    for session in &history.sessions {
        let mut reader = match Reader::begin(session, log) {
            Some(reader) => reader,
            None => {
                check_initial_only(session, violations);
                continue;
            }
        };
        let began = reader.position;
        for seen in reader.rest {
            match seen {
                Seen::Event { at, change, item } => {
                    reader.event(*change, item, timelines, violations);
                    reader.known_at = *at;
                }
                Seen::Bookmark { at, revision } => {
                    reader.bookmark(*revision, violations);
                    reader.known_at = *at;
                }
            }
        }
        reader.deletions(began, &unseen, violations);
        reader.end(history, violations);
    }
}

/// Deletions that certainly happened and that nobody saw, with what stood there.
fn unseen_deletions(timelines: &Timelines) -> Vec<(Revision, Revision, &Item)> {
    let lifetimes = timelines.values().flat_map(|timeline| &timeline.lifetimes);
    let unseen = lifetimes.filter_map(|lifetime| match lifetime.end {
        Ending::Between { after, before } if before != NEVER => {
            Some((after, before, lifetime.versions.last()?))
        }
        _ => None,
    });
    unseen.collect()
}

/// A watch that ended before its initial state was complete.
fn check_initial_only(session: &Session, violations: &mut Vec<Violation>) {
    if session.end == End::Stalled {
        violations.push(Violation::Stalled {
            watcher: session.watcher,
            position: 0,
        });
    }
}

/// Follows one session along the log.
struct Reader<'a> {
    session: &'a Session,
    log: &'a [Entry],
    rest: &'a [Seen],
    /// Everything up to here was told.
    position: Revision,
    /// When the watcher got there.
    known_at: Time,
    /// Index of the first entry after the position.
    next: usize,
}

impl<'a> Reader<'a> {
    fn begin(session: &'a Session, log: &'a [Entry]) -> Option<Self> {
        let (position, known_at, rest) = match session.start {
            Start::After { revision, learned } => (revision, learned, &session.seen[..]),
            Start::State => {
                let (revision, items) = initial_state(session)?;
                let end = items.len();
                let known_at = match session.seen[end] {
                    Seen::Bookmark { at, .. } | Seen::Event { at, .. } => at,
                };
                (revision, known_at, &session.seen[end + 1..])
            }
        };
        Some(Self {
            session,
            log,
            rest,
            position,
            known_at,
            next: log.partition_point(|entry| entry.revision <= position),
        })
    }

    fn event(&mut self, change: Change, item: &Item, timelines: &Timelines, violations: &mut Vec<Violation>) {
        let watcher = self.session.watcher;
        if item.revision <= self.position {
            violations.push(if item.revision == self.position {
                Violation::Duplicate {
                    watcher,
                    revision: item.revision,
                }
            } else {
                Violation::OutOfOrder {
                    watcher,
                    revision: item.revision,
                    position: self.position,
                }
            });
            return;
        }
        self.pass(item.revision - 1, violations);
        let entry = self
            .log
            .get(self.next)
            .filter(|entry| entry.revision == item.revision);
        let is_right = match entry.map(|entry| entry.expected(self.session.selection)) {
            Some(Expected::Event(expected, what)) => expected == change && what == *item,
            Some(Expected::Unknown) => true,
            Some(Expected::Nothing) => false,
            None => change == Change::Deleted && may_be_deleted(item, timelines),
        };
        if !is_right {
            violations.push(Violation::WrongEvent {
                watcher,
                change,
                item: item.clone(),
            });
        }
        self.next += usize::from(entry.is_some());
        self.position = item.revision;
    }

    fn bookmark(&mut self, revision: Revision, violations: &mut Vec<Violation>) {
        if revision < self.position {
            violations.push(Violation::BookmarkBehind {
                watcher: self.session.watcher,
                revision,
                position: self.position,
            });
            return;
        }
        self.pass(revision, violations);
        self.position = revision;
    }

    /// Everything up to the revision that was to be told has been told by now, or is lost.
    fn pass(&mut self, revision: Revision, violations: &mut Vec<Violation>) {
        while let Some(entry) = self.log.get(self.next).filter(|entry| entry.revision <= revision) {
            if let Expected::Event(..) = entry.expected(self.session.selection) {
                violations.push(Violation::LostEvent {
                    watcher: self.session.watcher,
                    revision: entry.revision,
                    key: entry.key,
                    position: revision,
                });
            }
            self.next += 1;
        }
    }

    /// A watch from before a deletion to after it must have told it, whatever its revision.
    fn deletions(
        &self,
        began: Revision,
        unseen: &[(Revision, Revision, &Item)],
        violations: &mut Vec<Violation>,
    ) {
        for (after, before, last) in unseen {
            let covers = began <= *after && self.position >= *before;
            if !covers || !self.session.selection.matches(last.key, last.value) {
                continue;
            }
            let is_told = self.rest.iter().any(|seen| match seen {
                Seen::Event { change, item, .. } => *change == Change::Deleted && item.uid == last.uid,
                Seen::Bookmark { .. } => false,
            });
            if !is_told {
                violations.push(Violation::LostEvent {
                    watcher: self.session.watcher,
                    revision: *before,
                    key: last.key,
                    position: self.position,
                });
            }
        }
    }

    fn end(&self, history: &History, violations: &mut Vec<Violation>) {
        let watcher = self.session.watcher;
        match self.session.end {
            End::Expired { at } if !self.may_expire(history, at) => violations.push(Violation::Expired {
                watcher,
                at,
                position: self.position,
            }),
            End::Stalled => violations.push(Violation::Stalled {
                watcher,
                position: self.position,
            }),
            _ => {}
        }
    }

    /// A revision may be too old for a cache that was filled anew after the watcher had learned it.
    fn may_expire(&self, history: &History, at: Time) -> bool {
        let mut disturbances = history.disturbances.iter();
        self.session.is_slow || disturbances.any(|time| time.to >= self.known_at && time.from <= at)
    }
}

/// Only watchers with a selector saw the deletion.
fn may_be_deleted(item: &Item, timelines: &Timelines) -> bool {
    let lifetime = timelines
        .get(&item.key)
        .and_then(|timeline| timeline.with_uid(&item.uid));
    match lifetime.map(|lifetime| lifetime.end) {
        Some(Ending::Between { after, before }) => {
            item.revision > after && (item.revision <= before || before == NEVER)
        }
        _ => false,
    }
}
