//! A small server for trying out a cluster: it says who and where it is.
//!
//! HTTP (`--http`, 8080): `/` describes the server and the request, `/hostname`, `/version`, `/healthz` (fails
//! after `/healthz/fail`), `/readyz`, `/env`, `/exit?code=N`. TCP and UDP (`--echo`, 7777) send back what they
//! get. `--version-name` or the variable VERSION tells two builds of a deployment apart.

mod echo;
mod http;
mod options;

use std::process::ExitCode;
use std::sync::Arc;

use options::Options;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1), |name| std::env::var(name).ok()) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("Error: {message}");
            return ExitCode::FAILURE;
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> std::io::Result<()> {
    // First: threads inherit the signal mask.
    exit_on_termination();
    echo::start(options.echo_port)?;
    println!("echo-server {} on port {}", options.version, options.http_port);
    http::serve(Arc::new(http::Server::new(options)))
}

/// The first process of a container ignores SIGTERM unless it handles it.
fn exit_on_termination() {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    if signals.thread_block().is_ok() {
        std::thread::spawn(move || {
            if let Ok(signal) = signals.wait() {
                println!("received {signal}, exiting");
                std::process::exit(0);
            }
        });
    }
}
