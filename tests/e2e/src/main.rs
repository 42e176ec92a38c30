//! A real cluster of two nodes, driven by kubectl.
//!
//! `e2e [NAME...]` brings a cluster up under a name and ranges of its own, runs the cases (all, or those whose name
//! contains one of the arguments), and removes it again, also after a failure. With `OXIKUBE_E2E_KUBECONFIG` set it
//! runs them against a cluster that `hack/up` made before, and leaves that alone. `OXIKUBE_E2E_KUBECTLS` names the
//! kubectl programs, separated by colons: all cases are run with the first, those about commands with each.
//!
//! [`cluster`] brings up and down, [`kubectl`] runs commands and waits for conditions, [`transcript`] and [`terminal`]
//! are what a person at the keyboard sees; [`cases`] are what is checked, and [`runner`] runs them.

mod cases;
mod cluster;
mod kubectl;
mod runner;
mod terminal;
mod transcript;

use std::process::ExitCode;

use cluster::Cluster;

/// What went wrong, with the output that shows it.
pub type Failure = String;
pub type Outcome = Result<(), Failure>;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let cluster = match Cluster::bring_up() {
        Ok(cluster) => cluster,
        Err(failure) => {
            eprintln!("cannot bring the cluster up: {failure}");
            return ExitCode::FAILURE;
        }
    };
    let tally = runner::run(&cluster, &wanted);
    if tally.failed > 0 {
        cluster.print_state();
    }
    drop(cluster);
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 && tally.passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
