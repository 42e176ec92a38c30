use std::process::ExitCode;

use component_base::clock::SystemClock;
use component_base::options::{Values, run_command};
use component_base::{logging, shutdown};
use dns::daemon::Daemon;
use dns::options::{Options, flags};

fn main() -> ExitCode {
    run_command(&flags(), run)
}

/// One thread answers tens of thousands of questions a second, from memory.
#[tokio::main(flavor = "current_thread")]
async fn run(values: Values) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(&values)?;
    values.warn_ignored();
    let options = Options::new(&values)?;
    let shutdown = shutdown::signal()?;
    Daemon::build(options, SystemClock::shared())
        .await?
        .run(shutdown)
        .await;
    Ok(())
}
