use api::flowcontrol::v1::{LimitResponse, LimitedPriorityLevelConfiguration};
use expect_test::{Expect, expect};

use super::*;

fn schema(name: &str, precedence: i32, level: &str) -> (String, FlowSchema) {
    let mut schema = FlowSchema::default();
    schema.metadata.name = name.to_owned();
    schema.spec.matching_precedence = precedence;
    schema.spec.priority_level_configuration.name = level.to_owned();
    (name.to_owned(), schema)
}

fn queued(name: &str, shares: i32, queues: i32, hand_size: i32) -> (String, PriorityLevelConfiguration) {
    let mut level = PriorityLevelConfiguration::default();
    level.metadata.name = name.to_owned();
    level.spec.type_ = "Limited".to_owned();
    level.spec.limited = Some(Box::new(LimitedPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(shares),
        limit_response: LimitResponse {
            type_: "Queue".to_owned(),
            queuing: Some(Box::new(QueuingConfiguration {
                queues,
                hand_size,
                queue_length_limit: 50,
            })),
        },
        ..LimitedPriorityLevelConfiguration::default()
    }));
    (name.to_owned(), level)
}

fn check(schemas: &Schemas, levels: &Levels, lingering: Vec<LevelRule>, expected: Expect) {
    let found = configuration(schemas, levels, lingering, Timestamp::UNIX_EPOCH);
    let mut text = String::new();
    for level in &found.levels {
        let quiescing = if level.quiescing { " quiescing" } else { "" };
        text += &format!("level {} shares {}{quiescing}\n", level.name, level.shares.shares);
    }
    for schema in &found.schemas {
        text += &format!("schema {} -> {}\n", schema.name, schema.level);
    }
    for (name, broken) in &found.broken {
        text += &format!("broken {name}: {broken}\n");
    }
    for (name, condition) in &found.conditions {
        text += &format!("{name}: {} {}\n", condition.status, condition.message);
    }
    expected.assert_eq(&text);
}

#[test]
fn without_objects_the_mandatory_ones_hold() {
    check(
        &Schemas::new(),
        &Levels::new(),
        Vec::new(),
        expect![[r#"
            level exempt shares 0
            level catch-all shares 5
            schema exempt -> exempt
            schema catch-all -> catch-all
        "#]],
    );
}

#[test]
fn schemas_are_in_order_and_dangle_without_their_level() {
    let schemas = Schemas::from([
        schema("late", 9000, "work"),
        schema("b", 100, "work"),
        schema("a", 100, "work"),
        schema("lost", 5, "gone"),
        schema("torn", 6, "bad"),
        schema("catch-all", 10000, "catch-all"),
    ]);
    let levels = Levels::from([queued("work", 20, 64, 6), queued("bad", 20, 64, 60)]);
    check(
        &schemas,
        &levels,
        Vec::new(),
        expect![[r#"
            level work shares 20
            level exempt shares 0
            level catch-all shares 5
            schema exempt -> exempt
            schema a -> work
            schema b -> work
            schema late -> work
            schema catch-all -> catch-all
            broken bad: 60 of 64 queues can't be dealt from one hash
            a: False This FlowSchema references the PriorityLevelConfiguration object named "work" and it exists
            b: False This FlowSchema references the PriorityLevelConfiguration object named "work" and it exists
            catch-all: True This FlowSchema references the PriorityLevelConfiguration object named "catch-all" but there is no such object
            late: False This FlowSchema references the PriorityLevelConfiguration object named "work" and it exists
            lost: True This FlowSchema references the PriorityLevelConfiguration object named "gone" but there is no such object
            torn: True This FlowSchema references the PriorityLevelConfiguration object named "bad" but there is no such object
        "#]],
    );
}

#[test]
fn conditions_that_are_as_they_ought_to_be_are_left_alone() {
    let levels = Levels::from([queued("work", 20, 64, 6)]);
    let (name, mut schema) = schema("a", 1, "work");
    let first = configuration(
        &Schemas::from([(name.clone(), schema.clone())]),
        &levels,
        Vec::new(),
        Timestamp::UNIX_EPOCH,
    );
    schema.status.conditions = first
        .conditions
        .into_iter()
        .map(|(_, condition)| condition)
        .collect();
    let later = Timestamp::from_second(1000).expect("a time");
    let second = configuration(&Schemas::from([(name, schema)]), &levels, Vec::new(), later);
    assert!(second.conditions.is_empty());
}

#[test]
fn a_level_that_is_busy_outlives_its_object() {
    let (_, object) = queued("old", 7, 4, 2);
    let rule = level(&object).expect("a valid level");
    check(
        &Schemas::new(),
        &Levels::new(),
        vec![rule],
        expect![[r#"
            level exempt shares 0
            level catch-all shares 5
            level old shares 7 quiescing
            schema exempt -> exempt
            schema catch-all -> catch-all
        "#]],
    );
}

#[test]
fn only_the_exempt_level_is_exempt() {
    let [mut exempt, mut catch_all] = mandatory::levels();
    exempt.metadata.name = "mine".to_owned();
    assert_eq!(level(&exempt), Err(Broken::Exemption));
    catch_all.spec.exempt = Some(Box::default());
    assert_eq!(level(&catch_all), Err(Broken::Union("Limited".to_owned())));
}
