//! A plugin of our own, behind a real socket, that changes its key, fails and hangs.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use component_base::metrics::Registry;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use plugin_server::serve;
use tonic::body::Body;
use tonic::server::UnaryService;
use tonic::{Request as Call, Response, Status};
use tonic_prost::ProstCodec;

use super::service::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest, StatusResponse,
};
use super::*;

/// What the plugin is like: the number of its key, whether it works, and how often it decrypted.
#[derive(Default)]
struct Plugin {
    key: AtomicU8,
    broken: AtomicU8,
    decrypted: AtomicUsize,
}

const WORKS: u8 = 0;
const SICK: u8 = 1;
const FAILS: u8 = 2;

impl Plugin {
    /// Listens on a socket, on a thread of its own.
    fn listen(self: &Arc<Self>, socket: &Path) {
        let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let plugin = self.clone();
        std::thread::spawn(move || serve(listener, plugin));
    }

    fn status(&self) -> StatusResponse {
        let healthy = self.broken.load(Ordering::SeqCst) == WORKS;
        StatusResponse {
            version: "v2".into(),
            healthz: if healthy { "ok" } else { "sick" }.into(),
            key_id: self.key_id(),
        }
    }

    fn key_id(&self) -> String {
        format!("key-{}", self.key.load(Ordering::SeqCst))
    }

    /// The plugin's cipher: what it is does not matter here, but that the key is needed.
    fn mask(key_id: &str, bytes: &[u8]) -> Vec<u8> {
        let mask = key_id.as_bytes().iter().cycle();
        bytes.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
    }

    fn check(&self) -> Result<(), Status> {
        match self.broken.load(Ordering::SeqCst) {
            FAILS => Err(Status::internal("broken")),
            _ => Ok(()),
        }
    }

    fn encrypt(&self, request: &EncryptRequest) -> EncryptResponse {
        let key_id = self.key_id();
        EncryptResponse {
            ciphertext: Self::mask(&key_id, &request.plaintext),
            annotations: BTreeMap::from([("kind.kms.example.com".to_owned(), b"test".to_vec())]),
            key_id,
        }
    }

    fn decrypt(&self, request: &DecryptRequest) -> Result<DecryptResponse, Status> {
        self.decrypted.fetch_add(1, Ordering::SeqCst);
        if request.annotations.len() != 1 || request.uid.is_empty() {
            return Err(Status::invalid_argument("not what was encrypted"));
        }
        Ok(DecryptResponse {
            plaintext: Self::mask(&request.key_id, &request.ciphertext),
        })
    }
}

/// One method of the service as tonic calls it.
struct Method<F>(F);

impl<F, Q, A> UnaryService<Q> for Method<F>
where
    F: FnMut(Q) -> Result<A, Status>,
    A: Send + 'static,
{
    type Response = A;
    type Future = BoxFuture<'static, Result<Response<A>, Status>>;

    fn call(&mut self, request: Call<Q>) -> Self::Future {
        std::future::ready((self.0)(request.into_inner()).map(Response::new)).boxed()
    }
}

/// gRPC over HTTP/2, with what the store's crates bring.
mod plugin_server {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::service::TowerToHyperService;

    use super::*;

    pub fn serve(listener: std::os::unix::net::UnixListener, plugin: Arc<Plugin>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let plugin = plugin.clone();
                let handler = tower::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let plugin = plugin.clone();
                    async move { Ok::<_, Infallible>(answer(&plugin, request.map(Body::new)).await) }
                });
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let service = TowerToHyperService::new(handler);
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
    }

    async fn answer(plugin: &Plugin, request: http::Request<Body>) -> http::Response<Body> {
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        match method.as_str() {
            "Status" => {
                let status = |_: StatusRequest| plugin.check().map(|()| plugin.status());
                tonic::server::Grpc::new(ProstCodec::default())
                    .unary(Method(status), request)
                    .await
            }
            "Encrypt" => {
                let encrypt = |request: EncryptRequest| plugin.check().map(|()| plugin.encrypt(&request));
                tonic::server::Grpc::new(ProstCodec::default())
                    .unary(Method(encrypt), request)
                    .await
            }
            _ => {
                let decrypt =
                    |request: DecryptRequest| plugin.check().and_then(|()| plugin.decrypt(&request));
                tonic::server::Grpc::new(ProstCodec::default())
                    .unary(Method(decrypt), request)
                    .await
            }
        }
    }
}

struct Bed {
    plugin: Arc<Plugin>,
    folder: tempfile::TempDir,
    registry: Registry,
}

impl Bed {
    fn new() -> Self {
        let bed = Self {
            plugin: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            registry: Registry::new(),
        };
        bed.plugin.listen(&bed.folder.path().join("kms.sock"));
        bed
    }

    fn start(&self) -> Kms {
        Kms::start(KmsOptions {
            name: "test".into(),
            socket: self.folder.path().join("kms.sock"),
            timeout: Duration::from_secs(10),
            metrics: Some(KmsMetrics::new(&self.registry, "server")),
        })
        .unwrap()
    }
}

#[test]
fn values_are_kept_by_seeds_that_the_plugin_encrypts() {
    let bed = Bed::new();
    let kms = bed.start();
    assert_eq!(kms.health(), Ok(()));
    let kept = kms.encrypt(b"/registry/secrets/a", b"hidden").unwrap();
    assert!(kept.starts_with(b"k8s:enc:kms:v2:test:"));
    let plain = kms.decrypt(b"/registry/secrets/a", &kept).unwrap();
    assert_eq!(plain, (Bytes::from_static(b"hidden"), true));
    assert!(
        matches!(kms.decrypt(b"/registry/secrets/b", &kept), Err(Some(_))),
        "bound to its key"
    );
    assert_eq!(kms.decrypt(b"/a", b"k8s:enc:kms:v2:other:x"), Err(None));
    assert_eq!(
        bed.plugin.decrypted.load(Ordering::SeqCst),
        0,
        "the seed is known"
    );
    // After a restart the seed is another one; what was kept before is read once the plugin has decrypted its seed.
    let again = bed.start();
    for _ in 0..3 {
        assert!(again.decrypt(b"/registry/secrets/a", &kept).is_ok());
    }
    assert_eq!(bed.plugin.decrypted.load(Ordering::SeqCst), 1);
    let text = String::from_utf8(bed.registry.render().unwrap()).unwrap();
    for line in [
        "apiserver_envelope_encryption_dek_source_cache_size{provider_name=\"test\"} 2",
        "apiserver_storage_envelope_transformation_cache_misses_total 1",
        "kms_operations_latency_seconds_count{grpc_status_code=\"OK\",method_name=\"/v2.KeyManagementService/Decrypt\",provider_name=\"test\"} 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_are_decrypted_within_async_code_too() {
    let bed = Bed::new();
    let kept = bed.start().encrypt(b"/a", b"x").unwrap();
    let kms = bed.start();
    let read = tokio::spawn(async move { kms.decrypt(b"/a", &kept).map(|(value, _)| value) });
    assert_eq!(read.await.unwrap(), Ok(Bytes::from_static(b"x")));
}

/// What the thread does when it looks at the plugin, step by step.
#[tokio::test]
async fn keys_rotate_and_failures_are_told() {
    let bed = Bed::new();
    let kms = bed.start();
    let mut agent = Agent {
        options: kms.options.clone(),
        shared: kms.shared.clone(),
        version: None,
    };
    let service = Service::new(&kms.options);
    let first = kms.encrypt(b"/a", b"1").unwrap();
    bed.plugin.key.store(1, Ordering::SeqCst);
    assert_eq!(agent.look(&service).await, HEALTHY_INTERVAL);
    assert_eq!(
        kms.decrypt(b"/a", &first),
        Ok((Bytes::from_static(b"1"), false)),
        "stale"
    );
    let second = kms.encrypt(b"/a", b"2").unwrap();
    assert_eq!(kms.decrypt(b"/a", &second), Ok((Bytes::from_static(b"2"), true)));
    for broken in [SICK, FAILS] {
        bed.plugin.broken.store(broken, Ordering::SeqCst);
        assert_eq!(agent.look(&service).await, FAILING_INTERVAL);
        assert!(kms.health().is_err());
        assert!(
            kms.encrypt(b"/a", b"3").is_ok(),
            "the last seed goes on for a while"
        );
    }
    kms.shared.writer.write().as_mut().unwrap().expires = Instant::now() - Duration::from_secs(1);
    let refused = kms.encrypt(b"/a", b"4").unwrap_err();
    assert!(refused.contains("has expired"), "{refused}");
    bed.plugin.broken.store(WORKS, Ordering::SeqCst);
    assert_eq!(agent.look(&service).await, HEALTHY_INTERVAL);
    assert_eq!(kms.health(), Ok(()));
    assert!(kms.encrypt(b"/a", b"5").is_ok());
}

#[test]
fn a_plugin_that_is_not_there_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let kms = Kms::start(KmsOptions {
        name: "gone".into(),
        socket: folder.path().join("none"),
        timeout: Duration::from_secs(10),
        metrics: None,
    })
    .unwrap();
    assert!(kms.health().is_err());
    assert!(kms.encrypt(b"/a", b"x").unwrap_err().contains("has no key"));
}

#[test]
fn endpoints_are_sockets() {
    for (endpoint, path) in [
        ("unix:///run/kms.sock", Some("/run/kms.sock")),
        ("unix:///@kms", Some("@kms")),
        ("unix:///", None),
        ("unix://relative", None),
        ("http://127.0.0.1:1", None),
    ] {
        assert_eq!(service::socket(endpoint), path.map(PathBuf::from), "{endpoint}");
    }
}
