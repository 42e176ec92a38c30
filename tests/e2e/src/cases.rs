//! What is checked, each in a namespace of its own.

mod deployments;
mod objects;
mod pods;
mod resilience;
mod services;
mod streams;

use crate::Outcome;
use crate::cluster::Cluster;

pub type Case = fn(&Cluster, &str) -> Outcome;

pub const ALL: &[(&str, Case)] = &[
    ("nodes_are_ready", pods::nodes_are_ready),
    ("objects_are_edited", objects::edited),
    ("bad_input_is_refused", objects::refused),
    ("pods_get_volumes_and_environment", pods::volumes_and_environment),
    ("pods_restart_and_report", pods::restart_and_report),
    ("init_containers_and_sidecars", pods::init_containers_and_sidecars),
    ("deployments_roll", deployments::roll),
    ("nodes_are_drained", deployments::drain),
    ("services_are_reached", services::reached),
    ("services_are_named", services::named),
    ("services_are_governed", services::governed),
    ("logs_exec_and_copies", streams::logs_exec_and_copies),
    ("ports_are_forwarded", streams::ports_are_forwarded),
    ("owners_take_dependents_along", objects::garbage),
    ("daemons_resume", resilience::daemons_resume),
    (
        "no_acknowledged_write_is_lost",
        resilience::no_acknowledged_write_is_lost,
    ),
];
