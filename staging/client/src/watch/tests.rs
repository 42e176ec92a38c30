use api::core::v1::Pod;
use futures_util::StreamExt;

use super::*;
use crate::request::PROTOBUF;
use crate::transport::full;

fn response(content_type: &str, body: Vec<u8>) -> http::Response<Body> {
    http::Response::builder()
        .header("content-type", content_type)
        .body(full(body))
        .expect("valid")
}

async fn names(content_type: &str, body: Vec<u8>) -> Vec<String> {
    let stream = WatchStream::<Pod>::new(response(content_type, body));
    let render = |event: Result<WatchEvent<Pod>, Error>| match event {
        Ok(WatchEvent::Added(pod)) => format!("added {}", pod.metadata.name),
        Ok(WatchEvent::Modified(pod)) => format!("modified {}", pod.metadata.name),
        Ok(WatchEvent::Deleted(pod)) => format!("deleted {}", pod.metadata.name),
        Ok(WatchEvent::Bookmark(bookmark)) => format!("bookmark {}", bookmark.resource_version),
        Ok(WatchEvent::Error(status)) => format!("error {}", status.code),
        Err(error) => error.to_string(),
    };
    stream.map(render).collect().await
}

#[tokio::test]
async fn json_watch() {
    let body = br#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}}
{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"12"}}}
{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410,"reason":"Expired","message":"old"}}
{"type":"WHAT","object":{}}
"#;
    let events = names("application/json;stream=watch", body.to_vec()).await;
    let unknown = "undecodable answer: unknown watch event type \"WHAT\"";
    assert_eq!(events, ["added a", "bookmark 12", "error 410", unknown]);
}

/// A WatchEvent in its frame, encoded by hand: type = 1, object = 2 { raw = 1 }.
fn frame(type_: &str, pod: &Pod) -> Vec<u8> {
    use api::Message;
    let object = wire::wrap("v1", "Pod", &pod.encode_to_vec());
    assert!(object.len() < 120, "lengths must fit one byte");
    let mut event = vec![0x0a, type_.len() as u8];
    event.extend_from_slice(type_.as_bytes());
    event.extend_from_slice(&[0x12, object.len() as u8 + 2, 0x0a, object.len() as u8]);
    event.extend_from_slice(&object);
    let mut out = (event.len() as u32).to_be_bytes().to_vec();
    out.append(&mut event);
    out
}

#[tokio::test]
async fn protobuf_watch_and_a_stream_cut_short() {
    let mut pod = Pod::default();
    pod.metadata.name = "a".into();
    pod.metadata.resource_version = "5".into();
    let mut body = frame("MODIFIED", &pod);
    body.extend(frame("BOOKMARK", &pod));
    body.extend(&frame("DELETED", &pod)[..9]);
    let events = names(&format!("{PROTOBUF};stream=watch"), body).await;
    let cut = "undecodable answer: watch ended in the middle of an event";
    assert_eq!(events, ["modified a", "bookmark 5", cut]);
}
