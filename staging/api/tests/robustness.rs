//! No bytes make the codec panic, and whatever it reads it can write and read again.

use api::catalogue::KINDS;
use api::codec::{envelope, json_to_proto, proto_to_json, yaml};
use api::types::Type;
use proptest::prelude::*;

fn any_type() -> impl Strategy<Value = &'static Type> {
    (0..KINDS.len()).prop_map(|index| KINDS[index].ty)
}

/// Protobuf-shaped noise: small field numbers, real wire types, nested messages.
fn protobuf() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        (1u8..16, 0u64..1 << 40).prop_map(|(number, value)| {
            let mut out = vec![number << 3];
            let mut value = value;
            while value >= 0x80 {
                out.push(value as u8 | 0x80);
                value >>= 7;
            }
            out.push(value as u8);
            out
        }),
        (1u8..16, "[a-z0-9.:<\"\\\\ -]{0,12}").prop_map(|(number, text)| field(number, text.as_bytes())),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        (1u8..16, proptest::collection::vec(inner, 0..6))
            .prop_map(|(number, parts)| field(number, &parts.concat()))
    })
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(content);
    out
}

/// JSON-shaped noise that uses names of the API.
fn json() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("status"),
        Just("name"),
        Just("labels"),
        Just("template"),
        Just("containers"),
        Just("ports"),
        Just("resources"),
        Just("limits"),
        Just("items"),
        Just("creationTimestamp"),
        Just("data"),
        Just("schema"),
        Just("unknown"),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(|f| f.to_string()),
        "\"[a-zA-Z0-9:.<>+\\-]{0,20}\"",
        Just("\"2026-01-02T03:04:05Z\"".to_owned()),
        "[\\[\\]{}\",:a-z0-9\\\\]{0,8}",
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_protobuf_is_read_or_refused(ty in any_type(), bytes in protobuf()) {
        let mut first = Vec::new();
        if proto_to_json(None, ty, &bytes, &mut first).is_ok() {
            // What was printed is JSON, unless the message carried another document that is not.
            if let Ok(parsed) = json_to_proto(ty, &first) {
                let mut second = Vec::new();
                proto_to_json(None, ty, &parsed.proto, &mut second).expect("what was parsed prints");
            }
        }
        for kind in KINDS.iter().filter(|kind| std::ptr::eq(kind.ty, ty)) {
            if let Some(Ok(object)) = kind.decode.map(|decode| decode(&bytes)) {
                let again = object.encode_to_vec();
                let decoded = kind.decode.expect("just used")(&again).expect("our own encoding");
                prop_assert_eq!(decoded.encode_to_vec(), again);
            }
        }
        let _ = envelope::unwrap(&[b"k8s\0".as_slice(), &bytes].concat());
    }

    #[test]
    fn any_json_is_read_or_refused(ty in any_type(), json in json()) {
        if let Ok(parsed) = json_to_proto(ty, json.as_bytes()) {
            let mut printed = Vec::new();
            proto_to_json(None, ty, &parsed.proto, &mut printed).expect("what was parsed prints");
            let again = json_to_proto(ty, &printed).expect("what was printed parses");
            let mut twice = Vec::new();
            proto_to_json(None, ty, &again.proto, &mut twice).expect("what was parsed prints");
            prop_assert_eq!(String::from_utf8(twice), String::from_utf8(printed));
        }
        let _ = yaml::to_json(json.as_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_refused(ty in any_type(), bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = proto_to_json(None, ty, &bytes, &mut Vec::new());
        let _ = json_to_proto(ty, &bytes);
        let _ = yaml::to_json(&bytes);
        let _ = envelope::unwrap(&bytes);
    }
}
