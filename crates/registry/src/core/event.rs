//! Events.

use std::time::Duration;

use api::core::v1::Event;
use apiserver::strategy::GarbageCollection;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Events.
pub struct Events;

impl Rules for Events {
    type Object = Event;
    const CREATE_ON_UPDATE: bool = true;
    const GARBAGE_COLLECTION: GarbageCollection = GarbageCollection::Unsupported;
    const TIME_TO_LIVE: Option<Duration> = Some(Duration::from_secs(3600));

    fn row(object: &Event, now: Timestamp) -> Vec<Value> {
        table::event::row(object, now)
    }
}
