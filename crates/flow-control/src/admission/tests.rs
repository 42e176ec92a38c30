use api::flowcontrol::v1::{
    FlowSchema, GroupSubject, LimitResponse, LimitedPriorityLevelConfiguration, PolicyRulesWithSubjects,
    PriorityLevelConfiguration, QueuingConfiguration, ResourcePolicyRule, Subject,
};
use auth::{Change, Follower};
use component_base::clock::FakeClock;
use component_base::metrics::Registry;
use jiff::Timestamp;

use super::*;
use crate::schema::Digest;
use crate::{FlowControl, dump};

struct Bench {
    clock: Arc<FakeClock>,
    registry: Registry,
    flow_control: FlowControl,
    groups: Vec<String>,
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A server of `seats` whose users all share the level `work`: two queues of one request each.
fn bench(seats: u32) -> Bench {
    let clock = FakeClock::new(Timestamp::UNIX_EPOCH);
    let registry = Registry::new();
    let flow_control = FlowControl::new(seats, clock.clone(), &registry);
    flow_control.apply(Change::Set(&level("work")));
    flow_control.apply(Change::Set(&schema("work")));
    flow_control.reconfigure();
    Bench {
        clock,
        registry,
        flow_control,
        groups: vec!["system:authenticated".to_owned()],
    }
}

fn level(name: &str) -> PriorityLevelConfiguration {
    let mut level = PriorityLevelConfiguration::default();
    level.metadata.name = name.to_owned();
    level.metadata.uid = format!("{name}-level");
    level.spec.type_ = "Limited".to_owned();
    level.spec.limited = Some(Box::new(LimitedPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(1_000_000),
        limit_response: LimitResponse {
            type_: "Queue".to_owned(),
            queuing: Some(Box::new(QueuingConfiguration {
                queues: 1,
                hand_size: 1,
                queue_length_limit: 2,
            })),
        },
        ..LimitedPriorityLevelConfiguration::default()
    }));
    level
}

fn schema(name: &str) -> FlowSchema {
    let all = || vec!["*".to_owned()];
    let mut schema = FlowSchema::default();
    schema.metadata.name = name.to_owned();
    schema.spec.matching_precedence = 100;
    schema.spec.priority_level_configuration.name = name.to_owned();
    schema.spec.rules = vec![PolicyRulesWithSubjects {
        subjects: vec![Subject {
            kind: "Group".to_owned(),
            group: Some(Box::new(GroupSubject {
                name: "system:authenticated".to_owned(),
            })),
            ..Subject::default()
        }],
        resource_rules: vec![ResourcePolicyRule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            cluster_scope: true,
            namespaces: all(),
        }],
        non_resource_rules: Vec::new(),
    }];
    schema
}

impl Bench {
    fn digest(&self) -> Digest<'_> {
        Digest {
            user: "ada",
            groups: &self.groups,
            resource_request: true,
            verb: "list",
            api_group: "",
            resource: "pods",
            subresource: "",
            namespace: "ns",
            path: "/api/v1/namespaces/ns/pods",
        }
    }

    fn ask(&self, estimate: WorkEstimate) -> Outcome {
        let digest = self.digest();
        let flow = self.flow_control.classify(&digest).expect("a flow");
        self.flow_control.ask(Ask {
            estimate,
            kind: Kind::ReadOnly,
            watch: false,
            about: About::new(&flow, &digest, "", "v1"),
            flow,
        })
    }

    fn run(&self) -> Permit {
        match self.ask(WorkEstimate::SINGLE) {
            Outcome::Run(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn wait(&self) -> Waiting {
        match self.ask(WorkEstimate::SINGLE) {
            Outcome::Wait(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    fn metric(&self, line: &str) -> String {
        let text = String::from_utf8(self.registry.render().expect("metrics")).expect("text");
        let found = text.lines().find_map(|found| found.strip_prefix(line));
        found.unwrap_or_default().trim().to_owned()
    }
}

#[tokio::test]
async fn requests_run_wait_and_are_refused() {
    let bench = bench(1);
    let first = bench.run();
    let (second, third) = (bench.wait(), bench.wait());
    assert!(matches!(bench.ask(WorkEstimate::SINGLE), Outcome::Refuse));
    bench.clock.advance(ms(20));
    drop(first);
    let second = second.turn(ms(1000)).await.expect("its turn");
    // The third gives up, and its place is free.
    let clock = bench.clock.clone();
    let (third, ()) = tokio::join!(third.turn(ms(50)), async { clock.advance(ms(60)) });
    assert!(third.is_none());
    drop(bench.wait());
    drop(second);
    let flow = "{flow_schema=\"work\",priority_level=\"work\"";
    let dispatched = format!("apiserver_flowcontrol_dispatched_requests_total{flow}}}");
    assert_eq!(bench.metric(&dispatched), "2");
    let rejected = |reason| {
        bench.metric(&format!(
            "apiserver_flowcontrol_rejected_requests_total{flow},reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(
        (rejected("queue-full"), rejected("time-out")),
        ("1".into(), "2".into())
    );
    let executions = bench.metric(
        "apiserver_flowcontrol_request_execution_seconds_sum{flow_schema=\"work\",priority_level=\"work\",type=\"regular\"}",
    );
    assert_eq!(executions, "0.08");
}

#[tokio::test]
async fn seats_that_come_free_while_one_gives_up_are_not_lost() {
    let bench = bench(1);
    let (first, second) = (bench.run(), bench.wait());
    // The turn comes, and the client is gone before it learns of it.
    drop(first);
    drop(second);
    let again = bench.run();
    assert_eq!(again.flow().schema.name, "work");
}

#[tokio::test]
async fn a_level_outlives_its_object_until_its_last_request() {
    let bench = bench(4);
    let permit = bench.run();
    bench.flow_control.apply(Change::Removed(&level("work")));
    let conditions = bench.flow_control.reconfigure();
    assert_eq!(conditions[0].1.status, "True");
    let levels = |bench: &Bench| dump::priority_levels(&bench.flow_control);
    let row = levels(&bench)
        .lines()
        .find(|line| line.starts_with("work"))
        .map(str::to_owned);
    let cells: Vec<String> = row
        .expect("the level is there")
        .split(',')
        .map(|cell| cell.trim().to_owned())
        .collect();
    assert_eq!(
        cells,
        ["work", "0", "false", "true", "0", "1", "1", "0", "0", "0"]
    );
    let flow = bench.flow_control.classify(&bench.digest()).expect("a flow");
    assert_eq!(flow.schema.name, "catch-all");
    drop(permit);
    bench.flow_control.reconfigure();
    assert!(!levels(&bench).contains("work"));
}

#[tokio::test]
async fn requests_are_shown_with_their_details() {
    let bench = bench(1);
    let _first = bench.run();
    bench.clock.advance(ms(1500));
    let _second = bench.wait();
    let shown = dump::requests(&bench.flow_control, true);
    let rows: Vec<Vec<&str>> = shown
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(str::trim).collect())
        .collect();
    assert_eq!(
        rows[0][..10],
        [
            "work",
            "work",
            "0",
            "0",
            "",
            "1970-01-01T00:00:01.5Z",
            "1",
            "0",
            "0s",
            "0001-01-01T00:00:00Z"
        ]
    );
    assert_eq!(
        rows[1][..10],
        [
            "work",
            "work",
            "0",
            "-1",
            "",
            "1970-01-01T00:00:00Z",
            "1",
            "0",
            "0s",
            "1970-01-01T00:00:00Z"
        ]
    );
    assert_eq!(
        rows[1][10..],
        [
            "ada",
            "list",
            "/api/v1/namespaces/ns/pods",
            "ns",
            "",
            "v1",
            "pods",
            ""
        ]
    );
    let queues = dump::queues(&bench.flow_control);
    let cells: Vec<&str> = queues
        .lines()
        .nth(1)
        .expect("a queue")
        .split(',')
        .map(str::trim)
        .collect();
    assert_eq!(cells[..5], ["work", "0", "1", "1", "1"]);
}

#[tokio::test]
async fn lingering_seats_are_given_to_those_who_wait() {
    struct Nothing;
    impl crate::Conditions for Nothing {
        fn set<'a>(
            &'a self,
            _: &'a str,
            _: api::flowcontrol::v1::FlowSchemaCondition,
        ) -> futures_util::future::BoxFuture<'a, Result<(), apimachinery::status::Status>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }
    let bench = bench(2);
    let shutdown = component_base::shutdown::Shutdown::new();
    let task = tokio::spawn(
        bench
            .flow_control
            .clone()
            .run(Arc::new(Nothing), shutdown.clone()),
    );
    let wide = WorkEstimate {
        initial_seats: 1,
        final_seats: 2,
        additional_latency: ms(500),
    };
    let Outcome::Run(permit) = bench.ask(wide) else {
        panic!("there is room");
    };
    drop(permit);
    let waiting = tokio::spawn(bench.wait().turn(Duration::from_secs(60)));
    // Until the task sleeps for the adjustment and for the seats, and the request for its limit.
    while bench.clock.sleepers() < 3 {
        tokio::task::yield_now().await;
    }
    bench.clock.advance(ms(500));
    assert!(waiting.await.expect("no panic").is_some());
    shutdown.trigger();
    task.await.expect("no panic");
}
