//! The task of one family: waits for changes, compiles, applies, reports.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::ObjectReference;
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use controller_runtime::Recorder;
use controller_runtime::event_recorder::EventType;
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::conntrack::{self, ServingEndpoints};
use crate::dataplane::{Compiled, Dataplane, Written, compile};
use crate::health::Health;
use crate::iptables::backend::Extent;
use crate::metrics::{BackendMetrics, Metrics, stamp};
use crate::model::{Family, ServiceName};
use crate::pacer::{self, Pacer};
use crate::rules::{Input, NoLocalEndpoints, NodePortDestinations};
use crate::service_health::{self, ServiceHealth};
use crate::settings::{Machine, settings};
use crate::state::Shared;

/// Everything is compared once in this time, even if nothing seems to have changed.
const FULL_SYNC_PERIOD: Duration = Duration::from_secs(3600);

/// What a proxier works with.
pub struct Parts {
    pub family: Family,
    pub config: Arc<Config>,
    pub machine: Machine,
    pub shared: Arc<Shared>,
    pub dataplane: Dataplane,
    pub service_health: ServiceHealth,
    pub health: Health,
    pub metrics: Metrics,
    pub recorder: Recorder,
    pub clock: Arc<dyn Clock>,
}

pub struct Proxier {
    parts: Parts,
    pacer: Pacer,
    interfaces: Vec<IpAddr>,
}

/// Everything that one sync applies, taken from the shared state at one moment.
struct Job {
    rules: Compiled,
    missing: NoLocalEndpoints,
    node_ports: NodePortDestinations,
    health_ports: std::collections::BTreeMap<ServiceName, u16>,
    local_endpoints: std::collections::BTreeMap<ServiceName, usize>,
    triggers: Vec<jiff::Timestamp>,
    /// Present when UDP endpoints changed.
    udp: Option<ServingEndpoints>,
}

impl Proxier {
    pub fn new(parts: Parts) -> Self {
        let settings = pacer::Settings {
            min: parts.config.min_sync_period,
            retry: parts.config.sync_period,
            max: FULL_SYNC_PERIOD,
        };
        Self {
            parts,
            pacer: Pacer::new(settings),
            interfaces: Vec::new(),
        }
    }

    /// Works until the shutdown; the rules stay.
    pub async fn run(mut self, shutdown: Shutdown) {
        let changed = {
            let mut state = self.parts.shared.lock();
            let Some(family) = state.family(self.parts.family) else {
                return;
            };
            Arc::clone(&family.changed)
        };
        self.parts.health.updated(self.parts.family);
        let mut check = tokio::time::interval(self.parts.config.sync_period);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let clock = Arc::clone(&self.parts.clock);
            let deadline = self.pacer.deadline();
            let due = async move {
                match deadline {
                    Some(deadline) => clock.sleep(deadline.saturating_sub(clock.monotonic())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.wait() => return,
                () = changed.notified() => self.request(),
                () = due => self.sync().await,
                _ = check.tick() => self.check().await,
            }
        }
    }

    /// Something changed. Before everything has been listed once, nothing is done about it.
    fn request(&mut self) {
        if !self.parts.shared.lock().is_synced() {
            return;
        }
        self.parts.health.queued(self.parts.family);
        stamp(
            &self.parts.metrics.last_queued,
            self.parts.family,
            self.parts.clock.now(),
        );
        self.pacer.request();
    }

    /// Notices rules that someone flushed, and addresses that came or went.
    async fn check(&mut self) {
        let interfaces = interface_addresses().await;
        if interfaces != self.interfaces {
            self.interfaces = interfaces;
            self.request();
        }
        if self.parts.dataplane.next_extent() == Extent::Partial && !self.parts.dataplane.intact().await {
            info!(family = %self.parts.family, "rules were flushed by someone else; writing all of them");
            self.parts.dataplane.invalidate();
            self.request();
        }
    }

    async fn sync(&mut self) {
        let begin = self.parts.clock.monotonic();
        self.pacer.started(begin);
        let Some(job) = self.job() else { return };
        let extent = self.parts.dataplane.next_extent();
        let Job {
            rules,
            missing,
            node_ports,
            health_ports,
            local_endpoints,
            triggers,
            udp,
        } = job;
        let result = self.parts.dataplane.sync(rules).await;
        self.measure(begin, extent);
        match result {
            Ok(written) => {
                self.succeeded(&written, missing, &triggers);
                let errors = self
                    .parts
                    .service_health
                    .sync(&health_ports, local_endpoints, &node_ports)
                    .await;
                self.report_health_ports(&errors);
                if let Some(endpoints) = udp {
                    self.clean_conntrack(endpoints).await;
                }
            }
            Err(problem) => self.failed(&problem, extent, udp.is_some()),
        }
    }

    /// Compiles the rules while holding the state.
    fn job(&self) -> Option<Job> {
        let parts = &self.parts;
        let mut state = parts.shared.lock();
        if !state.is_synced() {
            return None;
        }
        let settings = settings(
            &parts.config,
            parts.machine,
            &state.node,
            &self.interfaces,
            parts.family,
        );
        let topology = state.node.topology(parts.shared.node_name());
        let service_cidrs = state.service_cidrs(parts.family);
        let tracker = &mut state.family(parts.family)?.tracker;
        let udp_changed = tracker.take_udp_endpoints_changed();
        let triggers = tracker.take_triggers();
        let input = Input {
            settings: &settings,
            node: &topology,
            service_ports: tracker.service_ports(),
            endpoints: tracker.endpoints(),
            service_cidrs: &service_cidrs,
        };
        let (rules, missing) = compile(parts.config.mode, &input);
        parts.metrics.service_changes_pending.set(0);
        parts.metrics.endpoint_changes_pending.set(0);
        Some(Job {
            rules,
            missing,
            node_ports: settings.node_ports.clone(),
            health_ports: tracker.health_check_node_ports(),
            local_endpoints: tracker.local_ready_endpoints(),
            triggers,
            udp: udp_changed.then(|| ServingEndpoints::new(tracker.service_ports(), tracker.endpoints())),
        })
    }

    fn label(&self) -> [&'static str; 1] {
        [self.parts.family.as_str()]
    }

    fn measure(&self, begin: Duration, extent: Extent) {
        let metrics = &self.parts.metrics;
        let seconds = self.parts.clock.monotonic().saturating_sub(begin).as_secs_f64();
        let by_extent = match extent {
            Extent::Full => &metrics.full_sync_duration,
            Extent::Partial => &metrics.partial_sync_duration,
        };
        for histogram in [&metrics.sync_duration, by_extent] {
            histogram.with_label_values(&self.label()).observe(seconds);
        }
        debug!(family = %self.parts.family, ?extent, seconds, "rules synced");
    }

    fn succeeded(&mut self, written: &Written, missing: NoLocalEndpoints, triggers: &[jiff::Timestamp]) {
        let (metrics, family) = (&self.parts.metrics, self.parts.family.as_str());
        let now = self.parts.clock.now();
        self.parts.health.updated(self.parts.family);
        stamp(&metrics.last_sync, self.parts.family, now);
        for trigger in triggers {
            let seconds = now.duration_since(*trigger).as_secs_f64();
            metrics
                .network_programming
                .with_label_values(&[family])
                .observe(seconds);
        }
        for (policy, count) in [("internal", missing.internal), ("external", missing.external)] {
            metrics
                .no_local_endpoints
                .with_label_values(&[policy, family])
                .set(gauge(count));
        }
        if let BackendMetrics::IpTables {
            rules, rules_last, ..
        } = &metrics.backend
        {
            for (table, total, last) in &written.tables {
                rules.with_label_values(&[table, family]).set(gauge(*total));
                rules_last.with_label_values(&[table, family]).set(gauge(*last));
            }
        }
        self.note_cleanup_failures();
        if written.again {
            // Not through `request`: nothing is late because an empty chain still stands.
            self.pacer.request();
        }
    }

    fn note_cleanup_failures(&self) {
        if let BackendMetrics::NfTables { cleanup_failures, .. } = &self.parts.metrics.backend {
            let counter = cleanup_failures.with_label_values(&self.label());
            counter.inc_by(
                self.parts
                    .dataplane
                    .cleanup_failures()
                    .saturating_sub(counter.get()),
            );
        }
    }

    fn failed(&mut self, problem: &crate::command::Error, extent: Extent, udp: bool) {
        let retry_seconds = self.parts.config.sync_period.as_secs();
        error!(family = %self.parts.family, error = %problem, retry_seconds, "rules can't be applied");
        self.pacer.failed(self.parts.clock.monotonic());
        match &self.parts.metrics.backend {
            BackendMetrics::IpTables {
                restore_failures,
                partial_restore_failures,
                ..
            } => {
                restore_failures.with_label_values(&self.label()).inc();
                if extent == Extent::Partial {
                    partial_restore_failures.with_label_values(&self.label()).inc();
                }
            }
            BackendMetrics::NfTables { sync_failures, .. } => {
                sync_failures.with_label_values(&self.label()).inc();
            }
        }
        if extent == Extent::Partial {
            // What failed may be the assumption of what is there: everything is written at once.
            self.pacer.request();
        }
        if udp && let Some(family) = self.parts.shared.lock().family(self.parts.family) {
            family.tracker.restore_udp_endpoints_changed();
        }
    }

    fn report_health_ports(&self, errors: &[service_health::Error]) {
        service_health::log(errors);
        for problem in errors {
            let service = ObjectReference {
                kind: "Service".to_owned(),
                api_version: "v1".to_owned(),
                namespace: problem.service.namespace.to_string(),
                name: problem.service.name.to_string(),
                ..ObjectReference::default()
            };
            let message = format!("node {} {problem}", self.parts.shared.node_name());
            let reason = "FailedToStartServiceHealthcheck";
            self.parts
                .recorder
                .event_for(service, EventType::Warning, reason, "Listen", message);
        }
    }

    async fn clean_conntrack(&self, endpoints: ServingEndpoints) {
        let family = self.parts.family;
        let begin = self.parts.clock.monotonic();
        let cleaned = tokio::task::spawn_blocking(move || conntrack::clean(family, &endpoints)).await;
        let metrics = &self.parts.metrics;
        let seconds = self.parts.clock.monotonic().saturating_sub(begin).as_secs_f64();
        metrics
            .conntrack_duration
            .with_label_values(&self.label())
            .observe(seconds);
        match cleaned {
            Ok(Ok(count)) => {
                metrics
                    .conntrack_deleted
                    .with_label_values(&self.label())
                    .inc_by(count as u64);
                debug!(%family, count, "stale UDP flows forgotten");
            }
            Ok(Err(problem)) => warn!(%family, error = %problem, "stale UDP flows can't be forgotten"),
            Err(problem) => warn!(%family, error = %problem, "cleaning of connection tracking broke off"),
        }
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The machine's own addresses; none, with a warning, if the kernel won't say.
async fn interface_addresses() -> Vec<IpAddr> {
    let read = || {
        let mut socket = netlink::Socket::open(netlink::socket::Subsystem::Route)?;
        netlink::link::addresses(&mut socket)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(addresses)) => addresses.into_iter().map(|address| address.ip).collect(),
        Ok(Err(problem)) => {
            warn!(error = %problem, "interface addresses can't be read");
            Vec::new()
        }
        Err(problem) => {
            warn!(error = %problem, "reading interface addresses broke off");
            Vec::new()
        }
    }
}
