//! One function an RPC: our types in, ours out, etcd's refusals as our errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use super::proto;
use super::proto::Operation;
use crate::{Error, Expect, Found, Key, KeyValue, RangeResponse, Revision};

/// etcd's words for its refusals: they come as text in a status.
const COMPACTED: &str = "required revision has been compacted";
const FUTURE: &str = "required revision is a future revision";
const TOO_LARGE: &str = "request is too large";

/// A client of the services that are used.
#[derive(Clone)]
pub(super) struct Calls {
    channel: Channel,
    timeout: Duration,
    /// Shared by all clones.
    compacted: Arc<AtomicU64>,
}

/// What a member says of itself.
pub(super) struct MemberStatus {
    pub version: String,
    pub bytes: u64,
}

impl Calls {
    pub fn new(channel: Channel, timeout: Duration) -> Self {
        Self {
            channel,
            timeout,
            compacted: Arc::default(),
        }
    }

    pub async fn get(&self, key: &[u8], revision: Option<Revision>) -> Result<Found<KeyValue>, Error> {
        let request = proto::RangeRequest {
            revision: number(revision),
            ..proto::get(key)
        };
        let response = self.range(request, revision).await?;
        let found = response.kvs.into_iter().next().map(key_value);
        Ok((header(response.header.as_ref()), found))
    }

    /// At most `limit` keys under the prefix, after `after`.
    pub async fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        revision: Option<Revision>,
    ) -> Result<RangeResponse, Error> {
        let response = self.range_page(prefix, after, limit, revision).await?;
        let remaining = (response.count as u64).saturating_sub(response.kvs.len() as u64);
        Ok(RangeResponse {
            revision: revision.unwrap_or_else(|| header(response.header.as_ref())),
            items: response.kvs.into_iter().map(key_value).collect(),
            remaining,
        })
    }

    /// As [`Calls::page`], in etcd's words: with leases.
    pub async fn range_page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        revision: Option<Revision>,
    ) -> Result<proto::RangeResponse, Error> {
        let mut request = proto::under(prefix);
        request.limit = limit as i64;
        request.revision = number(revision);
        if let Some(after) = after.filter(|after| *after >= prefix) {
            request.key = [after, &[0]].concat().into();
        }
        self.range(request, revision).await
    }

    pub async fn count(&self, prefix: &[u8]) -> Result<(Revision, u64), Error> {
        let response = self
            .range(
                proto::RangeRequest {
                    count_only: true,
                    ..proto::under(prefix)
                },
                None,
            )
            .await?;
        Ok((header(response.header.as_ref()), response.count as u64))
    }

    pub async fn commit(&self, key: &[u8], expect: Expect, operation: Operation) -> Result<Revision, Error> {
        let mod_revision = match expect {
            Expect::Absent => 0,
            Expect::Unchanged(revision) => revision.0 as i64,
        };
        let size = match &operation {
            Operation::Put(put) => put.key.len() + put.value.len(),
            _ => key.len(),
        };
        let transaction = proto::compare_and_swap(key, mod_revision, operation);
        let response: proto::TxnResponse = self
            .unary("/etcdserverpb.KV/Txn", transaction)
            .await
            .map_err(|status| write_refusal(&status, size))?;
        if response.succeeded {
            return Ok(header(response.header.as_ref()));
        }
        let read = response
            .responses
            .into_iter()
            .next()
            .and_then(|response| response.range);
        let current = read.and_then(|range| range.kvs.into_iter().next()).map(key_value);
        Err(Error::Conflict {
            key: Key::from(key),
            current,
        })
    }

    pub async fn compact(&self, revision: Revision) -> Result<(), Error> {
        let request = proto::CompactionRequest {
            revision: revision.0 as i64,
        };
        match self
            .unary::<_, proto::CompactionResponse>("/etcdserverpb.KV/Compact", request)
            .await
        {
            // Another server may have been quicker.
            Err(status) if !status.message().contains(COMPACTED) => {
                Err(self.refusal(&status, Some(revision)).await)
            }
            _ => {
                self.compacted.fetch_max(revision.0, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    pub fn compacted(&self) -> Revision {
        Revision(self.compacted.load(Ordering::Relaxed))
    }

    /// A new lease; its keys are deleted when the time has passed.
    pub async fn grant(&self, ttl: Duration) -> Result<i64, Error> {
        let request = proto::LeaseGrantRequest {
            ttl: ttl.as_secs().max(1) as i64,
        };
        let response: proto::LeaseGrantResponse = self
            .unary("/etcdserverpb.Lease/LeaseGrant", request)
            .await
            .map_err(|status| unavailable(&status))?;
        if response.error.is_empty() {
            Ok(response.id)
        } else {
            Err(Error::Unavailable(response.error))
        }
    }

    /// How long the lease lasts; zero when it has ended.
    pub async fn time_to_live(&self, lease: i64) -> Result<Duration, Error> {
        let request = proto::LeaseTimeToLiveRequest { id: lease };
        let response: proto::LeaseTimeToLiveResponse = self
            .unary("/etcdserverpb.Lease/LeaseTimeToLive", request)
            .await
            .map_err(|status| unavailable(&status))?;
        // etcd says -1 of a lease that is gone.
        Ok(Duration::from_secs(u64::try_from(response.ttl).unwrap_or(0)))
    }

    pub async fn status(&self) -> Result<MemberStatus, Error> {
        let response: proto::StatusResponse = self
            .unary("/etcdserverpb.Maintenance/Status", proto::StatusRequest {})
            .await
            .map_err(|status| unavailable(&status))?;
        Ok(MemberStatus {
            version: response.version,
            bytes: response.db_size as u64,
        })
    }

    /// Opens a stream of watches.
    pub async fn watch(
        &self,
        commands: impl Stream<Item = proto::WatchRequest> + Send + 'static,
    ) -> Result<Streaming<proto::WatchResponse>, Error> {
        let mut grpc = self.grpc().await.map_err(|status| unavailable(&status))?;
        let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
        let call = grpc.streaming(tonic::Request::new(commands), path, ProstCodec::default());
        let response = tokio::time::timeout(self.timeout, call)
            .await
            .map_err(|_| timed_out())?;
        response
            .map(tonic::Response::into_inner)
            .map_err(|status| unavailable(&status))
    }

    async fn range(
        &self,
        request: proto::RangeRequest,
        revision: Option<Revision>,
    ) -> Result<proto::RangeResponse, Error> {
        match self.unary("/etcdserverpb.KV/Range", request).await {
            Ok(response) => Ok(response),
            Err(status) => Err(self.refusal(&status, revision).await),
        }
    }

    /// A refused read. The newest revision is asked for, as etcd doesn't tell it with the refusal.
    async fn refusal(&self, status: &Status, requested: Option<Revision>) -> Error {
        let requested = requested.unwrap_or_default();
        if status.message().contains(COMPACTED) {
            // etcd doesn't say which is the oldest: a later one at least.
            return Error::Compacted {
                requested,
                oldest: requested.next(),
            };
        }
        if !status.message().contains(FUTURE) {
            return unavailable(status);
        }
        match self
            .unary::<_, proto::RangeResponse>("/etcdserverpb.KV/Range", proto::get(super::PROBE))
            .await
        {
            Ok(response) => Error::Future {
                requested,
                newest: header(response.header.as_ref()),
            },
            Err(status) => unavailable(&status),
        }
    }

    async fn unary<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let call = async {
            let mut grpc = self.grpc().await?;
            let path = PathAndQuery::from_static(path);
            grpc.unary(tonic::Request::new(request), path, ProstCodec::default())
                .await
        };
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("etcd did not answer in time")),
        }
    }

    async fn grpc(&self) -> Result<tonic::client::Grpc<Channel>, Status> {
        // A page of large values is far above tonic's default of 4 MB.
        let mut grpc = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(grpc)
    }
}

fn timed_out() -> Error {
    Error::Unavailable("etcd did not answer in time".into())
}

fn unavailable(status: &Status) -> Error {
    Error::Unavailable(format!("etcd: {}", status.message()))
}

fn write_refusal(status: &Status, size: usize) -> Error {
    let message_too_large =
        status.code() == Code::ResourceExhausted && status.message().contains("larger than max");
    if status.message().contains(TOO_LARGE) || message_too_large {
        // etcd's default; it doesn't tell its own.
        return Error::TooLarge {
            size,
            limit: 1_572_864,
        };
    }
    unavailable(status)
}

fn number(revision: Option<Revision>) -> i64 {
    revision.map_or(0, |revision| revision.0 as i64)
}

pub(super) fn header(header: Option<&proto::ResponseHeader>) -> Revision {
    Revision(header.map_or(0, |header| header.revision as u64))
}

/// Copied: what was decoded shares the buffer of the whole answer, which must not outlive it.
pub(super) fn key_value(kv: proto::KeyValue) -> Arc<KeyValue> {
    Arc::new(KeyValue {
        key: Key::from(&kv.key[..]),
        value: Bytes::copy_from_slice(&kv.value).into(),
        create_revision: Revision(kv.create_revision as u64),
        mod_revision: Revision(kv.mod_revision as u64),
    })
}
