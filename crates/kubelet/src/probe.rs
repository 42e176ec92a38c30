//! Startup, liveness and readiness probes.
//!
//! - [`machine`] is one probe's life, purely: when to act on a result, when to hold.
//! - [`action`] runs a probe's handler once: exec, HTTP, TCP or gRPC.
//! - [`manager`] drives a task per probe and holds the verdicts that the rest of the kubelet reads.
//! - [`readiness`] puts the verdicts into a pod's status.
//!
//! Upstream: `pkg/kubelet/prober`.

pub mod action;
mod grpc;
pub mod http;
pub mod machine;
pub mod manager;
pub mod readiness;

use std::collections::HashMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Startup,
    Liveness,
    Readiness,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// As events name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    /// What is assumed of a container before its first probe: alive, but neither started nor ready.
    pub fn initial(self) -> Verdict {
        match self {
            Self::Startup => Verdict::Unknown,
            Self::Liveness => Verdict::Success,
            Self::Readiness => Verdict::Failure,
        }
    }

    pub fn of(self, container: &api::core::v1::Container) -> Option<&api::core::v1::Probe> {
        match self {
            Self::Startup => container.startup_probe.as_deref(),
            Self::Liveness => container.liveness_probe.as_deref(),
            Self::Readiness => container.readiness_probe.as_deref(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Success,
    Failure,
    Unknown,
}

/// What the probes say of containers, by container id.
#[derive(Debug, Clone, Default)]
pub struct Verdicts {
    by_probe: HashMap<(String, Kind), Verdict>,
}

impl Verdicts {
    pub fn get(&self, id: &str, kind: Kind) -> Option<Verdict> {
        self.by_probe.get(&(id.to_owned(), kind)).copied()
    }

    pub fn set(&mut self, id: &str, kind: Kind, verdict: Verdict) -> Option<Verdict> {
        self.by_probe.insert((id.to_owned(), kind), verdict)
    }

    pub fn remove(&mut self, id: &str, kind: Kind) {
        self.by_probe.remove(&(id.to_owned(), kind));
    }

    /// The verdicts on these containers alone.
    pub fn of(&self, ids: impl Iterator<Item = String>) -> Self {
        let mut subset = Self::default();
        for id in ids {
            for kind in Kind::ALL {
                if let Some(verdict) = self.get(&id, kind) {
                    subset.set(&id, kind, verdict);
                }
            }
        }
        subset
    }

    pub fn startup(&self, id: &str) -> Option<Verdict> {
        self.get(id, Kind::Startup)
    }

    pub fn startup_failed(&self, id: &str) -> bool {
        self.get(id, Kind::Startup) == Some(Verdict::Failure)
    }

    pub fn liveness_failed(&self, id: &str) -> bool {
        self.get(id, Kind::Liveness) == Some(Verdict::Failure)
    }
}
