use std::process::ExitCode;
use std::sync::Arc;

use component_base::clock::SystemClock;
use component_base::options::{Values, run_command};
use component_base::{logging, shutdown};
use proxy::command::Runner;
use proxy::daemon::{self, Daemon};
use proxy::options::{Options, flags};

fn main() -> ExitCode {
    run_command(&flags(), run)
}

/// One thread runs everything: the work is in the kernel and in the packet filter's tools.
#[tokio::main(flavor = "current_thread")]
async fn run(values: Values) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(&values)?;
    values.warn_ignored();
    let options = Options::new(&values)?;
    if options.cleanup {
        return Ok(daemon::cleanup(&Runner::default()).await?);
    }
    if options.init_only {
        daemon::initialize(&options.config);
        return Ok(());
    }
    adjust_oom_score(options.config.oom_score_adj);
    let (shutdown, clock) = (shutdown::signal()?, SystemClock::shared());
    let daemon = Daemon::build(options.config, Arc::clone(&clock)).await?;
    let changed = async {
        match options.file {
            Some(file) => file.changed(clock).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = daemon.run(shutdown.clone()) => Ok(()),
        // Whoever supervises the daemon starts it again, with the new configuration.
        () = changed => {
            shutdown.trigger();
            Err("content of the proxy server's configuration file was updated".into())
        }
    }
}

/// Without privileges a score can only be raised; the proxy works either way.
fn adjust_oom_score(score: Option<i32>) {
    let Some(score) = score else { return };
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
        tracing::info!(score, %error, "OOM score can't be adjusted");
    }
}
