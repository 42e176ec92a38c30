use apimachinery::time::Time;

use super::*;

/// `name<owner owner!` is an object with owners; a `!` blocks the owner's deletion.
fn object(text: &str) -> ObjectMeta {
    let (name, owners) = text.split_once('<').unwrap_or((text, ""));
    let owner = |text: &str| OwnerReference {
        api_version: "v1".into(),
        kind: "Thing".into(),
        name: text.trim_end_matches('!').into(),
        uid: text.trim_end_matches('!').into(),
        block_owner_deletion: Some(text.ends_with('!')),
        ..OwnerReference::default()
    };
    ObjectMeta {
        name: name.into(),
        uid: name.into(),
        namespace: "ns".into(),
        owner_references: owners.split_whitespace().map(owner).collect(),
        ..ObjectMeta::default()
    }
}

fn deleting(text: &str, finalizer: &str) -> ObjectMeta {
    let finalizers = vec![finalizer.to_owned()];
    ObjectMeta {
        deletion_timestamp: Time::from_unix(1, 0),
        finalizers,
        ..object(text)
    }
}

fn render(mut work: Vec<Work>) -> String {
    work.sort();
    work.dedup();
    let item = |work: &Work| match work {
        Work::AttemptDelete(uid) => format!("delete? {uid}"),
        Work::AttemptOrphan(uid) => format!("orphan {uid}"),
        Work::Absent(identity) => format!("absent {}", identity.uid),
    };
    work.iter().map(item).collect::<Vec<_>>().join(", ")
}

struct World(Graph);

impl World {
    fn see(&mut self, metadata: &ObjectMeta) -> String {
        render(self.0.observe(&Kind::new("", "Thing"), metadata))
    }

    fn gone(&mut self, uid: &str) -> String {
        render(self.0.forget(uid))
    }

    fn absent(&mut self, name: &str) -> String {
        render(
            self.0
                .forget_absent(&Identity::of(&Kind::new("", "Thing"), &object(name))),
        )
    }
}

#[test]
fn dependents_are_looked_at_when_their_owner_goes() {
    let mut world = World(Graph::default());
    assert_eq!(world.see(&object("owner")), "");
    assert_eq!(world.see(&object("a<owner")), "");
    assert_eq!(world.see(&object("b<owner")), "");
    assert_eq!(world.gone("owner"), "delete? a, delete? b, absent owner");
    assert_eq!(world.gone("a"), "");
}

#[test]
fn an_owner_not_seen_is_looked_up_and_its_absence_frees_dependents() {
    let mut world = World(Graph::default());
    assert_eq!(world.see(&object("a<owner")), "delete? owner");
    assert!(world.0.get("owner").is_some_and(|node| node.is_virtual));
    assert_eq!(world.absent("owner"), "delete? a, absent owner");
    assert!(world.0.get("owner").is_none());
}

#[test]
fn a_virtual_owner_becomes_real_when_seen() {
    let mut world = World(Graph::default());
    world.see(&object("a<owner"));
    assert_eq!(world.see(&object("owner")), "");
    assert!(world.0.get("owner").is_some_and(|node| !node.is_virtual));
    assert_eq!(world.gone("owner"), "delete? a, absent owner");
}

#[test]
fn foreground_deletion_starts_with_dependents_and_ends_with_the_last() {
    let mut world = World(Graph::default());
    world.see(&object("owner"));
    world.see(&object("a<owner!"));
    world.see(&object("b<owner"));
    assert_eq!(
        world.see(&deleting("owner", FOREGROUND)),
        "delete? a, delete? b, delete? owner"
    );
    assert_eq!(
        world.see(&deleting("owner", FOREGROUND)),
        "",
        "only the start counts"
    );
    let blocking: Vec<&str> = world
        .0
        .blocking_dependents("owner")
        .iter()
        .map(|node| node.identity.name.as_str())
        .collect();
    assert_eq!(blocking, ["a"]);
    assert_eq!(world.gone("a"), "delete? owner");
    assert!(world.0.blocking_dependents("owner").is_empty());
}

#[test]
fn a_dependent_that_blocks_no_more_frees_its_owner() {
    let mut world = World(Graph::default());
    world.see(&object("owner"));
    world.see(&object("a<owner!"));
    assert_eq!(world.see(&object("a<owner")), "delete? owner");
    world.see(&object("a<owner!"));
    assert_eq!(world.see(&object("a")), "delete? owner");
    assert!(world.0.dependents("owner").is_empty());
}

#[test]
fn orphaning_is_queued_once() {
    let mut world = World(Graph::default());
    world.see(&object("a<owner"));
    assert_eq!(world.see(&deleting("owner", ORPHAN)), "orphan owner");
    assert_eq!(world.see(&deleting("owner", ORPHAN)), "");
}

#[test]
fn references_that_lie_about_their_owner_are_looked_at() {
    let mut world = World(Graph::default());
    world.see(&object("owner"));
    let mut liar = object("liar<owner");
    liar.owner_references[0].kind = "Other".into();
    assert_eq!(world.see(&liar), "delete? liar");
    let mut stranger = object("stranger<owner");
    stranger.namespace = "elsewhere".into();
    assert_eq!(world.see(&stranger), "delete? stranger");
}

#[test]
fn a_virtual_owner_with_two_identities_is_tried_as_both() {
    let mut world = World(Graph::default());
    world.see(&object("a<owner"));
    let mut other = object("b<owner");
    other.owner_references[0].name = "renamed".into();
    assert_eq!(world.see(&other), "delete? b");
    // As `a` says it isn't there: `a` may go, and `b`'s claim is next.
    assert_eq!(world.absent("owner"), "delete? a, delete? owner, absent owner");
    assert_eq!(
        world.0.get("owner").map(|node| node.identity.name.as_str()),
        Some("renamed")
    );
    // A node that was seen is not forgotten on the word of a reference.
    world.see(&object("owner"));
    let mut wrong = object("owner");
    wrong.name = "wrong".into();
    let absent = Identity::of(&Kind::new("", "Thing"), &wrong);
    world.0.forget_absent(&absent);
    assert!(world.0.get("owner").is_some());
}

#[test]
fn a_new_list_tells_what_is_gone() {
    let mut world = World(Graph::default());
    world.see(&object("a<owner"));
    world.see(&object("b"));
    let mut uids = world.0.uids_of(&Kind::new("", "Thing"));
    uids.sort();
    assert_eq!(uids, ["a", "b"], "virtual nodes aren't in any list");
    assert!(world.0.uids_of(&Kind::new("", "Other")).is_empty());
}
