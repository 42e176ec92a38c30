//! A watch of a prefix: etcd's responses as events and progress.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tonic::Streaming;

use super::calls::{Calls, header, key_value};
use super::proto::{self, DELETED, WatchCommand, WatchResponse};
use super::range_end;
use crate::{Error, Event, Key, Revision, WatchItem, WatchStream};

/// Commands that may wait to be sent: the creation, and requests for progress.
const MAX_COMMANDS: usize = 4;

/// An open watch.
pub(super) struct EtcdWatch {
    responses: Streaming<WatchResponse>,
    commands: mpsc::Sender<proto::WatchRequest>,
    /// The revision that the watch began after.
    after: Revision,
    /// Events of a response that comes in fragments.
    partial: Vec<proto::Event>,
}

/// Opens a watch and waits until etcd has taken it.
pub(super) async fn open(calls: &Calls, prefix: &Key, after: Option<Revision>) -> Result<EtcdWatch, Error> {
    let (commands, mut queue) = mpsc::channel(MAX_COMMANDS);
    let create = proto::WatchCreateRequest {
        key: proto::under(prefix).key,
        range_end: range_end(prefix),
        start_revision: after.map_or(0, |after| after.next().0 as i64),
        progress_notify: true,
        prev_kv: true,
        fragment: true,
    };
    let create = proto::WatchRequest {
        request: Some(WatchCommand::Create(create)),
    };
    commands.try_send(create).map_err(|_| ended())?;
    let responses = calls
        .watch(stream::poll_fn(move |context| queue.poll_recv(context)))
        .await?;
    let mut watch = EtcdWatch {
        responses,
        commands,
        after: after.unwrap_or_default(),
        partial: Vec::new(),
    };
    let created = watch.response().await?;
    if !created.created || created.canceled {
        return Err(watch.cancellation(&created));
    }
    if after.is_none() {
        watch.after = header(created.header.as_ref());
    }
    Ok(watch)
}

impl EtcdWatch {
    /// Asks for a progress notification, unless enough are asked for already.
    pub fn request_progress(&self) {
        let request = Some(WatchCommand::Progress(proto::WatchProgressRequest {}));
        // Full: the requests before this one will be answered as well.
        drop(self.commands.try_send(proto::WatchRequest { request }));
    }

    /// The next events or progress. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Result<WatchItem, Error> {
        loop {
            let response = self.response().await?;
            if response.canceled {
                return Err(self.cancellation(&response));
            }
            if response.events.is_empty() && self.partial.is_empty() {
                return Ok(WatchItem::Progress(header(response.header.as_ref())));
            }
            self.partial.extend(response.events);
            if !response.fragment {
                let events = std::mem::take(&mut self.partial);
                return events
                    .into_iter()
                    .map(|event| self.event(event))
                    .collect::<Result<_, _>>()
                    .map(WatchItem::Events);
            }
        }
    }

    pub fn into_watch_stream(self) -> WatchStream {
        stream::unfold(Some(self), |watch| async move {
            let mut watch = watch?;
            let item = watch.next().await;
            let rest = item.is_ok().then_some(watch);
            Some((item, rest))
        })
        .boxed()
    }

    async fn response(&mut self) -> Result<WatchResponse, Error> {
        match self.responses.message().await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(ended()),
            Err(status) => Err(Error::Unavailable(format!("etcd: {}", status.message()))),
        }
    }

    fn cancellation(&self, response: &WatchResponse) -> Error {
        if response.compact_revision > 0 {
            let oldest = Revision(response.compact_revision as u64);
            return Error::Compacted {
                requested: self.after,
                oldest,
            };
        }
        Error::Unavailable(format!("etcd ended the watch: {}", response.cancel_reason))
    }

    fn event(&self, event: proto::Event) -> Result<Arc<Event>, Error> {
        let kv = event
            .kv
            .ok_or_else(|| Error::Corrupt("etcd sent an event without a key".into()))?;
        let revision = Revision(kv.mod_revision as u64);
        let previous = event.prev_kv.map(key_value);
        // The previous value is gone when its revision was compacted: the watcher has to look at the state anew.
        let is_lost = previous.is_none() && (event.kind == DELETED || kv.create_revision != kv.mod_revision);
        if is_lost {
            return Err(Error::Compacted {
                requested: revision,
                oldest: revision,
            });
        }
        let current = (event.kind != DELETED).then(|| key_value(kv));
        Ok(Arc::new(Event {
            revision,
            current,
            previous,
        }))
    }
}

fn ended() -> Error {
    Error::Unavailable("etcd ended the watch".into())
}
