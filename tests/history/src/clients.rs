//! Clients that do what the schedule says, and write down what they were told.

use std::collections::BTreeMap;
use std::time::Duration;

use api::Message;
use api::core::v1::ConfigMap;
use api::meta::v1::{DeleteOptions, Preconditions};
use client::{Api, Client, ListParams, Patch, PatchParams, Request};
use http::Method;

use crate::Error;
use crate::journal::Journal;
use crate::objects;
use crate::record::{
    Answer, Call, Freshness, Item, Key, OpId, Operation, Precondition, Refusal, Revision, Selection, Value,
};
use crate::schedule::{Action, DeleteBy, Intent, KEYS, ListBy};

/// Ids of one client's operations lie together.
const IDS_PER_CLIENT: OpId = 100_000;
/// After an answer that was lost: the server may be away.
const RECOVERY: Duration = Duration::from_millis(25);
const PAGE: u32 = 2;

/// One client and what it knows.
pub struct Actor {
    maps: Api<ConfigMap>,
    journal: Journal,
    next_id: OpId,
    known: BTreeMap<Key, Item>,
    newest: Revision,
}

impl Actor {
    /// The number tells clients of a run apart.
    pub fn new(client: &Client, namespace: &str, number: u32, journal: Journal) -> Self {
        Self {
            maps: client.api::<ConfigMap>().namespace(namespace),
            journal,
            next_id: (number + 1) * IDS_PER_CLIENT,
            known: BTreeMap::new(),
            newest: 0,
        }
    }

    pub async fn follow(mut self, intents: Vec<Intent>) -> Result<(), Error> {
        for intent in intents {
            tokio::time::sleep(Duration::from_micros(intent.pause)).await;
            self.act(intent).await?;
        }
        Ok(())
    }

    async fn act(&mut self, intent: Intent) -> Result<(), Error> {
        let key = intent.key;
        match intent.action {
            Action::Create => self.create(key).await.map(drop),
            Action::Get => self.get(key).await.map(drop),
            Action::Patch => self.patch(key).await.map(drop),
            Action::Update { fresh } => {
                if fresh || !self.known.contains_key(&key) {
                    self.get(key).await?;
                }
                match self.known.get(&key).cloned() {
                    Some(known) => self.update(key, known).await.map(drop),
                    None => Ok(()),
                }
            }
            Action::Delete(by) => {
                if by != DeleteBy::Name && !self.known.contains_key(&key) {
                    self.get(key).await?;
                }
                match (by, self.known.get(&key)) {
                    (DeleteBy::Name, _) => self.delete(key, Precondition::None).await.map(drop),
                    (DeleteBy::Revision, Some(known)) => {
                        let precondition = Precondition::Revision(known.revision);
                        self.delete(key, precondition).await.map(drop)
                    }
                    (DeleteBy::Uid, Some(known)) => {
                        let precondition = Precondition::Uid(known.uid.clone());
                        self.delete(key, precondition).await.map(drop)
                    }
                    (_, None) => Ok(()),
                }
            }
            Action::List(by, selection) => self.list(by, selection).await.map(drop),
        }
    }

    fn begin(&mut self, key: Key, call: Call) -> Operation {
        let id = self.next_id;
        self.next_id += 1;
        Operation {
            id,
            key,
            called: self.journal.now(),
            returned: 0,
            call,
            answer: Answer::Lost,
        }
    }

    async fn end(&mut self, mut operation: Operation, answer: Answer) -> Answer {
        operation.returned = self.journal.now();
        match &answer {
            Answer::Object(item) => {
                self.newest = self.newest.max(item.revision);
                self.known.insert(operation.key, item.clone());
            }
            Answer::Listed { revision, .. } => self.newest = self.newest.max(*revision),
            Answer::Deleted { .. } | Answer::Refused(Refusal::NotFound) => {
                self.known.remove(&operation.key);
            }
            _ => {}
        }
        operation.answer = answer.clone();
        self.journal.operation(operation).await;
        if matches!(answer, Answer::Lost | Answer::Refused(Refusal::Busy)) {
            tokio::time::sleep(RECOVERY).await;
        }
        answer
    }

    pub async fn create(&mut self, key: Key) -> Result<Answer, Error> {
        let operation = self.begin(key, Call::Create);
        let map = objects::whole(key, Value::whole(operation.id), None);
        let answer = self.maps.create(&map).await;
        self.object(operation, answer).await
    }

    pub async fn update(&mut self, key: Key, known: Item) -> Result<Answer, Error> {
        let expected = known.revision;
        let operation = self.begin(key, Call::Update { expected });
        let map = objects::whole(key, Value::whole(operation.id), Some(&known));
        let answer = self.maps.update(&map).await;
        self.object(operation, answer).await
    }

    pub async fn patch(&mut self, key: Key) -> Result<Answer, Error> {
        let operation = self.begin(key, Call::Patch);
        let patch = Patch::Merge(objects::patch(Value::whole(operation.id)));
        let (name, params) = (objects::name(key), PatchParams::default());
        let answer = self.maps.patch(&name, &patch, &params).await;
        self.object(operation, answer).await
    }

    pub async fn get(&mut self, key: Key) -> Result<Answer, Error> {
        let operation = self.begin(key, Call::Get);
        let answer = self.maps.get(&objects::name(key)).await;
        self.object(operation, answer).await
    }

    async fn object(
        &mut self,
        operation: Operation,
        answer: Result<ConfigMap, client::Error>,
    ) -> Result<Answer, Error> {
        let answer = match answer {
            Ok(map) => Answer::Object(objects::item(&map)?),
            Err(error) => objects::failure(&error)?,
        };
        Ok(self.end(operation, answer).await)
    }

    pub async fn delete(&mut self, key: Key, precondition: Precondition) -> Result<Answer, Error> {
        let mut options = DeleteOptions::default();
        let mut preconditions = Preconditions::default();
        match &precondition {
            Precondition::None => {}
            Precondition::Revision(revision) => preconditions.resource_version = Some(revision.to_string()),
            Precondition::Uid(uid) => preconditions.uid = Some(uid.clone()),
        }
        if precondition != Precondition::None {
            options.preconditions = Some(Box::new(preconditions));
        }
        let path = self.maps.path().object(&objects::name(key));
        let request = Request::new(Method::DELETE, path)
            .accept(client::request::JSON)
            .body(client::request::JSON, options.to_json());
        let operation = self.begin(key, Call::Delete(precondition));
        let answer = match self.maps.client().send(request).await {
            Ok(response) => Answer::Deleted {
                uid: deleted_uid(&response.body)?,
            },
            Err(error) => objects::failure(&error)?,
        };
        Ok(self.end(operation, answer).await)
    }

    pub async fn list(&mut self, by: ListBy, selection: Selection) -> Result<Answer, Error> {
        let (label_selector, field_selector) = objects::selectors(selection);
        let mut params = ListParams {
            label_selector,
            field_selector,
            ..ListParams::default()
        };
        let freshness = match by {
            ListBy::Consistent | ListBy::Paged => Freshness::Consistent,
            ListBy::Any => Freshness::Any,
            _ if self.newest == 0 => Freshness::Consistent,
            ListBy::AtLeastKnown => Freshness::AtLeast(self.newest),
            ListBy::ExactlyKnown => Freshness::Exactly(self.newest),
        };
        (params.resource_version, params.resource_version_match) = match freshness {
            Freshness::Consistent => (None, None),
            Freshness::Any => (Some("0".to_owned()), None),
            Freshness::AtLeast(revision) => (Some(revision.to_string()), Some("NotOlderThan".to_owned())),
            Freshness::Exactly(revision) => (Some(revision.to_string()), Some("Exact".to_owned())),
        };
        params.limit = (by == ListBy::Paged).then_some(PAGE);
        let operation = self.begin(0, Call::List { freshness, selection });
        let answer = self.pages(params).await?;
        Ok(self.end(operation, answer).await)
    }

    /// All pages, which must be of one revision.
    async fn pages(&self, mut params: ListParams) -> Result<Answer, Error> {
        let (mut revision, mut items) = (None, Vec::new());
        loop {
            let page = match self.maps.list(&params).await {
                Ok(page) => page,
                Err(error) => return objects::failure(&error),
            };
            let shown = objects::revision(&page.metadata.resource_version)?;
            if *revision.get_or_insert(shown) != shown {
                return Err(Error::Unexpected(format!(
                    "a page of revision {shown} in a list of revision {revision:?}"
                )));
            }
            for map in &page.items {
                items.push(objects::item(map)?);
            }
            if page.metadata.continue_.is_empty() {
                return Ok(Answer::Listed {
                    revision: shown,
                    items,
                });
            }
            params.continue_ = Some(page.metadata.continue_);
        }
    }

    /// The end of the run: the newest revisions that watchers of everything, of a half and of object 0 must see.
    pub async fn finale(mut self) -> Result<[Revision; 3], Error> {
        let mut written = Vec::new();
        for key in [0, KEYS, KEYS + 1] {
            written.push(self.write_for_sure(key).await?);
        }
        self.list_for_sure().await?;
        for key in 0..KEYS {
            self.get_for_sure(key).await?;
        }
        Ok([written[0], written[1], written[2]])
    }

    async fn write_for_sure(&mut self, key: Key) -> Result<Revision, Error> {
        for _ in 0..ATTEMPTS {
            // Watchers of each half wait for the objects behind the others.
            if key >= KEYS && self.next_id % 2 != key % 2 {
                self.next_id += 1;
            }
            let answer = match self.known.get(&key).cloned() {
                Some(known) => self.update(key, known).await?,
                None => self.create(key).await?,
            };
            match answer {
                Answer::Object(item) => return Ok(item.revision),
                _ => drop(self.get(key).await?),
            }
        }
        Err(Error::Unexpected("no write succeeds after the faults".to_owned()))
    }

    async fn list_for_sure(&mut self) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let answer = self.list(ListBy::Consistent, Selection::Everything).await?;
            if matches!(answer, Answer::Listed { .. }) {
                return Ok(());
            }
        }
        Err(Error::Unexpected("no list succeeds after the faults".to_owned()))
    }

    async fn get_for_sure(&mut self, key: Key) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            match self.get(key).await? {
                Answer::Object(_) | Answer::Refused(Refusal::NotFound) => return Ok(()),
                _ => {}
            }
        }
        Err(Error::Unexpected("no get succeeds after the faults".to_owned()))
    }
}

/// At 25 ms each: a server that needs longer is broken.
const ATTEMPTS: usize = 2000;

fn deleted_uid(body: &[u8]) -> Result<String, Error> {
    let status: serde_json::Value = serde_json::from_slice(body)
        .map_err(|error| Error::Unexpected(format!("answer of a delete: {error}")))?;
    match status["details"]["uid"].as_str() {
        Some(uid) => Ok(uid.to_owned()),
        None => Err(Error::Unexpected(format!("answer of a delete: {status}"))),
    }
}
