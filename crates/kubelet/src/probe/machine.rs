//! One probe of one container as a state machine. Upstream: `prober/worker.go`.

use super::{Kind, Verdict};
use api::core::v1::Probe;

/// What the pod's status says of the container when a probe is due. Times are Unix seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subject {
    /// Empty before the container was created.
    pub container_id: String,
    pub running_since: Option<i64>,
    /// It ended and won't be restarted.
    pub ended: bool,
    /// Its startup probe, if any, has succeeded.
    pub started: bool,
    /// The pod is being deleted.
    pub deleting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do in this period.
    Wait,
    /// Run the handler and report its outcome.
    Probe,
    /// The probe has no more work, ever.
    Stop,
}

/// A change of what is held about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Set { container_id: String, verdict: Verdict },
    Forget { container_id: String },
}

#[derive(Debug)]
pub struct Machine {
    kind: Kind,
    container_id: String,
    /// A restart is due: probing would only confuse until the next container is there.
    on_hold: bool,
    last: Option<Verdict>,
    run: i32,
}

impl Machine {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            container_id: String::new(),
            on_hold: false,
            last: None,
            run: 0,
        }
    }

    /// A period has passed.
    pub fn tick(&mut self, probe: &Probe, subject: &Subject, now: i64) -> (Step, Vec<Effect>) {
        let mut effects = Vec::new();
        if subject.container_id.is_empty() {
            return (Step::Wait, effects);
        }
        if self.container_id != subject.container_id {
            self.adopt(subject, &mut effects);
        }
        if self.on_hold {
            return (Step::Wait, effects);
        }
        let Some(since) = subject.running_since else {
            self.set(Verdict::Failure, &mut effects);
            return (if subject.ended { Step::Stop } else { Step::Wait }, effects);
        };
        if subject.deleting && self.kind != Kind::Readiness {
            // A pod that shuts down must not be restarted because it no longer answers.
            self.set(Verdict::Success, &mut effects);
            return (Step::Stop, effects);
        }
        let startup = self.kind == Kind::Startup;
        let due = now - since >= i64::from(probe.initial_delay_seconds) && subject.started != startup;
        (if due { Step::Probe } else { Step::Wait }, effects)
    }

    fn adopt(&mut self, subject: &Subject, effects: &mut Vec<Effect>) {
        if !self.container_id.is_empty() {
            effects.push(Effect::Forget {
                container_id: std::mem::take(&mut self.container_id),
            });
        }
        self.container_id.clone_from(&subject.container_id);
        self.on_hold = false;
        self.last = None;
        self.run = 0;
        self.set(self.kind.initial(), effects);
    }

    fn set(&self, verdict: Verdict, effects: &mut Vec<Effect>) {
        effects.push(Effect::Set {
            container_id: self.container_id.clone(),
            verdict,
        });
    }

    /// The handler ran: count it, and give the verdict once its threshold is reached.
    pub fn outcome(&mut self, probe: &Probe, outcome: Verdict) -> Option<Effect> {
        self.run = if self.last == Some(outcome) {
            self.run.saturating_add(1)
        } else {
            1
        };
        self.last = Some(outcome);
        let threshold = if outcome == Verdict::Success {
            probe.success_threshold
        } else {
            probe.failure_threshold
        };
        if self.run < threshold {
            return None;
        }
        if outcome == Verdict::Failure && self.kind != Kind::Readiness {
            self.on_hold = true;
            self.run = 0;
        }
        Some(Effect::Set {
            container_id: self.container_id.clone(),
            verdict: outcome,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(delay: i32, success: i32, failure: i32) -> Probe {
        Probe {
            initial_delay_seconds: delay,
            success_threshold: success,
            failure_threshold: failure,
            ..Probe::default()
        }
    }

    fn running(id: &str, since: i64, started: bool) -> Subject {
        Subject {
            container_id: id.into(),
            running_since: Some(since),
            started,
            ..Subject::default()
        }
    }

    fn set(id: &str, verdict: Verdict) -> Effect {
        Effect::Set {
            container_id: id.into(),
            verdict,
        }
    }

    #[test]
    fn waits_for_the_container_the_delay_and_the_start() {
        let mut machine = Machine::new(Kind::Readiness);
        let probe = probe(5, 1, 3);
        assert_eq!(
            machine.tick(&probe, &Subject::default(), 100),
            (Step::Wait, vec![])
        );
        let initial = vec![set("a", Verdict::Failure)];
        assert_eq!(
            machine.tick(&probe, &running("a", 100, true), 104),
            (Step::Wait, initial)
        );
        assert_eq!(
            machine.tick(&probe, &running("a", 100, false), 105),
            (Step::Wait, vec![])
        );
        assert_eq!(
            machine.tick(&probe, &running("a", 100, true), 105),
            (Step::Probe, vec![])
        );
    }

    #[test]
    fn startup_probes_only_until_started() {
        let mut machine = Machine::new(Kind::Startup);
        let probe = probe(0, 1, 3);
        assert_eq!(machine.tick(&probe, &running("a", 0, false), 1).0, Step::Probe);
        assert_eq!(machine.tick(&probe, &running("a", 0, true), 1).0, Step::Wait);
    }

    #[test]
    fn thresholds_count_runs_of_equal_outcomes() {
        let mut machine = Machine::new(Kind::Liveness);
        let probe = probe(0, 1, 3);
        machine.tick(&probe, &running("a", 0, true), 1);
        assert_eq!(machine.outcome(&probe, Verdict::Failure), None);
        assert_eq!(machine.outcome(&probe, Verdict::Failure), None);
        assert_eq!(
            machine.outcome(&probe, Verdict::Success),
            Some(set("a", Verdict::Success))
        );
        assert_eq!(machine.outcome(&probe, Verdict::Failure), None);
        assert_eq!(machine.outcome(&probe, Verdict::Failure), None);
        assert_eq!(
            machine.outcome(&probe, Verdict::Failure),
            Some(set("a", Verdict::Failure))
        );
        assert_eq!(
            machine.tick(&probe, &running("a", 0, true), 9).0,
            Step::Wait,
            "on hold until restarted"
        );
        let (step, effects) = machine.tick(&probe, &running("b", 10, true), 10);
        assert_eq!(step, Step::Probe);
        assert_eq!(
            effects,
            [
                Effect::Forget {
                    container_id: "a".into()
                },
                set("b", Verdict::Success)
            ]
        );
    }

    #[test]
    fn ends_with_the_container_and_lets_a_deleted_pod_be() {
        let mut machine = Machine::new(Kind::Liveness);
        let probe = probe(0, 1, 1);
        let ended = Subject {
            container_id: "a".into(),
            ended: true,
            ..Subject::default()
        };
        assert_eq!(machine.tick(&probe, &ended, 1).0, Step::Stop);
        let deleting = Subject {
            deleting: true,
            ..running("a", 0, true)
        };
        assert_eq!(
            machine.tick(&probe, &deleting, 1),
            (Step::Stop, vec![set("a", Verdict::Success)])
        );
        let mut readiness = Machine::new(Kind::Readiness);
        assert_eq!(
            readiness.tick(&probe, &deleting, 1).0,
            Step::Probe,
            "endpoints still want to know"
        );
    }
}
