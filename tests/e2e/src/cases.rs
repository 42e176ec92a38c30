//! What is checked, each in a namespace of its own.

mod commands;
mod deployments;
mod ledger;
mod metrics;
mod objects;
mod pods;
mod resilience;
mod services;
mod streams;

use std::path::PathBuf;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::{Failure, Outcome};

/// Where a case takes place.
pub struct Scene<'a> {
    pub cluster: &'a Cluster,
    /// In the case's own namespace.
    pub kubectl: Kubectl,
    pub namespace: &'a str,
}

impl Scene<'_> {
    /// A folder for files of the case's own; it goes with the cluster.
    pub fn scratch(&self) -> Result<PathBuf, Failure> {
        let folder = self.cluster.output().join("scratch").join(self.namespace);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder)
    }
}

/// What a case needs of the cluster while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing that another case could disturb.
    Itself,
    /// Nobody else: it drains a node or kills daemons.
    Cluster,
}

/// What a case is repeated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    Never,
    /// With each kubectl.
    Kubectls,
    /// In each mode of kube-proxy.
    ProxyModes,
}

pub struct Case {
    pub name: &'static str,
    pub run: fn(&Scene<'_>) -> Outcome,
    pub needs: Needs,
    pub repeats: Repeats,
}

const fn case(name: &'static str, run: fn(&Scene<'_>) -> Outcome) -> Case {
    Case {
        name,
        run,
        needs: Needs::Itself,
        repeats: Repeats::Never,
    }
}

impl Case {
    const fn alone(self) -> Self {
        Self {
            needs: Needs::Cluster,
            ..self
        }
    }

    const fn repeated(self, repeats: Repeats) -> Self {
        Self { repeats, ..self }
    }
}

pub const ALL: &[Case] = &[
    case("nodes_are_ready", pods::nodes_are_ready),
    case("deployments_roll", deployments::roll).repeated(Repeats::Kubectls),
    case("objects_are_shown", commands::shown).repeated(Repeats::Kubectls),
    case("objects_are_changed", commands::changed).repeated(Repeats::Kubectls),
    case("objects_are_edited", commands::edited).repeated(Repeats::Kubectls),
    case("bad_input_is_refused", objects::refused).repeated(Repeats::Kubectls),
    case("logs_exec_and_copies", streams::logs_exec_and_copies).repeated(Repeats::Kubectls),
    case("logs_are_followed", streams::logs_are_followed).repeated(Repeats::Kubectls),
    case("terminals_work", streams::terminals_work).repeated(Repeats::Kubectls),
    case("ports_are_forwarded", streams::ports_are_forwarded).repeated(Repeats::Kubectls),
    case("pods_get_volumes_and_environment", pods::volumes_and_environment),
    case("pods_restart_and_report", pods::restart_and_report),
    case("init_containers_and_sidecars", pods::init_containers_and_sidecars),
    case("pods_are_evicted", pods::evicted),
    case("services_are_reached", services::reached).repeated(Repeats::ProxyModes),
    case("services_are_governed", services::governed).repeated(Repeats::ProxyModes),
    case("services_are_named", services::named),
    case("owners_take_dependents_along", objects::garbage),
    case("daemons_are_measured", metrics::daemons_are_measured),
    case("nodes_are_drained", deployments::drain)
        .alone()
        .repeated(Repeats::Kubectls),
    case("daemons_resume", resilience::daemons_resume).alone(),
    case(
        "no_acknowledged_write_is_lost",
        resilience::no_acknowledged_write_is_lost,
    )
    .alone(),
];
