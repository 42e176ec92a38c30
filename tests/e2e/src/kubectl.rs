//! kubectl, and waiting for what it shows.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Failure, Outcome};

/// Longest wait for a condition; the machine may have two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(200);

/// kubectl with a kubeconfig and namespace.
#[derive(Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Kubectl {
    /// `OXIKUBE_E2E_KUBECTL` names another program than the one on the path.
    pub fn new(kubeconfig: &Path, namespace: &str) -> Self {
        let program =
            std::env::var_os("OXIKUBE_E2E_KUBECTL").map_or_else(|| PathBuf::from("kubectl"), PathBuf::from);
        Self {
            program,
            kubeconfig: kubeconfig.to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .args(["--namespace", &self.namespace])
            .args(args);
        command
    }

    /// Standard output of a command that succeeds.
    pub fn run(&self, args: &[&str]) -> Result<String, Failure> {
        run(&mut self.command(args))
    }

    /// Both outputs of a command that must fail.
    pub fn refused(&self, args: &[&str]) -> Result<String, Failure> {
        match self.run(args) {
            Ok(output) => Err(format!("kubectl {args:?} should have failed:\n{output}")),
            Err(output) => Ok(output),
        }
    }

    /// Standard output of a command that is given `input`.
    pub fn run_with(&self, args: &[&str], input: &str) -> Result<String, Failure> {
        use std::io::Write;
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("kubectl: {error}"))?;
        let mut stdin = child.stdin.take().ok_or("kubectl has no standard input")?;
        stdin
            .write_all(input.as_bytes())
            .map_err(|error| format!("kubectl: {error}"))?;
        drop(stdin);
        let output = child
            .wait_with_output()
            .map_err(|error| format!("kubectl: {error}"))?;
        outcome(args, &output)
    }

    pub fn json(&self, args: &[&str]) -> Result<Value, Failure> {
        let args: Vec<_> = args.iter().copied().chain(["-o", "json"]).collect();
        serde_json::from_str(&self.run(&args)?).map_err(|error| format!("kubectl {args:?}: {error}"))
    }

    pub fn apply(&self, manifest: &str) -> Outcome {
        self.run_with(&["apply", "-f", "-"], manifest).map(drop)
    }

    /// Starts a command that goes on, such as `port-forward`; it ends with the guard.
    pub fn start(&self, args: &[&str]) -> Result<Running, Failure> {
        let mut command = self.command(args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
            .spawn()
            .map(Running)
            .map_err(|error| format!("kubectl: {error}"))
    }

    /// A shell command in a pod.
    pub fn exec(&self, pod: &str, script: &str) -> Result<String, Failure> {
        self.run(&["exec", pod, "--", "sh", "-c", script])
    }

    /// The pod is Ready.
    pub fn ready(&self, pod: &str) -> Outcome {
        self.run(&[
            "wait",
            "--for=condition=Ready",
            &format!("pod/{pod}"),
            "--timeout=90s",
        ])
        .map(drop)
    }
}

/// A process that is ended when it is no longer needed.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it ended by itself.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Standard output of a program that succeeds; both outputs of one that fails.
pub fn run(command: &mut Command) -> Result<String, Failure> {
    let name = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    outcome(&[&name], &output)
}

fn outcome(what: &[&str], output: &std::process::Output) -> Result<String, Failure> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{} ended with {}\n{stdout}{stderr}",
        what.join(" "),
        output.status
    ))
}

/// Asks again until it holds; the last refusal is the failure.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(value) => return Ok(value),
            Err(failure) if Instant::now() > deadline => return Err(format!("{what}: {failure}")),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// `expected` stands in `text`.
pub fn contains(text: &str, expected: &str) -> Outcome {
    if text.contains(expected) {
        Ok(())
    } else {
        Err(format!("no {expected:?} in:\n{text}"))
    }
}

/// Both are the same.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, expected {expected:?}"))
    }
}
