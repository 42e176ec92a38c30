//! What the debug endpoints show: levels, queues and requests, as tables.

use std::time::Duration;

use jiff::Timestamp;

use crate::fair_queue::{Phase, QueueView, Resident, Ticket};
use crate::flow_control::FlowControl;
use crate::level::{Guest, Level, State};

/// Go's zero time: of requests that have not started.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// In place of the index of a request that is in no queue, or does not wait.
const NONE: i64 = -1;
const NARROWEST_CELL: usize = 8;

/// One row for each level.
pub fn priority_levels(flow_control: &FlowControl) -> String {
    let mut table = Table::new(&[
        "PriorityLevelName",
        "ActiveQueues",
        "IsIdle",
        "IsQuiescing",
        "WaitingRequests",
        "ExecutingRequests",
        "DispatchedRequests",
        "RejectedRequests",
        "TimedoutRequests",
        "CancelledRequests",
    ]);
    each_level(flow_control, |level, state| {
        let machine = &state.machine;
        let active = machine.queues().filter(|(_, queue)| !queue.waiting.is_empty());
        let (totals, tally) = (machine.totals(), machine.tally());
        table.row([
            level.rule.name.clone(),
            active.count().to_string(),
            machine.is_idle().to_string(),
            level.rule.quiescing.to_string(),
            totals.waiting.to_string(),
            totals.executing.to_string(),
            tally.dispatched.to_string(),
            tally.rejected.to_string(),
            // As upstream, which counts these among the cancelled.
            "0".to_owned(),
            tally.cancelled.to_string(),
        ]);
    });
    table.render()
}

/// One row for each queue that has requests; those without have no state to show.
pub fn queues(flow_control: &FlowControl) -> String {
    let mut table = Table::new(&[
        "PriorityLevelName",
        "Index",
        "PendingRequests",
        "ExecutingRequests",
        "SeatsInUse",
        "NextDispatchR",
        "InitialSeatsSum",
        "MaxSeatsSum",
        "TotalWorkSum",
    ]);
    each_level(flow_control, |level, state| {
        for (index, queue) in state.machine.queues() {
            let (initial, most) = seats_waiting(state, &queue);
            table.row([
                level.rule.name.clone(),
                index.to_string(),
                queue.waiting.len().to_string(),
                queue.executing.to_string(),
                queue.seats_in_use.to_string(),
                queue.next_dispatch.to_string(),
                initial.to_string(),
                most.to_string(),
                queue.waiting_work.to_string(),
            ]);
        }
    });
    table.render()
}

fn seats_waiting(state: &State, queue: &QueueView<'_>) -> (u64, u64) {
    let waiting = queue
        .waiting
        .iter()
        .filter_map(|ticket| state.machine.get(*ticket));
    waiting.fold((0, 0), |(initial, most), resident| {
        (
            initial + u64::from(resident.estimate.initial_seats),
            most + u64::from(resident.estimate.max_seats()),
        )
    })
}

/// One row for each request that waits or runs.
pub fn requests(flow_control: &FlowControl, with_details: bool) -> String {
    let mut columns = vec![
        "PriorityLevelName",
        "FlowSchemaName",
        "QueueIndex",
        "RequestIndexInQueue",
        // Upstream's spelling: scripts look for it.
        "FlowDistingsher",
        "ArriveTime",
        "InitialSeats",
        "FinalSeats",
        "AdditionalLatency",
        "StartTime",
    ];
    if with_details {
        columns.extend([
            "UserName",
            "Verb",
            "APIPath",
            "Namespace",
            "Name",
            "APIVersion",
            "Resource",
            "SubResource",
        ]);
    }
    let mut table = Table::new(&columns);
    let clock = &flow_control.shared.clock;
    let times = Times {
        monotonic: clock.monotonic(),
        wall: clock.now(),
    };
    each_level(flow_control, |level, state| {
        for (position, resident) in in_order(state) {
            let mut row = request_row(level, position, resident, times);
            if with_details {
                row.extend(resident.payload.about.details.split('\t').map(str::to_owned));
            }
            table.row(row);
        }
    });
    table.render()
}

/// Those that wait by queue and position, then those that run.
fn in_order(state: &State) -> Vec<(i64, &Resident<Guest>)> {
    let machine = &state.machine;
    let mut rows = Vec::new();
    for (_, queue) in machine.queues() {
        let waiting = |(position, ticket): (i64, &Ticket)| Some((position, machine.get(*ticket)?));
        rows.extend((0..).zip(queue.waiting).filter_map(waiting));
    }
    let executing = machine
        .residents()
        .filter(|(_, resident)| matches!(resident.phase, Phase::Executing { .. }))
        .map(|(_, resident)| (NONE, resident));
    rows.extend(executing);
    rows
}

fn request_row(level: &Level, position: i64, resident: &Resident<Guest>, times: Times) -> Vec<String> {
    let estimate = &resident.estimate;
    let nanos = i64::try_from(estimate.additional_latency.as_nanos()).unwrap_or(i64::MAX);
    let latency = apimachinery::duration::Duration::from_nanos(nanos);
    vec![
        level.rule.name.clone(),
        resident.payload.flow.schema.name.clone(),
        resident.queue.map_or(NONE, i64::from).to_string(),
        position.to_string(),
        resident.payload.about.distinguisher.to_string(),
        times.show(resident.arrived),
        estimate.initial_seats.to_string(),
        estimate.final_seats.to_string(),
        latency.to_string(),
        match resident.phase {
            Phase::Executing { since } => times.show(since),
            Phase::Waiting { .. } | Phase::Lingering => NEVER.to_owned(),
        },
    ]
}

/// One moment on both clocks.
#[derive(Clone, Copy)]
struct Times {
    monotonic: Duration,
    wall: Timestamp,
}

impl Times {
    fn show(&self, monotonic: Duration) -> String {
        let ago = self.monotonic.saturating_sub(monotonic);
        let at = self.wall.saturating_sub(ago).unwrap_or(self.wall);
        at.to_string()
    }
}

fn each_level(flow_control: &FlowControl, mut look: impl FnMut(&Level, &State)) {
    let now = flow_control.shared.clock.monotonic();
    for level in flow_control.shared.table.load().levels.values() {
        look(level, &level.core.at(now));
    }
}

/// Columns as wide as their widest cell, parted by commas.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(columns: &[&str]) -> Table {
        Table {
            rows: vec![columns.iter().map(|column| (*column).to_owned()).collect()],
        }
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            // The comma, and a space at least.
            let widest = cells.map(|cell| cell.chars().count() + 2).max();
            widest.unwrap_or(0).max(NARROWEST_CELL)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let last = row.len().saturating_sub(1);
            for (column, cell) in row.iter().enumerate() {
                if column == last {
                    text.push_str(cell);
                } else {
                    text.push_str(&format!("{:<width$}", format!("{cell},"), width = widths[column]));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["Name", "Index", "Last"]);
        table.row(["workload-low", "7", "1"].map(str::to_owned));
        assert_eq!(
            table.render(),
            "Name,         Index,  Last\nworkload-low, 7,      1\n"
        );
    }
}
