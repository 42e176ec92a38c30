//! Processes under test: the API server and etcd, started, paused, killed.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Error;

/// How a process is started, again and again.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
    pub log: PathBuf,
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    program: Program,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Process {
    pub fn start(program: Program) -> Result<Self, Error> {
        let child = spawn(&program)?;
        Ok(Self { program, child })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> &Path {
        &self.program.log
    }

    /// SIGKILL: no destructor runs, no buffer is flushed.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.child.kill().map_err(Error::io("kill"))?;
        self.child.wait().map_err(Error::io("wait for the killed"))?;
        Ok(())
    }

    pub fn restart(&mut self) -> Result<(), Error> {
        self.child = spawn(&self.program)?;
        Ok(())
    }

    pub fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::SIGSTOP)
    }

    pub fn go_on(&self) -> Result<(), Error> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        kill(Pid::from_raw(self.child.id() as i32), signal)
            .map_err(|error| Error::io(format!("{signal}"))(error.into()))
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

fn spawn(program: &Program) -> Result<Child, Error> {
    let log = || File::options().create(true).append(true).open(&program.log);
    let log = log().map_err(Error::io(format!("open {}", program.log.display())))?;
    Command::new(&program.path)
        .args(&program.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(Error::io(format!("start {}", program.path.display())))
}

/// Free when asked; should another process take it first, the one that wanted it says so and ends.
pub fn free_address() -> Result<SocketAddr, Error> {
    let port = etcd_fixture::ports::free_port().map_err(Error::io("no free port"))?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

/// The path of a program of the machine, if it is installed.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// Memory that a process holds now and at its peak, in KiB.
pub fn memory_kib(id: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}
