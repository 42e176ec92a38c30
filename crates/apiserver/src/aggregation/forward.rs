//! Requests to backends, in the name of the user that this server knows.

use std::sync::Arc;

use apimachinery::status::Status;
use auth::UserInfo;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::Backend;
use crate::outbound::dial;
use crate::proxy::exchange;
use crate::request::Request;
use crate::response::{Response, plain_error};
use crate::state::Api;

const REMOTE: &str = "x-remote-";

/// Carries a request to its backend and the answer back; upgraded streams are joined.
pub async fn forward(api: &Api, backend: &Arc<Backend>, request: &mut Request) -> Result<Response, Status> {
    let unavailable = |why: &str| plain_error(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    if !backend.available {
        return Ok(unavailable("service unavailable"));
    }
    let tls = match &backend.tls {
        Ok(tls) => tls,
        Err(why) => return Ok(plain_error(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n"))),
    };
    let services = &api.aggregation.services;
    let address = match services.resolve(&backend.namespace, &backend.service, backend.port) {
        Ok(address) => address,
        Err(error) => {
            tracing::warn!(%error, service = backend.service, namespace = backend.namespace, "no address");
            return Ok(unavailable("service unavailable"));
        }
    };
    let unreachable = |error: &dyn std::fmt::Display| {
        // What a request finds out need not wait for the next look.
        api.aggregation.changed.notify_one();
        unavailable(&format!("error trying to reach service: {error}"))
    };
    let stream = match dial::connect(&address, &backend.server_name, tls).await {
        Ok(stream) => stream,
        Err(error) => return Ok(unreachable(&error)),
    };
    let headers = &mut request.head.headers;
    headers.remove(AUTHORIZATION);
    let user = request.user.clone();
    identify(&mut request.head.headers, &user).map_err(Status::internal)?;
    let path = request
        .head
        .uri
        .path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string);
    let _held = api.metrics.long_running(request);
    let authority = address.authority();
    let answer = exchange(
        Box::new(stream),
        &authority,
        &path,
        request,
        &api.lifecycle.drained,
    );
    match answer.await {
        Ok(answer) => Ok(answer),
        Err(error) => Ok(unreachable(&error)),
    }
}

/// States the user, and nobody whom the client states.
pub fn identify(headers: &mut HeaderMap, user: &UserInfo) -> Result<(), http::Error> {
    let stated: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(REMOTE))
        .cloned()
        .collect();
    for name in stated {
        headers.remove(name);
    }
    let mut add = |name: &str, value: &str| -> Result<(), http::Error> {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        headers.append(name, HeaderValue::from_str(value)?);
        Ok(())
    };
    add("x-remote-user", &user.name)?;
    if !user.uid.is_empty() {
        add("x-remote-uid", &user.uid)?;
    }
    for group in &user.groups {
        add("x-remote-group", group)?;
    }
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", escaped(key));
        for value in values {
            add(&name, value)?;
        }
    }
    Ok(())
}

/// A key as the end of a header's name: what must not stand there is written as in URLs. Names of headers know no case.
fn escaped(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            b'!' | b'#' | b'$' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|'
            | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_stated_once() {
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_static("root"));
        headers.insert("x-remote-extra-a", HeaderValue::from_static("b"));
        let mut user = UserInfo::new("ada", &["dev", "ops"]);
        user.extra
            .insert("example.com/scope".to_owned(), vec!["x".to_owned()]);
        identify(&mut headers, &user).expect("headers");
        let mut told: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        told.sort();
        assert_eq!(
            told,
            [
                "x-remote-extra-example.com%2fscope: x",
                "x-remote-group: dev",
                "x-remote-group: ops",
                "x-remote-user: ada"
            ]
        );
    }
}
