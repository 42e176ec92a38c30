//! Real time: every answer must fit a position in the history that comes after all that was known before the call.
//!
//! A write stands at its revision. A read fits the positions in which the object was as it was read. Going through
//! calls and answers in time, each operation takes the first position that it may: not before any position whose
//! operation was answered before the call. The smallest choice leaves the most room to all that follow, so that an
//! operation without a position proves that there is none.

use std::collections::BTreeMap;

use super::timeline::{Ending, Lifetime, NEVER, Timeline, Timelines};
use super::violation::Violation;
use crate::record::{
    Answer, Call, Freshness, History, Key, Operation, Precondition, Refusal, Revision, Seen, Start, Time,
};

/// Positions `from <= p < to`.
type Span = (Revision, Revision);

/// The positions that an operation may take.
enum Place {
    /// A write at its revision.
    Write(Revision),
    /// A deletion whose revision nobody saw: greater than, at most.
    Deletion(Revision, Revision),
    /// A read of what was so in all these spans.
    Within(Vec<Span>),
    /// The revision was there when it was shown; nothing is known of how fresh it had to be.
    Shown(Revision),
}

/// What an operation is and where it may stand.
struct Element<'a> {
    operation: Option<&'a Operation>,
    called: Time,
    /// `None`: the answer was lost.
    returned: Option<Time>,
    place: Place,
}

pub fn check(history: &History, timelines: &Timelines, violations: &mut Vec<Violation>) {
    let writes = seen_revisions(timelines);
    let mut elements = Vec::new();
    for operation in &history.operations {
        if let Some(element) = element(operation, timelines, &writes) {
            elements.push(element);
        }
    }
    for session in &history.sessions {
        if let Start::After { revision, learned } = session.start {
            elements.push(Element::shown(revision, learned));
        }
        for seen in &session.seen {
            elements.push(match seen {
                Seen::Event { at, item, .. } => Element::shown(item.revision, *at),
                Seen::Bookmark { at, revision } => Element::shown(*revision, *at),
            });
        }
    }
    place_all(&elements, violations);
    reads_after_deletes(history, timelines, violations);
}

impl Element<'_> {
    fn shown(revision: Revision, at: Time) -> Self {
        Element {
            operation: None,
            called: at,
            returned: Some(at),
            place: Place::Shown(revision),
        }
    }
}

/// Goes through calls and answers in time.
fn place_all(elements: &[Element<'_>], violations: &mut Vec<Violation>) {
    // At the same time calls come first: such operations may have overlapped.
    let mut moments: Vec<(Time, bool, usize)> = Vec::with_capacity(elements.len() * 2);
    for (index, element) in elements.iter().enumerate() {
        moments.push((element.called, false, index));
        if let Some(returned) = element.returned {
            moments.push((returned, true, index));
        }
    }
    moments.sort_unstable();
    let mut positions = vec![0; elements.len()];
    let mut floor = 0;
    for (_, is_return, index) in moments {
        if is_return {
            floor = floor.max(positions[index]);
            continue;
        }
        let element = &elements[index];
        match element.place.first_from(floor) {
            Some(position) => positions[index] = position,
            None => violations.extend(element.operation.map(|operation| Violation::NotLinearizable {
                id: operation.id,
                what: format!(
                    "{:?} of {} -> {}",
                    operation.call,
                    operation.key,
                    brief(&operation.answer)
                ),
                called: operation.called,
                floor,
            })),
        }
    }
}

fn brief(answer: &Answer) -> String {
    match answer {
        Answer::Listed { revision, items } => format!("{} items at {revision}", items.len()),
        other => format!("{other:?}"),
    }
}

impl Place {
    /// The first position that is not before `floor`.
    fn first_from(&self, floor: Revision) -> Option<Revision> {
        match self {
            Place::Write(revision) => (*revision > floor).then_some(*revision),
            Place::Deletion(after, before) => {
                let first = floor.max(*after).saturating_add(1);
                (first <= *before).then_some(first)
            }
            Place::Within(spans) => {
                let next = spans.partition_point(|(_, to)| *to <= floor);
                spans.get(next).map(|(from, _)| (*from).max(floor))
            }
            Place::Shown(revision) => Some(*revision),
        }
    }
}

/// Writes by their ids: at which revision each took effect.
fn seen_revisions(timelines: &Timelines) -> BTreeMap<u32, Revision> {
    let lifetimes = timelines.values().flat_map(|timeline| &timeline.lifetimes);
    lifetimes
        .flat_map(|lifetime| &lifetime.versions)
        .map(|item| (item.value.last, item.revision))
        .collect()
}

fn element<'a>(
    operation: &'a Operation,
    timelines: &Timelines,
    writes: &BTreeMap<u32, Revision>,
) -> Option<Element<'a>> {
    let empty = Timeline::default();
    let timeline = timelines.get(&operation.key).unwrap_or(&empty);
    let place = match (&operation.call, &operation.answer) {
        (Call::List { freshness, .. }, Answer::Listed { revision, .. }) => match freshness {
            Freshness::Consistent => Place::Within(vec![(*revision, revision + 1)]),
            _ => Place::Shown(*revision),
        },
        (Call::Get, Answer::Object(item)) => {
            let lifetime = timeline.with_uid(&item.uid)?;
            Place::Within(vec![(item.revision, lifetime.version_before(item.revision))])
        }
        (Call::Create | Call::Update { .. } | Call::Patch, Answer::Object(item)) => {
            Place::Write(item.revision)
        }
        (Call::Create | Call::Update { .. } | Call::Patch, Answer::Lost) => {
            Place::Write(*writes.get(&operation.id)?)
        }
        (Call::Delete(_), Answer::Deleted { uid }) => deletion(timeline.with_uid(uid)?),
        (_, Answer::Refused(refusal)) => refused(timeline, &operation.call, *refusal)?,
        _ => return None,
    };
    let is_lost = operation.answer == Answer::Lost;
    Some(Element {
        operation: Some(operation),
        called: operation.called,
        returned: (!is_lost).then_some(operation.returned),
        place,
    })
}

fn deletion(lifetime: &Lifetime) -> Place {
    match lifetime.end {
        Ending::At(revision) => Place::Write(revision),
        Ending::Between { after, before } => Place::Deletion(after, before),
        Ending::Alive => Place::Deletion(lifetime.first(), NEVER),
    }
}

/// Where the refusal is true.
fn refused(timeline: &Timeline, call: &Call, refusal: Refusal) -> Option<Place> {
    // A write that nobody saw may have stood there for a while.
    let anything = || Place::Within(vec![(0, NEVER)]);
    Some(match (refusal, call) {
        (Refusal::NotFound, _) => Place::Within(absent(timeline)),
        (Refusal::AlreadyExists, _) if timeline.has_unseen_writes => anything(),
        (Refusal::AlreadyExists, _) => Place::Within(present(timeline)),
        // A patch gives up after too many others' writes, which says nothing.
        (Refusal::Conflict, Call::Patch) => return None,
        (Refusal::Conflict, _) if timeline.has_unseen_writes => anything(),
        (Refusal::Conflict, Call::Update { expected } | Call::Delete(Precondition::Revision(expected))) => {
            Place::Within(present_but(timeline, *expected))
        }
        (Refusal::Conflict, Call::Delete(Precondition::Uid(uid))) => {
            let others = timeline.lifetimes.iter().filter(|lifetime| lifetime.uid != *uid);
            Place::Within(others.map(|life| (life.first(), life.present_before())).collect())
        }
        _ => return None,
    })
}

fn present(timeline: &Timeline) -> Vec<Span> {
    let lifetimes = timeline.lifetimes.iter();
    lifetimes
        .map(|lifetime| (lifetime.first(), lifetime.present_before()))
        .filter(|(from, to)| from < to)
        .collect()
}

fn absent(timeline: &Timeline) -> Vec<Span> {
    let mut spans = Vec::with_capacity(timeline.lifetimes.len() + 1);
    let mut gone_from = 0;
    for lifetime in &timeline.lifetimes {
        spans.push((gone_from, lifetime.first()));
        gone_from = lifetime.absent_from();
    }
    spans.push((gone_from, NEVER));
    spans.retain(|(from, to)| from < to);
    spans
}

/// Where the object existed at another version than this.
fn present_but(timeline: &Timeline, version: Revision) -> Vec<Span> {
    let mut spans = Vec::new();
    for lifetime in &timeline.lifetimes {
        let (from, to) = (lifetime.first(), lifetime.present_before());
        let is_here = lifetime.versions.iter().any(|item| item.revision == version);
        if is_here {
            spans.push((from, version));
            spans.push((lifetime.version_before(version), to));
        } else {
            spans.push((from, to));
        }
    }
    spans.retain(|(from, to)| from < to);
    spans
}

/// Deletions that nobody saw have no position to compare with: time alone must do.
fn reads_after_deletes(history: &History, timelines: &Timelines, violations: &mut Vec<Violation>) {
    let mut deleted: BTreeMap<(Key, &str), Time> = BTreeMap::new();
    for operation in &history.operations {
        if let Answer::Deleted { uid } = &operation.answer {
            deleted.insert((operation.key, uid), operation.returned);
        }
    }
    for operation in &history.operations {
        let (Call::Get, Answer::Object(item)) = (&operation.call, &operation.answer) else {
            continue;
        };
        let ended_unseen = timelines
            .get(&item.key)
            .and_then(|timeline| timeline.with_uid(&item.uid))
            .is_some_and(|lifetime| !matches!(lifetime.end, Ending::At(_)));
        let deleted = deleted.get(&(item.key, item.uid.as_str()));
        if ended_unseen && deleted.is_some_and(|deleted| *deleted < operation.called) {
            violations.push(Violation::ReadAfterDelete {
                key: item.key,
                uid: item.uid.clone(),
                at: operation.called,
            });
        }
    }
}
