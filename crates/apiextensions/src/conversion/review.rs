//! ConversionReview: what a webhook is sent and what it answers. Pure.

use api::Message;
use api::apiextensions::v1::ConversionReview;
use api::codec;
use apimachinery::quote::quote;
use bytes::Bytes;

const GROUP: &str = "apiextensions.k8s.io";
const KIND: &str = "ConversionReview";

/// Of the review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V1beta1,
}

impl Version {
    /// The first that a webhook names and the server knows.
    pub fn choose(named: &[String]) -> Option<Version> {
        named.iter().find_map(|name| match name.as_str() {
            "v1" => Some(Version::V1),
            "v1beta1" => Some(Version::V1beta1),
            _ => None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Version::V1 => "v1",
            Version::V1beta1 => "v1beta1",
        }
    }
}

/// Why an answer converts nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Unreadable(String),
    /// It is none to the question, or says that something is wrong.
    #[error("{0}")]
    Refused(String),
}

/// The review that asks for documents in a version.
pub fn question(version: Version, uid: &str, desired: &str, documents: &[Bytes]) -> Vec<u8> {
    let length: usize = documents.iter().map(|document| document.len() + 1).sum();
    let mut out = Vec::with_capacity(length + 256);
    let desired = serde_json::Value::from(desired);
    let head = format!(
        r#"{{"kind":"{KIND}","apiVersion":"{GROUP}/{}","request":{{"uid":"{uid}","desiredAPIVersion":{desired},"objects":["#,
        version.name()
    );
    out.extend_from_slice(head.as_bytes());
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(document.trim_ascii_end());
    }
    out.extend_from_slice(b"]}}");
    out
}

/// The documents of the answer to the question of that uid.
pub fn read(answer: &[u8], version: Version, uid: &str) -> Result<Vec<Vec<u8>>, Error> {
    let parsed = codec::json_to_proto(&api::types::apiextensions_v1::CONVERSION_REVIEW, answer)
        .map_err(|error| Error::Unreadable(error.to_string()))?;
    let review =
        ConversionReview::decode(&parsed.proto).map_err(|error| Error::Unreadable(error.to_string()))?;
    let refused = |why: String| Err(Error::Refused(why));
    let (group, stated) = parsed
        .api_version
        .split_once('/')
        .unwrap_or(("", &parsed.api_version));
    let is_of_kind = (group, stated, parsed.kind.as_str()) == (GROUP, version.name(), KIND);
    // The older version has no such rule.
    if version == Version::V1 && !is_of_kind {
        return refused(format!(
            "expected webhook response of {GROUP}/v1, Kind={KIND}, got {group}/{stated}, Kind={}",
            parsed.kind
        ));
    }
    let Some(response) = review.response else {
        return refused("no response provided".to_owned());
    };
    if version == Version::V1 && response.uid != uid {
        let (wanted, got) = (quote(uid), quote(&response.uid));
        return refused(format!("expected response.uid={wanted}, got {got}"));
    }
    let result = &response.result;
    if result.status != "Success" {
        return refused(match result.message.as_str() {
            "" => format!("response.result.status was '{}', not 'Success'", result.status),
            message => message.to_owned(),
        });
    }
    Ok(response
        .converted_objects
        .into_iter()
        .map(|object| object.raw)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_asks_for_a_version() {
        let documents = [Bytes::from("{\"a\":1}\n"), Bytes::from("{}")];
        let question = question(Version::V1, "u", "x.io/v2", &documents);
        assert_eq!(
            String::from_utf8(question).expect("text"),
            r#"{"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1","request":{"uid":"u","desiredAPIVersion":"x.io/v2","objects":[{"a":1},{}]}}"#
        );
    }

    #[test]
    fn the_first_known_version_is_spoken() {
        let choose = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Version::choose(&names)
        };
        assert_eq!(choose(&["v9", "v1beta1", "v1"]), Some(Version::V1beta1));
        assert_eq!(choose(&["v1"]), Some(Version::V1));
        assert_eq!(choose(&["v9"]), None);
    }

    #[test]
    fn answers_are_judged() {
        let check = |version: Version, answer: &str, expected: &str| {
            let line = match read(answer.as_bytes(), version, "u") {
                Ok(objects) => {
                    let objects = objects.iter().map(|object| String::from_utf8_lossy(object));
                    objects.collect::<Vec<_>>().join(" ")
                }
                Err(error) => format!("{error}"),
            };
            assert_eq!(line, expected, "{answer}");
        };
        let v1 = |response: &str| {
            format!(
                r#"{{"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1","response":{response}}}"#
            )
        };
        let good = r#"{"uid":"u","convertedObjects":[{"a":1},{"b":2}],"result":{"status":"Success"}}"#;
        check(Version::V1, &v1(good), r#"{"a":1} {"b":2}"#);
        check(Version::V1beta1, &v1(good), r#"{"a":1} {"b":2}"#);
        check(
            Version::V1,
            &v1(good).replace("/v1", "/v1beta1"),
            "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got apiextensions.k8s.io/v1beta1, Kind=ConversionReview",
        );
        check(Version::V1, &v1("null"), "no response provided");
        check(
            Version::V1,
            &v1(r#"{"uid":"other"}"#),
            r#"expected response.uid="u", got "other""#,
        );
        let failed = r#"{"uid":"other","result":{"status":"Failure","message":"no way"}}"#;
        check(Version::V1beta1, &v1(failed), "no way");
        check(
            Version::V1,
            &v1(r#"{"uid":"u","result":{}}"#),
            "response.result.status was '', not 'Success'",
        );
    }
}
