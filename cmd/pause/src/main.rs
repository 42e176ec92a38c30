//! The process that holds a pod's namespaces open: it waits for a signal, and collects the children that the
//! pod's other processes leave behind when the pod shares its process namespace.
//!
//! Upstream: build/pause/linux/pause.c

use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

fn main() -> ExitCode {
    let mut signals = std::env::args().skip(1);
    if signals.any(|argument| argument == "-v") {
        println!("pause {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if std::process::id() != 1 {
        // Useful under a debugger, but then nobody sends it orphans.
        eprintln!("Warning: pause should be the first process");
    }
    match wait_for_signal() {
        Ok(signal) => {
            eprintln!("Shutting down, got signal: {signal}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("Error: cannot wait for signals: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Blocks the signals and takes them one by one, so that no handler is needed: the first process of a
/// namespace ignores signals that it has no handler for.
fn wait_for_signal() -> nix::Result<Signal> {
    let mut awaited = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD] {
        awaited.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&awaited), None)?;
    loop {
        match awaited.wait() {
            Ok(Signal::SIGCHLD) => collect_children(),
            Ok(signal) => return Ok(signal),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Several children may have died for one SIGCHLD.
fn collect_children() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
