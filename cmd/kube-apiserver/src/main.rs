//! kube-apiserver: the API of the cluster.

use std::process::ExitCode;

use component_base::options::{Values, run_command};
use component_base::{logging, shutdown};
use control_plane::{ControlPlane, Error, Options, options, store};

/// Bodies, objects and frames of 1 to 16 KB come and go on all threads: the C library's allocator takes a third more
/// processor time for them (docs/BENCHMARKS.md). How it is set up stands in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    if let Some(("store", rest)) = arguments
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        return run_store_command(rest);
    }
    run_command(&options::flags(), |values| run(&values))
}

/// What is done with stores, beside or without a server.
fn run_store_command(arguments: &[String]) -> ExitCode {
    let outcome = runtime().and_then(|runtime| runtime.block_on(store::commands::run(arguments)));
    match outcome {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("Error: {}", component_base::options::chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)
}

fn run(values: &Values) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(values)?;
    values.warn_ignored();
    let options = Options::from_values(values)?;
    runtime()?.block_on(async {
        let shutdown = shutdown::signal()?;
        ControlPlane::build(options, shutdown).await?.run().await?;
        Ok(())
    })
}
