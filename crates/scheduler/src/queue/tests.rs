use super::*;
use crate::fixture::pod;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn pop(queue: &mut Queue, now: i64) -> Option<Waiting> {
    queue.tick(at(now));
    queue.pop(at(now))
}

fn name(waiting: Option<Waiting>) -> String {
    waiting.map_or("-".to_owned(), |waiting| waiting.info.pod.metadata.name.clone())
}

fn rejected_by(plugin: PluginName) -> BTreeSet<PluginName> {
    BTreeSet::from([plugin])
}

#[test]
fn priority_then_age_decides_who_is_next() {
    let mut queue = Queue::new(Timing::default());
    queue.add(pod("low").info(), None, at(0));
    queue.add(pod("old").priority(5).info(), None, at(1));
    queue.add(pod("new").priority(5).info(), None, at(2));
    let order: Vec<_> = (0..4).map(|_| name(pop(&mut queue, 3))).collect();
    assert_eq!(order, ["old", "new", "low", "-"]);
}

#[test]
fn an_unschedulable_pod_waits_for_an_event_that_helps_it() {
    let mut queue = Queue::new(Timing::default());
    queue.add(pod("p").info(), None, at(0));
    let waiting = pop(&mut queue, 0).expect("active");
    queue.unschedulable(waiting, rejected_by("NodeResourcesFit"), at(0));
    assert_eq!(name(pop(&mut queue, 1)), "-");
    assert_eq!(queue.on_event(|w| w.rejectors.contains("NodePorts"), at(2)), 0);
    assert_eq!(
        queue.on_event(|w| w.rejectors.contains("NodeResourcesFit"), at(2)),
        1
    );
    assert_eq!(
        queue.counts(),
        Counts {
            active: 1,
            ..Counts::default()
        },
        "its pause was over"
    );
    assert_eq!(pop(&mut queue, 2).map(|w| w.attempts), Some(2));
}

#[test]
fn pauses_double_and_are_kept_only_while_others_can_go() {
    let mut queue = Queue::new(Timing::default());
    queue.add(pod("p").info(), None, at(0));
    let waiting = pop(&mut queue, 0).expect("active");
    queue.unschedulable(waiting, rejected_by("NodePorts"), at(0));
    queue.on_event(|_| true, at(0));
    assert_eq!(
        queue.get("p").map(|(_, place)| place),
        Some(Place::Backoff {
            until: at(1),
            after_error: false
        })
    );
    queue.add(pod("q").info(), None, at(0));
    assert_eq!(name(pop(&mut queue, 0)), "q");
    let waiting = pop(&mut queue, 0).expect("no one else is there, so it goes early");
    queue.unschedulable(waiting, rejected_by("NodePorts"), at(0));
    queue.on_event(|_| true, at(0));
    assert_eq!(
        queue.next_deadline(),
        Some(at(2)),
        "the second pause is twice the first"
    );
}

#[test]
fn an_error_pauses_in_any_case() {
    let mut queue = Queue::new(Timing::default());
    queue.add(pod("p").info(), None, at(0));
    for (now, pause) in [(0, 1), (1, 2), (3, 4), (7, 8), (15, 10), (25, 10)] {
        let waiting = pop(&mut queue, now).expect("its pause is over");
        queue.failed(waiting, at(now));
        assert_eq!(name(queue.pop(at(now))), "-");
        assert_eq!(queue.next_deadline(), Some(at(now + pause)));
    }
}

#[test]
fn no_pod_waits_for_ever() {
    let mut queue = Queue::new(Timing::default());
    queue.add(pod("p").info(), None, at(0));
    let waiting = pop(&mut queue, 0).expect("active");
    queue.unschedulable(waiting, rejected_by("NodePorts"), at(0));
    assert_eq!(queue.next_deadline(), Some(at(300)));
    assert_eq!(queue.tick(at(299)), 0);
    assert_eq!(queue.tick(at(300)), 1);
    assert_eq!(name(queue.pop(at(300))), "p");
}

#[test]
fn a_gate_holds_a_pod_until_it_is_lifted() {
    let mut queue = Queue::new(Timing::default());
    queue.add(pod("p").info(), Some("SchedulingGates"), at(0));
    queue.on_event(|_| true, at(1));
    assert_eq!(name(pop(&mut queue, 1)), "-");
    queue.update(
        pod("p").label("a", "b").info(),
        Some("SchedulingGates"),
        true,
        at(2),
    );
    assert_eq!(queue.counts().gated, 1);
    queue.update(pod("p").info(), None, true, at(3));
    assert_eq!(name(pop(&mut queue, 3)), "p");
}

#[test]
fn a_removed_pod_is_nowhere() {
    let mut queue = Queue::new(Timing::default());
    queue.add(pod("p").info(), None, at(0));
    assert!(queue.remove("p").is_some());
    assert!(queue.remove("p").is_none());
    assert_eq!(name(pop(&mut queue, 0)), "-");
    assert_eq!(queue.counts(), Counts::default());
}
