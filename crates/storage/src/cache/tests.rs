//! The cache over a memory store: objects are lines `labels|node`, such as `app=web,tier=1|node-a`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{Expect, Write, memory};

mod behind;

struct Lines;

impl Extract for Lines {
    fn extract(&self, _: &[u8], value: &[u8]) -> Result<Extracted, String> {
        let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
        let (labels, node) = text.split_once('|').ok_or("no node")?;
        Ok(Extracted {
            labels: labels
                .split(',')
                .filter_map(|label| label.split_once('='))
                .collect(),
            fields: [("spec.nodeName", node)].into_iter().collect(),
        })
    }
}

struct Bed {
    store: Arc<dyn Store>,
    cache: Arc<Cache>,
}

const PREFIX: &str = "/pods/";

impl Bed {
    async fn new(options: Options) -> Self {
        let store: Arc<dyn Store> = Arc::new(memory::open(memory::Options::default()).unwrap());
        let cache = Cache::start(store.clone(), PREFIX.into(), Arc::new(Lines), options);
        cache.ready().await.unwrap();
        Self { store, cache }
    }

    async fn create(&self, name: &str, line: &str) -> Revision {
        self.commit(name, Expect::Absent, Some(line)).await
    }

    async fn update(&self, name: &str, at: Revision, line: &str) -> Revision {
        self.commit(name, Expect::Unchanged(at), Some(line)).await
    }

    async fn delete(&self, name: &str, at: Revision) -> Revision {
        self.commit(name, Expect::Unchanged(at), None).await
    }

    async fn commit(&self, name: &str, expect: Expect, line: Option<&str>) -> Revision {
        let write = match line {
            Some(line) => Write::Put {
                value: Bytes::copy_from_slice(line.as_bytes()),
                ttl: None,
            },
            None => Write::Delete,
        };
        self.store
            .commit(format!("{PREFIX}{name}").as_bytes(), expect, write)
            .await
            .unwrap()
    }

    async fn watch(&self, scope: Scope, start: Start, label: Option<&'static str>) -> Reader {
        Reader(self.cache.watch(request(scope, start, label)).await.unwrap())
    }
}

fn request(scope: Scope, start: Start, label: Option<&'static str>) -> WatchRequest {
    let predicate = label
        .map(|value| Arc::new(move |entry: &Entry| entry.labels().get("app") == Some(value)) as Predicate);
    WatchRequest {
        scope,
        start,
        predicate,
        bookmarks: true,
        initial_events_end: true,
    }
}

fn all() -> Scope {
    Scope::Prefix(PREFIX.into())
}

fn options() -> Options {
    Options {
        indexed_fields: &["spec.nodeName"],
        ..Options::default()
    }
}

struct Reader(Watch);

impl Reader {
    async fn next(&mut self) -> Result<WatchEvent, Error> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.0.next());
        next.await.expect("an event in time").expect("an open watch")
    }

    /// The next events, as `ADDED default/a 5`.
    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        for _ in 0..count {
            seen.push(show(&self.next().await.unwrap()));
        }
        seen
    }

    fn is_idle(&mut self) -> bool {
        self.0.next().now_or_never().is_none()
    }
}

fn show(event: &WatchEvent) -> String {
    match event {
        WatchEvent::Bookmark {
            revision,
            initial_events_end: true,
        } => format!("BOOKMARK end {revision}"),
        WatchEvent::Bookmark { revision, .. } => format!("BOOKMARK {revision}"),
        WatchEvent::Object(event) => {
            let kind = format!("{:?}", event.kind).to_uppercase();
            let name = event.entry.key().to_string();
            let value = String::from_utf8_lossy(&event.entry.value()).into_owned();
            format!("{kind} {} {value} {}", &name[PREFIX.len()..], event.revision)
        }
    }
}

#[tokio::test]
async fn reads_are_consistent() {
    let bed = Bed::new(options()).await;
    let mut last = bed.create("default/a", "|").await;
    for n in 0..100 {
        last = bed.update("default/a", last, &format!("n={n}|")).await;
        let (revision, entry) = bed
            .cache
            .get(b"/pods/default/a", Freshness::Latest)
            .await
            .unwrap();
        assert_eq!((entry.unwrap().mod_revision(), revision), (last, last));
    }
    let other = bed.store.commit(
        b"/other/x",
        Expect::Absent,
        Write::Put {
            value: Bytes::new(),
            ttl: None,
        },
    );
    let other = other.await.unwrap();
    let snapshot = bed.cache.snapshot(Freshness::Latest).await.unwrap();
    assert_eq!(
        (snapshot.revision(), snapshot.len()),
        (other, 1),
        "the list is as of the store's revision"
    );
    let future = Options {
        wait_limit: Duration::from_millis(5),
        ..options()
    };
    let bed = Bed::new(future).await;
    let wait = bed.cache.snapshot(Freshness::AtLeast(Revision(99))).await;
    assert!(matches!(wait, Err(Error::Future { .. })));
}

#[tokio::test]
async fn snapshots_show_one_revision() {
    let bed = Bed::new(Options {
        history: HistoryLimit {
            changes: 4,
            bytes: 1 << 20,
        },
        ..options()
    })
    .await;
    let a = bed.create("default/a", "|n1").await;
    let b = bed.create("other/b", "|n1").await;
    let before = bed.cache.snapshot(Freshness::Any).await.unwrap();
    let a2 = bed.update("default/a", a, "|n2").await;
    bed.delete("other/b", b).await;
    let names = |snapshot: &Snapshot, prefix: &str| {
        let entries = snapshot.range(prefix.as_bytes(), None);
        entries
            .map(|entry| format!("{}@{}", entry.key(), entry.mod_revision()))
            .collect::<Vec<_>>()
    };
    let expected = [format!("/pods/default/a@{a}"), format!("/pods/other/b@{b}")];
    assert_eq!(names(&before, PREFIX), expected);
    assert_eq!(names(&before, "/pods/other/"), expected[1..]);
    let again = bed.cache.snapshot_at(b).await.unwrap();
    assert_eq!((names(&again, PREFIX), again.revision()), (expected.to_vec(), b));
    assert_eq!(
        again.by_field("spec.nodeName", "n1", None).count(),
        2,
        "without the index, too"
    );
    let newest = bed.cache.snapshot(Freshness::Latest).await.unwrap();
    assert_eq!(names(&newest, PREFIX), [format!("/pods/default/a@{a2}")]);
    for n in 0..4 {
        bed.create(&format!("default/more-{n}"), "|").await;
    }
    assert!(matches!(
        bed.cache.snapshot_at(b).await,
        Err(Error::Compacted { .. })
    ));
}

/// Though the cache could still tell: how long clients may page must not hang on how much they write.
#[tokio::test]
async fn the_compacted_past_is_not_served() {
    let bed = Bed::new(Options::default()).await;
    let a = bed.create("default/a", "|").await;
    let elsewhere = Write::Put {
        value: Bytes::new(),
        ttl: None,
    };
    let later = bed
        .store
        .commit(b"/other", Expect::Absent, elsewhere)
        .await
        .unwrap();
    assert_eq!(bed.cache.snapshot_at(a).await.unwrap().len(), 1);
    bed.store.compact(later).await.unwrap();
    assert!(matches!(
        bed.cache.snapshot_at(a).await,
        Err(Error::Compacted { .. })
    ));
    assert_eq!(bed.cache.snapshot_at(later).await.unwrap().len(), 1);
}

#[tokio::test]
async fn index_follows_changes() {
    let bed = Bed::new(options()).await;
    let a = bed.create("default/a", "|").await;
    bed.create("default/b", "|n1").await;
    bed.create("other/c", "|n1").await;
    let on = |node: &'static str| {
        let cache = bed.cache.clone();
        async move {
            let snapshot = cache.snapshot(Freshness::Latest).await.unwrap();
            let entries = snapshot.by_field("spec.nodeName", node, None);
            entries.map(|entry| entry.key().to_string()).collect::<Vec<_>>()
        }
    };
    assert_eq!(on("n1").await, ["/pods/default/b", "/pods/other/c"]);
    let a = bed.update("default/a", a, "|n1").await;
    assert_eq!(
        on("n1").await,
        ["/pods/default/a", "/pods/default/b", "/pods/other/c"]
    );
    let a = bed.update("default/a", a, "|n2").await;
    assert_eq!(
        (on("n1").await.len(), on("n2").await.len(), on("").await.len()),
        (2, 1, 0)
    );
    bed.delete("default/a", a).await;
    assert!(on("n2").await.is_empty());
}

#[tokio::test]
async fn watch_from_the_future_leaves_out_what_comes_before_it() {
    let bed = Bed::new(options()).await;
    let a = bed.create("default/a", "|n1").await;
    let mut reader = bed.watch(all(), Start::After(a.next()), None).await;
    bed.create("default/b", "|n1").await;
    let c = bed.create("default/c", "|n1").await;
    assert_eq!(reader.take(1).await, [format!("ADDED default/c |n1 {c}")]);
}

#[tokio::test]
async fn watch_resumes_without_gap_and_in_scope() {
    let bed = Bed::new(options()).await;
    let a = bed.create("default/a", "|n1").await;
    let a2 = bed.update("default/a", a, "x=y|n1").await;
    let b = bed.create("other/b", "|n2").await;
    let mut everything = bed.watch(all(), Start::After(a), None).await;
    let mut namespace = bed
        .watch(Scope::Prefix("/pods/other/".into()), Start::After(a), None)
        .await;
    let mut one = bed
        .watch(Scope::Key("/pods/default/a".into()), Start::After(b), None)
        .await;
    let field = |value: &str| Scope::Field {
        prefix: PREFIX.into(),
        field: "spec.nodeName",
        value: value.into(),
    };
    let mut node = bed.watch(field("n2"), Start::After(a), None).await;
    let a3 = bed.update("default/a", a2, "|n2").await;
    let gone = bed.delete("default/a", a3).await;
    let expected = [
        format!("MODIFIED default/a x=y|n1 {a2}"),
        format!("ADDED other/b |n2 {b}"),
        format!("MODIFIED default/a |n2 {a3}"),
        format!("DELETED default/a |n2 {gone}"),
    ];
    assert_eq!(everything.take(4).await, expected);
    assert_eq!(namespace.take(1).await, expected[1..2]);
    assert_eq!(one.take(2).await, expected[2..]);
    assert_eq!(
        node.take(3).await,
        [
            expected[1].clone(),
            format!("ADDED default/a |n2 {a3}"),
            expected[3].clone()
        ],
        "an object that comes to the node appears",
    );
    assert!(everything.is_idle() && namespace.is_idle() && one.is_idle() && node.is_idle());
    drop((everything, namespace, one, node));
    assert_eq!(bed.cache.watcher_count(), 0);
}

#[tokio::test]
async fn selectors_make_transitions() {
    let bed = Bed::new(options()).await;
    let start = bed.cache.revision();
    let mut web = bed.watch(all(), Start::After(start), Some("web")).await;
    let r1 = bed.create("default/a", "app=db|").await;
    let r2 = bed.update("default/a", r1, "app=web|").await;
    let r3 = bed.update("default/a", r2, "app=web,v=2|").await;
    let r4 = bed.update("default/a", r3, "app=db|").await;
    let r5 = bed.delete("default/a", r4).await;
    let r6 = bed.create("default/b", "app=web|").await;
    assert_eq!(
        web.take(4).await,
        [
            format!("ADDED default/a app=web| {r2}"),
            format!("MODIFIED default/a app=web,v=2| {r3}"),
            format!("DELETED default/a app=web,v=2| {r4}"),
            format!("ADDED default/b app=web| {r6}"),
        ]
    );
    assert!(r5 < r6);
}

#[tokio::test]
async fn initial_events_come_first_and_are_marked() {
    let bed = Bed::new(options()).await;
    let a = bed.create("default/a", "app=web|").await;
    bed.create("default/b", "app=db|").await;
    let c = bed.create("default/c", "app=web|").await;
    let mut web = bed
        .watch(all(), Start::State(Freshness::Latest), Some("web"))
        .await;
    let d = bed.create("default/d", "app=web|").await;
    assert_eq!(
        web.take(4).await,
        [
            format!("ADDED default/a app=web| {a}"),
            format!("ADDED default/c app=web| {c}"),
            format!("BOOKMARK end {c}"),
            format!("ADDED default/d app=web| {d}"),
        ]
    );
}

#[tokio::test]
async fn a_slow_watcher_is_dropped_and_costs_the_others_nothing() {
    let bed = Bed::new(Options {
        watcher_buffer: 8,
        ..options()
    })
    .await;
    let start = bed.cache.revision();
    let mut slow = bed.watch(all(), Start::After(start), None).await;
    let mut quick = bed.watch(all(), Start::After(start), None).await;
    for n in 0..20 {
        let revision = bed.create(&format!("default/{n}"), "|").await;
        assert_eq!(quick.take(1).await, [format!("ADDED default/{n} | {revision}")]);
    }
    assert!(matches!(slow.next().await, Err(Error::Slow)));
    assert!(slow.0.next().await.is_none());
    assert!(quick.is_idle());
}

#[tokio::test]
async fn a_long_past_makes_no_watcher_slow() {
    let bed = Bed::new(Options {
        watcher_buffer: 4,
        ..options()
    })
    .await;
    let start = bed.cache.revision();
    for n in 0..20 {
        bed.create(&format!("default/past-{n}"), "|").await;
    }
    let mut reader = bed.watch(all(), Start::After(start), None).await;
    for n in 0..4 {
        bed.create(&format!("default/new-{n}"), "|").await;
    }
    assert_eq!(reader.take(24).await.len(), 24);
}

#[tokio::test]
async fn the_past_beyond_the_history_is_gone() {
    let bed = Bed::new(Options {
        history: HistoryLimit {
            changes: 4,
            bytes: 1 << 20,
        },
        ..options()
    })
    .await;
    let first = bed.create("default/0", "|").await;
    let mut revisions = vec![first];
    for n in 1..6 {
        revisions.push(bed.create(&format!("default/{n}"), "|").await);
    }
    let old = bed
        .cache
        .watch(request(all(), Start::After(revisions[0]), None))
        .await;
    assert!(matches!(old, Err(Error::Compacted { .. })));
    assert_eq!(
        bed.watch(all(), Start::After(revisions[1]), None)
            .await
            .take(4)
            .await
            .len(),
        4
    );
}

#[tokio::test]
async fn bookmarks_tell_the_stores_revision() {
    let bed = Bed::new(Options {
        bookmark_interval: Duration::from_millis(1),
        ..options()
    })
    .await;
    let mut reader = bed.watch(all(), Start::After(bed.cache.revision()), None).await;
    let other = bed.store.commit(
        b"/other/x",
        Expect::Absent,
        Write::Put {
            value: Bytes::new(),
            ttl: None,
        },
    );
    let other = other.await.unwrap();
    let expected = format!("BOOKMARK {other}");
    while show(&reader.next().await.unwrap()) != expected {}
}

#[tokio::test]
async fn old_history_is_forgotten() {
    let quick = Duration::from_millis(1);
    let bed = Bed::new(Options {
        bookmark_interval: quick,
        history_age: quick,
        ..options()
    })
    .await;
    let first = bed.create("default/a", "|").await;
    let second = bed.update("default/a", first, "x=y|").await;
    let mut reader = bed.watch(all(), Start::After(second), None).await;
    // Each bookmark is another tick of the history's clock.
    for _ in 0..4 {
        reader.next().await.unwrap();
    }
    let old = bed.cache.watch(request(all(), Start::After(first), None)).await;
    assert!(matches!(old, Err(Error::Compacted { .. })));
    assert!(matches!(
        bed.cache.snapshot_at(first).await,
        Err(Error::Compacted { .. })
    ));
    assert_eq!(bed.cache.snapshot_at(second).await.unwrap().len(), 1);
    bed.delete("default/a", second).await;
    while !show(&reader.next().await.unwrap()).starts_with("DELETED default/a") {}
}

#[tokio::test]
async fn frames_are_made_once_for_all_watchers() {
    let bed = Bed::new(options()).await;
    let start = bed.cache.revision();
    let mut readers = Vec::new();
    for _ in 0..10 {
        readers.push(bed.watch(all(), Start::After(start), None).await);
    }
    bed.create("default/a", "|").await;
    let mut made = 0;
    for reader in &mut readers {
        let WatchEvent::Object(event) = reader.next().await.unwrap() else {
            panic!("a bookmark")
        };
        let frame = event.frame(1, |event| {
            made += 1;
            Ok::<_, Error>(event.entry.value())
        });
        assert_eq!(&frame.unwrap()[..], b"|");
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn a_cache_that_starts_late_serves_the_stores_history() {
    let bed = Bed::new(options()).await;
    let a = bed.create("default/a", "|").await;
    let b = bed.create("default/b", "|").await;
    let late = Cache::start(bed.store.clone(), PREFIX.into(), Arc::new(Lines), options());
    let mut reader = Reader(late.watch(request(all(), Start::After(a), None)).await.unwrap());
    assert_eq!(reader.take(1).await, [format!("ADDED default/b | {b}")]);
    drop(late);
    assert!(
        matches!(reader.next().await, Err(Error::Unavailable(_))),
        "the end of a cache ends its watches"
    );
}

#[tokio::test]
async fn unreadable_objects_are_served_without_labels() {
    let bed = Bed::new(options()).await;
    bed.create("default/a", "no separator").await;
    let (_, entry) = bed
        .cache
        .get(b"/pods/default/a", Freshness::Latest)
        .await
        .unwrap();
    assert!(entry.unwrap().labels().is_empty());
}
