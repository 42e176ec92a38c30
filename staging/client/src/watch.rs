//! The stream of a resource's changes.
//!
//! Upstream: client-go/rest/watch, apimachinery/pkg/watch

pub mod frames;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use api::meta::v1::ObjectMeta;
use apimachinery::status::Status;
use bytes::Bytes;
use futures_util::Stream;
use http_body::Body as _;

use crate::client::{decode_status, is_protobuf};
use crate::transport::Body;
use crate::{Error, wire};
use frames::Framing;

/// A change of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent<K> {
    Added(K),
    Modified(K),
    Deleted(K),
    Bookmark(Bookmark),
    /// The server ends the watch; `Expired` means that the resource version is too old to resume from.
    Error(Status),
}

/// "You have seen everything up to this version."
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bookmark {
    pub resource_version: String,
    pub annotations: BTreeMap<String, String>,
}

/// An event whose object is still encoded, with or without an envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedEvent {
    pub type_: EventType,
    pub protobuf: bool,
    pub object: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl EventType {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ADDED" => EventType::Added,
            "MODIFIED" => EventType::Modified,
            "DELETED" => EventType::Deleted,
            "BOOKMARK" => EventType::Bookmark,
            "ERROR" => EventType::Error,
            _ => return None,
        })
    }
}

/// How one object of a view is decoded: typed, metadata only or dynamic.
pub trait Decode: Sized {
    /// `object` is a whole document: JSON, or protobuf in its envelope.
    fn decode_document(object: &Bytes, protobuf: bool) -> Result<Self, String>;
    /// `item` is an element of a list: JSON, or protobuf without an envelope.
    fn decode_item(item: &Bytes, protobuf: bool) -> Result<Self, String>;
}

/// Events that are still encoded: no kind is known here, so that this code exists once.
pub struct EncodedWatch {
    body: Body,
    protobuf: bool,
    framing: Framing,
    ended: bool,
}

impl EncodedWatch {
    pub fn new(response: http::Response<Body>) -> Self {
        let protobuf = is_protobuf(response.headers());
        let framing = if protobuf {
            Framing::length_delimited()
        } else {
            Framing::lines()
        };
        EncodedWatch {
            body: response.into_body(),
            protobuf,
            framing,
            ended: false,
        }
    }

    fn parse(&self, frame: &Bytes) -> Result<EncodedEvent, Error> {
        let (type_, object) = if self.protobuf {
            let event = wire::watch_event(frame).map_err(|error| Error::Decode(error.to_string()))?;
            (event.type_, event.object)
        } else {
            frames::json_event(frame).map_err(Error::Decode)?
        };
        match EventType::parse(&type_) {
            Some(type_) => Ok(EncodedEvent {
                type_,
                protobuf: self.protobuf,
                object,
            }),
            None => Err(Error::Decode(format!("unknown watch event type {type_:?}"))),
        }
    }
}

impl Stream for EncodedWatch {
    type Item = Result<EncodedEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.framing.next_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(self.parse(&frame))),
                Ok(None) if self.ended => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => {
                    self.ended = true;
                    self.framing.clear();
                    return Poll::Ready(Some(Err(Error::Decode(error.to_string()))));
                }
            }
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => {
                    self.ended = true;
                    self.framing.finish();
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.framing.push(&data);
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    self.framing.clear();
                    return Poll::Ready(Some(Err(Error::Transport(error))));
                }
            }
        }
    }
}

/// The typed stream of changes. It ends when the server closes the watch.
pub struct WatchStream<K> {
    encoded: EncodedWatch,
    kind: PhantomData<fn() -> K>,
}

impl<K> WatchStream<K> {
    pub fn new(response: http::Response<Body>) -> Self {
        WatchStream {
            encoded: EncodedWatch::new(response),
            kind: PhantomData,
        }
    }
}

impl<K: Decode> Stream for WatchStream<K> {
    type Item = Result<WatchEvent<K>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = std::task::ready!(Pin::new(&mut self.encoded).poll_next(cx));
        Poll::Ready(event.map(|event| event.and_then(decode)))
    }
}

fn decode<K: Decode>(event: EncodedEvent) -> Result<WatchEvent<K>, Error> {
    let object = || K::decode_document(&event.object, event.protobuf).map_err(Error::Decode);
    Ok(match event.type_ {
        EventType::Added => WatchEvent::Added(object()?),
        EventType::Modified => WatchEvent::Modified(object()?),
        EventType::Deleted => WatchEvent::Deleted(object()?),
        EventType::Bookmark => WatchEvent::Bookmark(bookmark(&event)?),
        EventType::Error => WatchEvent::Error(status(&event)?),
    })
}

fn bookmark(event: &EncodedEvent) -> Result<Bookmark, Error> {
    let metadata = metadata_of(&event.object, event.protobuf).map_err(Error::Decode)?;
    Ok(Bookmark {
        resource_version: metadata.resource_version,
        annotations: metadata.annotations,
    })
}

fn status(event: &EncodedEvent) -> Result<Status, Error> {
    let status = if event.protobuf {
        decode_status(&event.object)
    } else {
        Status::from_json(&event.object).ok()
    };
    status.ok_or_else(|| Error::Decode("watch error without a status".into()))
}

/// The metadata of any document.
pub(crate) fn metadata_of(object: &Bytes, protobuf: bool) -> Result<ObjectMeta, String> {
    use api::Message;
    if protobuf {
        let envelope = wire::unwrap(object).map_err(|error| error.to_string())?;
        let meta = wire::object_meta(&envelope.raw).map_err(|error| error.to_string())?;
        ObjectMeta::decode(&meta).map_err(|error| error.to_string())
    } else {
        frames::json_metadata(object)
    }
}

#[cfg(test)]
mod tests;
