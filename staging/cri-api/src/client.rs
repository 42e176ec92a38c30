//! A client of a runtime behind a unix socket.

use crate::{
    error::{Code, Error},
    runtime::{EventStream, Limit},
    v1::{self, image_service_client::ImageServiceClient, runtime_service_client::RuntimeServiceClient},
};
use futures_util::{StreamExt, TryStreamExt};
use hyper_util::rt::TokioIo;
use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// The largest answer taken; a node with thousands of containers lists within it. Upstream's bound.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// How long a dial may take before the call fails as unavailable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Told of each call's name, duration and outcome: what metrics are made from.
pub trait Observer: Send + Sync {
    fn called(&self, call: &'static str, took: Duration, outcome: Result<(), Code>);
}

/// A lazily connected channel to both services; clones share it.
#[derive(Clone)]
pub struct Client {
    runtime: Channel,
    images: Channel,
    timeout: Duration,
    observer: Option<Arc<dyn Observer>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the runtime at `runtime`, and of the image service at `images` (the same one when empty).
    /// Nothing is dialled before the first call, so the runtime may start later and may restart.
    pub fn new(runtime: &str, images: &str, timeout: Duration) -> Result<Self, Error> {
        let channel = dial(runtime)?;
        let image_channel = if images.is_empty() || images == runtime {
            channel.clone()
        } else {
            dial(images)?
        };
        Ok(Self {
            runtime: channel,
            images: image_channel,
            timeout,
            observer: None,
        })
    }

    /// Reports every call to `observer`.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    pub(crate) fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.runtime.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.images.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Runs `call` under its limit and reports it.
    pub(crate) async fn observed<T>(
        &self,
        name: &'static str,
        limit: Limit,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let result = match self.duration(limit) {
            Some(limit) => tokio::time::timeout(limit, call)
                .await
                .unwrap_or(Err(Error::Deadline { call: name, limit })),
            None => call.await,
        };
        if let Some(observer) = &self.observer {
            observer.called(
                name,
                begun.elapsed(),
                result.as_ref().map(|_| ()).map_err(Error::code),
            );
        }
        result
    }

    fn duration(&self, limit: Limit) -> Option<Duration> {
        match limit {
            Limit::Times(n) => Some(self.timeout * n),
            Limit::After(seconds) => {
                Some(self.timeout + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
            }
            Limit::Unbounded => None,
        }
    }

    pub(crate) async fn open_events(&self) -> Result<EventStream, Error> {
        let response = self
            .runtime()
            .get_container_events(v1::GetEventsRequest {})
            .await?;
        Ok(response.into_inner().map_err(Error::from).boxed())
    }
}

/// The path in an endpoint: `unix:///run/x.sock`, `unix:/run/x.sock` or a bare path.
pub fn socket_path(endpoint: &str) -> Result<PathBuf, Error> {
    let path = endpoint
        .strip_prefix("unix:")
        .map_or(endpoint, |rest| rest.strip_prefix("//").unwrap_or(rest));
    if path.starts_with('/') {
        Ok(Path::new(path).to_path_buf())
    } else {
        Err(Error::Endpoint {
            endpoint: endpoint.to_owned(),
        })
    }
}

fn dial(endpoint: &str) -> Result<Channel, Error> {
    let path = socket_path(endpoint)?;
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The authority is what the runtime sees as host; gRPC over a unix socket says localhost.
    Ok(Endpoint::from_static("http://localhost")
        .connect_timeout(CONNECT_TIMEOUT)
        .connect_with_connector_lazy(connector))
}

#[cfg(test)]
mod tests {
    use super::socket_path;

    #[test]
    fn endpoints() {
        for (endpoint, path) in [
            (
                "unix:///run/containerd/containerd.sock",
                Some("/run/containerd/containerd.sock"),
            ),
            ("unix:/run/crio.sock", Some("/run/crio.sock")),
            ("/run/crio.sock", Some("/run/crio.sock")),
            ("tcp://127.0.0.1:1", None),
            ("run/crio.sock", None),
        ] {
            assert_eq!(
                socket_path(endpoint).ok().as_deref(),
                path.map(std::path::Path::new),
                "{endpoint}"
            );
        }
    }
}
