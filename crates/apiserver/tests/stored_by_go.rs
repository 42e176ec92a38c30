//! What upstream's server has stored is read, and would be stored in the same form again.

use api::catalogue::{RESOURCES, Resource};
use apiserver::kind::stored;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const RECORDED: &str = include_str!("data/stored_by_go.tsv");

/// The row whose objects stand at the key; the longest prefix counts, as endpoints stand below services.
fn row_of(key: &str) -> &'static Resource {
    let rows = RESOURCES.iter().filter(|row| {
        let stored = row.storage.is_some_and(|(group, version)| {
            row.group == group
                && (row.version == version || api::catalogue::resource(group, version, row.plural).is_none())
        });
        stored && key.starts_with(&format!("/registry/{}/", row.prefix))
    });
    rows.max_by_key(|row| row.prefix.len())
        .unwrap_or_else(|| unreachable!("no resource at {key}"))
}

#[test]
fn each_object_is_read_and_stored_alike() {
    let mut count = 0;
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = line.split_once('\t').expect("a key and a value");
        let value = STANDARD.decode(value).expect("base64");
        let row = row_of(key);
        let object = stored::decode(row, &value).expect(key);
        assert!(
            key.ends_with(&object.metadata().name),
            "{key}: {}",
            object.metadata().name
        );
        let mut raw = Vec::new();
        object.encode(&mut raw);
        let again = stored::encode(row, &raw).expect(key);
        if value.starts_with(b"{") {
            let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect(key);
            assert_eq!(json(&again), json(&value), "{key}");
        } else {
            assert_eq!(again, value, "{key}");
        }
        count += 1;
    }
    assert!(count > 40, "{count} objects");
}
