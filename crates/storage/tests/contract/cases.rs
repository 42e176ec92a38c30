//! What the contract promises, case by case.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use storage::{Error, Event, Expect, Follower, Key, KeyValue, RangeRequest, Revision, WatchItem, Write};

use crate::history;
use crate::subject::{Driver, Subject, put, show};

pub async fn writes_follow_expectations(subject: impl Subject) {
    let store = Driver(subject.open());
    let created = store.create("/a", "1").await.unwrap();
    let conflict = store.create("/a", "2").await.unwrap_err();
    assert!(matches!(&conflict, Error::Conflict { current: Some(item), .. } if item.mod_revision == created));
    assert!(matches!(
        store.update("/a", Revision(1), "2").await,
        Err(Error::Conflict { .. })
    ));
    assert!(matches!(
        store.update("/b", created, "2").await,
        Err(Error::Conflict { current: None, .. })
    ));
    assert!(matches!(
        store.delete("/b", created).await,
        Err(Error::Conflict { current: None, .. })
    ));
    let absent_delete = store.0.commit(b"/b", Expect::Absent, Write::Delete).await;
    assert!(matches!(
        absent_delete,
        Err(Error::Conflict { current: None, .. })
    ));
    let updated = store.update("/a", created, "2").await.unwrap();
    let (_, item) = store.0.get(b"/a", None).await.unwrap();
    let item = item.unwrap();
    assert_eq!(
        (item.create_revision, item.mod_revision, &item.value.bytes()[..]),
        (created, updated, &b"2"[..])
    );
    assert!(matches!(
        store.delete("/a", created).await,
        Err(Error::Conflict { .. })
    ));
    store.delete("/a", updated).await.unwrap();
    assert_eq!(store.value("/a", None).await.unwrap(), None);
    let again = store.create("/a", "3").await.unwrap();
    assert_eq!(
        store.0.get(b"/a", None).await.unwrap().1.unwrap().create_revision,
        again
    );
}

pub async fn revisions_grow_by_one(subject: impl Subject) {
    let store = Driver(subject.open());
    let start = store.0.current_revision().await.unwrap();
    assert!(start >= Revision(1));
    let first = store.create("/a", "").await.unwrap();
    assert!(store.create("/a", "").await.is_err());
    let second = store.create("/b", "").await.unwrap();
    assert_eq!((first, second), (start.next(), start.next().next()));
    assert_eq!(store.0.current_revision().await.unwrap(), second);
}

pub async fn reads_in_the_past(subject: impl Subject) {
    let store = Driver(subject.open());
    let first = store.create("/a", "1").await.unwrap();
    let second = store.update("/a", first, "2").await.unwrap();
    let deleted = store.delete("/a", second).await.unwrap();
    let third = store.create("/a", "3").await.unwrap();
    for (at, expected) in [
        (first, Some("1")),
        (second, Some("2")),
        (deleted, None),
        (third, Some("3")),
    ] {
        assert_eq!(
            store.value("/a", Some(at)).await.unwrap().as_deref(),
            expected,
            "at {at}"
        );
        let request = RangeRequest {
            prefix: "/".into(),
            revision: Some(at),
            ..Default::default()
        };
        let page = store.0.range(request).await.unwrap();
        assert_eq!(page.revision, at);
        let values: Vec<_> = page
            .items
            .iter()
            .map(|item| item.value.bytes().to_vec())
            .collect();
        assert_eq!(
            values,
            expected
                .map(|value| value.as_bytes().to_vec())
                .into_iter()
                .collect::<Vec<_>>()
        );
    }
}

pub async fn ranges_page_at_a_revision(subject: impl Subject) {
    let store = Driver(subject.open());
    for n in 0..10 {
        store.create(&format!("/p/{n}"), "old").await.unwrap();
    }
    let mut pages = Vec::new();
    let (mut after, mut revision) = (None, None);
    loop {
        let request = RangeRequest {
            prefix: "/p/".into(),
            after: after.clone(),
            limit: 4,
            revision,
        };
        let page = store.0.range(request).await.unwrap();
        revision = revision.or(Some(page.revision));
        after = page.items.last().map(|item| item.key.clone());
        pages.push((page.items.len(), page.remaining));
        assert!(
            page.items.iter().all(|item| item.value.bytes() == "old"),
            "pages show one revision"
        );
        // What happens between the pages is not to be seen in them.
        let at = store.0.get(b"/p/9", None).await.unwrap().1.unwrap().mod_revision;
        store.update("/p/9", at, "new").await.unwrap();
        store
            .create(&format!("/p/5{}", pages.len()), "new")
            .await
            .unwrap();
        if page.remaining == 0 {
            break;
        }
    }
    assert_eq!(pages, [(4, 6), (4, 2), (2, 0)]);
    assert_eq!(store.0.count(b"/p/").await.unwrap(), 13);
}

pub async fn prefixes_do_not_leak(subject: impl Subject) {
    let store = Driver(subject.open());
    for key in [
        "/pod",
        "/pods",
        "/pods/",
        "/pods/a/x",
        "/pods/b/x",
        "/podsx/a",
        "/q",
    ] {
        store.create(key, "").await.unwrap();
    }
    let keys = |request: RangeRequest| async {
        let page = store.0.range(request).await.unwrap();
        page.items
            .iter()
            .map(|item| item.key.to_string())
            .collect::<Vec<_>>()
    };
    let under = |prefix: &str| RangeRequest {
        prefix: prefix.into(),
        ..Default::default()
    };
    assert_eq!(keys(under("/pods/")).await, ["/pods/", "/pods/a/x", "/pods/b/x"]);
    assert_eq!(keys(under("/pods/a/")).await, ["/pods/a/x"]);
    assert_eq!(
        keys(RangeRequest {
            after: Some("/pods/a/x".into()),
            ..under("/pods/")
        })
        .await,
        ["/pods/b/x"]
    );
    assert_eq!(
        keys(RangeRequest {
            after: Some("/a".into()),
            ..under("/q")
        })
        .await,
        ["/q"]
    );
    assert_eq!(store.0.count(b"").await.unwrap(), 7);
}

pub async fn watch_from_a_revision_has_no_gap(subject: impl Subject) {
    let store = Driver(subject.open());
    let first = store.create("/w/a", "1").await.unwrap();
    let second = store.update("/w/a", first, "2").await.unwrap();
    let mut watcher = store.watch("/w/", Some(first)).await.unwrap();
    store.create("/other", "x").await.unwrap();
    let third = store.delete("/w/a", second).await.unwrap();
    let fourth = store.create("/w/b", "3").await.unwrap();
    let expected = [
        format!("{second} /w/a=2 (was 1)"),
        format!("{third} /w/a deleted (was 2)"),
        format!("{fourth} /w/b=3"),
    ];
    assert_eq!(watcher.take(3).await, expected);
    let again = store.watch("/w/", Some(second)).await.unwrap().take(2).await;
    assert_eq!(again, expected[1..]);
}

pub async fn watch_from_now(subject: impl Subject) {
    let store = Driver(subject.open());
    store.create("/w/a", "1").await.unwrap();
    let mut watcher = store.watch("/w/", None).await.unwrap();
    let revision = store.create("/w/b", "2").await.unwrap();
    assert_eq!(watcher.take(1).await, [format!("{revision} /w/b=2")]);
}

pub async fn watch_of_a_quiet_prefix_progresses(subject: impl Subject) {
    let store = Driver(subject.open());
    let mut watcher = store.watch("/quiet/", None).await.unwrap();
    let newest = store.create("/busy/a", "").await.unwrap();
    let progress = async {
        loop {
            match watcher.0.next().await.unwrap().unwrap() {
                WatchItem::Progress(revision) if revision >= newest => return revision,
                WatchItem::Progress(_) => {}
                WatchItem::Events(events) => panic!("{events:?}"),
            }
        }
    };
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(20), progress)
            .await
            .unwrap(),
        newest
    );
}

pub async fn compaction_ends_the_past(subject: impl Subject) {
    let store = Driver(subject.open());
    let mut revisions = vec![store.create("/a", "0").await.unwrap()];
    for n in 1..6 {
        let last = revisions[n - 1];
        revisions.push(store.update("/a", last, &n.to_string()).await.unwrap());
    }
    let mut behind = store.watch("/", Some(revisions[0])).await.unwrap();
    store.0.compact(revisions[3]).await.unwrap();
    assert_eq!(store.0.compacted(), revisions[3]);
    let gone = store.value("/a", Some(revisions[2])).await;
    assert!(matches!(gone, Err(Error::Compacted { .. })), "{gone:?}");
    let request = RangeRequest {
        prefix: "/".into(),
        revision: Some(revisions[2]),
        ..Default::default()
    };
    assert!(matches!(
        store.0.range(request).await,
        Err(Error::Compacted { .. })
    ));
    assert_eq!(
        store.value("/a", Some(revisions[3])).await.unwrap().as_deref(),
        Some("3")
    );
    assert_eq!(store.value("/a", None).await.unwrap().as_deref(), Some("5"));
    let late = match store.watch("/", Some(revisions[2])).await {
        Ok(mut watcher) => watcher.0.next().await.unwrap().map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(matches!(late, Err(Error::Compacted { .. })), "{late:?}");
    assert_eq!(
        store
            .watch("/", Some(revisions[3]))
            .await
            .unwrap()
            .take(2)
            .await
            .len(),
        2
    );
    // A reader that was overtaken has either all events or the error, and never a gap.
    match behind.0.next().await.unwrap() {
        Err(error) => assert!(matches!(error, Error::Compacted { .. })),
        Ok(WatchItem::Events(events)) => assert_eq!(events[0].revision, revisions[1]),
        Ok(WatchItem::Progress(revision)) => panic!("progress to {revision} without events"),
    }
    assert!(matches!(
        store.0.compact(Revision(1 << 40)).await,
        Err(Error::Future { .. })
    ));
}

pub async fn future_revisions_are_refused(subject: impl Subject) {
    let store = Driver(subject.open());
    let newest = store.create("/a", "").await.unwrap();
    let future = Revision(newest.0 + 10);
    let request = RangeRequest {
        prefix: "/".into(),
        revision: Some(future),
        ..Default::default()
    };
    assert!(matches!(store.0.range(request).await, Err(Error::Future { .. })));
    assert!(matches!(
        store.0.get(b"/a", Some(future)).await,
        Err(Error::Future { .. })
    ));
}

pub async fn keys_expire(subject: impl Subject) {
    let store = Driver(subject.open());
    let short = subject.short_ttl();
    let with_ttl = |ttl| Write::Put {
        value: Bytes::from_static(b"x"),
        ttl: Some(ttl),
    };
    let create = |key: &'static [u8], ttl| store.0.commit(key, Expect::Absent, with_ttl(ttl));
    let start = create(b"/soon", short).await.unwrap();
    create(b"/later", Duration::from_secs(1000)).await.unwrap();
    let kept = create(b"/kept", short).await.unwrap();
    store
        .update("/kept", kept, "without a ttl it stays")
        .await
        .unwrap();
    let mut watcher = store.watch("/soon", Some(start)).await.unwrap();
    subject.advance_clock(short);
    // Any write makes a local store look at the clock.
    store.create("/other", "").await.unwrap();
    assert!(watcher.take(1).await[0].ends_with("/soon deleted (was x)"));
    assert_eq!(store.value("/soon", None).await.unwrap(), None);
    assert!(store.value("/later", None).await.unwrap().is_some());
    assert!(store.value("/kept", None).await.unwrap().is_some());
}

pub async fn concurrent_writers_lose_nothing(subject: impl Subject) {
    let store = subject.open();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                let increment = |current: Option<&KeyValue>| {
                    let count = current.map_or(0, |item| {
                        String::from_utf8_lossy(&item.value.bytes())
                            .parse::<u32>()
                            .unwrap()
                    });
                    Ok::<_, Error>(storage::update::Decision::Write(
                        put(&(count + 1).to_string()),
                        (),
                    ))
                };
                storage::update::update_key(&*store, b"/counter", increment)
                    .await
                    .unwrap();
            }
            Driver(store)
                .create(&format!("/done/{writer}"), "")
                .await
                .unwrap();
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let store = Driver(store);
    assert_eq!(
        store.value("/counter", None).await.unwrap().as_deref(),
        Some("200")
    );
    let start = store
        .0
        .get(b"/counter", None)
        .await
        .unwrap()
        .1
        .unwrap()
        .create_revision;
    let events = store
        .watch("/counter", Some(start))
        .await
        .unwrap()
        .take(199)
        .await;
    assert!(
        events.last().unwrap().ends_with("/counter=200 (was 199)"),
        "{events:?}"
    );
    assert_eq!(store.0.count(b"/done/").await.unwrap(), 8);
}

/// A mirror that checks what it is fed.
#[derive(Default)]
struct Mirror(std::sync::Mutex<BTreeMap<Key, Arc<KeyValue>>>);

impl Follower for Mirror {
    fn reset(&self, _: Revision, items: Vec<Arc<KeyValue>>) {
        *self.0.lock().unwrap() = items.into_iter().map(|item| (item.key.clone(), item)).collect();
    }
    fn apply(&self, events: &[Arc<Event>]) {
        let mut items = self.0.lock().unwrap();
        for event in events {
            let was = match &event.current {
                Some(item) => items.insert(item.key.clone(), item.clone()),
                None => items.remove(event.key()),
            };
            let expected = event.previous.as_ref().map(|item| item.mod_revision);
            assert_eq!(was.map(|item| item.mod_revision), expected, "{}", show(event));
        }
    }
    fn interrupted(&self, _: &Error) {}
}

pub async fn followers_are_never_behind(subject: impl Subject) {
    let store = Driver(subject.open());
    let first = store.create("/f/a", "1").await.unwrap();
    let mirror = Arc::new(Mirror::default());
    let following = store.0.follow("/f/".into(), mirror.clone()).await.unwrap();
    let mut last = store.update("/f/a", first, "2").await.unwrap();
    for n in 0..50 {
        last = store.update("/f/a", last, &n.to_string()).await.unwrap();
        store.create(&format!("/other/{n}"), "").await.unwrap();
        // Without progress, nothing but a change of its own tells the follower how far it is.
        let due = if following.tells_progress() {
            store.0.current_revision().await.unwrap()
        } else {
            last
        };
        following.reached(due).await.unwrap();
        assert!(following.position() >= last);
        let mirrored = mirror.0.lock().unwrap().get(&b"/f/a"[..]).unwrap().mod_revision;
        assert_eq!(mirrored, last);
    }
    assert_eq!(mirror.0.lock().unwrap().len(), 1);
    drop(following);
    store.create("/f/b", "").await.unwrap();
    assert_eq!(mirror.0.lock().unwrap().len(), 1, "nothing comes after the end");
}

pub async fn too_large_writes_are_refused(subject: impl Subject) {
    let store = Driver(subject.open());
    let refused = store.create("/a", &"x".repeat(4 << 20)).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    store.create("/a", "small").await.unwrap();
}

pub async fn history_is_linearizable(subject: impl Subject) {
    history::check(&subject, 1..=4).await;
}
