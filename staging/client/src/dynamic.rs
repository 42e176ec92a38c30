//! Resources known only at run time, as JSON documents.
//!
//! Upstream: client-go/dynamic

use api::Message;
use api::meta::v1::DeleteOptions;
use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::api_handle::{decode_list, decode_response, delete_body};
use crate::params::{ListParams, Patch, PatchParams, PostParams, WatchParams};
use crate::request::{JSON, Request, ResourcePath};
use crate::watch::{Decode, WatchStream};
use crate::{Client, Error, ObjectList};

/// A document of any kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document(pub Value);

impl Decode for Document {
    fn decode_document(object: &Bytes, protobuf: bool) -> Result<Self, String> {
        if protobuf {
            return Err("protobuf answer to a request for JSON".into());
        }
        serde_json::from_slice(object)
            .map(Document)
            .map_err(|error| error.to_string())
    }

    fn decode_item(item: &Bytes, protobuf: bool) -> Result<Self, String> {
        Self::decode_document(item, protobuf)
    }
}

/// The JSON view of one resource.
#[derive(Clone)]
pub struct DynamicApi {
    client: Client,
    path: ResourcePath,
}

impl DynamicApi {
    pub fn new(client: Client, path: ResourcePath) -> Self {
        DynamicApi { client, path }
    }

    pub fn path(&self) -> &ResourcePath {
        &self.path
    }

    pub async fn get(&self, name: &str) -> Result<Document, Error> {
        self.exchange(Request::get(self.path.object(name))).await
    }

    pub async fn list(&self, params: &ListParams) -> Result<ObjectList<Document>, Error> {
        let request = Request::get(self.path.collection())
            .query(params.query())
            .accept(JSON);
        decode_list(&self.client.send(request).await?)
    }

    pub async fn watch(&self, params: &WatchParams) -> Result<WatchStream<Document>, Error> {
        let request = Request::get(self.path.collection())
            .query(params.query())
            .accept(JSON);
        Ok(WatchStream::new(self.client.stream(request).await?))
    }

    pub async fn create(&self, document: &Document, params: &PostParams) -> Result<Document, Error> {
        let request = Request::new(Method::POST, self.path.collection()).query(params.query());
        self.exchange(request.body(JSON, document.0.to_string())).await
    }

    pub async fn update(&self, name: &str, document: &Document) -> Result<Document, Error> {
        let request = Request::new(Method::PUT, self.path.object(name));
        self.exchange(request.body(JSON, document.0.to_string())).await
    }

    /// `subresource` is `None` for the object itself.
    pub async fn patch(
        &self,
        name: &str,
        subresource: Option<&str>,
        patch: &Patch,
        params: &PatchParams,
    ) -> Result<Document, Error> {
        let path = match subresource {
            Some(subresource) => self.path.subresource(name, subresource),
            None => self.path.object(name),
        };
        let request = Request::new(Method::PATCH, path).query(params.query());
        self.exchange(request.body(patch.content_type(), patch.document().to_string()))
            .await
    }

    pub async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<(), Error> {
        let request = Request::new(Method::DELETE, self.path.object(name));
        self.client
            .send(request.body(JSON, delete_body(options)))
            .await
            .map(drop)
    }

    async fn exchange(&self, request: Request) -> Result<Document, Error> {
        decode_response(&self.client.send(request.accept(JSON)).await?)
    }
}

/// The JSON form of a typed message, for patches computed from objects.
pub fn to_value(message: &impl Message) -> Result<Value, Error> {
    serde_json::from_slice(&message.to_json()).map_err(|error| Error::Decode(error.to_string()))
}
