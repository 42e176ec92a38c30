//! Lists that are too long to be held whole: streamed, and yet the same document as a short one in pieces.

mod support;

use std::io::Read;

use api::Message;
use api::core::v1::ConfigMapList;
use serde_json::{Value, json};
use support::{Answer, TestServer};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const COUNT: usize = 150;

async fn filled() -> TestServer {
    let server = TestServer::start().await;
    for n in 0..COUNT {
        let text = format!("{n} ").repeat(1000);
        let map = json!({ "metadata": { "name": format!("map-{n:03}") }, "data": { "text": text } });
        assert_eq!(server.call("POST", MAPS, map).await.code, 201);
    }
    server
}

async fn list(server: &TestServer, query: &str, headers: &[(&str, &str)]) -> Answer {
    let answer = server.send("GET", &format!("{MAPS}{query}"), headers, "").await;
    assert_eq!(answer.code, 200);
    answer
}

#[tokio::test]
async fn a_long_list_is_the_sum_of_its_pages() {
    let server = filled().await;
    let whole = list(&server, "", &[]).await;
    assert!(whole.body.len() > 256 * 1024 && !whole.headers.contains_key("content-encoding"));
    assert!(whole.body.ends_with(b"]}\n"));
    let whole = whole.json();
    assert_eq!(
        (&whole["kind"], &whole["apiVersion"]),
        (&json!("ConfigMapList"), &json!("v1"))
    );
    assert_eq!(
        whole["metadata"],
        json!({ "resourceVersion": (COUNT + 1).to_string() })
    );
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        // Short enough to be made at once.
        let page = list(&server, &format!("?limit=20&continue={token}"), &[])
            .await
            .json();
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!((items.len(), &Value::from(items)), (COUNT, &whole["items"]));
}

fn inflated(answer: &Answer) -> Vec<u8> {
    let (mut inflated, mut decoder) = (Vec::new(), flate2::read::GzDecoder::new(&answer.body[..]));
    decoder.read_to_end(&mut inflated).expect("gzip");
    assert!(decoder.into_inner().is_empty(), "one stream is all there is");
    inflated
}

#[tokio::test]
async fn compressed_lists_are_those_of_their_time() {
    let server = filled().await;
    let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let check = async || {
        for accept in [
            "application/json",
            "application/vnd.kubernetes.protobuf",
            metadata,
        ] {
            for query in ["", "?fieldSelector=metadata.name!=map-000"] {
                let plain = list(&server, query, &[("accept", accept)]).await;
                for _ in 0..2 {
                    let headers = [("accept", accept), ("accept-encoding", "gzip")];
                    let compressed = list(&server, query, &headers).await;
                    assert_eq!(compressed.headers["content-encoding"], "gzip");
                    assert!(inflated(&compressed) == plain.body, "{accept} {query}");
                }
            }
        }
    };
    check().await;
    let text = "changed ".repeat(500);
    let changed = json!({ "metadata": { "name": "map-070" }, "data": { "text": text } });
    let path = format!("{MAPS}/map-070");
    assert_eq!(server.call("PUT", &path, changed).await.code, 200);
    check().await;
    assert_eq!(
        server
            .call("DELETE", &format!("{MAPS}/map-000"), json!({}))
            .await
            .code,
        200
    );
    check().await;
}

#[tokio::test]
async fn in_protobuf_compressed_and_of_metadata() {
    let server = filled().await;
    // Streamed, made at once, and with a wish that is about JSON.
    for (query, count) in [("", COUNT), ("?limit=20", 20), ("?limit=20&pretty=true", 20)] {
        let protobuf = list(
            &server,
            query,
            &[("accept", "application/vnd.kubernetes.protobuf")],
        )
        .await;
        let envelope = api::codec::envelope::unwrap(&protobuf.body).expect("an envelope");
        assert_eq!(
            (envelope.type_meta.kind, envelope.type_meta.api_version),
            ("ConfigMapList", "v1")
        );
        let decoded = ConfigMapList::decode(envelope.raw).expect("a list");
        assert_eq!(decoded.items.len(), count, "{query}");
        let last = &decoded.items[count - 1].metadata;
        assert_eq!(last.resource_version, (count + 1).to_string(), "{query}");
    }

    let plain = list(&server, "", &[]).await;
    let compressed = list(&server, "", &[("accept-encoding", "gzip")]).await;
    assert_eq!(compressed.headers["content-encoding"], "gzip");
    assert_eq!(inflated(&compressed), plain.body);

    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let metadata = list(&server, "", &[("accept", accept)]).await.json();
    assert_eq!(metadata["kind"], "PartialObjectMetadataList");
    let items = metadata["items"].as_array().cloned().unwrap_or_default();
    assert_eq!(items.len(), COUNT);
    assert_eq!(
        (&items[7]["kind"], &items[7]["metadata"]["name"]),
        (&json!("PartialObjectMetadata"), &json!("map-007"))
    );
}
