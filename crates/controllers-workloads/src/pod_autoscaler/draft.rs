//! The status of an autoscaler as it will be. Pure.

use api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus, MetricStatus,
};
use apimachinery::time::Time;

/// What a condition says, and of which type it is.
pub const ABLE_TO_SCALE: &str = "AbleToScale";
pub const SCALING_ACTIVE: &str = "ScalingActive";
pub const SCALING_LIMITED: &str = "ScalingLimited";
/// Of a feature that is off: it must not stay.
const SCALED_TO_ZERO: &str = "ScaledToZero";

/// A status being written.
pub struct Draft {
    pub status: HorizontalPodAutoscalerStatus,
    now: Time,
}

impl Draft {
    pub fn new(autoscaler: &HorizontalPodAutoscaler, now: Time) -> Self {
        Draft {
            status: autoscaler.status.clone(),
            now,
        }
    }

    pub fn set(&mut self, type_: &str, is_true: bool, reason: &str, message: impl Into<String>) {
        let status = if is_true { "True" } else { "False" };
        let conditions = &mut self.status.conditions;
        let index = conditions
            .iter()
            .position(|condition| condition.type_ == type_)
            .unwrap_or_else(|| {
                conditions.push(HorizontalPodAutoscalerCondition {
                    type_: type_.to_owned(),
                    ..HorizontalPodAutoscalerCondition::default()
                });
                conditions.len() - 1
            });
        let condition = &mut conditions[index];
        if condition.status != status {
            condition.last_transition_time = Some(self.now);
        }
        condition.status = status.to_owned();
        condition.reason = reason.to_owned();
        condition.message = message.into();
    }

    pub fn forget_scaled_to_zero(&mut self) {
        let conditions = &mut self.status.conditions;
        conditions.retain(|condition| condition.type_ != SCALED_TO_ZERO);
    }

    /// `desired` is none where it couldn't be told: it stays what it was.
    pub fn finish(&mut self, current: i32, desired: Option<i32>, metrics: Vec<MetricStatus>, rescaled: bool) {
        self.status.observed_generation = None;
        self.status.current_replicas = current;
        if let Some(desired) = desired {
            self.status.desired_replicas = desired;
        }
        self.status.current_metrics = metrics;
        if rescaled {
            self.status.last_scale_time = Some(self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_move_only_with_their_status() {
        let at = |second| Time::from_unix(second, 0).expect("valid");
        let mut autoscaler = HorizontalPodAutoscaler::default();
        let mut draft = Draft::new(&autoscaler, at(1));
        draft.set(ABLE_TO_SCALE, true, "A", "a");
        autoscaler.status = draft.status;
        let mut draft = Draft::new(&autoscaler, at(2));
        draft.set(ABLE_TO_SCALE, true, "B", "b");
        let condition = &draft.status.conditions[0];
        assert_eq!(
            (condition.reason.as_str(), condition.last_transition_time),
            ("B", Some(at(1)))
        );
        draft.set(ABLE_TO_SCALE, false, "C", "c");
        assert_eq!(draft.status.conditions[0].last_transition_time, Some(at(2)));
        assert_eq!(draft.status.conditions.len(), 1);
    }
}
