//! The log as the writer sees it: append with one sync a batch, rotate, replace by a snapshot.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tracing::{error, info};

use super::directory::Directory;
use super::frame::{FrameBuilder, Record};
use super::recovery::Recovery;
use super::segment::{self, LogFile};
use super::{Options, snapshot};
use crate::local::journal::{Journal, JournalError, State};
use crate::local::plan::Planned;
use crate::{Error, Revision};

/// Buffers larger than this are not kept for the next batch.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

pub(super) struct LogJournal {
    directory: Arc<Directory>,
    file: Box<dyn LogFile>,
    /// Length of the open segment: what follows was not acknowledged.
    len: u64,
    next: Revision,
    segment_bytes: u64,
    snapshot_after_bytes: u64,
    last_snapshot_bytes: u64,
    log_bytes: u64,
    /// The snapshot that is being written.
    running: Option<JoinHandle<io::Result<u64>>>,
    buffer: Vec<u8>,
}

impl LogJournal {
    pub fn open(directory: Arc<Directory>, recovery: &Recovery, options: &Options) -> Result<Self, Error> {
        let open = || match recovery.open_segment {
            Some((first, len)) => {
                let file = std::fs::OpenOptions::new()
                    .write(true)
                    .open(directory.segment(first))?;
                Ok((file, len))
            }
            None => Ok((
                segment::create(&directory, recovery.next)?,
                segment::HEADER.len() as u64,
            )),
        };
        let (file, len) =
            open().map_err(|error: io::Error| Error::Unavailable(format!("can't open the log: {error}")))?;
        Ok(Self {
            file: Box::new(file),
            len,
            next: recovery.next,
            segment_bytes: options.segment_bytes,
            snapshot_after_bytes: options.snapshot_after_bytes,
            last_snapshot_bytes: recovery.snapshot_bytes,
            log_bytes: recovery.log_bytes,
            running: None,
            buffer: Vec::new(),
            directory,
        })
    }

    #[cfg(test)]
    pub fn replace_file(&mut self, replace: impl FnOnce(Box<dyn LogFile>) -> Box<dyn LogFile>) {
        let placeholder: Box<dyn LogFile> = Box::new(tempfile::tempfile().unwrap());
        self.file = replace(std::mem::replace(&mut self.file, placeholder));
    }

    fn frame(&mut self, batch: &[Planned]) -> Vec<u8> {
        let mut frame = FrameBuilder::new(std::mem::take(&mut self.buffer), self.next);
        for change in batch {
            match &change.event.current {
                Some(item) => frame.push(Record::Put {
                    create_revision: item.create_revision,
                    expires: change.expires,
                    key: &item.key,
                    value: &item.value.bytes(),
                }),
                None => frame.push(Record::Delete {
                    key: change.event.key(),
                }),
            }
        }
        frame.finish()
    }

    /// After a failed write the file is cut back, so that a later batch follows the last good one.
    fn undo(&mut self, cause: &io::Error) -> JournalError {
        match self.file.truncate(self.len) {
            Ok(()) => JournalError::Refused(format!("the log can't be written: {cause}")),
            Err(error) => JournalError::Broken(format!(
                "the log can't be written ({cause}) nor cut back ({error})"
            )),
        }
    }

    /// Begins the next segment.
    fn rotate(&mut self) -> io::Result<()> {
        let file = segment::create(&self.directory, self.next)?;
        self.file = Box::new(file);
        self.len = segment::HEADER.len() as u64;
        Ok(())
    }

    /// Takes the result of the running snapshot, if there is one: waits for it.
    fn finish_snapshot(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        match running.join() {
            Ok(Ok(bytes)) => self.last_snapshot_bytes = bytes,
            // The log still has everything: tried again when it has grown by as much once more.
            Ok(Err(error)) => error!(%error, "a snapshot can't be written"),
            Err(_) => error!("a snapshot's thread ended by a panic"),
        }
    }

    fn start_snapshot(&mut self, state: State) -> io::Result<()> {
        let directory = self.directory.clone();
        let write = move || {
            let revision = state.view.revision;
            let bytes = snapshot::write(&directory.snapshot(revision), &state)?;
            info!(%revision, bytes, "snapshot written");
            directory.remove_before(revision)?;
            Ok(bytes)
        };
        self.running = Some(
            std::thread::Builder::new()
                .name("store-snapshot".into())
                .spawn(write)?,
        );
        Ok(())
    }
}

/// The directory is locked until its last user is gone: a closed store can be opened again at once.
impl Drop for LogJournal {
    fn drop(&mut self) {
        self.finish_snapshot();
    }
}

impl Journal for LogJournal {
    fn append(&mut self, batch: &[Planned]) -> Result<(), JournalError> {
        let bytes = self.frame(batch);
        if let Err(error) = self.file.write_at(&bytes, self.len) {
            return Err(self.undo(&error));
        }
        if let Err(error) = self.file.sync() {
            // What the kernel has dropped it will not report again: a second sync would lie.
            return Err(JournalError::Broken(format!("the log can't be synced: {error}")));
        }
        self.len += bytes.len() as u64;
        self.log_bytes += bytes.len() as u64;
        self.next = Revision(self.next.0 + batch.len() as u64);
        if bytes.capacity() <= KEPT_BUFFER_BYTES {
            self.buffer = bytes;
        }
        Ok(())
    }

    fn maintain(&mut self, state: &dyn Fn() -> State) {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish_snapshot();
        }
        let is_due = self.log_bytes > self.snapshot_after_bytes.max(self.last_snapshot_bytes);
        let snapshot_now = is_due && self.running.is_none();
        if !snapshot_now && self.len < self.segment_bytes {
            return;
        }
        // A failure leaves the open segment in use: larger than wanted, but whole.
        if let Err(error) = self.rotate() {
            error!(%error, "the next log segment can't be made");
            return;
        }
        if snapshot_now {
            self.log_bytes = 0;
            if let Err(error) = self.start_snapshot(state()) {
                error!(%error, "a snapshot can't be started");
            }
        }
    }
}
