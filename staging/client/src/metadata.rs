//! Resources known only at run time, of which only the metadata matters: garbage collection, quotas, namespace
//! deletion. Works with every kind, built-in or custom, because an object's metadata is in the same place in all.
//!
//! Upstream: client-go/metadata

use api::meta::v1::{DeleteOptions, ObjectMeta};
use api::{Message, Resource};
use bytes::Bytes;
use http::Method;

use crate::api_handle::{decode_list, decode_response, delete_body};
use crate::params::{ListParams, Patch, WatchParams};
use crate::request::{JSON, Request, ResourcePath};
use crate::watch::{Decode, WatchStream, frames, metadata_of};
use crate::{Client, Error, ObjectList, wire};

const ACCEPT: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
    application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const ACCEPT_LIST: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
    application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// An object of which only the metadata was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartialObject {
    pub metadata: ObjectMeta,
}

impl Decode for PartialObject {
    fn decode_document(object: &Bytes, protobuf: bool) -> Result<Self, String> {
        Ok(PartialObject {
            metadata: metadata_of(object, protobuf)?,
        })
    }

    fn decode_item(item: &Bytes, protobuf: bool) -> Result<Self, String> {
        let metadata = if protobuf {
            let meta = wire::object_meta(item).map_err(|error| error.to_string())?;
            ObjectMeta::decode(&meta).map_err(|error| error.to_string())?
        } else {
            frames::json_metadata(item)?
        };
        Ok(PartialObject { metadata })
    }
}

/// Objects that caches and queues can name, whatever view they are of.
pub trait HasMetadata {
    fn object_meta(&self) -> &ObjectMeta;
}

impl<K: Resource> HasMetadata for K {
    fn object_meta(&self) -> &ObjectMeta {
        self.metadata()
    }
}

impl HasMetadata for PartialObject {
    fn object_meta(&self) -> &ObjectMeta {
        &self.metadata
    }
}

/// The metadata view of one resource.
#[derive(Clone)]
pub struct MetadataApi {
    client: Client,
    path: ResourcePath,
}

impl MetadataApi {
    pub fn new(client: Client, path: ResourcePath) -> Self {
        MetadataApi { client, path }
    }

    pub fn path(&self) -> &ResourcePath {
        &self.path
    }

    pub async fn get(&self, name: &str) -> Result<PartialObject, Error> {
        decode_response(
            &self
                .client
                .send(Request::get(self.path.object(name)).accept(ACCEPT))
                .await?,
        )
    }

    pub async fn list(&self, params: &ListParams) -> Result<ObjectList<PartialObject>, Error> {
        let request = Request::get(self.path.collection())
            .query(params.query())
            .accept(ACCEPT_LIST);
        decode_list(&self.client.send(request).await?)
    }

    pub async fn watch(&self, params: &WatchParams) -> Result<WatchStream<PartialObject>, Error> {
        let request = Request::get(self.path.collection())
            .query(params.query())
            .accept(ACCEPT);
        Ok(WatchStream::new(self.client.stream(request).await?))
    }

    pub async fn patch(&self, name: &str, patch: &Patch) -> Result<PartialObject, Error> {
        let request = Request::new(Method::PATCH, self.path.object(name))
            .accept(ACCEPT)
            .body(patch.content_type(), patch.document().to_string());
        decode_response(&self.client.send(request).await?)
    }

    pub async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<(), Error> {
        let request = Request::new(Method::DELETE, self.path.object(name));
        self.client
            .send(request.body(JSON, delete_body(options)))
            .await
            .map(drop)
    }

    pub async fn delete_collection(&self, options: &DeleteOptions) -> Result<(), Error> {
        let request = Request::new(Method::DELETE, self.path.collection());
        self.client
            .send(request.body(JSON, delete_body(options)))
            .await
            .map(drop)
    }
}
