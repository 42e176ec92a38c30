//! kubectl, and waiting for what it shows.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::terminal::{Size, Terminal};
use crate::transcript::Transcript;
use crate::{Failure, Outcome};

/// Longest wait for a condition; the machine may have two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(200);

/// A kubectl program.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    /// As `v1.20.2`.
    pub version: String,
}

impl Program {
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let shown = run(Command::new(path).args(["version", "--client", "-o", "json"]))?;
        let shown: Value =
            serde_json::from_str(&shown).map_err(|error| format!("{}: {error}", path.display()))?;
        let version = shown["clientVersion"]["gitVersion"].as_str();
        Ok(Self {
            path: path.to_owned(),
            version: version.ok_or("kubectl doesn't tell its version")?.to_owned(),
        })
    }
}

/// kubectl with a kubeconfig and namespace.
#[derive(Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Kubectl {
    pub fn new(program: &Program, kubeconfig: &Path, namespace: &str) -> Self {
        Self {
            program: program.path.clone(),
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
    pub fn follow(&self, args: &[&str]) -> Result<Running, Failure> {
        let mut command = self.command(args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().map_err(|error| format!("kubectl: {error}"))?;
        let output = child.stdout.take().ok_or("kubectl has no standard output")?;
        Ok(Running {
            child,
            output: Transcript::of(output),
        })
    }

    /// Starts a command on a terminal of its own.
    pub fn on_terminal(&self, args: &[&str], size: Size) -> Result<Terminal, Failure> {
        Terminal::run(&self.command(args), size)
    }

    /// Edits an object with a sed script for an editor.
    pub fn edit(&self, object: &str, script: &str) -> Result<String, Failure> {
        let mut command = self.command(&["edit", object]);
        // What can't be saved is left in a temporary file.
        let folder = self.kubeconfig.parent().unwrap_or(Path::new("/"));
        command
            .env("KUBE_EDITOR", format!("sed -i '{script}'"))
            .env("TMPDIR", folder);
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("kubectl: {error}"))?;
        // "edit cancelled" goes to the one or the other, depending on the version.
        let stdout = outcome(&["edit"], &output)?;
        Ok(stdout + &String::from_utf8_lossy(&output.stderr))
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
pub struct Running {
    child: Child,
    pub output: Transcript,
}

impl Running {
    /// The exit code, once it has ended by itself.
    pub fn exit_code(&mut self) -> Result<Option<i32>, Failure> {
        exit_code(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The exit code of a process that ends by itself; none if it was a signal.
pub fn exit_code(child: &mut Child) -> Result<Option<i32>, Failure> {
    eventually("the program ends", || {
        let status = child.try_wait().map_err(|error| error.to_string())?;
        status
            .map(|status| status.code())
            .ok_or_else(|| "it still runs".to_owned())
    })
}

/// Ends a process that may have ended by itself.
pub fn end(child: &mut Child) {
    // Both fail only if it has.
    let _ended = child.kill();
    let _reaped = child.wait();
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
