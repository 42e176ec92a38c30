use std::process::ExitCode;

use component_base::options::{Values, run_command};
use component_base::{logging, shutdown};
use scheduler::options::{Options, flags};
use scheduler::task::Scheduler;

fn main() -> ExitCode {
    run_command(&flags(), run)
}

/// Two threads: one for cycles, one for what goes over the network meanwhile.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn run(values: Values) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(&values)?;
    values.warn_ignored();
    let shutdown = shutdown::signal()?;
    Ok(Scheduler::build(Options::new(&values)?)
        .await?
        .run(shutdown)
        .await?)
}
