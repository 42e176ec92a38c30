//! Two instances of a daemon, one of which acts: the other takes over when it stops, and when it is gone.

#![allow(clippy::panic)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::coordination::v1::Lease;
use component_base::options::{FlagSet, Invocation, Values};
use component_base::shutdown::Shutdown;
use testkit::ApiServer;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A tenth of the defaults, but for the retry period: whoever waits has to see renewals.
const LEASE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

/// An instance of a daemon.
struct Instance {
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Instance {
    fn start<F>(run: impl FnOnce(Shutdown) -> F) -> Instance
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shutdown = Shutdown::new();
        let task = tokio::spawn(run(shutdown.clone()));
        Instance { shutdown, task }
    }
}

fn values(flags: &FlagSet, kubeconfig: &Path, more: &[&str]) -> Values {
    let common = [
        "--leader-elect-lease-duration=3s",
        "--leader-elect-renew-deadline=2s",
        "--leader-elect-retry-period=500ms",
        "--secure-port=0",
    ];
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let arguments = common
        .into_iter()
        .chain(more.iter().copied())
        .chain([kubeconfig.as_str()]);
    match flags.parse(arguments) {
        Ok(Invocation::Run(values)) => values,
        other => panic!("{:?}", other.map(|_| "printed")),
    }
}

async fn scheduler(kubeconfig: PathBuf, shutdown: Shutdown) {
    let values = values(&scheduler::options::flags(), &kubeconfig, &[]);
    let options = scheduler::options::Options::new(&values).expect("options");
    let scheduler = scheduler::task::Scheduler::build(options)
        .await
        .expect("a scheduler");
    scheduler.run(shutdown).await.expect("a lease that is kept");
}

async fn controller_manager(kubeconfig: PathBuf, shutdown: Shutdown) {
    let flags = controller_manager::flags();
    // One controller is enough: it is the lease that counts.
    let values = values(&flags, &kubeconfig, &["--controllers=ttl-controller"]);
    let options = controller_manager::Options::new(&values).expect("options");
    let run = controller_manager::run_until(options, shutdown);
    run.await.expect("a lease that is kept");
}

/// Waits until somebody but `before` holds the lease; says who.
async fn next_holder(server: &ApiServer, lease: &str, before: &str) -> String {
    let leases = server.client().api::<Lease>().namespace("kube-system");
    let started = Instant::now();
    loop {
        let holder = leases
            .get(lease)
            .await
            .ok()
            .and_then(|lease| lease.spec.holder_identity);
        if let Some(holder) = holder.filter(|holder| !holder.is_empty() && holder != before) {
            return holder;
        }
        assert!(started.elapsed() < PATIENCE, "nobody took {lease}");
        tokio::time::sleep(POLL).await;
    }
}

async fn check<F>(lease: &str, user: &str, daemon: fn(PathBuf, Shutdown) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = ApiServer::start().await;
    let kubeconfig = server.kubeconfig(user, &[]);
    let start = || Instance::start(|shutdown| daemon(kubeconfig.clone(), shutdown));
    let first = start();
    let holder = next_holder(&server, lease, "").await;
    let second = start();
    // Longer than the lease: the first one keeps it.
    let leases = server.client().api::<Lease>().namespace("kube-system");
    tokio::time::sleep(LEASE + LEASE / 2).await;
    let kept = leases.get(lease).await.expect("the lease");
    assert_eq!(kept.spec.holder_identity.as_deref(), Some(holder.as_str()));

    // Told to stop, it gives the lease up: the other one needs not wait for its end.
    let stopped = Instant::now();
    first.shutdown.trigger();
    first.task.await.expect("ended");
    let holder = next_holder(&server, lease, &holder).await;
    assert!(stopped.elapsed() < LEASE, "{:?}", stopped.elapsed());

    // Gone without a word, it is waited for, as long as its lease lasts.
    let third = start();
    tokio::time::sleep(LEASE).await;
    let died = Instant::now();
    second.task.abort();
    next_holder(&server, lease, &holder).await;
    assert!(died.elapsed() < LEASE + LEASE / 5, "{:?}", died.elapsed());
    third.shutdown.trigger();
    third.task.await.expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_takes_over() {
    check("kube-scheduler", "system:kube-scheduler", scheduler).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_manager_takes_over() {
    check(
        "kube-controller-manager",
        "system:kube-controller-manager",
        controller_manager,
    )
    .await;
}
