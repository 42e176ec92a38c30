//! Values at rest are encrypted, values handed out are not, keys rotate.

use futures_util::StreamExt;

use super::*;
use crate::WatchItem;
use crate::memory;

const SECRET: [u8; 32] = [7; 32];

fn key(algorithm: Algorithm, name: &str, fill: u8) -> SecretKey {
    SecretKey::new(algorithm, name, &[fill; 32]).unwrap()
}

fn rules(providers: Vec<Provider>) -> Rules {
    let mut rules = Rules::default();
    rules.add(vec![Key::from("/registry/secrets/")], providers);
    rules
}

fn encrypted(providers: Vec<Provider>) -> (Arc<dyn Store>, Encrypted) {
    let inner: Arc<dyn Store> = Arc::new(memory::open(Default::default()).unwrap());
    (
        inner.clone(),
        Encrypted::new(inner, Current::new(rules(providers))),
    )
}

fn put(value: &'static str) -> Write {
    Write::Put {
        value: Bytes::from_static(value.as_bytes()),
        ttl: None,
    }
}

async fn stored(store: &dyn Store, key: &str) -> Bytes {
    store
        .get(key.as_bytes(), None)
        .await
        .unwrap()
        .1
        .unwrap()
        .value
        .bytes()
}

#[test]
fn round_trips_of_each_algorithm() {
    for (algorithm, sizes) in [
        (Algorithm::AesGcm, &[16, 32][..]),
        (Algorithm::AesCbc, &[16, 24, 32]),
        (Algorithm::SecretBox, &[32]),
    ] {
        for size in sizes {
            let key = SecretKey::new(algorithm, "k", &SECRET[..*size]).unwrap();
            let provider = Provider::Keys {
                algorithm,
                keys: vec![key],
            };
            for len in [0, 1, 15, 16, 17, 1000] {
                let value = Bytes::from(vec![b'v'; len]);
                let kept = provider.encrypt(b"/a", &value).unwrap();
                assert!(kept.starts_with(format!("k8s:enc:{}:v1:k:", algorithm.name()).as_bytes()));
                assert_eq!(provider.decrypt(b"/a", &kept), Ok((value, true)));
                let mut damaged = kept.to_vec();
                if let Some(last) = damaged.last_mut() {
                    *last ^= 1;
                }
                let outcome = provider.decrypt(b"/a", &Bytes::from(damaged));
                // CBC authenticates nothing: damage may pass as another value, as it does upstream.
                assert!(algorithm == Algorithm::AesCbc || outcome.is_err());
                assert!(provider.decrypt(b"/a", &kept.slice(..kept.len() - 1)).is_err());
            }
        }
        assert!(SecretKey::new(algorithm, "k", &SECRET[..15]).is_err());
    }
    assert!(SecretKey::new(Algorithm::AesGcm, "k", &SECRET[..24]).is_err());
}

#[test]
fn gcm_values_are_bound_to_their_key() {
    let provider = Provider::Keys {
        algorithm: Algorithm::AesGcm,
        keys: vec![key(Algorithm::AesGcm, "k", 1)],
    };
    let kept = provider
        .encrypt(b"/registry/secrets/a", &Bytes::from_static(b"x"))
        .unwrap();
    assert!(provider.decrypt(b"/registry/secrets/b", &kept).is_err());
}

#[test]
fn secretbox_is_nacls() {
    // The vector of NaCl's tests/secretbox.c: key, nonce, message, box.
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    let secret = unhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let mut kept = unhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
    kept.extend(unhex("f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"));
    let message = unhex(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705",
    );
    let cipher = cipher::Cipher::new(Algorithm::SecretBox, &secret).unwrap();
    assert_eq!(cipher.decrypt(b"", &kept).unwrap(), message);
}

#[tokio::test]
async fn chosen_prefixes_are_encrypted_and_read_plain() {
    let algorithm = Algorithm::AesGcm;
    let (inner, store) = encrypted(vec![Provider::Keys {
        algorithm,
        keys: vec![key(algorithm, "one", 1)],
    }]);
    let secret = "/registry/secrets/a";
    let created = store
        .commit(secret.as_bytes(), Expect::Absent, put("hidden"))
        .await
        .unwrap();
    store
        .commit(b"/registry/configmaps/a", Expect::Absent, put("open"))
        .await
        .unwrap();
    assert!(
        stored(&*inner, secret)
            .await
            .starts_with(b"k8s:enc:aesgcm:v1:one:")
    );
    assert_eq!(stored(&*inner, "/registry/configmaps/a").await, "open");
    assert_eq!(stored(&store, secret).await, "hidden");
    let page = store
        .range(RangeRequest {
            prefix: "/registry/secrets/".into(),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(page.items[0].value.bytes(), "hidden");
    let conflict = store
        .commit(secret.as_bytes(), Expect::Absent, put("again"))
        .await;
    assert!(
        matches!(conflict, Err(Error::Conflict { current: Some(item), .. }) if item.value.bytes() == "hidden")
    );
    let mut watch = store
        .watch("/registry/secrets/".into(), Some(Revision(created.0 - 1)))
        .await
        .unwrap();
    let Some(Ok(WatchItem::Events(events))) = watch.next().await else {
        panic!("no events")
    };
    assert_eq!(events[0].current.as_ref().unwrap().value.bytes(), "hidden");
}

#[tokio::test]
async fn keys_rotate() {
    let gcm = |keys: Vec<SecretKey>| Provider::Keys {
        algorithm: Algorithm::AesGcm,
        keys,
    };
    let old = || key(Algorithm::AesGcm, "old", 1);
    let new = || key(Algorithm::AesGcm, "new", 2);
    let (inner, store) = encrypted(vec![Provider::Identity]);
    store
        .commit(b"/registry/secrets/plain", Expect::Absent, put("1"))
        .await
        .unwrap();
    store
        .current
        .replace(rules(vec![gcm(vec![old()]), Provider::Identity]));
    store
        .commit(b"/registry/secrets/old", Expect::Absent, put("2"))
        .await
        .unwrap();
    assert_eq!(stored(&store, "/registry/secrets/plain").await, "1");
    store
        .current
        .replace(rules(vec![gcm(vec![new(), old()]), Provider::Identity]));
    let prefix = Key::from("/registry/secrets/");
    assert_eq!(store.rewrite(&prefix).await.unwrap(), 2);
    assert_eq!(store.rewrite(&prefix).await.unwrap(), 0);
    store.current.replace(rules(vec![gcm(vec![new()])]));
    for (name, value) in [("plain", "1"), ("old", "2")] {
        let name = format!("/registry/secrets/{name}");
        assert!(
            stored(&*inner, &name)
                .await
                .starts_with(b"k8s:enc:aesgcm:v1:new:")
        );
        assert_eq!(stored(&store, &name).await, value);
    }
    store.current.replace(rules(vec![gcm(vec![old()])]));
    let lost = store.get(b"/registry/secrets/old", None).await;
    assert!(matches!(lost, Err(Error::Corrupt(_))), "{lost:?}");
}
