//! `bench`: drives any API server by kubeconfig and prints one JSON line a run.
//!
//! `bench --kubeconfig FILE RUN…`, with runs out of: create, get, list, page, select, patch, lease, fanout, idle,
//! informers, delete. `--pid name=PID` adds the memory and processor time of processes to each line.
//!
//! Modules in reading order: `settings` (flags), `objects` (what is written), `measure` (latencies and the line),
//! `process` (memory, processor time), `target` (connections), `gzip` and `stuck` (clients of other kinds), `requests`
//! and `watches` (the runs).
//!
//! Must not know which server it drives: it speaks to it through the public API only.

mod gzip;
mod measure;
mod objects;
mod process;
mod requests;
mod settings;
mod stuck;
mod target;
mod watches;

use std::process::ExitCode;

use component_base::options::{Values, run_command};

use measure::Outcome;
use settings::Settings;
use target::Target;

/// Why a run can't be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("the kubeconfig can't be used")]
    Config(#[from] client::config::Error),
    #[error("a request failed")]
    Request(#[from] client::Error),
    #[error("the server's answer can't be read: {0}")]
    Answer(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn main() -> ExitCode {
    run_command(&settings::flags(), |values| run(&values).map_err(Into::into))
}

fn run(values: &Values) -> Result<(), Error> {
    let settings = Settings::read(values)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let target = Target::connect(&settings).await?;
        for name in &settings.runs {
            process::reset_peaks(&settings.processes)?;
            let before = process::usage(&settings.processes)?;
            let outcome = run_one(name, &target, &settings).await?;
            let after = process::usage(&settings.processes)?;
            println!("{}", measure::line(name, &settings, &outcome, &before, &after));
        }
        Ok(())
    })
}

async fn run_one(name: &str, target: &Target, settings: &Settings) -> Result<Outcome, Error> {
    match name {
        "create" => requests::create(target, settings).await,
        "get" => requests::get(target, settings).await,
        "list" => requests::list(target, settings, "").await,
        "page" => requests::page(target, settings).await,
        "select" => requests::select(target, settings).await,
        "patch" => requests::patch(target, settings).await,
        "lease" => requests::lease(target, settings).await,
        "delete" => requests::delete_collection(target, settings).await,
        "fanout" => watches::fan_out(target, settings).await,
        "idle" => watches::idle(target, settings).await,
        "informers" => watches::informers(target, settings).await,
        _ => Err(Error::Usage(format!("unknown run {name:?}"))),
    }
}
