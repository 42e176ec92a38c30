//! A pod's phase from its container statuses. Upstream: `getPhase`.

use crate::pod;
use api::core::v1::{Container, ContainerStatus, Pod};

/// What is known beside the statuses.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Everything has ended and nothing will be started again.
    pub terminal: bool,
    /// A regular container has been started in the current sandbox.
    pub initialized: bool,
}

#[derive(Debug, Default)]
struct Count {
    pending_init: usize,
    pending_sidecars: usize,
    failed_init: usize,
    unknown: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    stopped_for_good: usize,
    succeeded: usize,
}

pub fn phase(spec: &Pod, statuses: &[ContainerStatus], facts: Facts) -> &'static str {
    let mut count = Count::default();
    let find = |container: &Container| statuses.iter().find(|status| status.name == container.name);
    for container in &spec.spec.init_containers {
        if pod::is_sidecar(container) {
            count.sidecar(find(container));
        } else {
            count.init(spec, container, find(container));
        }
    }
    for container in &spec.spec.containers {
        count.regular(spec, container, find(container));
    }
    count.phase(spec, facts)
}

impl Count {
    fn init(&mut self, spec: &Pod, container: &Container, status: Option<&ContainerStatus>) {
        let state = status.map(|status| (&status.state, &status.last_state));
        let exit_code = state.and_then(|(state, last)| {
            let ended = if state.waiting.is_some() {
                &last.terminated
            } else {
                &state.terminated
            };
            ended.as_ref().map(|ended| ended.exit_code)
        });
        match exit_code {
            None => self.pending_init += 1,
            Some(0) => {}
            Some(code) => {
                if !pod::restarts_after(spec, container, code) {
                    self.failed_init += 1;
                }
            }
        }
    }

    fn sidecar(&mut self, status: Option<&ContainerStatus>) {
        let Some(status) = status else {
            self.unknown += 1;
            return;
        };
        if status.state.running.is_some() {
            self.running += 1;
            if status.started != Some(true) {
                self.pending_sidecars += 1;
            }
        } else if status.state.terminated.is_some() {
            // An ended sidecar has no say in the phase.
        } else if status.state.waiting.is_some() {
            if status.last_state.terminated.is_none() {
                self.pending_sidecars += 1;
                self.waiting += 1;
            }
        } else {
            self.pending_sidecars += 1;
            self.unknown += 1;
        }
    }

    fn regular(&mut self, spec: &Pod, container: &Container, status: Option<&ContainerStatus>) {
        let Some(status) = status else {
            self.unknown += 1;
            return;
        };
        let mut stopped = |exit_code: i32| {
            self.stopped += 1;
            if !pod::restarts_after(spec, container, exit_code) {
                self.stopped_for_good += 1;
            }
        };
        if status.state.running.is_some() {
            self.running += 1;
        } else if let Some(ended) = &status.state.terminated {
            stopped(ended.exit_code);
            if ended.exit_code == 0 {
                self.succeeded += 1;
            }
        } else if status.state.waiting.is_some() {
            match &status.last_state.terminated {
                Some(ended) => stopped(ended.exit_code),
                None => self.waiting += 1,
            }
        } else {
            self.unknown += 1;
        }
    }

    fn phase(&self, spec: &Pod, facts: Facts) -> &'static str {
        let ended = || {
            if self.stopped == self.succeeded {
                "Succeeded"
            } else {
                "Failed"
            }
        };
        if self.failed_init > 0 {
            "Failed"
        } else if self.pending_init > 0
            || (self.pending_sidecars > 0 && !facts.initialized)
            || self.waiting > 0
        {
            "Pending"
        } else if self.running > 0 && self.unknown == 0 {
            "Running"
        } else if self.running == 0 && self.stopped > 0 && self.unknown == 0 {
            if facts.terminal && !pod::is_static(spec) {
                ended()
            } else if self.stopped != self.stopped_for_good {
                "Running"
            } else {
                ended()
            }
        } else {
            "Pending"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    /// `spec` and `statuses` as JSON, statuses as a list.
    fn check(restart: &str, init: &str, statuses: &str, facts: &str, expected: &str) {
        let spec = format!(
            r#"{{"spec":{{"restartPolicy":"{restart}","initContainers":[{init}],"containers":[{{"name":"a"}},{{"name":"b"}}]}}}}"#
        );
        let pod = Pod::from_json(spec.as_bytes()).unwrap();
        let statuses = format!(r#"{{"status":{{"containerStatuses":[{statuses}]}}}}"#);
        let statuses = Pod::from_json(statuses.as_bytes())
            .unwrap()
            .status
            .container_statuses;
        let facts = Facts {
            terminal: facts.contains("terminal"),
            initialized: facts.contains("initialized"),
        };
        assert_eq!(
            phase(&pod, &statuses, facts),
            expected,
            "{restart} {init} {statuses:?}"
        );
    }

    fn running(name: &str) -> String {
        format!(r#"{{"name":"{name}","state":{{"running":{{}}}}}}"#)
    }

    fn ended(name: &str, code: i32) -> String {
        format!(r#"{{"name":"{name}","state":{{"terminated":{{"exitCode":{code}}}}}}}"#)
    }

    fn crashed(name: &str) -> String {
        format!(
            r#"{{"name":"{name}","state":{{"waiting":{{}}}},"lastState":{{"terminated":{{"exitCode":1}}}}}}"#
        )
    }

    fn both(a: &str, b: &str) -> String {
        format!("{a},{b}")
    }

    #[test]
    fn regular_containers() {
        check("Always", "", "", "", "Pending");
        check("Always", "", &both(&running("a"), &running("b")), "", "Running");
        check(
            "Always",
            "",
            &both(&running("a"), r#"{"name":"b","state":{"waiting":{}}}"#),
            "",
            "Pending",
        );
        check("Always", "", &both(&ended("a", 0), &ended("b", 0)), "", "Running");
        check(
            "Always",
            "",
            &both(&ended("a", 0), &ended("b", 0)),
            "terminal",
            "Succeeded",
        );
        check("Always", "", &both(&running("a"), &crashed("b")), "", "Running");
        check(
            "Never",
            "",
            &both(&ended("a", 0), &ended("b", 0)),
            "",
            "Succeeded",
        );
        check("Never", "", &both(&ended("a", 0), &ended("b", 3)), "", "Failed");
        check("Never", "", &both(&ended("a", 0), &running("b")), "", "Running");
        check(
            "OnFailure",
            "",
            &both(&ended("a", 0), &ended("b", 3)),
            "",
            "Running",
        );
        check(
            "OnFailure",
            "",
            &both(&ended("a", 0), &ended("b", 0)),
            "",
            "Succeeded",
        );
    }

    #[test]
    fn init_containers() {
        let init = r#"{"name":"i"}"#;
        check("Always", init, &running("i"), "", "Pending");
        check("Never", init, &ended("i", 1), "", "Failed");
        check("Always", init, &ended("i", 1), "", "Pending");
        let up = both(&running("a"), &running("b"));
        check("Always", init, &both(&ended("i", 0), &up), "", "Running");
    }

    #[test]
    fn sidecars() {
        let sidecar = r#"{"name":"s","restartPolicy":"Always"}"#;
        let up = both(&running("a"), &running("b"));
        check("Always", sidecar, &both(&running("s"), &up), "", "Pending");
        check(
            "Always",
            sidecar,
            &both(&running("s"), &up),
            "initialized",
            "Running",
        );
        let done = both(&ended("a", 0), &ended("b", 0));
        check("Never", sidecar, &both(&ended("s", 137), &done), "", "Succeeded");
    }
}
