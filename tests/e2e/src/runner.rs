//! Runs the cases: those that disturb nobody side by side, the others one after the other, and in the end those about
//! services again in kube-proxy's other mode.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::cases::{self, Case, Needs, Repeats, Scene};
use crate::cluster::{Cluster, ProxyMode};
use crate::kubectl::Program;

/// Cases that run side by side: they mostly wait.
const SIDE_BY_SIDE: usize = 4;

#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
}

/// A case with what distinguishes this run of it.
struct Run<'a> {
    name: String,
    case: &'static Case,
    program: &'a Program,
}

/// Runs what is `wanted`: cases whose name contains one of the words, or all if there are none.
pub fn run(cluster: &Cluster, wanted: &[String]) -> Tally {
    let is_wanted = |run: &Run<'_>| wanted.is_empty() || wanted.iter().any(|word| run.name.contains(word));
    let (mut together, mut alone): (Vec<_>, Vec<_>) = with_kubectls(cluster.programs())
        .into_iter()
        .partition(|run| run.case.needs == Needs::Itself);
    let mut other_mode = in_mode(cluster.programs(), ProxyMode::Iptables);
    for runs in [&mut together, &mut alone, &mut other_mode] {
        runs.retain(is_wanted);
    }
    let tally = Mutex::new(Tally::default());
    side_by_side(cluster, together, &tally);
    for run in alone {
        run_one(cluster, &run, &tally);
    }
    if !other_mode.is_empty() {
        match cluster.switch_proxies(ProxyMode::Iptables) {
            Ok(()) => side_by_side(cluster, other_mode, &tally),
            Err(failure) => report("proxies_are_switched", 0.0, Err(failure), &tally),
        }
    }
    tally
        .into_inner()
        .expect("invariant: a case that panics ends the run")
}

/// All cases with the first program, those about commands with each.
fn with_kubectls(programs: &[Program]) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    for case in cases::ALL {
        let again = if case.repeats == Repeats::Kubectls {
            programs
        } else {
            &programs[..1]
        };
        runs.extend(again.iter().map(|program| Run {
            name: match case.repeats {
                Repeats::Kubectls => format!("{} (kubectl {})", case.name, program.version),
                Repeats::ProxyModes => format!("{} ({})", case.name, ProxyMode::Nftables.as_str()),
                Repeats::Never => case.name.to_owned(),
            },
            case,
            program,
        }));
    }
    runs
}

fn in_mode(programs: &[Program], mode: ProxyMode) -> Vec<Run<'_>> {
    let about_services = |case: &&Case| case.repeats == Repeats::ProxyModes;
    let run = |case: &'static Case| Run {
        name: format!("{} ({})", case.name, mode.as_str()),
        case,
        program: &programs[0],
    };
    cases::ALL.iter().filter(about_services).map(run).collect()
}

fn side_by_side(cluster: &Cluster, mut runs: Vec<Run<'_>>, tally: &Mutex<Tally>) {
    runs.reverse();
    let left = Mutex::new(runs);
    let next = || left.lock().ok()?.pop();
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(run) = next() {
                    run_one(cluster, &run, tally);
                }
            });
        }
    });
}

fn run_one(cluster: &Cluster, run: &Run<'_>, tally: &Mutex<Tally>) {
    let began = Instant::now();
    let outcome = cluster.in_namespace(&run.name, |namespace| {
        (run.case.run)(&Scene {
            cluster,
            kubectl: cluster.kubectl_of(run.program, namespace),
            namespace,
        })
    });
    report(&run.name, began.elapsed().as_secs_f32(), outcome, tally);
}

fn report(name: &str, seconds: f32, outcome: crate::Outcome, tally: &Mutex<Tally>) {
    let mut tally = tally.lock().expect("invariant: nothing panics while it counts");
    match outcome {
        Ok(()) => {
            tally.passed += 1;
            println!("ok     {name} ({seconds:.1} s)");
        }
        Err(failure) => {
            tally.failed += 1;
            println!("FAILED {name} ({seconds:.1} s)\n{failure}\n");
        }
    }
}
