use super::*;
use crate::fixture::{PodFixture, node, pod};

struct Bench(Machine);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn bench(nodes: Vec<crate::fixture::NodeFixture>) -> Bench {
    let mut machine = Machine::new(vec![Profile::default_for("default-scheduler")], Timing::default());
    machine.nodes(
        Input::Replace(nodes.into_iter().map(|node| (*node.arc()).clone()).collect()),
        at(0),
    );
    Bench(machine)
}

impl Bench {
    fn apply(&mut self, pod: PodFixture, now: i64) {
        self.0.pods(Input::Apply((*pod.info().pod).clone()), at(now));
    }

    fn delete(&mut self, pod: PodFixture, now: i64) {
        self.0.pods(Input::Delete((*pod.info().pod).clone()), at(now));
    }

    fn next(&mut self, now: i64) -> String {
        match self.0.next(at(now), 0) {
            None => "-".to_owned(),
            Some(Step::Bind { pod, choice, .. }) => format!("bind {} {}", pod.uid(), choice.node),
            Some(Step::SkipDeleting { pod }) => format!("skip {}", pod.uid()),
            Some(Step::Report(report)) => {
                let victims: Vec<_> = report.victims.iter().map(|victim| victim.uid()).collect();
                match report.nominate.as_deref() {
                    Some(node) if !victims.is_empty() => format!("preempt {victims:?} on {node}"),
                    _ => report.message,
                }
            }
        }
    }
}

#[test]
fn a_pod_is_bound_once() {
    let mut b = bench(vec![node("a")]);
    b.apply(pod("p"), 0);
    assert_eq!(b.next(0), "bind p a");
    b.apply(pod("p").label("touched", "yes"), 0);
    assert_eq!(
        b.next(0),
        "-",
        "an update that crosses the bind does not queue it again"
    );
    b.0.bound("p");
    b.apply(pod("p").on("a"), 1);
    assert_eq!(b.next(1), "-");
}

#[test]
fn a_failed_bind_frees_the_node_and_is_tried_again() {
    let mut b = bench(vec![node("a").cpu("1")]);
    b.apply(pod("p").cpu("1"), 0);
    b.apply(pod("q").cpu("1"), 0);
    assert_eq!(b.next(0), "bind p a");
    assert_eq!(
        b.next(0),
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: \
         0/1 nodes are available: 1 No preemption victims found for incoming pod."
    );
    b.0.bind_failed("p", at(2));
    assert_eq!(b.next(2), "bind q a", "what p held helps q, and p pauses");
    b.0.bind_failed("absent", at(2));
    assert_eq!(b.next(2), "-");
    assert!(
        b.next(3)
            .starts_with("0/1 nodes are available: 1 Insufficient cpu.")
    );
}

#[test]
fn a_pod_deleted_while_it_is_bound_does_not_come_back() {
    let mut b = bench(vec![node("a")]);
    b.apply(pod("p"), 0);
    assert_eq!(b.next(0), "bind p a");
    b.delete(pod("p"), 0);
    b.0.bind_failed("p", at(1));
    assert_eq!(b.next(20), "-");
}

#[test]
fn waiting_pods_come_back_when_it_helps() {
    let mut b = bench(vec![]);
    b.apply(pod("p").node_selector("disk", "ssd"), 0);
    assert_eq!(b.next(0), "no nodes available to schedule pods");
    b.0.nodes(Input::Apply((*node("a").arc()).clone()), at(5));
    assert!(
        b.next(5)
            .starts_with("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.")
    );
    b.0.nodes(
        Input::Apply((*node("a").amount("pods", "5").arc()).clone()),
        at(9),
    );
    assert_eq!(b.next(9), "-", "more room is no help");
    b.0.nodes(
        Input::Apply((*node("a").label("disk", "ssd").arc()).clone()),
        at(9),
    );
    assert_eq!(b.next(9), "bind p a");
}

#[test]
fn a_relist_drops_what_is_gone() {
    let mut b = bench(vec![node("a").cpu("1"), node("b").cordoned()]);
    b.apply(pod("old").cpu("1").on("a"), 0);
    b.apply(pod("p").cpu("1"), 0);
    assert!(b.next(0).starts_with("0/2 nodes are available"));
    b.0.pods(
        Input::Replace(vec![(*pod("p").cpu("1").info().pod).clone()]),
        at(5),
    );
    assert_eq!(b.next(5), "bind p a");
}

#[test]
fn preemption_nominates_and_keeps_the_room() {
    let mut b = bench(vec![node("a").cpu("1")]);
    b.apply(pod("low").cpu("1").on("a"), 0);
    b.apply(pod("high").cpu("1").priority(10), 0);
    assert_eq!(b.next(0), r#"preempt ["low"] on a"#);
    b.delete(pod("low").cpu("1").on("a"), 3);
    b.apply(pod("other").cpu("1").priority(5), 3);
    let mut order = [b.next(3), b.next(3)];
    order.sort();
    assert_eq!(order[1], "bind high a");
    assert!(
        order[0].starts_with("0/1 nodes are available: 1 Insufficient cpu."),
        "{}",
        order[0]
    );
}

#[test]
fn pods_of_other_schedulers_and_deleted_ones_are_left_alone() {
    let mut b = bench(vec![node("a")]);
    b.apply(pod("theirs").edit(|p| p.spec.scheduler_name = "theirs".into()), 0);
    assert_eq!(b.next(0), "-");
    b.apply(
        pod("p").edit(|p| p.metadata.deletion_timestamp = Some(at(0).into())),
        0,
    );
    assert_eq!(b.next(0), "skip p");
}
