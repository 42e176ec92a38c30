//! kube-controller-manager.

use std::process::ExitCode;

use component_base::{logging, options};
use controller_manager::{Options, flags, run};

fn main() -> ExitCode {
    options::run_command(&flags(), |values| {
        logging::init(&values)?;
        values.warn_ignored();
        let options = Options::new(&values)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .worker_threads(2)
            .build()?;
        Ok(runtime.block_on(run(options))?)
    })
}
