//! The plugin's interface: gRPC over a Unix socket.
//!
//! Upstream: `kms/apis/v2/api.proto`, `kmsv2/grpc_service.go`.

use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixStream as BlockingStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;

use super::KmsOptions;
use super::envelope::EncryptedObject;
use super::metrics::KmsMetrics;

#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusRequest {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusResponse {
    #[prost(string, tag = "1")]
    pub version: String,
    #[prost(string, tag = "2")]
    pub healthz: String,
    #[prost(string, tag = "3")]
    pub key_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EncryptRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub plaintext: Vec<u8>,
    #[prost(string, tag = "2")]
    pub uid: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EncryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub ciphertext: Vec<u8>,
    #[prost(string, tag = "2")]
    pub key_id: String,
    #[prost(btree_map = "string, bytes", tag = "3")]
    pub annotations: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DecryptRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub ciphertext: Vec<u8>,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub key_id: String,
    #[prost(btree_map = "string, bytes", tag = "4")]
    pub annotations: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DecryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub plaintext: Vec<u8>,
}

/// A client of one plugin. Cheap to clone; connects when it is used, and again after the plugin was restarted.
#[derive(Clone)]
pub(super) struct Service {
    channel: Channel,
    name: String,
    timeout: Duration,
    metrics: Option<Arc<KmsMetrics>>,
}

impl Service {
    pub fn new(options: &KmsOptions) -> Self {
        let socket: Arc<Path> = options.socket.clone().into();
        let connect = move |_: Uri| {
            let socket = socket.clone();
            async move { connect(&socket).await.map(TokioIo::new) }
        };
        let channel = Endpoint::from_static("http://localhost")
            .connect_timeout(options.timeout)
            .connect_with_connector_lazy(tower::service_fn(connect));
        Self {
            channel,
            name: options.name.clone(),
            timeout: options.timeout,
            metrics: options.metrics.clone(),
        }
    }

    pub async fn status(&self) -> Result<StatusResponse, String> {
        self.call("/v2.KeyManagementService/Status", StatusRequest {})
            .await
    }

    pub async fn encrypt(&self, plaintext: &[u8]) -> Result<EncryptResponse, String> {
        let request = EncryptRequest {
            plaintext: plaintext.to_vec(),
            uid: uid()?,
        };
        self.call("/v2.KeyManagementService/Encrypt", request).await
    }

    pub async fn decrypt(&self, object: &EncryptedObject) -> Result<Vec<u8>, String> {
        let request = DecryptRequest {
            ciphertext: object.encrypted_source.clone(),
            uid: uid()?,
            key_id: object.key_id.clone(),
            annotations: object.annotations.clone(),
        };
        let response: DecryptResponse = self.call("/v2.KeyManagementService/Decrypt", request).await?;
        Ok(response.plaintext)
    }

    async fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A, String>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let began = Instant::now();
        let call = async {
            let mut grpc = tonic::client::Grpc::new(self.channel.clone());
            grpc.ready()
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(method);
            grpc.unary(tonic::Request::new(request), path, ProstCodec::default())
                .await
        };
        let outcome = tokio::time::timeout(self.timeout, call)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("the plugin did not answer in time")));
        if let Some(metrics) = &self.metrics {
            let code = outcome.as_ref().err().map(Status::code);
            metrics.called(&self.name, method, code, began.elapsed());
        }
        outcome
            .map(tonic::Response::into_inner)
            .map_err(|status| format!("{method}: {}", status.message()))
    }
}

/// Names a request in the plugin's logs.
fn uid() -> Result<String, String> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| "no random numbers".to_owned())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn connect(socket: &Path) -> std::io::Result<UnixStream> {
    match socket.as_os_str().as_bytes().strip_prefix(b"@") {
        None => UnixStream::connect(socket).await,
        Some(name) => {
            let stream = BlockingStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        }
    }
}

/// The socket of an endpoint as configurations give it: `unix:///run/kms.sock`, `unix:///@name`.
pub fn socket(endpoint: &str) -> Option<PathBuf> {
    let path = endpoint.strip_prefix("unix://")?;
    match path.strip_prefix("/@") {
        Some(name) if !name.is_empty() => Some(PathBuf::from(format!("@{name}"))),
        None if path.starts_with('/') && path.len() > 1 => Some(PathBuf::from(path)),
        _ => None,
    }
}
