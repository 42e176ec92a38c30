//! A program on a terminal of its own, as a person runs it.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};
use nix::unistd::ttyname;

use crate::kubectl::{end, exit_code, run};
use crate::transcript::Transcript;
use crate::{Failure, Outcome};

pub struct Terminal {
    keyboard: File,
    /// The program's side, by which its size is changed.
    device: PathBuf,
    child: Child,
    pub screen: Transcript,
}

#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

fn failed(error: impl std::fmt::Display) -> Failure {
    format!("terminal: {error}")
}

impl Terminal {
    /// Runs `command` as the leader of a session whose terminal this is, so that it is told of changed sizes.
    pub fn run(command: &Command, size: Size) -> Result<Self, Failure> {
        let window = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&window, None).map_err(failed)?;
        let device = ttyname(&pair.slave).map_err(failed)?;
        let side = || pair.slave.try_clone().map(Stdio::from).map_err(failed);
        let mut session = Command::new("setsid");
        session
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| value.map(|value| (name, value))),
            )
            .stdin(side()?)
            .stdout(side()?)
            .stderr(side()?);
        let child = session.spawn().map_err(failed)?;
        // The screen ends when the last copy of the program's side is closed; ours go here.
        drop(session);
        drop(pair.slave);
        let screen: OwnedFd = pair.master.try_clone().map_err(failed)?;
        Ok(Self {
            keyboard: File::from(pair.master),
            device,
            child,
            screen: Transcript::of(File::from(screen)),
        })
    }

    pub fn type_keys(&mut self, keys: &str) -> Outcome {
        self.keyboard.write_all(keys.as_bytes()).map_err(failed)
    }

    pub fn resize(&self, size: Size) -> Outcome {
        let mut stty = Command::new("stty");
        stty.arg("-F").arg(&self.device);
        stty.args(["rows", &size.rows.to_string(), "cols", &size.columns.to_string()]);
        run(&mut stty).map(drop)
    }

    /// The program's exit code, once it has ended by itself.
    pub fn exit_code(&mut self) -> Result<Option<i32>, Failure> {
        exit_code(&mut self.child)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
