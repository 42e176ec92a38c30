//! Objects within objects. Their kind and apiVersion have no place in protobuf; where upstream's conversion fills them
//! in, whatever a client wrote there, JSON shows them.
//!
//! Upstream: `pkg/apis/apps/v1/conversion.go`.

use std::borrow::Cow;
use std::collections::HashMap;

use api::codec::TypeMeta;
use api::types::Type;
use serde_json::value::RawValue;

/// A list of objects of one kind within another.
struct Embedded {
    within: &'static Type,
    path: &'static [&'static str],
    meta: TypeMeta<'static>,
}

static EMBEDDED: [Embedded; 1] = [Embedded {
    within: &api::types::apps_v1::STATEFUL_SET,
    path: &["spec", "volumeClaimTemplates"],
    meta: TypeMeta {
        api_version: "v1",
        kind: "PersistentVolumeClaim",
    },
}];

/// Names the kind of each object that the document of a type, from `start` on, has within.
pub fn name(ty: &'static Type, document: &mut Vec<u8>, start: usize) {
    for embedded in EMBEDDED
        .iter()
        .filter(|embedded| std::ptr::eq(embedded.within, ty))
    {
        let named = std::str::from_utf8(&document[start..])
            .ok()
            .and_then(|json| with_kinds(json, embedded));
        if let Some(named) = named {
            document.truncate(start);
            document.extend_from_slice(&named);
        }
    }
}

/// `None` if there is nothing to name.
fn with_kinds(json: &str, embedded: &Embedded) -> Option<Vec<u8>> {
    let list = embedded
        .path
        .iter()
        .try_fold(json, |within, member| value(within, member))?;
    let items: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    // What was found is borrowed from the document.
    let offset = |part: &str| part.as_ptr() as usize - json.as_ptr() as usize;
    let mut out = Vec::with_capacity(json.len() + items.len() * 64);
    let mut copied = 0;
    for item in items.iter().map(|item| item.get()) {
        let at = offset(item);
        out.extend_from_slice(&json.as_bytes()[copied..at]);
        crate::render::push_with_type(
            &mut out,
            embedded.meta.kind,
            embedded.meta.api_version,
            item.as_bytes(),
        );
        copied = at + item.len();
    }
    out.extend_from_slice(&json.as_bytes()[copied..]);
    Some(out)
}

/// The value of an object's member, as it stands in the text.
fn value<'a>(json: &'a str, member: &str) -> Option<&'a str> {
    let members: HashMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(json).ok()?;
    members.get(member).map(|value| value.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::types::{apps_v1, core_v1};

    fn check(ty: &'static Type, document: &str, expected: &str) {
        let mut out = format!("[,{document}").into_bytes();
        name(ty, &mut out, 2);
        assert_eq!(String::from_utf8(out), Ok(format!("[,{expected}")));
    }

    #[test]
    fn claim_templates_state_their_kind() {
        let stateful_set = &apps_v1::STATEFUL_SET;
        check(
            stateful_set,
            r#"{"metadata":{"name":"s\u00e4"},"spec":{"serviceName":"ü","volumeClaimTemplates":[{"metadata":{"name":"d"}},{}],"replicas":1},"status":{}}"#,
            r#"{"metadata":{"name":"s\u00e4"},"spec":{"serviceName":"ü","volumeClaimTemplates":[{"kind":"PersistentVolumeClaim","apiVersion":"v1","metadata":{"name":"d"}},{"kind":"PersistentVolumeClaim","apiVersion":"v1"}],"replicas":1},"status":{}}"#,
        );
        for same in [
            "{}",
            r#"{"spec":{}}"#,
            r#"{"spec":{"volumeClaimTemplates":null}}"#,
            r#"{"spec":{"volumeClaimTemplates":[]}}"#,
        ] {
            check(stateful_set, same, same);
        }
        let pod = r#"{"spec":{"volumeClaimTemplates":[{}]}}"#;
        check(&core_v1::POD, pod, pod);
    }
}
