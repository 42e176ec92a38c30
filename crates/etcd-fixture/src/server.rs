//! A server that runs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::ports::free_port;
use crate::{Certificates, Program};

/// A server answers within this after its start, on a busy machine too.
const START_LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Why a server can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("etcd did not answer in time; its log:\n{0}")]
    Late(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    #[error(transparent)]
    Signal(#[from] nix::Error),
}

/// One etcd. It ends, and its data goes, with this value.
pub struct Server {
    process: Child,
    program: Program,
    arguments: Vec<String>,
    client: u16,
    metrics: u16,
    scheme: &'static str,
    directory: tempfile::TempDir,
}

impl Server {
    /// Starts a server and waits until it is healthy. With certificates it talks TLS, and to known clients only.
    pub fn start(program: &Program, certificates: Option<&Certificates>) -> Result<Self, Error> {
        let directory = tempfile::tempdir()?;
        let [client, peer, metrics] = [free_port()?, free_port()?, free_port()?];
        let scheme = if certificates.is_some() { "https" } else { "http" };
        let (url, peer_url) = (
            format!("{scheme}://127.0.0.1:{client}"),
            format!("http://127.0.0.1:{peer}"),
        );
        let mut arguments = vec![
            format!("--data-dir={}", directory.path().join("data").display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-metrics-urls=http://127.0.0.1:{metrics}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=default={peer_url}"),
            "--heartbeat-interval=10".to_owned(),
            "--election-timeout=100".to_owned(),
        ];
        if let Some(files) = certificates {
            arguments.extend([
                "--client-cert-auth".to_owned(),
                format!("--trusted-ca-file={}", files.authority.display()),
                format!("--cert-file={}", files.server.certificate.display()),
                format!("--key-file={}", files.server.key.display()),
            ]);
        }
        let process = spawn(program, &arguments, &directory)?;
        let mut server = Self {
            process,
            program: program.clone(),
            arguments,
            client,
            metrics,
            scheme,
            directory,
        };
        server.wait()?;
        Ok(server)
    }

    /// What `--etcd-servers` takes.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.client)
    }

    pub fn version(&self) -> &str {
        &self.program.version
    }

    /// Ends the process without warning.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts it again on its data, and waits until it is healthy.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.kill()?;
        self.process = spawn(&self.program, &self.arguments, &self.directory)?;
        self.wait()
    }

    /// Connections stay, and nothing is answered from the return of this on.
    pub fn pause(&self) -> Result<(), Error> {
        kill(self.id()?, Signal::SIGSTOP)?;
        waitpid(self.id()?, Some(WaitPidFlag::WUNTRACED))?;
        Ok(())
    }

    pub fn resume(&self) -> Result<(), Error> {
        Ok(kill(self.id()?, Signal::SIGCONT)?)
    }

    fn id(&self) -> Result<Pid, Error> {
        let id = i32::try_from(self.process.id()).map_err(|_| nix::Error::ESRCH)?;
        Ok(Pid::from_raw(id))
    }

    fn wait(&mut self) -> Result<(), Error> {
        let end = Instant::now() + START_LIMIT;
        while Instant::now() < end {
            if self.is_healthy() {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Err(Error::Late(std::fs::read_to_string(
            self.directory.path().join("log"),
        )?))
    }

    /// Whether a quorum can write, as the server says on its port for metrics.
    fn is_healthy(&self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.metrics));
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.contains("\"health\":\"true\""))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A stopped process is killed as well; one that ended already is no failure of the test.
        if let Err(error) = self.kill() {
            eprintln!("etcd {}: {error}", self.program.version);
        }
    }
}

fn spawn(program: &Program, arguments: &[String], directory: &tempfile::TempDir) -> Result<Child, Error> {
    let log = std::fs::File::create(directory.path().join("log"))?;
    Ok(Command::new(&program.path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?)
}
