//! A real cluster of two nodes, driven by kubectl.
//!
//! `e2e [NAME...]` brings a cluster up under a name and ranges of its own, runs the cases (all, or those whose name
//! contains one of the arguments), and removes it again, also after a failure. With `OXIKUBE_E2E_KUBECONFIG` set it
//! runs them against a cluster that `hack/up` made before, and leaves that alone.
//!
//! [`cluster`] brings up and down, [`kubectl`] runs commands and waits for conditions, [`cases`] are what is checked.

mod cases;
mod cluster;
mod kubectl;

use std::process::ExitCode;
use std::time::Instant;

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
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in cases::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let began = Instant::now();
        let outcome = cluster.in_namespace(name, |namespace| case(&cluster, namespace));
        let seconds = began.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("ok     {name} ({seconds:.1} s)");
            }
            Err(failure) => {
                failed += 1;
                println!("FAILED {name} ({seconds:.1} s)\n{failure}\n");
            }
        }
    }
    if failed > 0 {
        cluster.print_state();
    }
    drop(cluster);
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
