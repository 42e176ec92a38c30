//! Running the packet filter's tools.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A tool that takes longer hangs: even 100,000 rules are restored in seconds.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How much of a tool's complaint is worth keeping.
const STDERR_CHARS: usize = 2000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot run {program}")]
    Start { program: String, source: std::io::Error },
    #[error("{program} failed ({status}): {stderr}")]
    Failed {
        program: String,
        status: std::process::ExitStatus,
        stderr: String,
    },
    #[error("{program} did not end within {} seconds", TIMEOUT.as_secs())]
    TimedOut { program: String },
}

/// Runs tools, each with the words of `prefix` before it (`ip netns exec NAME`); none means here.
#[derive(Clone, Debug, Default)]
pub struct Runner {
    prefix: Vec<String>,
}

impl Runner {
    pub fn prefixed(prefix: &[&str]) -> Self {
        Self {
            prefix: prefix.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    /// Runs `program` and gives its standard output.
    pub async fn run<S: AsRef<str>>(
        &self,
        program: &str,
        arguments: &[S],
        input: Option<&str>,
    ) -> Result<String, Error> {
        let name = || program.to_owned();
        let mut words = self.prefix.iter().map(String::as_str).chain([program]);
        let mut command = Command::new(words.next().unwrap_or(program));
        command.args(words).args(arguments.iter().map(AsRef::as_ref));
        command.stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let started = |source| Error::Start {
            program: name(),
            source,
        };
        let mut child = command.spawn().map_err(started)?;
        let feed = child.stdin.take();
        let conversation = async {
            let write = async {
                if let (Some(mut pipe), Some(text)) = (feed, input) {
                    // A tool that stops reading says why on stderr, which tells more than a broken pipe.
                    let _ = pipe.write_all(text.as_bytes()).await;
                }
            };
            tokio::join!(write, child.wait_with_output()).1
        };
        let output = tokio::time::timeout(TIMEOUT, conversation)
            .await
            .map_err(|_| Error::TimedOut { program: name() })?
            .map_err(started)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr: String = String::from_utf8_lossy(&output.stderr)
            .trim()
            .chars()
            .take(STDERR_CHARS)
            .collect();
        Err(Error::Failed {
            program: name(),
            status: output.status,
            stderr,
        })
    }
}
