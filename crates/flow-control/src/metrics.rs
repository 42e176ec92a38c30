//! The state as metrics, under upstream's names: taken when they are asked for, so that requests don't pay for them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as Shown, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::fair_queue::Phase;
use crate::flow::{Reason, Record};
use crate::flow_control::FlowControl;
use crate::histogram::Histogram;
use crate::level::{Level, State};
use crate::seat_seconds::SeatSeconds;
use crate::traffic::{Kind, Stage};

const PREFIX: &str = "apiserver_flowcontrol_";

/// Reads flow control when the registry is read.
#[derive(Clone)]
pub struct Collected {
    flow_control: FlowControl,
    /// Tells it from other collectors.
    desc: Desc,
}

impl Collected {
    pub fn new(flow_control: &FlowControl) -> Collected {
        let help = "API Priority and Fairness".to_owned();
        let desc = Desc::new(
            "apiserver_flowcontrol".to_owned(),
            help,
            Vec::new(),
            HashMap::new(),
        );
        Collected {
            flow_control: flow_control.clone(),
            desc: desc.expect("invariant: the name is a constant of valid form"),
        }
    }
}

impl Collector for Collected {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let shared = &self.flow_control.shared;
        let now = shared.clock.monotonic();
        let table = shared.table.load();
        let mut families = Families::default();
        for level in table.levels.values() {
            let mut state = level.core.at(now);
            families.limits(level, &state);
            families.virtual_world(&level.rule.name, &state);
            families.demand(&level.rule.name, &state);
            families.utilization(&level.rule.name, &mut state, now);
            families.residents(&level.rule.name, &state);
        }
        for flow in &table.flows {
            families.record(&flow.level.rule.name, &flow.schema.name, &flow.record.lock());
        }
        families.gauge(
            "seat_fair_frac",
            "Fair fraction of server's concurrency to allocate to each priority level that can use it",
            &[],
            *shared.fair_fraction.lock(),
        );
        families.traffic(&mut shared.traffic.lock(), now);
        families.into_families()
    }
}

type Labels<'a> = &'a [(&'a str, &'a str)];

#[derive(Default)]
struct Families {
    by_name: BTreeMap<&'static str, MetricFamily>,
}

impl Families {
    fn limits(&mut self, level: &Level, state: &State) {
        let labels = [("priority_level", level.rule.name.as_str())];
        let limits = level.limits;
        let help = "Nominal number of execution seats configured for each priority level";
        self.gauge("nominal_limit_seats", help, &labels, limits.nominal.into());
        let help = "Configured lower bound on number of execution seats available to each priority level";
        self.gauge("lower_limit_seats", help, &labels, limits.lower.into());
        let help = "Configured upper bound on number of execution seats available to each priority level";
        self.gauge("upper_limit_seats", help, &labels, limits.upper.into());
        let help = "current derived number of execution seats available to each priority level";
        self.gauge("current_limit_seats", help, &labels, state.machine.seats().into());
        if let Some(allotment) = state.allotment {
            self.gauge(
                "target_seats",
                "Seat allocation targets",
                &labels,
                allotment.target,
            );
        }
    }

    fn virtual_world(&mut self, level: &str, state: &State) {
        let labels = [("priority_level", level)];
        let last = state.machine.last_dispatch();
        let meter = state.machine.meter().as_f64();
        self.gauge("current_r", "R(time of last change)", &labels, meter);
        self.gauge(
            "dispatch_r",
            "R(time of last dispatch)",
            &labels,
            last.meter.as_f64(),
        );
        let help = "S(most recently dispatched request)";
        self.gauge("latest_s", help, &labels, last.start.as_f64());
        let mut bounds = |name, help, (least, greatest): (SeatSeconds, SeatSeconds)| {
            for (bound, value) in [("min", least), ("max", greatest)] {
                self.gauge(
                    name,
                    help,
                    &[("bound", bound), ("priority_level", level)],
                    value.as_f64(),
                );
            }
        };
        let help = "min and max, over queues, of S(oldest waiting request in queue)";
        bounds("next_s_bounds", help, last.starts);
        let help =
            "min and max, over queues, of S(oldest waiting request in queue) - estimated work in progress";
        bounds("next_discounted_s_bounds", help, last.discounted);
    }

    fn demand(&mut self, level: &str, state: &State) {
        let labels = [("priority_level", level)];
        let demand = state.demand;
        let help = "High watermark, over last adjustment period, of demand_seats";
        self.gauge(
            "demand_seats_high_watermark",
            help,
            &labels,
            demand.highest.into(),
        );
        let help = "Time-weighted average, over last adjustment period, of demand_seats";
        self.gauge("demand_seats_average", help, &labels, demand.average);
        let help = "Time-weighted standard deviation, over last adjustment period, of demand_seats";
        self.gauge("demand_seats_stdev", help, &labels, demand.deviation);
        let help = "Smoothed seat demands";
        self.gauge("demand_seats_smoothed", help, &labels, demand.smoothed);
    }

    fn utilization(&mut self, level: &str, state: &mut State, now: Duration) {
        let labels = [("priority_level", level)];
        let measured = &mut state.measured;
        let help = "Observations, at the end of every nanosecond, of (the number of seats each priority level could use) / (nominal number of seats for that level)";
        self.histogram("demand_seats", help, &labels, measured.demand.read(now));
        let help = "Observations, at the end of every nanosecond, of utilization of seats for any stage of execution (but only initial stage for WATCHes)";
        self.histogram(
            "priority_level_seat_utilization",
            help,
            &labels,
            measured.seats.read(now),
        );
        let help = "Observations, at the end of every nanosecond, of number of requests (as a fraction of the relevant limit) waiting or in any stage of execution (but only initial stage for WATCHes)";
        let name = "priority_level_request_utilization";
        for (phase, ratio) in [
            ("waiting", &mut measured.waiting),
            ("executing", &mut measured.executing),
        ] {
            let labels = [("phase", phase), ("priority_level", level)];
            self.histogram(name, help, &labels, ratio.read(now));
        }
    }

    /// Requests that are there now, by flow.
    fn residents(&mut self, level: &str, state: &State) {
        let mut counts: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
        for (_, resident) in state.machine.residents() {
            let seats = u64::from(resident.estimate.max_seats());
            let [waiting, seats_waiting, executing, seats_in_use] =
                counts.entry(&resident.payload.flow.schema.name).or_default();
            match resident.phase {
                Phase::Waiting { .. } => (*waiting, *seats_waiting) = (*waiting + 1, *seats_waiting + seats),
                Phase::Executing { .. } => {
                    (*executing, *seats_in_use) = (*executing + 1, *seats_in_use + seats)
                }
                Phase::Lingering => *seats_in_use += seats,
            }
        }
        for (schema, counts) in counts {
            self.counts(level, schema, counts);
        }
    }

    fn counts(&mut self, level: &str, schema: &str, counts: [u64; 4]) {
        let shown = [
            (
                "current_inqueue_requests",
                "Number of requests currently pending in queues of the API Priority and Fairness subsystem",
            ),
            (
                "current_inqueue_seats",
                "Number of seats currently pending in queues of the API Priority and Fairness subsystem",
            ),
            (
                "current_executing_requests",
                "Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API Priority and Fairness subsystem",
            ),
            (
                "current_executing_seats",
                "Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any stage otherwise) requests in the API Priority and Fairness subsystem",
            ),
        ];
        let labels = [("flow_schema", schema), ("priority_level", level)];
        for ((name, help), count) in shown.into_iter().zip(counts) {
            self.gauge(name, help, &labels, count as f64);
        }
    }

    /// What a flow's requests left behind.
    fn record(&mut self, level: &str, schema: &str, record: &Record) {
        let labels = [("flow_schema", schema), ("priority_level", level)];
        if record.dispatched > 0 {
            let help = "Number of requests executed by API Priority and Fairness subsystem";
            self.counter("dispatched_requests_total", help, &labels, record.dispatched);
        }
        for reason in Reason::ALL {
            let count = record.rejected[reason as usize];
            if count > 0 {
                let labels = [
                    ("flow_schema", schema),
                    ("priority_level", level),
                    ("reason", reason.label()),
                ];
                let help = "Number of requests rejected by API Priority and Fairness subsystem";
                self.counter("rejected_requests_total", help, &labels, count);
            }
        }
        let help = "Length of queue in the API Priority and Fairness subsystem, as seen by each request after it is enqueued";
        self.seen(
            "request_queue_length_after_enqueue",
            help,
            &labels,
            &record.queue_length,
        );
        let help = "Number of estimated seats (maximum of initial and final seats) associated with requests in API Priority and Fairness";
        self.seen("work_estimated_seats", help, &labels, &record.seats);
        let help = "count of watchers for mutating requests in API Priority and Fairness";
        self.seen("watch_count_samples", help, &labels, &record.watchers);
        for (execute, waited) in [
            ("true", &record.waited_and_ran),
            ("false", &record.waited_in_vain),
        ] {
            let labels = [
                ("execute", execute),
                ("flow_schema", schema),
                ("priority_level", level),
            ];
            let help = "Length of time a request spent waiting in its queue";
            self.seen("request_wait_duration_seconds", help, &labels, waited);
        }
        for (type_, took) in [("regular", &record.execution), ("watch", &record.watch_start)] {
            let labels = [
                ("flow_schema", schema),
                ("priority_level", level),
                ("type", type_),
            ];
            let help = "Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution in the API Priority and Fairness subsystem";
            self.seen("request_execution_seconds", help, &labels, took);
        }
    }

    fn traffic(&mut self, traffic: &mut crate::traffic::Traffic, now: Duration) {
        let help = "Observations, at the end of every nanosecond, of the number of requests (as a fraction of the relevant limit) waiting or in regular stage of execution";
        for (phase, stage) in [("waiting", Stage::Waiting), ("executing", Stage::Executing)] {
            for (kind_label, kind) in [("readOnly", Kind::ReadOnly), ("mutating", Kind::Mutating)] {
                let labels = [("phase", phase), ("request_kind", kind_label)];
                let seen = traffic.read(now, stage, kind);
                self.histogram("read_vs_write_current_requests", help, &labels, seen);
            }
        }
    }
}

/// Putting values into families.
impl Families {
    fn metric(&mut self, name: &'static str, help: &str, of: MetricType, labels: Labels<'_>) -> &mut Metric {
        let family = self.by_name.entry(name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(format!("{PREFIX}{name}"));
            family.set_help(help.to_owned());
            family.set_field_type(of);
            family
        });
        let pairs = labels.iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let metric = Metric::from_label(pairs.collect());
        let metrics = family.mut_metric();
        metrics.push(metric);
        metrics.last_mut().expect("invariant: one was pushed")
    }

    fn gauge(&mut self, name: &'static str, help: &str, labels: Labels<'_>, value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        self.metric(name, help, MetricType::GAUGE, labels)
            .set_gauge(gauge);
    }

    fn counter(&mut self, name: &'static str, help: &str, labels: Labels<'_>, value: u64) {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        self.metric(name, help, MetricType::COUNTER, labels)
            .set_counter(counter);
    }

    /// As [`Families::histogram`], once anything was observed.
    fn seen(&mut self, name: &'static str, help: &str, labels: Labels<'_>, histogram: &Histogram) {
        if histogram.count() > 0 {
            self.histogram(name, help, labels, histogram);
        }
    }

    fn histogram(&mut self, name: &'static str, help: &str, labels: Labels<'_>, histogram: &Histogram) {
        let buckets = histogram.cumulative().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut shown = Shown::default();
        shown.set_bucket(buckets.collect());
        shown.set_sample_count(histogram.count());
        shown.set_sample_sum(histogram.sum());
        self.metric(name, help, MetricType::HISTOGRAM, labels)
            .set_histogram(shown);
    }

    fn into_families(self) -> Vec<MetricFamily> {
        self.by_name.into_values().collect()
    }
}
