//! `kubeadm`: the phases of a cluster's bootstrap that make certificates and kubeconfigs.
//!
//! `init phase certs all|PHASE`, `init phase kubeconfig all|NAME`, `kubeconfig user`, `version`.
//!
//! Upstream: `cmd/kubeadm`.

mod certs;
mod error;
mod kubeconfig;

use std::process::ExitCode;

use component_base::options::{FlagSet, Invocation, Values};
use component_base::version;

use error::Error;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match run(&arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Error::Help(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("Error: {}", error::chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The text for standard output.
fn run(arguments: &[String]) -> Result<String, Error> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["init", "phase", "certs", phase, ..] => certs::run(phase, &arguments[4..]),
        ["init", "phase", "kubeconfig", name, ..] => kubeconfig::run_phase(name, &arguments[4..]),
        ["kubeconfig", "user", ..] => kubeconfig::run_user(&arguments[2..]),
        ["version" | "--version", ..] => Ok(format!("kubeadm version: {}\n", version::GIT_VERSION)),
        [] | ["help" | "--help" | "-h", ..] => Ok(USAGE.to_owned()),
        _ => Err(Error::Command(words.join(" "))),
    }
}

const USAGE: &str = "Usage:
  kubeadm init phase certs all|PHASE [flags]
  kubeadm init phase kubeconfig all|NAME [flags]
  kubeadm kubeconfig user --client-name=NAME [flags]
  kubeadm version
";

/// Parses the flags of a subcommand.
fn parse(set: &FlagSet, arguments: &[String]) -> Result<Values, Error> {
    match set.parse(arguments.iter().map(String::as_str))? {
        Invocation::Run(values) => Ok(values),
        Invocation::Print(text) => Err(Error::Help(text)),
    }
}
