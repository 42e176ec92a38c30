//! What a watcher lists and watches: a typed resource or the metadata of one.

use api::Resource;
use client::metadata::{MetadataApi, PartialObject};
use client::{Api, Error, ListParams, ObjectList, WatchEvent, WatchParams};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

/// The part of a resource that is listed and watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
}

/// Events as they come from a source.
pub type Events<K> = BoxStream<'static, Result<WatchEvent<K>, Error>>;

/// Lists and watches one resource.
pub trait ListWatch<K>: Send + Sync + 'static {
    fn list(&self, params: ListParams) -> BoxFuture<'_, Result<ObjectList<K>, Error>>;
    fn watch(&self, params: WatchParams) -> BoxFuture<'_, Result<Events<K>, Error>>;
    /// What is watched, for logs.
    fn name(&self) -> String;
}

impl<K: Resource> ListWatch<K> for Api<K> {
    fn list(&self, params: ListParams) -> BoxFuture<'_, Result<ObjectList<K>, Error>> {
        Box::pin(async move { Api::list(self, &params).await })
    }

    fn watch(&self, params: WatchParams) -> BoxFuture<'_, Result<Events<K>, Error>> {
        Box::pin(async move { Ok(Api::watch(self, &params).await?.boxed()) })
    }

    fn name(&self) -> String {
        self.path().collection()
    }
}

impl ListWatch<PartialObject> for MetadataApi {
    fn list(&self, params: ListParams) -> BoxFuture<'_, Result<ObjectList<PartialObject>, Error>> {
        Box::pin(async move { MetadataApi::list(self, &params).await })
    }

    fn watch(&self, params: WatchParams) -> BoxFuture<'_, Result<Events<PartialObject>, Error>> {
        Box::pin(async move { Ok(MetadataApi::watch(self, &params).await?.boxed()) })
    }

    fn name(&self) -> String {
        self.path().collection()
    }
}
