//! Passes an upgraded connection (SPDY or WebSocket) through to the runtime's streaming server.

use super::failed;
use bytes::Bytes;
use component_base::serving::{Request, Response, body};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer other than an upgrade is an error message: no more of it than this is of interest.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Repeats the request at `url` and joins both connections once it is upgraded.
pub async fn pass(mut request: Request, url: &str) -> Response {
    if !wants_upgrade(request.headers()) {
        return failed(StatusCode::BAD_REQUEST, "Upgrade request required");
    }
    let client = hyper::upgrade::on(&mut request);
    let (method, headers) = (request.method().clone(), request.headers().clone());
    drop(request);
    let answer = match open(method, &headers, url).await {
        Ok(answer) => answer,
        Err(message) => {
            return failed(
                StatusCode::BAD_GATEWAY,
                format!("error dialing backend: {message}"),
            );
        }
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let limited = http_body_util::Limited::new(answer.into_body(), MAX_ERROR_BYTES);
        let text = limited
            .collect()
            .await
            .map(|all| all.to_bytes())
            .unwrap_or_default();
        return body::text(status, text);
    }
    tokio::spawn(async move {
        let joined = async {
            let (client, backend) = futures_util::try_join!(client, hyper::upgrade::on(answer))?;
            let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
            // Either end may hang up at any time: that is how streams end.
            if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut backend).await {
                tracing::debug!(%error, "stream ended");
            }
            Ok::<(), hyper::Error>(())
        };
        if let Err(error) = joined.await {
            tracing::debug!(%error, "connection was not upgraded");
        }
    });
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    let connection = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut words = connection.flat_map(|value| value.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case("upgrade")) && headers.contains_key(header::UPGRADE)
}

async fn open(
    method: Method,
    headers: &HeaderMap,
    url: &str,
) -> Result<hyper::Response<hyper::body::Incoming>, String> {
    let uri: Uri = url
        .parse()
        .map_err(|_| format!("runtime gave an invalid URL {url:?}"))?;
    let authority = uri
        .authority()
        .ok_or_else(|| format!("runtime gave a URL without a host {url:?}"))?
        .clone();
    let address = (
        authority.host().trim_matches(['[', ']']),
        authority.port_u16().unwrap_or(80),
    );
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to the runtime's streaming server ended");
        }
    });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut builder = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        let own = [header::HOST, header::AUTHORIZATION, header::CONTENT_LENGTH].contains(name);
        if !own {
            builder = builder.header(name, value);
        }
    }
    let request = builder
        .header(header::HOST, authority.as_str())
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upgrades_are_asked_for_in_two_headers() {
        let headers = |pairs: &[(header::HeaderName, &'static str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (name.clone(), http::HeaderValue::from_static(value)))
                .collect()
        };
        assert!(wants_upgrade(&headers(&[
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::UPGRADE, "SPDY/3.1")
        ])));
        assert!(!wants_upgrade(&headers(&[(header::CONNECTION, "Upgrade")])));
        assert!(!wants_upgrade(&headers(&[(header::UPGRADE, "websocket")])));
    }
}
