//! A webhook in this process: it answers by the path that it is asked at, and keeps what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use component_base::serving::{Request, Response, body};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::https::Https;

/// See the module.
pub struct Hook {
    pub address: SocketAddr,
    /// PEM in base64, as configurations have it.
    pub ca_bundle: String,
    asked: Arc<Mutex<Vec<Value>>>,
    _server: Https,
}

impl Hook {
    /// Serves with a certificate for these names.
    pub async fn start(names: &[&str]) -> Hook {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let handler = move |request: Request| {
            let seen = seen.clone();
            async move { answer(request, &seen).await }
        };
        let server = Https::start(names, Arc::new(handler)).await;
        Hook {
            address: server.address,
            ca_bundle: server.ca_bundle.clone(),
            asked,
            _server: server,
        }
    }

    /// What it was asked since the last time, oldest first.
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
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
        "/elsewhere" => patch(json!([{ "op": "replace", "path": "/metadata/namespace", "value": "other" }])),
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
