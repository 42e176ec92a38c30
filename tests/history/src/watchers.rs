//! Watchers: list, watch, and go on where they were when a watch ends.

use std::time::Duration;

use api::core::v1::ConfigMap;
use client::params::Query;
use client::request::ACCEPT_WATCH;
use client::{Api, Client, Request, WatchEvent, WatchStream};
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::Error;
use crate::clients::Actor;
use crate::journal::Journal;
use crate::objects;
use crate::record::{
    Answer, Change, End, Half, Item, Refusal, Revision, Seen, Selection, Session, Start, Time,
};
use crate::schedule::{ListBy, WatcherPlan};

const RETRY: Duration = Duration::from_millis(20);
/// Time for the end of the run to reach a watcher.
const PATIENCE: Duration = Duration::from_secs(45);
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The revisions that end the run, once they are known: of object 0 and of the two behind the others.
pub type Finish = watch::Receiver<Option<[Revision; 3]>>;

/// One watcher.
pub struct Watcher {
    number: u32,
    plan: WatcherPlan,
    /// One view a server: each watch goes to the next one.
    maps: Vec<Api<ConfigMap>>,
    actor: Actor,
    journal: Journal,
    finish: Finish,
    /// Everything up to here was seen, as it has known since.
    position: Option<(Revision, Time)>,
    opened: usize,
}

impl Watcher {
    pub fn new(
        number: u32,
        plan: WatcherPlan,
        clients: &[Client],
        namespace: &str,
        journal: Journal,
        finish: Finish,
    ) -> Self {
        let maps = |client: &Client| client.api::<ConfigMap>().namespace(namespace);
        Self {
            number,
            plan,
            maps: clients.iter().map(maps).collect(),
            // Watchers' lists are operations like others.
            actor: Actor::new(&clients[0], namespace, 1000 + number, journal.clone()),
            journal,
            finish,
            position: None,
            opened: number as usize,
        }
    }

    /// Watches until the end of the run has been seen.
    pub async fn run(mut self) -> Result<(), Error> {
        let mut finish = self.finish.clone();
        let known = async move {
            match finish.wait_for(Option::is_some).await.map(drop) {
                Ok(()) => tokio::time::sleep(PATIENCE).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::pin!(known);
        loop {
            let mut session = None;
            let outcome = tokio::select! {
                outcome = self.watch_once(&mut session) => outcome,
                () = &mut known => {
                    let session = session.unwrap_or_else(|| self.session(Start::State));
                    self.journal.session(Session { end: End::Stalled, ..session }).await;
                    return Ok(());
                }
            };
            outcome?;
            if let Some(session) = session {
                let end = session.end;
                self.journal.session(session).await;
                match end {
                    End::Finished => return Ok(()),
                    End::Expired { .. } => self.position = None,
                    _ => {}
                }
            }
        }
    }

    fn session(&self, start: Start) -> Session {
        Session {
            watcher: self.number,
            selection: self.plan.selection,
            start,
            seen: Vec::new(),
            end: End::Closed,
            is_slow: self.plan.is_slow,
        }
    }

    /// One watch request; the session is there once the request was answered.
    async fn watch_once(&mut self, session: &mut Option<Session>) -> Result<(), Error> {
        let start = match self.position {
            Some((revision, learned)) => Start::After { revision, learned },
            None if self.plan.with_state => Start::State,
            None => match self.actor.list(ListBy::Consistent, self.plan.selection).await? {
                Answer::Listed { revision, .. } => {
                    let learned = self.journal.now();
                    self.position = Some((revision, learned));
                    Start::After { revision, learned }
                }
                _ => return Ok(()),
            },
        };
        self.opened += 1;
        let maps = &self.maps[self.opened % self.maps.len()];
        let opened = maps
            .client()
            .stream(request(maps, self.plan.selection, &start))
            .await;
        let session = session.insert(self.session(start));
        match opened {
            Ok(response) => self.read(WatchStream::new(response), session).await,
            Err(error) => {
                if objects::failure(&error)? == Answer::Refused(Refusal::Expired) {
                    session.end = End::Expired {
                        at: self.journal.now(),
                    };
                }
                tokio::time::sleep(RETRY).await;
                Ok(())
            }
        }
    }

    async fn read(&mut self, stream: WatchStream<ConfigMap>, session: &mut Session) -> Result<(), Error> {
        let mut stream = std::pin::pin!(stream);
        let mut finish = self.finish.clone();
        let mut is_initial = matches!(session.start, Start::State);
        for number in 1.. {
            if self.is_finished() {
                session.end = End::Finished;
                return Ok(());
            }
            if number > self.plan.events_per_watch && !is_initial {
                return Ok(());
            }
            let next = tokio::select! {
                next = stream.next() => next,
                Ok(()) = finish.changed() => continue,
            };
            let at = self.journal.now();
            let seen = match next {
                Some(Ok(WatchEvent::Error(status))) => {
                    if status.code == 410 {
                        session.end = End::Expired { at };
                    }
                    return Ok(());
                }
                Some(Ok(event)) => self.seen(event, at, &mut is_initial)?,
                Some(Err(client::Error::Decode(what))) if !what.contains("middle of an event") => {
                    return Err(Error::Unexpected(format!("watch: {what}")));
                }
                Some(Err(_)) | None => {
                    tokio::time::sleep(RETRY).await;
                    return Ok(());
                }
            };
            session.seen.push(seen);
            if self.plan.is_slow {
                tokio::time::sleep(Duration::from_millis(number % 16)).await;
            }
        }
        Ok(())
    }

    fn seen(&mut self, event: WatchEvent<ConfigMap>, at: Time, is_initial: &mut bool) -> Result<Seen, Error> {
        let (change, map) = match event {
            WatchEvent::Added(map) => (Change::Added, map),
            WatchEvent::Modified(map) => (Change::Modified, map),
            WatchEvent::Deleted(map) => (Change::Deleted, map),
            WatchEvent::Bookmark(bookmark) => {
                if *is_initial && !bookmark.annotations.contains_key(INITIAL_EVENTS_END) {
                    return Err(Error::Unexpected("a bookmark among initial events".to_owned()));
                }
                *is_initial = false;
                let revision = objects::revision(&bookmark.resource_version)?;
                self.position = Some((revision, at));
                return Ok(Seen::Bookmark { at, revision });
            }
            WatchEvent::Error(status) => return Err(Error::Unexpected(format!("{status:?}"))),
        };
        let item: Item = objects::item(&map)?;
        if !*is_initial {
            self.position = Some((item.revision, at));
        }
        Ok(Seen::Event { at, change, item })
    }

    fn is_finished(&self) -> bool {
        let (Some(last), Some((position, _))) = (*self.finish.borrow(), self.position) else {
            return false;
        };
        let due = match self.plan.selection {
            Selection::One(_) => last[0],
            // The objects behind the others: an even number and an odd one.
            Selection::Half(Half::Even) => last[1],
            Selection::Half(Half::Odd) | Selection::Everything => last[2],
        };
        position >= due
    }
}

fn request(maps: &Api<ConfigMap>, selection: Selection, start: &Start) -> Request {
    let (labels, fields) = objects::selectors(selection);
    let mut query = Query::default();
    query.add("watch", Some("true"));
    query.add("allowWatchBookmarks", Some("true"));
    query.add("labelSelector", labels.as_deref());
    query.add("fieldSelector", fields.as_deref());
    match start {
        Start::After { revision, .. } => query.add("resourceVersion", Some(&revision.to_string())),
        Start::State => {
            query.add("sendInitialEvents", Some("true"));
            query.add("resourceVersionMatch", Some("NotOlderThan"));
        }
    }
    Request::get(maps.path().collection())
        .query(query)
        .accept(ACCEPT_WATCH)
}
