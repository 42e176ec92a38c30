//! What an autoscaler wanted and did lately, and how that bounds what it does next. Pure.

use std::time::Duration;

use api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior};

/// Without behaviour of its own, a target at most doubles at a time, or grows to this many.
const LEAST_GROWTH: i32 = 4;

/// A number of pods at a time of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    replicas: i32,
    at: Duration,
}

/// The history of one autoscaler. Its lists hold one entry a sync at most for the longest window that counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    recommendations: Vec<Entry>,
    growth: Vec<Entry>,
    shrinkage: Vec<Entry>,
}

/// What bounded the number of pods, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub replicas: i32,
    pub reason: &'static str,
    pub message: &'static str,
}

const WITHIN: (&str, &str) = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const GROWS_TOO_FAST: (&str, &str) = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const SHRINKS_TOO_FAST: (&str, &str) = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);
const TOO_MANY: (&str, &str) = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const TOO_FEW: (&str, &str) = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);

fn verdict(replicas: i32, (reason, message): (&'static str, &'static str)) -> Verdict {
    Verdict {
        replicas,
        reason,
        message,
    }
}

/// The number of pods now, and the bounds of the specification.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub current: i32,
    pub min: i32,
    pub max: i32,
}

impl History {
    /// Notes what a target has when it is seen first, so that it isn't shrunk at once.
    pub fn begin(&mut self, current: i32, now: Duration) {
        if self.recommendations.is_empty() {
            self.recommendations.push(Entry {
                replicas: current,
                at: now,
            });
        }
    }

    /// The highest of the recommendations of a window, of which this is the newest.
    pub fn stabilize(&mut self, desired: i32, window: Duration, now: Duration) -> i32 {
        let recent = self
            .recommendations
            .iter()
            .filter(|entry| entry.at + window >= now);
        let highest = recent.map(|entry| entry.replicas).fold(desired, i32::max);
        self.recommend(desired, window, now);
        highest
    }

    /// The same with a window for each direction: as little change as the recommendations of either allow.
    pub fn stabilize_both(
        &mut self,
        current: i32,
        desired: i32,
        windows: (Duration, Duration),
        now: Duration,
    ) -> i32 {
        let (up, down) = windows;
        let recent = |window: Duration| {
            let entries = self
                .recommendations
                .iter()
                .filter(move |entry| entry.at + window > now);
            entries.map(|entry| entry.replicas)
        };
        let lowest = recent(up).fold(desired, i32::min);
        let highest = recent(down).fold(desired, i32::max);
        self.recommend(desired, up.max(down), now);
        current.max(lowest).min(highest)
    }

    fn recommend(&mut self, replicas: i32, window: Duration, now: Duration) {
        self.recommendations.retain(|entry| entry.at + window >= now);
        self.recommendations.push(Entry { replicas, at: now });
    }

    /// Notes a change that was made. Without behaviour nobody asks for it.
    pub fn scaled(&mut self, behavior: &HorizontalPodAutoscalerBehavior, from: i32, to: i32, now: Duration) {
        let (events, rules) = if to > from {
            (&mut self.growth, &behavior.scale_up)
        } else {
            (&mut self.shrinkage, &behavior.scale_down)
        };
        let policies = rules.iter().flat_map(|rules| &rules.policies);
        let longest = policies.map(period).max().unwrap_or_default();
        events.retain(|entry| entry.at + longest >= now);
        let replicas = to.saturating_sub(from).saturating_abs();
        events.push(Entry { replicas, at: now });
    }

    /// Bounds by behaviour: how fast the target grew and shrank lately decides how fast it may.
    pub fn bound(
        &self,
        behavior: &HorizontalPodAutoscalerBehavior,
        desired: i32,
        bounds: Bounds,
        now: Duration,
    ) -> Verdict {
        let Bounds { current, min, max } = bounds;
        if desired > current {
            let limit = self.limit(behavior.scale_up.as_deref(), Direction::Up, current, now);
            let limit = limit.max(current);
            let (most, why) = if max > limit {
                (limit, GROWS_TOO_FAST)
            } else {
                (max, TOO_MANY)
            };
            if desired > most {
                return verdict(most, why);
            }
        } else if desired < current {
            let limit = self.limit(behavior.scale_down.as_deref(), Direction::Down, current, now);
            let limit = limit.min(current);
            let (least, why) = if min < limit {
                (limit, SHRINKS_TOO_FAST)
            } else {
                (min, TOO_FEW)
            };
            if desired < least {
                return verdict(least, why);
            }
        }
        verdict(desired, WITHIN)
    }

    /// The number that the policies allow together.
    fn limit(
        &self,
        rules: Option<&HPAScalingRules>,
        direction: Direction,
        current: i32,
        now: Duration,
    ) -> i32 {
        let Some(rules) = rules else {
            return direction.unbounded();
        };
        let select = rules.select_policy.as_deref();
        if select == Some("Disabled") {
            return current;
        }
        let proposals = rules.policies.iter().map(|policy| {
            let within = |events: &[Entry]| {
                let recent = events.iter().filter(|event| event.at + period(policy) > now);
                recent.map(|event| event.replicas).sum::<i32>()
            };
            let start = current
                .saturating_sub(within(&self.growth))
                .saturating_add(within(&self.shrinkage));
            direction.allows(policy, start)
        });
        let least_change = select == Some("Min");
        let limit = if (direction == Direction::Up) == least_change {
            proposals.min()
        } else {
            proposals.max()
        };
        limit.unwrap_or_else(|| direction.unbounded())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    fn unbounded(self) -> i32 {
        match self {
            Direction::Up => i32::MAX,
            Direction::Down => i32::MIN,
        }
    }

    /// How far one policy lets a target go that had so many pods when its period began.
    fn allows(self, policy: &HPAScalingPolicy, start: i32) -> i32 {
        let share = f64::from(policy.value) / 100.0;
        match (self, policy.type_.as_str()) {
            (Direction::Up, "Pods") => start.saturating_add(policy.value),
            (Direction::Up, _) => (f64::from(start) * (1.0 + share)).ceil() as i32,
            (Direction::Down, "Pods") => start.saturating_sub(policy.value),
            (Direction::Down, _) => (f64::from(start) * (1.0 - share)) as i32,
        }
    }
}

fn period(policy: &HPAScalingPolicy) -> Duration {
    seconds(policy.period_seconds)
}

pub fn seconds(seconds: i32) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// Bounds without behaviour.
pub fn bound_plainly(desired: i32, bounds: Bounds) -> Verdict {
    let limit = bounds.current.saturating_mul(2).max(LEAST_GROWTH);
    let (most, why) = if bounds.max > limit {
        (limit, GROWS_TOO_FAST)
    } else {
        (bounds.max, TOO_MANY)
    };
    if desired < bounds.min {
        verdict(bounds.min, TOO_FEW)
    } else if desired > most {
        verdict(most, why)
    } else {
        verdict(desired, WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use api::Message;

    use super::*;

    fn bounds(current: i32) -> Bounds {
        Bounds {
            current,
            min: 1,
            max: 20,
        }
    }

    #[test]
    fn plain_bounds() {
        let check = |current, desired, expected: (i32, &str)| {
            let verdict = bound_plainly(desired, bounds(current));
            assert_eq!((verdict.replicas, verdict.reason), expected);
        };
        check(3, 5, (5, "DesiredWithinRange"));
        check(3, 10, (6, "ScaleUpLimit"));
        check(1, 10, (4, "ScaleUpLimit"));
        check(15, 40, (20, "TooManyReplicas"));
        check(3, 0, (1, "TooFewReplicas"));
    }

    #[test]
    fn the_highest_recent_recommendation_holds() {
        let mut history = History::default();
        let window = seconds(300);
        history.begin(5, seconds(0));
        history.begin(9, seconds(1));
        assert_eq!(history.stabilize(2, window, seconds(10)), 5);
        assert_eq!(history.stabilize(3, window, seconds(290)), 5);
        assert_eq!(history.stabilize(2, window, seconds(305)), 3);
        assert_eq!(history.stabilize(7, window, seconds(306)), 7);
        assert!(history.recommendations.len() <= 4);
    }

    #[test]
    fn windows_of_both_directions() {
        let mut history = History::default();
        let windows = (seconds(60), seconds(300));
        history.begin(5, seconds(0));
        // Growth waits until the lowest of a minute allows it.
        assert_eq!(history.stabilize_both(5, 8, windows, seconds(30)), 5);
        assert_eq!(history.stabilize_both(5, 9, windows, seconds(61)), 8);
        // Shrinking waits for five.
        assert_eq!(history.stabilize_both(8, 2, windows, seconds(100)), 8);
        assert_eq!(history.stabilize_both(8, 2, windows, seconds(400)), 2);
    }

    fn behavior(json: &str) -> HorizontalPodAutoscalerBehavior {
        HorizontalPodAutoscalerBehavior::from_json(json.as_bytes()).expect("well-formed")
    }

    #[test]
    fn policies_bound_the_rate() {
        let both = behavior(
            r#"{"scaleUp":{"selectPolicy":"Max","policies":[
                    {"type":"Pods","value":2,"periodSeconds":60},{"type":"Percent","value":100,"periodSeconds":60}]},
                "scaleDown":{"selectPolicy":"Min","policies":[
                    {"type":"Pods","value":4,"periodSeconds":60},{"type":"Percent","value":10,"periodSeconds":60}]}}"#,
        );
        let mut history = History::default();
        let check = |history: &History, current, desired, second, expected: (i32, &str)| {
            let verdict = history.bound(&both, desired, bounds(current), seconds(second));
            assert_eq!((verdict.replicas, verdict.reason), expected);
        };
        check(&history, 1, 10, 0, (3, "ScaleUpLimit"));
        check(&history, 5, 30, 0, (10, "ScaleUpLimit"));
        check(&history, 10, 2, 0, (9, "ScaleDownLimit"));
        check(&history, 10, 10, 0, (10, "DesiredWithinRange"));
        // What was done within the period counts.
        history.scaled(&both, 5, 10, seconds(0));
        check(&history, 10, 30, 30, (10, "ScaleUpLimit"));
        check(&history, 10, 30, 60, (20, "TooManyReplicas"));
    }

    #[test]
    fn a_direction_may_be_off() {
        let off = behavior(r#"{"scaleDown":{"selectPolicy":"Disabled"}}"#);
        let verdict = History::default().bound(&off, 2, bounds(10), seconds(0));
        assert_eq!((verdict.replicas, verdict.reason), (10, "ScaleDownLimit"));
    }
}
