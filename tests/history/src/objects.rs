//! The run's objects as ConfigMaps, and answers as the record has them.

use api::core::v1::ConfigMap;
use api::meta::v1::ObjectMeta;
use client::Error as ClientError;
use client::transport;

use crate::Error;
use crate::record::{Answer, Item, Key, Refusal, Revision, Selection, Value};

const BASE: &str = "base";
const LAST: &str = "last";
const HALF: &str = "half";

/// The same order as that of numbers.
pub fn name(key: Key) -> String {
    format!("k{key:03}")
}

/// As a create, or an update of a revision, sends it.
pub fn whole(key: Key, value: Value, known: Option<&Item>) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = name(key);
    if let Some(known) = known {
        map.metadata.resource_version = known.revision.to_string();
        map.metadata.uid = known.uid.clone();
    }
    map.metadata
        .labels
        .insert(HALF.to_owned(), value.half().label().to_owned());
    map.data.insert(BASE.to_owned(), value.base.to_string());
    map.data.insert(LAST.to_owned(), value.last.to_string());
    map
}

/// As a merge patch: sets what the write is known by and leaves the rest.
pub fn patch(value: Value) -> serde_json::Value {
    serde_json::json!({
        "metadata": {"labels": {HALF: value.half().label()}},
        "data": {LAST: value.last.to_string()},
    })
}

/// The selectors of labels and fields.
pub fn selectors(selection: Selection) -> (Option<String>, Option<String>) {
    match selection {
        Selection::Everything => (None, None),
        Selection::Half(half) => (Some(format!("{HALF}={}", half.label())), None),
        Selection::One(key) => (None, Some(format!("metadata.name={}", name(key)))),
    }
}

pub fn revision(text: &str) -> Result<Revision, Error> {
    text.parse()
        .map_err(|_| Error::Unexpected(format!("resource version {text:?}")))
}

/// What the object says; anything that no write of a run leaves is an error.
pub fn item(map: &ConfigMap) -> Result<Item, Error> {
    let torn = |what: &str| Error::Unexpected(format!("{what} of {map:?}"));
    let ObjectMeta {
        name: named,
        uid,
        resource_version,
        labels,
        ..
    } = &map.metadata;
    let number = |key: &str| {
        let text = map.data.get(key).ok_or_else(|| torn(key))?;
        text.parse().map_err(|_| torn(key))
    };
    let value = Value {
        base: number(BASE)?,
        last: number(LAST)?,
    };
    if labels.get(HALF).map(String::as_str) != Some(value.half().label()) {
        return Err(torn("label"));
    }
    let key = named.strip_prefix('k').and_then(|digits| digits.parse().ok());
    Ok(Item {
        key: key.ok_or_else(|| torn("name"))?,
        revision: revision(resource_version)?,
        uid: uid.clone(),
        value,
    })
}

/// What a failure says of the request: refused for sure, or anything may have happened.
pub fn failure(error: &ClientError) -> Result<Answer, Error> {
    match error {
        ClientError::Api(status) => Ok(match status.code {
            404 => Answer::Refused(Refusal::NotFound),
            409 if status.is_already_exists() => Answer::Refused(Refusal::AlreadyExists),
            409 => Answer::Refused(Refusal::Conflict),
            410 => Answer::Refused(Refusal::Expired),
            // Before anything was read or written.
            401 | 403 | 429 => Answer::Refused(Refusal::Busy),
            500.. => Answer::Lost,
            _ => return Err(Error::Unexpected(format!("refused: {status:?}"))),
        }),
        ClientError::Transport(transport::Error::Connect(_)) => Ok(Answer::Refused(Refusal::Busy)),
        ClientError::Transport(_) | ClientError::Timeout => Ok(Answer::Lost),
        ClientError::Decode(_) | ClientError::Request(_) | ClientError::Credentials(_) => {
            Err(Error::Unexpected(format!("{error:?}")))
        }
    }
}
