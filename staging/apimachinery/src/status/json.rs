//! The JSON form of a Status, in the field order of upstream.

use serde_json::Value;

use super::{Cause, Details, Reason, Status};

/// Bytes that are no Status document.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("not JSON")]
    Json(#[from] serde_json::Error),
    #[error("not a Status, but {kind:?}")]
    Kind { kind: String },
}

/// Writes the members of one JSON object, leaving empty ones out.
struct Members {
    out: Vec<u8>,
    first: bool,
}

impl Members {
    fn open() -> Members {
        Members {
            out: vec![b'{'],
            first: true,
        }
    }

    fn raw(&mut self, name: &str, json: &[u8]) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out.extend_from_slice(json);
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.raw(name, quoted(value).as_bytes());
        }
    }

    fn number(&mut self, name: &str, value: i64) {
        if value != 0 {
            self.raw(name, value.to_string().as_bytes());
        }
    }

    fn close(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

/// A string with the characters escaped that would matter inside HTML, as upstream writes it.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    if !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return json;
    }
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

pub(super) fn encode(status: &Status) -> Vec<u8> {
    let mut members = Members::open();
    members.text("kind", "Status");
    members.text("apiVersion", "v1");
    let mut metadata = Members::open();
    metadata.text("continue", status.continue_token.as_deref().unwrap_or_default());
    members.raw("metadata", &metadata.close());
    members.text("status", if status.is_success() { "Success" } else { "Failure" });
    members.text("message", &status.message);
    members.text("reason", status.reason.as_str());
    if let Some(details) = &status.details {
        members.raw("details", &encode_details(details));
    }
    // A success carries no code upstream, apart from the one in the response line.
    if !status.is_success() {
        members.number("code", i64::from(status.code));
    }
    members.close()
}

fn encode_details(details: &Details) -> Vec<u8> {
    let mut members = Members::open();
    members.text("name", &details.name);
    members.text("group", &details.group);
    members.text("kind", &details.kind);
    members.text("uid", &details.uid);
    if !details.causes.is_empty() {
        let causes: Vec<Vec<u8>> = details.causes.iter().map(encode_cause).collect();
        members.raw("causes", &[b"[".as_slice(), &causes.join(&b','), b"]"].concat());
    }
    members.number("retryAfterSeconds", i64::from(details.retry_after_seconds));
    members.close()
}

fn encode_cause(cause: &Cause) -> Vec<u8> {
    let mut members = Members::open();
    members.text("reason", &cause.reason);
    members.text("message", &cause.message);
    members.text("field", &cause.field);
    members.close()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Status, DecodeError> {
    let document: Value = serde_json::from_slice(bytes)?;
    let kind = text(&document, "kind");
    if kind != "Status" {
        return Err(DecodeError::Kind { kind });
    }
    let success = document["status"] == "Success";
    Ok(Status {
        code: number(&document, "code").unwrap_or(if success { 200 } else { 500 }),
        reason: Reason::from(document["reason"].as_str().unwrap_or_default()),
        message: text(&document, "message"),
        details: document
            .get("details")
            .filter(|details| details.is_object())
            .map(decode_details),
        continue_token: Some(text(&document["metadata"], "continue")).filter(|token| !token.is_empty()),
    })
}

fn decode_details(details: &Value) -> Details {
    let causes = details["causes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    Details {
        name: text(details, "name"),
        group: text(details, "group"),
        kind: text(details, "kind"),
        uid: text(details, "uid"),
        causes: causes.iter().map(decode_cause).collect(),
        retry_after_seconds: number(details, "retryAfterSeconds").unwrap_or(0),
    }
}

fn decode_cause(cause: &Value) -> Cause {
    Cause {
        reason: text(cause, "reason"),
        message: text(cause, "message"),
        field: text(cause, "field"),
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn number<T: TryFrom<i64>>(value: &Value, name: &str) -> Option<T> {
    value[name].as_i64().and_then(|number| T::try_from(number).ok())
}
