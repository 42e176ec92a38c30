use std::process::ExitCode;

use component_base::options::{Values, run_command};
use component_base::{logging, shutdown};
use pod_network::daemon::Daemon;
use pod_network::options::{Options, flags};
use pod_network::reconciler::Reconciler;

fn main() -> ExitCode {
    run_command(&flags(), run)
}

/// One thread runs everything: the daemon reacts a few times a minute.
#[tokio::main(flavor = "current_thread")]
async fn run(values: Values) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(&values)?;
    values.warn_ignored();
    let options = Options::new(&values)?;
    if options.cleanup {
        return Ok(Reconciler::new(options.settings).cleanup()?);
    }
    let shutdown = shutdown::signal()?;
    Ok(Daemon::build(options).await?.run(shutdown).await?)
}
