use api::apps::v1::RollingUpdateDeployment;
use api::meta::v1::OwnerReference;
use apimachinery::int_or_string::IntOrString;
use expect_test::{Expect, expect};

use super::*;
use crate::deployment::annotations;

const NOW: i64 = 10_000;

/// A simulated cluster: the plan is applied, and pods become available as told.
struct World {
    observed: Observed,
    now: i64,
    log: Vec<String>,
}

impl World {
    fn new(strategy: &str, replicas: i32) -> Self {
        let mut deployment = Deployment::default();
        deployment.metadata.name = "web".into();
        deployment.metadata.uid = "d".into();
        deployment.metadata.generation = 1;
        deployment.spec.replicas = Some(replicas);
        deployment.spec.strategy.type_ = strategy.into();
        deployment.spec.progress_deadline_seconds = Some(600);
        deployment.spec.revision_history_limit = Some(1);
        deployment.spec.strategy.rolling_update = Some(Box::new(RollingUpdateDeployment {
            max_surge: Some(IntOrString::String("25%".into())),
            max_unavailable: Some(IntOrString::String("25%".into())),
        }));
        let mut world = World {
            observed: Observed {
                deployment,
                ..Observed::default()
            },
            now: NOW,
            log: Vec::new(),
        };
        world.template("v1");
        world
    }

    fn template(&mut self, image: &str) {
        self.observed.deployment.spec.template.spec.node_name = image.into();
        self.observed.deployment.metadata.generation += 1;
    }

    fn plan(&self) -> Plan {
        plan(&self.observed, Time::from_unix(self.now, 0).expect("valid"))
    }

    /// Applies one plan; gives whether it did anything but write status.
    fn step(&mut self) -> bool {
        let plan = self.plan();
        let mut acted = false;
        for action in plan.actions {
            acted |= !matches!(action, Action::UpdateStatus(_));
            self.apply(action);
        }
        self.now += 1;
        acted
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::CreateReplicaSet(mut set) => {
                set.metadata.uid = format!("uid-{}", set.metadata.name);
                set.metadata.creation_timestamp = Time::from_unix(self.now, 0);
                set.metadata.generation = 1;
                self.log
                    .push(format!("create {} of {}", image(&set), sizes::size(&set)));
                self.observed.replica_sets.push(*set);
            }
            Action::UpdateReplicaSet { replica_set, event } => {
                let size = sizes::size(&replica_set);
                let what = if event.is_some() { "scale" } else { "annotate" };
                self.log.push(format!("{what} {} to {size}", image(&replica_set)));
                let sets = &mut self.observed.replica_sets;
                let slot = sets
                    .iter_mut()
                    .find(|set| set.metadata.name == replica_set.metadata.name);
                *slot.expect("exists") = *replica_set;
            }
            Action::DeleteReplicaSet { name } => {
                let sets = &mut self.observed.replica_sets;
                let index = sets
                    .iter()
                    .position(|set| set.metadata.name == name)
                    .expect("exists");
                self.log.push(format!("delete {}", image(&sets.remove(index))));
            }
            Action::UpdateStatus(deployment) => self.observed.deployment = *deployment,
        }
    }

    /// The replica sets get the pods that they ask for; those whose image isn't `broken` become available.
    fn settle_pods(&mut self, broken: &str) {
        for set in &mut self.observed.replica_sets {
            let size = sizes::size(set);
            set.status.observed_generation = set.metadata.generation;
            set.status.replicas = size;
            let healthy = if set.spec.template.spec.node_name == broken {
                0
            } else {
                size
            };
            set.status.available_replicas = healthy;
            set.status.ready_replicas = healthy;
            set.status.terminating_replicas = Some(0);
        }
    }

    /// Steps until nothing changes.
    fn run(&mut self, broken: &str) -> String {
        self.log.clear();
        for _ in 0..100 {
            let acted = self.step();
            self.settle_pods(broken);
            if !acted && self.plan().actions.is_empty() {
                break;
            }
        }
        let condition = |type_: &str| {
            let status = &self.observed.deployment.status;
            conditions::find(status, type_).map(|c| format!("{type_}={} {}", c.status, c.reason))
        };
        let told = [
            condition(conditions::PROGRESSING),
            condition(conditions::AVAILABLE),
        ];
        self.log.extend(told.into_iter().flatten());
        self.log.join("\n")
    }
}

fn image(set: &ReplicaSet) -> String {
    set.spec.template.spec.node_name.clone()
}

fn check(actual: &str, expected: Expect) {
    expected.assert_eq(actual);
}

#[test]
fn rolling_update_and_rollback() {
    let mut world = World::new("RollingUpdate", 4);
    check(
        &world.run(""),
        expect![[r#"
            create v1 of 4
            Progressing=True NewReplicaSetAvailable
            Available=True MinimumReplicasAvailable"#]],
    );
    world.template("v2");
    check(
        &world.run(""),
        expect![[r#"
            create v2 of 1
            scale v1 to 2
            scale v2 to 3
            scale v1 to 0
            scale v2 to 4
            Progressing=True NewReplicaSetAvailable
            Available=True MinimumReplicasAvailable"#]],
    );
    world.template("v1");
    let rolled_back = world.run("");
    assert!(rolled_back.starts_with("scale v1 to 1"), "{rolled_back}");
    let revision = &world.observed.deployment.metadata.annotations[annotations::REVISION];
    assert_eq!(revision, "3");
    let v1 = world
        .observed
        .replica_sets
        .iter()
        .find(|set| image(set) == "v1")
        .expect("kept");
    assert_eq!(v1.metadata.annotations[annotations::REVISION_HISTORY], "1");
}

#[test]
fn a_broken_image_stops_the_rollout_and_times_out() {
    let mut world = World::new("RollingUpdate", 4);
    world.run("");
    world.template("bad");
    check(
        &world.run("bad"),
        expect![[r#"
            create bad of 1
            scale v1 to 3
            scale bad to 2
            Progressing=True ReplicaSetUpdated
            Available=True MinimumReplicasAvailable"#]],
    );
    let wait = world.plan().check_after.expect("the deadline is awaited");
    world.now += i64::try_from(wait.as_secs()).expect("small");
    check(
        &world.run("bad"),
        expect![[r#"
            Progressing=False ProgressDeadlineExceeded
            Available=True MinimumReplicasAvailable"#]],
    );
    assert_eq!(world.plan().check_after, None);
}

#[test]
fn recreate_waits_for_old_pods() {
    let mut world = World::new("Recreate", 2);
    world.run("");
    world.template("v2");
    world.log.clear();
    world.step();
    assert_eq!(world.log, ["scale v1 to 0"]);
    world.settle_pods("");
    let old = world.observed.replica_sets[0].metadata.uid.clone();
    world
        .observed
        .pods
        .insert(old.clone(), vec![Arc::new(Pod::default())]);
    world.step();
    assert_eq!(world.log, ["scale v1 to 0"], "an old pod is still there");
    world.observed.pods.remove(&old);
    check(
        &world.run(""),
        expect![[r#"
            create v2 of 2
            Progressing=True NewReplicaSetAvailable
            Available=True MinimumReplicasAvailable"#]],
    );
}

#[test]
fn scaling_during_a_rollout_is_proportional() {
    let mut world = World::new("RollingUpdate", 8);
    world.run("");
    world.template("bad");
    world.run("bad");
    let sizes_now = |world: &World| -> Vec<(String, i32)> {
        world
            .observed
            .replica_sets
            .iter()
            .map(|set| (image(set), sizes::size(set)))
            .collect()
    };
    assert_eq!(sizes_now(&world), [("v1".into(), 6), ("bad".into(), 4)]);
    world.observed.deployment.spec.replicas = Some(16);
    world.observed.deployment.metadata.generation += 1;
    world.step();
    assert_eq!(sizes_now(&world), [("v1".into(), 12), ("bad".into(), 8)]);
}

#[test]
fn pausing_holds_the_rollout_but_not_scaling() {
    let mut world = World::new("RollingUpdate", 2);
    world.run("");
    world.observed.deployment.spec.paused = true;
    world.template("v2");
    check(
        &world.run(""),
        expect![[r#"
            Progressing=Unknown DeploymentPaused
            Available=True MinimumReplicasAvailable"#]],
    );
    world.observed.deployment.spec.replicas = Some(5);
    world.observed.deployment.metadata.generation += 1;
    assert!(world.run("").starts_with("scale v1 to 5"));
    world.observed.deployment.spec.paused = false;
    assert!(world.run("").starts_with("create v2 of"));
}

#[test]
fn history_beyond_the_limit_is_deleted() {
    let mut world = World::new("RollingUpdate", 1);
    for version in ["v1", "v2", "v3", "v4"] {
        world.template(version);
        world.run("");
    }
    let mut left: Vec<String> = world.observed.replica_sets.iter().map(image).collect();
    left.sort();
    assert_eq!(left, ["v3", "v4"]);
}

#[test]
fn the_new_replica_set_belongs_to_the_deployment_and_bears_the_hash() {
    let mut world = World::new("RollingUpdate", 3);
    world
        .observed
        .deployment
        .spec
        .template
        .metadata
        .labels
        .insert("app".into(), "web".into());
    world.step();
    let set = &world.observed.replica_sets[0];
    let hash = &set.metadata.labels["pod-template-hash"];
    assert_eq!(set.metadata.name, format!("web-{hash}"));
    assert_eq!(
        set.spec
            .selector
            .as_ref()
            .expect("set")
            .match_labels
            .get("pod-template-hash"),
        Some(hash)
    );
    let owner: &OwnerReference = &set.metadata.owner_references[0];
    assert_eq!(
        (owner.kind.as_str(), owner.uid.as_str(), owner.controller),
        ("Deployment", "d", Some(true))
    );
    assert_eq!(set.metadata.annotations[annotations::MAX_REPLICAS], "4");
}
