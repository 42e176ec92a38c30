use component_base::{
    clock::SystemClock,
    features::FeatureGates,
    logging,
    metrics::Registry,
    options::{Values, run_command},
    shutdown,
};
use kubelet::{
    agent::Agent,
    options::{Options, flags},
};
use std::process::ExitCode;

fn main() -> ExitCode {
    run_command(&flags(), run)
}

#[tokio::main(worker_threads = 2)]
async fn run(values: Values) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(&values)?;
    values.warn_ignored();
    let options = Options::new(&values)?;
    let registry = Registry::new();
    registry.describe_process(&FeatureGates::new(component_base::upstream::GATES));
    let shutdown = shutdown::signal()?;
    let agent = Agent::build(options, SystemClock::shared(), &registry).await?;
    Ok(agent.run(shutdown).await?)
}
