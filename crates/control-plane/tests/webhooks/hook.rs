//! A webhook in this process: an HTTPS server that answers by the path it is asked at, and keeps what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use component_base::serving::{self, Options, Request, Response, body};
use component_base::shutdown::Shutdown;
use component_base::tls::{ClientCertificates, MinVersion, in_memory, server_config};
use http_body_util::BodyExt;
use jiff::Timestamp;
use pki::{AltNames, Authority, PrivateKey, Subject, Template, Usage};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// See the module.
pub struct Hook {
    pub address: SocketAddr,
    /// PEM in base64, as configurations have it.
    pub ca_bundle: String,
    asked: Arc<Mutex<Vec<Value>>>,
    shutdown: Shutdown,
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Hook {
    /// Serves on a free port, with a certificate for these names.
    pub async fn start(names: &[&str]) -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (authority, tls) = certificates(names);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shutdown = Shutdown::new();
        let seen = asked.clone();
        let handler = Arc::new(move |request: Request| {
            let seen = seen.clone();
            async move { answer(request, &seen).await }
        });
        let serving = serving::Server::new(Options::default());
        tokio::spawn(serving.serve(listener, Some(tls), handler, shutdown.clone()));
        Hook {
            address,
            ca_bundle: base64::Engine::encode(&base64::engine::general_purpose::STANDARD, authority),
            asked,
            shutdown,
        }
    }

    /// What it was asked since the last time, oldest first.
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn certificates(names: &[&str]) -> (String, Arc<rustls::ServerConfig>) {
    let now = Timestamp::now();
    let (not_before, not_after) = (now - Duration::from_secs(60), now + Duration::from_secs(3600));
    let authority = Authority::self_signed("hooks", not_before, not_after).expect("an authority");
    let key = PrivateKey::generate().expect("a key");
    let mut alt_names = AltNames::default();
    names.iter().for_each(|name| alt_names.push(name));
    let template = Template {
        subject: Subject::new("hook", &[]),
        alt_names,
        usages: vec![Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ServerAuth],
        not_before,
        not_after,
    };
    let certificate = authority.issue(&template, key.public()).expect("a certificate");
    let chain = vec![CertificateDer::from_pem_slice(certificate.to_pem().as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(key.to_pem().as_bytes()).expect("PEM");
    let resolver = in_memory(chain, key).expect("a pair");
    let config =
        server_config(resolver, ClientCertificates::None, MinVersion::Tls12).expect("a configuration");
    (authority.certificate().to_pem(), config)
}

async fn answer(request: Request, seen: &Mutex<Vec<Value>>) -> Response {
    let path = request.uri().path().to_owned();
    let bytes = request.into_body().collect().await.expect("a body").to_bytes();
    let mut review: Value = serde_json::from_slice(&bytes).expect("an AdmissionReview");
    let uid = review["request"]["uid"].clone();
    let object = review["request"]["object"].clone();
    review["path"] = path.as_str().into();
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(review);
    let patch = |operations: Value| {
        let patch =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, operations.to_string());
        json!({ "uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": patch })
    };
    let response = match path.as_str() {
        "/deny" => json!({ "uid": uid, "allowed": false }),
        "/explain" => {
            json!({ "uid": uid, "allowed": false, "status": { "message": "not today", "code": 418, "reason": "Tea" } })
        }
        "/reason" => json!({ "uid": uid, "allowed": false, "status": { "reason": "Tea", "code": 200 } }),
        "/warn" => json!({ "uid": uid, "allowed": true, "warnings": ["take care"] }),
        "/stranger" => json!({ "uid": "other", "allowed": true }),
        "/meddle" => json!({ "uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": "W10=" }),
        "/one" => patch(json!([{ "op": "add", "path": "/data/one", "value": "1" }])),
        "/two" if object["data"]["one"] == "1" => {
            patch(json!([{ "op": "add", "path": "/data/two", "value": "2" }]))
        }
        "/absent" => patch(json!([{ "op": "remove", "path": "/data/absent" }])),
        "/unlike" => patch(json!([{ "op": "replace", "path": "/data", "value": 5 }])),
        "/slow" => std::future::pending().await,
        "/broken" => {
            let mut response = Response::new(body::full("no luck"));
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        }
        _ => json!({ "uid": uid, "allowed": true }),
    };
    let review =
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
    Response::new(body::full(review.to_string()))
}
