//! Watches and logs over WebSocket: a message for each event, or for what there is of a log.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, Stream, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Response as HttpResponse, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use apimachinery::status::Status;

use crate::request::Request;
use crate::request::negotiate::Encoding;
use crate::response::{BoxError, Response, full};

/// Subprotocol of a watch whose events are base64 in text messages.
const BASE64: &str = "base64.binary.k8s.io";
const BINARY: &str = "binary.k8s.io";

/// What a message is when the client has named no subprotocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    Text,
    Binary,
}

impl From<Encoding> for Payload {
    fn from(encoding: Encoding) -> Payload {
        if encoding == Encoding::Protobuf {
            Payload::Binary
        } else {
            Payload::Text
        }
    }
}

/// Whether the client asks to switch to WebSocket.
pub fn is_upgrade(request: &Request) -> bool {
    let connection = request
        .header("connection")
        .unwrap_or_default()
        .to_ascii_lowercase();
    connection.contains("upgrade")
        && request
            .header("upgrade")
            .is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Answers the upgrade and sends the frames until either side ends.
pub fn serve(
    request: &mut Request,
    frames: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
    payload: impl Into<Payload>,
) -> Result<Response, Status> {
    let key = request
        .header(SEC_WEBSOCKET_KEY.as_str())
        .ok_or_else(|| Status::bad_request("Sec-WebSocket-Key is missing"))?;
    let accept = derive_accept_key(key.as_bytes());
    let offered = request
        .header(SEC_WEBSOCKET_PROTOCOL.as_str())
        .unwrap_or_default();
    let protocol = offered
        .split(',')
        .map(str::trim)
        .find(|name| [BASE64, BINARY].contains(name))
        .map(str::to_owned);
    let upgrade = request
        .head
        .extensions
        .remove::<OnUpgrade>()
        .ok_or_else(|| Status::bad_request("the connection can't be upgraded"))?;
    let in_base64 = protocol.as_deref() == Some(BASE64);
    let binary = !in_base64 && (payload.into() == Payload::Binary || protocol.as_deref() == Some(BINARY));
    tokio::spawn(async move {
        match upgrade.await {
            Ok(io) => {
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, None).await;
                let messages = frames.map(move |frame| frame.map(|frame| message(frame, in_base64, binary)));
                send_all(socket, messages).await;
            }
            Err(error) => tracing::debug!(%error, "upgrade to WebSocket failed"),
        }
    });
    let mut response = HttpResponse::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(
        SEC_WEBSOCKET_ACCEPT,
        HeaderValue::from_str(&accept).map_err(Status::internal)?,
    );
    if let Some(protocol) = protocol {
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_str(&protocol).map_err(Status::internal)?,
        );
    }
    Ok(response)
}

fn message(frame: Bytes, in_base64: bool, binary: bool) -> Message {
    if in_base64 {
        Message::text(STANDARD.encode(frame))
    } else if binary {
        Message::binary(frame)
    } else {
        Message::text(String::from_utf8_lossy(frame.trim_ascii_end()).into_owned())
    }
}

/// Sends messages, answering pings, until the client closes or the messages end.
async fn send_all<S>(
    socket: WebSocketStream<S>,
    messages: impl Stream<Item = Result<Message, BoxError>> + Send,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut messages = std::pin::pin!(messages);
    let (mut sink, mut source) = socket.split();
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(Ok(message)) = message else { break };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
            incoming = source.next() => match incoming {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    if let Err(error) = sink.close().await {
        tracing::debug!(%error, "closing a WebSocket failed");
    }
}
