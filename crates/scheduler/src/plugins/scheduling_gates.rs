//! Holds a pod back while it bears scheduling gates (KEP-3521).

use crate::framework::{Event, Plugin};
use crate::pod_info::PodInfo;

pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn gate(&self, pod: &PodInfo) -> Result<(), String> {
        let gates = &pod.pod.spec.scheduling_gates;
        if gates.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = gates.iter().map(|gate| gate.name.as_str()).collect();
        Err(format!("waiting for scheduling gates: [{}]", names.join(" ")))
    }

    fn is_helped_by(&self, pod: &PodInfo, event: &Event<'_>) -> bool {
        matches!(event, Event::PodChanged { .. }) && pod.pod.spec.scheduling_gates.is_empty()
    }
}
