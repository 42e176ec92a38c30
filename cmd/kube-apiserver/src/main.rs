//! kube-apiserver: the API of the cluster.

use std::process::ExitCode;

use component_base::options::{Values, run_command};
use component_base::{logging, shutdown};
use control_plane::{ControlPlane, Error, Options, options};

fn main() -> ExitCode {
    run_command(&options::flags(), |values| run(&values))
}

fn run(values: &Values) -> Result<(), Box<dyn std::error::Error>> {
    logging::init(values)?;
    values.warn_ignored();
    let options = Options::from_values(values)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(async {
        let shutdown = shutdown::signal()?;
        ControlPlane::build(options, shutdown).await?.run().await?;
        Ok(())
    })
}
