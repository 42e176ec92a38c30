//! The store on an etcd v3 cluster, versions 3.4 and later: for more than one API server.
//!
//! Reading order: `proto` (the messages that are used), `channel` (connections), `calls` (one function an RPC),
//! `lease` (times to live), `watch` (streams of events), `follow` (mirrors that survive reconnects),
//! `transfer` (everything out of etcd and into it).
//!
//! Keys, values and revisions are etcd's own, so a cluster written by upstream's API server is read as it is.
//!
//! Upstream: `apiserver/pkg/storage/etcd3`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use component_base::metrics::Histogram;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

mod calls;
mod channel;
mod follow;
mod lease;
mod proto;
mod transfer;
mod watch;

use crate::{
    Error, Expect, Follower, Following, Found, Key, KeyValue, RangeRequest, RangeResponse, Revision, Store,
    WatchStream, Write,
};
use calls::Calls;
use lease::Leases;

/// Keys of one answer: an unbounded range is read in pages of one revision, so that no answer grows too large.
const PAGE: usize = 5000;
/// Any key does: a read of it tells the newest revision, and goes through the cluster's leader.
const PROBE: &[u8] = b"/registry/health";

/// How to reach the cluster.
#[derive(Clone)]
pub struct Options {
    /// `http://host:port` or `https://host:port`, as in `--etcd-servers`; tried in turn.
    pub servers: Vec<String>,
    /// For servers with `https`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub connect_timeout: Duration,
    /// Bound of one call.
    pub call_timeout: Duration,
    /// Keys share a lease when their times to live end within this of each other: etcd's cost is per lease.
    pub lease_reuse: Duration,
    /// At most that many keys on a lease.
    pub lease_max_keys: usize,
    /// Keys on each lease.
    pub lease_objects: Option<Histogram>,
}

impl Options {
    pub fn new(servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            tls: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            lease_reuse: Duration::from_secs(60),
            lease_max_keys: 1000,
            lease_objects: None,
        }
    }
}

/// See the module.
pub struct EtcdStore {
    calls: Calls,
    leases: Leases,
}

/// A store over a cluster. Connections are made when they are needed: a server may start before its etcd.
pub fn open(options: Options) -> Result<EtcdStore, Error> {
    let calls = Calls::new(channel::lazy(&options)?, options.call_timeout);
    let leases = Leases::new(options.lease_reuse, options.lease_max_keys, options.lease_objects);
    Ok(EtcdStore { calls, leases })
}

impl EtcdStore {
    async fn read(&self, request: RangeRequest) -> Result<RangeResponse, Error> {
        let wanted = if request.limit == 0 {
            usize::MAX
        } else {
            request.limit
        };
        let mut result = RangeResponse {
            revision: request.revision.unwrap_or_default(),
            items: Vec::new(),
            remaining: 0,
        };
        let (mut after, mut revision) = (request.after, request.revision);
        loop {
            let limit = (wanted - result.items.len()).min(PAGE);
            let page = self
                .calls
                .page(&request.prefix, after.as_deref(), limit, revision)
                .await?;
            // Further pages show the state of the first.
            revision = revision.or(Some(page.revision));
            result.revision = revision.unwrap_or_default();
            result.remaining = page.remaining;
            let count = page.items.len();
            after = page.items.last().map(|item| item.key.clone());
            result.items.extend(page.items);
            if page.remaining == 0 || count == 0 || result.items.len() >= wanted {
                return Ok(result);
            }
        }
    }

    async fn write(&self, key: &[u8], expect: Expect, write: Write) -> Result<Revision, Error> {
        let operation = match write {
            Write::Delete if expect == Expect::Absent => {
                let current = self.calls.get(key, None).await?.1;
                return Err(Error::Conflict {
                    key: Key::from(key),
                    current,
                });
            }
            Write::Delete => proto::delete(key),
            Write::Put { value, ttl: None } => proto::put(key, value, 0),
            Write::Put {
                value,
                ttl: Some(ttl),
            } => {
                let lease = self.leases.lease(&self.calls, ttl).await?;
                proto::put(key, value, lease)
            }
        };
        self.calls.commit(key, expect, operation).await
    }
}

impl Store for EtcdStore {
    fn get<'a>(
        &'a self,
        key: &'a [u8],
        revision: Option<Revision>,
    ) -> BoxFuture<'a, Result<Found<KeyValue>, Error>> {
        self.calls.get(key, revision).boxed()
    }

    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, Error>> {
        self.read(request).boxed()
    }

    fn count<'a>(&'a self, prefix: &'a [u8]) -> BoxFuture<'a, Result<u64, Error>> {
        async move { self.calls.count(prefix).await.map(|(_, count)| count) }.boxed()
    }

    fn commit<'a>(
        &'a self,
        key: &'a [u8],
        expect: Expect,
        write: Write,
    ) -> BoxFuture<'a, Result<Revision, Error>> {
        self.write(key, expect, write).boxed()
    }

    fn watch(&self, prefix: Key, after: Option<Revision>) -> BoxFuture<'_, Result<WatchStream, Error>> {
        async move {
            let stream = watch::open(&self.calls, &prefix, after).await?;
            Ok(stream.into_watch_stream())
        }
        .boxed()
    }

    fn follow(
        &self,
        prefix: Key,
        follower: Arc<dyn Follower>,
    ) -> BoxFuture<'_, Result<Box<dyn Following>, Error>> {
        async move {
            let following = follow::begin(self.calls.clone(), prefix, follower).await?;
            Ok(Box::new(following) as Box<dyn Following>)
        }
        .boxed()
    }

    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        async move { self.calls.get(PROBE, None).await.map(|(revision, _)| revision) }.boxed()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        self.calls.compact(revision).boxed()
    }

    fn compacted(&self) -> Revision {
        self.calls.compacted()
    }

    fn size_on_disk(&self) -> BoxFuture<'_, Result<u64, Error>> {
        async move { self.calls.status().await.map(|status| status.bytes) }.boxed()
    }
}

/// The end of the range of keys that begin with a prefix, as etcd takes it: the first key after them.
fn range_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Bytes::from(end);
        }
    }
    // No key is beyond: etcd's word for that is a zero byte.
    Bytes::from_static(&[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_prefixes() {
        for (prefix, end) in [
            (&b"/pods/"[..], &b"/pods0"[..]),
            (b"a\xff", b"b"),
            (b"\xff\xff", b"\0"),
            (b"", b"\0"),
        ] {
            assert_eq!(range_end(prefix), end);
        }
    }
}
