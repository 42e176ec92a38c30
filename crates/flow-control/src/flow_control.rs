//! Flow control as the server's stack sees it: a request is classified, asks for seats, and gives them back.

use std::sync::Arc;
use std::time::Duration;

use api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use arc_swap::ArcSwap;
use auth::{Change, Follower};
use component_base::clock::Clock;
use component_base::metrics::Registry;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::admission::{self, Ask, Outcome};
use crate::flow::Flow;
use crate::level::About;
use crate::metrics::Collected;
use crate::rules::{self, Levels, Schemas};
use crate::schema::Digest;
use crate::table::Table;
use crate::traffic::{Stage, Traffic};
use crate::watchers::Watchers;

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FlowControl {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub clock: Arc<dyn Clock>,
    /// Of the whole server.
    pub seats: u32,
    pub table: ArcSwap<Table>,
    pub objects: Mutex<Objects>,
    pub traffic: Mutex<Traffic>,
    pub watchers: Watchers,
    /// Of the last division of seats.
    pub fair_fraction: Mutex<f64>,
    /// The objects, or what they leave behind, are to be looked at.
    pub changed: Notify,
    /// Somebody waits for seats that come free by themselves.
    pub turn: Notify,
}

/// The configuration as it is stored.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub schemas: Schemas,
    pub levels: Levels,
}

impl Shared {
    /// A request has left: if it was the last one of a level that nobody wants, the level goes as well.
    pub fn left(&self, flow: &Flow, now: Duration) {
        let level = &flow.level;
        if level.rule.quiescing && level.core.at(now).machine.is_idle() {
            self.changed.notify_one();
        }
    }
}

impl FlowControl {
    /// With the mandatory objects, until others are there.
    pub fn new(seats: u32, clock: Arc<dyn Clock>, metrics: &Registry) -> FlowControl {
        let now = clock.monotonic();
        let shared = Arc::new(Shared {
            clock,
            seats,
            table: ArcSwap::default(),
            objects: Mutex::default(),
            traffic: Mutex::new(Traffic::new(now)),
            watchers: Watchers::default(),
            fair_fraction: Mutex::new(0.0),
            changed: Notify::new(),
            turn: Notify::new(),
        });
        let this = FlowControl { shared };
        this.reconfigure();
        metrics.collect("apiserver_flowcontrol", Collected::new(&this));
        this
    }

    /// The flow that a request belongs to.
    pub fn classify(&self, digest: &Digest<'_>) -> Option<Arc<Flow>> {
        self.shared.table.load().classify(digest).cloned()
    }

    /// Asks for seats.
    pub fn ask(&self, ask: Ask) -> Outcome {
        admission::ask(&self.shared, ask)
    }

    /// A request of the flow was refused. Says after how many seconds it may come back.
    pub fn retry_after(&self, flow: &Flow) -> u64 {
        flow.level.core.retry_after(self.shared.clock.monotonic())
    }

    /// Watches that are open.
    pub fn watchers(&self) -> &Watchers {
        &self.shared.watchers
    }

    /// Puts the stored objects in force. Gives the conditions of schemas that are not as they ought to be.
    pub fn reconfigure(&self) -> Vec<(String, api::flowcontrol::v1::FlowSchemaCondition)> {
        let shared = &self.shared;
        let now = shared.clock.monotonic();
        // Held all the time: two of these at once would forget each other's levels.
        let objects = shared.objects.lock();
        let before = shared.table.load_full();
        let mut configuration = rules::configuration(
            &objects.schemas,
            &objects.levels,
            before.busy(now),
            shared.clock.now(),
        );
        for (level, why) in &configuration.broken {
            tracing::warn!(%level, %why, "a priority level is ignored: its object is broken");
        }
        let conditions = std::mem::take(&mut configuration.conditions);
        let table = Table::build(now, &before, configuration, shared.seats);
        self.divide(&table, now);
        let (waiting, executing) = table.request_limits();
        let mut traffic = shared.traffic.lock();
        traffic.set_limit(now, Stage::Waiting, waiting);
        traffic.set_limit(now, Stage::Executing, executing);
        drop(traffic);
        shared.table.store(Arc::new(table));
        conditions
    }

    /// Divides the seats anew by demand.
    pub fn adjust(&self) {
        // No reconfiguration in between.
        let _objects = self.shared.objects.lock();
        let now = self.shared.clock.monotonic();
        self.divide(&self.shared.table.load(), now);
    }

    fn divide(&self, table: &Table, now: Duration) {
        let division = table.divide(now, self.shared.seats);
        *self.shared.fair_fraction.lock() = division.fair_fraction;
    }

    /// When somebody's turn comes without anything happening.
    pub(crate) fn next_turn(&self) -> Option<Duration> {
        let table = self.shared.table.load();
        let now = self.shared.clock.monotonic();
        let turns = table
            .levels
            .values()
            .filter_map(|level| level.core.at(now).next_turn());
        turns.min()
    }
}

impl About {
    /// Of a request of this flow.
    pub fn new(flow: &Flow, digest: &Digest<'_>, name: &str, api_version: &str) -> About {
        let version = match digest.api_group {
            "" => api_version.to_owned(),
            group => format!("{group}/{api_version}"),
        };
        let columns = [
            digest.user,
            digest.verb,
            digest.path,
            digest.namespace,
            name,
            &version,
            digest.resource,
            digest.subresource,
        ];
        About {
            distinguisher: flow.schema.distinguisher(digest).into(),
            details: columns.join("\t").into(),
        }
    }
}

impl Follower for FlowControl {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
            ("flowcontrol.apiserver.k8s.io", "flowschemas"),
        ]
    }

    fn apply(&self, change: Change<'_>) {
        let object = change.object();
        let name = object.metadata().name.clone();
        let mut objects = self.shared.objects.lock();
        if let Some(schema) = object.downcast_ref::<FlowSchema>() {
            match change {
                Change::Set(_) => objects.schemas.insert(name, schema.clone()),
                Change::Removed(_) => objects.schemas.remove(&name),
            };
        } else if let Some(level) = object.downcast_ref::<PriorityLevelConfiguration>() {
            match change {
                Change::Set(_) => objects.levels.insert(name, level.clone()),
                Change::Removed(_) => objects.levels.remove(&name),
            };
        }
        drop(objects);
        self.shared.changed.notify_one();
    }
}
