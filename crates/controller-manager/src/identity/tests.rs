use std::sync::Mutex;

use client::Request;
use client::transport::fake::{FakeTransport, json};
use component_base::clock::SystemClock;

use super::*;

/// A server without accounts at first, whose tokens are numbered.
fn server() -> FakeTransport {
    let state = Mutex::new((false, 0));
    FakeTransport::new(move |request| {
        let mut state = state.lock().expect("lock");
        match (request.method().as_str(), request.uri().path()) {
            ("POST", "/api/v1/namespaces/kube-system/serviceaccounts/x-controller/token") if state.0 => {
                state.1 += 1;
                Ok(json(201, format!(r#"{{"status":{{"token":"t{}"}}}}"#, state.1)))
            }
            ("POST", "/api/v1/namespaces/kube-system/serviceaccounts") => {
                state.0 = true;
                Ok(json(201, "{}"))
            }
            ("GET", _) => Ok(json(200, "{}")),
            _ => Ok(json(
                404,
                r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404}"#,
            )),
        }
    })
}

#[tokio::test(start_paused = true)]
async fn the_account_is_made_when_missing_and_its_token_renewed() {
    let transport = server();
    let config = Config {
        qps: 0.0,
        ..Config::default()
    };
    let root = Client::with_transport(config.clone(), Arc::new(transport.clone()));
    let identities = Identities::separate(
        root,
        config,
        Arc::new(transport.clone()),
        SystemClock::shared(),
        Shutdown::new(),
    );
    let client = identities
        .client("x-controller", (1, 1))
        .await
        .expect("not shut down");
    let paths: Vec<String> = transport
        .take()
        .iter()
        .map(|request| request.uri().path().to_owned())
        .collect();
    assert_eq!(paths.len(), 3, "{paths:?}");

    let sent = async || {
        client.send(Request::get("/x")).await.expect("answered");
        let sent = transport.take().pop().expect("sent");
        sent.headers()["authorization"].to_str().expect("text").to_owned()
    };
    assert_eq!(sent().await, "Bearer t1");
    tokio::time::sleep(Duration::from_secs(3000)).await;
    assert_eq!(sent().await, "Bearer t2");
}
