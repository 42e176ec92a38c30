//! The model's store: what it answers, and what it gets wrong when asked to.

use std::collections::BTreeMap;

use super::{Logged, Model, Plant};
use crate::record::{
    Answer, Call, Freshness, Item, Key, Operation, Precondition, Refusal, Selection, Time, Value,
};

impl Model {
    /// The last change is taken back.
    pub fn travel(&mut self) {
        let Some(last) = self.log.pop() else { return };
        match last.before {
            Some(before) => self.objects.insert(last.item.key, before),
            None => self.objects.remove(&last.item.key),
        };
        self.revision -= 1;
    }

    pub fn apply(&mut self, operation: &Operation, may_plant: bool) -> Answer {
        let (key, id) = (operation.key, operation.id);
        let current = self.objects.get(&key).cloned();
        match (&operation.call, current) {
            (Call::List { freshness, selection }, _) => {
                self.list(*freshness, *selection, operation.called, may_plant)
            }
            (Call::Get, current) => self.get(operation, current, may_plant),
            (Call::Create, Some(_)) => Answer::Refused(Refusal::AlreadyExists),
            (Call::Create, None) => {
                self.uids += 1;
                let uid = format!("u{}", self.uids);
                self.write(key, uid, Value::whole(id), may_plant)
            }
            (_, None) => Answer::Refused(Refusal::NotFound),
            (Call::Update { expected }, Some(current)) => {
                if *expected != current.revision && !self.plants(Plant::LostUpdate, may_plant) {
                    if self.plants(Plant::AppliedRefusal, may_plant) {
                        drop(self.write(key, current.uid, Value::whole(id), false));
                    }
                    return Answer::Refused(Refusal::Conflict);
                }
                self.write(key, current.uid, Value::whole(id), may_plant)
            }
            (Call::Patch, Some(current)) => {
                let mut value = Value {
                    base: current.value.base,
                    last: id,
                };
                let mut bases = self.log.iter().map(|logged| logged.item.value.base);
                let older = bases.rfind(|base| *base != value.base);
                if let Some(older) = older
                    && self.plants(Plant::LostPatch, may_plant)
                {
                    value.base = older;
                }
                self.write(key, current.uid, value, may_plant)
            }
            (Call::Delete(precondition), Some(current)) => self.delete(precondition, current, may_plant),
        }
    }

    fn write(&mut self, key: Key, uid: String, value: Value, may_plant: bool) -> Answer {
        let item = Item {
            key,
            revision: self.revision + 1,
            uid,
            value,
        };
        if self.plants(Plant::LostWrite, may_plant) {
            // Its revision goes to the next write.
            return Answer::Object(item);
        }
        self.revision += 1;
        let before = self.objects.insert(key, item.clone());
        self.log.push(Logged {
            before,
            item: item.clone(),
            is_deletion: false,
        });
        Answer::Object(item)
    }

    fn delete(&mut self, precondition: &Precondition, current: Item, may_plant: bool) -> Answer {
        let holds = match precondition {
            Precondition::None => true,
            Precondition::Revision(revision) => *revision == current.revision,
            Precondition::Uid(uid) => *uid == current.uid,
        };
        if !holds {
            return Answer::Refused(Refusal::Conflict);
        }
        let uid = current.uid.clone();
        if self.plants(Plant::LostDelete, may_plant) {
            return Answer::Deleted { uid };
        }
        self.revision += 1;
        self.objects.remove(&current.key);
        self.log.push(Logged {
            before: Some(current.clone()),
            item: Item {
                revision: self.revision,
                ..current
            },
            is_deletion: true,
        });
        Answer::Deleted { uid }
    }

    /// Whether somebody was told of this version before `called`.
    pub fn is_settled(&self, item: &Item, called: Time) -> bool {
        let answer = Answer::Object(item.clone());
        let mut told = self.history.operations.iter();
        told.any(|operation| operation.answer == answer && operation.returned < called)
    }

    fn get(&mut self, operation: &Operation, current: Option<Item>, may_plant: bool) -> Answer {
        if let Some(current) = &current
            && self.is_settled(current, operation.called)
            && self.plants(Plant::StaleGet, may_plant)
        {
            let mut log = self.log.iter().rev();
            let last = log.find(|logged| logged.item.key == operation.key);
            let last = last.and_then(|logged| logged.before.clone());
            return last.map_or(Answer::Refused(Refusal::NotFound), Answer::Object);
        }
        current.map_or(Answer::Refused(Refusal::NotFound), Answer::Object)
    }

    /// The state before the last change of all.
    fn earlier(&self) -> BTreeMap<Key, Item> {
        let mut objects = self.objects.clone();
        if let Some(last) = self.log.last() {
            match &last.before {
                Some(before) => objects.insert(last.item.key, before.clone()),
                None => objects.remove(&last.item.key),
            };
        }
        objects
    }

    fn list(&mut self, freshness: Freshness, selection: Selection, called: Time, may_plant: bool) -> Answer {
        let everything = selection == Selection::Everything;
        let is_settled = self
            .log
            .last()
            .is_some_and(|last| self.is_settled(&last.item, called));
        let (mut revision, mut objects) = (self.revision, self.objects.clone());
        if everything && is_settled {
            if freshness == Freshness::Consistent && self.plants(Plant::StaleList, may_plant) {
                (revision, objects) = (self.revision - 1, self.earlier());
            } else if self.plants(Plant::TornList, may_plant) {
                objects = self.earlier();
            } else if !objects.is_empty() && self.plants(Plant::ShortList, may_plant) {
                objects.pop_first();
            }
        }
        let items = objects.into_values();
        Answer::Listed {
            revision,
            items: items
                .filter(|item| selection.matches(item.key, item.value))
                .collect(),
        }
    }
}
