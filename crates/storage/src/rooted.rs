//! A store whose keys stand under another root than callers say: `--etcd-prefix`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::translated::{Translated, Translation};
use crate::{Error, Key, KeyValue, Store};

/// What all keys begin with, as callers name them.
pub const ROOT: &str = "/registry/";

/// The store with its keys under `root` (with or without slashes at its ends) in the place of [`ROOT`].
pub fn under(inner: Arc<dyn Store>, root: &str) -> Arc<dyn Store> {
    moved(inner, ROOT, root)
}

/// The store with its keys under one root, which callers name by another.
pub fn moved(inner: Arc<dyn Store>, outer_root: &str, inner_root: &str) -> Arc<dyn Store> {
    let roots = Roots {
        outer: full(outer_root).into_bytes(),
        inner: full(inner_root).into_bytes(),
    };
    if roots.outer == roots.inner {
        return inner;
    }
    Arc::new(Translated::new(inner, Arc::new(roots)))
}

/// A root as keys begin with it: `/registry/`.
pub fn full(root: &str) -> String {
    match root.trim_matches('/') {
        "" => "/".to_owned(),
        root => format!("/{root}/"),
    }
}

struct Roots {
    outer: Vec<u8>,
    inner: Vec<u8>,
}

impl Translation for Roots {
    fn key_in<'a>(&self, key: &'a [u8]) -> Cow<'a, [u8]> {
        // A prefix may be shorter than the root: then everything under the root is meant.
        let below = key.strip_prefix(&self.outer[..]).unwrap_or_default();
        Cow::Owned([&self.inner, below].concat())
    }

    fn item_out(&self, item: &Arc<KeyValue>) -> Result<Arc<KeyValue>, Error> {
        let below = item.key.strip_prefix(&self.inner[..]).ok_or_else(|| {
            Error::Corrupt(format!(
                "{} does not stand under the root that was asked for",
                item.key
            ))
        })?;
        Ok(Arc::new(KeyValue {
            key: Key::from(&[&self.outer, below].concat()[..]),
            value: item.value.clone(),
            create_revision: item.create_revision,
            mod_revision: item.mod_revision,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Expect, RangeRequest, Write, memory};

    #[test]
    fn roots_are_framed_by_slashes() {
        for (root, expected) in [
            ("registry", "/registry/"),
            ("/a/b/", "/a/b/"),
            ("", "/"),
            ("/", "/"),
        ] {
            assert_eq!(full(root), expected, "{root}");
        }
    }

    #[tokio::test]
    async fn keys_stand_under_the_root_and_are_seen_without_it() {
        let inner: Arc<dyn Store> = Arc::new(memory::open(Default::default()).unwrap());
        let store = under(inner.clone(), "/clusters/one");
        let put = Write::Put {
            value: "x".into(),
            ttl: None,
        };
        store
            .commit(b"/registry/pods/a", Expect::Absent, put)
            .await
            .unwrap();
        assert!(
            inner
                .get(b"/clusters/one/pods/a", None)
                .await
                .unwrap()
                .1
                .is_some()
        );
        let page = store
            .range(RangeRequest {
                prefix: "/registry/pods/".into(),
                ..Default::default()
            })
            .await
            .unwrap();
        assert_eq!(page.items[0].key, Key::from("/registry/pods/a"));
        assert_eq!(store.count(b"/registry/").await.unwrap(), 1);
        assert_eq!(
            under(inner, "/clusters/two").count(b"/registry/").await.unwrap(),
            0
        );
    }
}
