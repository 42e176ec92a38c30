//! The typed view of one resource.

use std::marker::PhantomData;

use api::meta::v1::{DeleteOptions, ListMeta};
use api::{Message, Resource};
use apimachinery::gvk::GroupVersionResource;
use bytes::Bytes;
use http::Method;

use crate::client::Response;
use crate::params::{ListParams, Patch, PatchParams, PostParams, WatchParams};
use crate::request::{ACCEPT_WATCH, JSON, PROTOBUF, Request, ResourcePath, Scope};
use crate::watch::{Decode, WatchStream};
use crate::{Client, Error, transport, wire};

/// A resource of one kind, in one namespace or in all of them.
pub struct Api<K> {
    client: Client,
    path: ResourcePath,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Api {
            client: self.client.clone(),
            path: self.path.clone(),
            kind: PhantomData,
        }
    }
}

/// A list, or a page of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectList<K> {
    pub metadata: ListMeta,
    pub items: Vec<K>,
}

impl<K: Resource> Api<K> {
    pub(crate) fn new(client: Client, scope: Scope) -> Self {
        let gvr = GroupVersionResource {
            group: K::GROUP.into(),
            version: K::VERSION.into(),
            resource: K::PLURAL.into(),
        };
        Api {
            client,
            path: ResourcePath::new(gvr, scope),
            kind: PhantomData,
        }
    }

    /// The objects of one namespace. An empty name means all namespaces, as everywhere in Kubernetes.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.path.scope = if namespace.is_empty() || !K::NAMESPACED {
            Scope::All
        } else {
            Scope::Namespace(namespace.to_owned())
        };
        self
    }

    /// The objects of all namespaces, or the cluster-scoped ones.
    pub fn all(mut self) -> Self {
        self.path.scope = Scope::All;
        self
    }

    pub fn path(&self) -> &ResourcePath {
        &self.path
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub async fn get(&self, name: &str) -> Result<K, Error> {
        decode_response(&self.client.send(Request::get(self.path.object(name))).await?)
    }

    pub async fn list(&self, params: &ListParams) -> Result<ObjectList<K>, Error> {
        let request = Request::get(self.path.collection()).query(params.query());
        let response = self.client.send(request).await?;
        decode_list(&response)
    }

    /// All pages of a list, of `page` items each. The version is that of the first page.
    pub async fn list_paged(&self, params: &ListParams, page: u32) -> Result<ObjectList<K>, Error> {
        let mut params = ListParams {
            limit: Some(page),
            ..params.clone()
        };
        let mut whole = self.list(&params).await?;
        while !whole.metadata.continue_.is_empty() {
            params.continue_ = Some(std::mem::take(&mut whole.metadata.continue_));
            // Version and match are facts of the first page; the token carries them on.
            params.resource_version = None;
            params.resource_version_match = None;
            let next = self.list(&params).await?;
            whole.items.extend(next.items);
            whole.metadata.continue_ = next.metadata.continue_;
        }
        whole.metadata.remaining_item_count = None;
        Ok(whole)
    }

    pub async fn watch(&self, params: &WatchParams) -> Result<WatchStream<K>, Error> {
        let request = Request::get(self.path.collection())
            .query(params.query())
            .accept(ACCEPT_WATCH);
        Ok(WatchStream::new(self.client.stream(request).await?))
    }

    pub async fn create(&self, object: &K) -> Result<K, Error> {
        self.create_with(object, &PostParams::default()).await
    }

    pub async fn create_with(&self, object: &K, params: &PostParams) -> Result<K, Error> {
        let request = Request::new(Method::POST, self.path.collection()).query(params.query());
        decode_response(&self.client.send(request.body(PROTOBUF, encode(object))).await?)
    }

    pub async fn update(&self, object: &K) -> Result<K, Error> {
        self.put(object, self.path.object(&object.metadata().name)).await
    }

    pub async fn update_status(&self, object: &K) -> Result<K, Error> {
        self.put(object, self.path.subresource(&object.metadata().name, "status"))
            .await
    }

    async fn put(&self, object: &K, path: String) -> Result<K, Error> {
        let request = Request::new(Method::PUT, path).body(PROTOBUF, encode(object));
        decode_response(&self.client.send(request).await?)
    }

    pub async fn patch(&self, name: &str, patch: &Patch, params: &PatchParams) -> Result<K, Error> {
        self.patch_at(self.path.object(name), patch, params).await
    }

    pub async fn patch_status(&self, name: &str, patch: &Patch, params: &PatchParams) -> Result<K, Error> {
        self.patch_at(self.path.subresource(name, "status"), patch, params)
            .await
    }

    async fn patch_at(&self, path: String, patch: &Patch, params: &PatchParams) -> Result<K, Error> {
        let body = patch.document().to_string();
        let request = Request::new(Method::PATCH, path)
            .query(params.query())
            .body(patch.content_type(), body);
        decode_response(&self.client.send(request).await?)
    }

    /// Asks for the object's deletion. It may stay for a while: finalizers, grace period.
    pub async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<(), Error> {
        let request = Request::new(Method::DELETE, self.path.object(name));
        self.client
            .send(request.body(JSON, delete_body(options)))
            .await
            .map(drop)
    }

    pub async fn delete_collection(
        &self,
        options: &DeleteOptions,
        selection: &ListParams,
    ) -> Result<(), Error> {
        let request = Request::new(Method::DELETE, self.path.collection()).query(selection.query());
        self.client
            .send(request.body(JSON, delete_body(options)))
            .await
            .map(drop)
    }

    /// Posts to a subresource of the object that takes and gives the same kind, such as `token`.
    pub async fn create_subresource<T: Resource>(
        &self,
        name: &str,
        subresource: &str,
        body: &T,
    ) -> Result<T, Error> {
        let request = Request::new(Method::POST, self.path.subresource(name, subresource));
        decode_response(&self.client.send(request.body(PROTOBUF, encode(body))).await?)
    }

    /// Posts to a subresource that answers with a Status: `binding`, `eviction`.
    pub async fn post_subresource<T: Resource>(
        &self,
        name: &str,
        subresource: &str,
        body: &T,
    ) -> Result<(), Error> {
        let request = Request::new(Method::POST, self.path.subresource(name, subresource));
        self.client
            .send(request.body(PROTOBUF, encode(body)))
            .await
            .map(drop)
    }

    /// Replaces a subresource of another kind, such as `scale` or `approval`.
    pub async fn update_subresource<T: Resource>(
        &self,
        name: &str,
        subresource: &str,
        body: &T,
    ) -> Result<T, Error> {
        let request = Request::new(Method::PUT, self.path.subresource(name, subresource));
        decode_response(&self.client.send(request.body(PROTOBUF, encode(body))).await?)
    }

    /// Reads a subresource of another kind, such as `scale`.
    pub async fn get_subresource<T: Resource>(&self, name: &str, subresource: &str) -> Result<T, Error> {
        decode_response(
            &self
                .client
                .send(Request::get(self.path.subresource(name, subresource)))
                .await?,
        )
    }

    /// Binds a pod to a node, as the scheduler does.
    pub async fn bind(&self, binding: &api::core::v1::Binding) -> Result<(), Error> {
        self.post_subresource(&binding.metadata.name, "binding", binding)
            .await
    }

    /// Evicts a pod, unless a disruption budget forbids it (429).
    pub async fn evict(&self, eviction: &api::policy::v1::Eviction) -> Result<(), Error> {
        self.post_subresource(&eviction.metadata.name, "eviction", eviction)
            .await
    }

    /// The body of a subresource that is a stream of text, such as `log`.
    pub async fn stream_subresource(
        &self,
        name: &str,
        subresource: &str,
    ) -> Result<http::Response<transport::Body>, Error> {
        self.client
            .stream(Request::get(self.path.subresource(name, subresource)))
            .await
    }
}

fn encode<T: Resource>(object: &T) -> Vec<u8> {
    wire::wrap(
        &api_version(T::GROUP, T::VERSION),
        T::KIND,
        &object.encode_to_vec(),
    )
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// DeleteOptions travels as JSON without a kind, which the server takes for the kind that it expects there.
pub(crate) fn delete_body(options: &DeleteOptions) -> Vec<u8> {
    options.to_json()
}

pub(crate) fn decode_response<K: Decode>(response: &Response) -> Result<K, Error> {
    K::decode_document(&response.body, response.protobuf).map_err(Error::Decode)
}

pub(crate) fn decode_list<K: Decode>(response: &Response) -> Result<ObjectList<K>, Error> {
    let parts = split(response).map_err(Error::Decode)?;
    let items = parts
        .items
        .iter()
        .map(|item| K::decode_item(item, response.protobuf));
    Ok(ObjectList {
        metadata: parts.metadata,
        items: items.collect::<Result<_, _>>().map_err(Error::Decode)?,
    })
}

/// A list whose items are still encoded.
struct Parts {
    metadata: ListMeta,
    items: Vec<Bytes>,
}

fn split(response: &Response) -> Result<Parts, String> {
    if response.protobuf {
        let envelope = wire::unwrap(&response.body).map_err(|error| error.to_string())?;
        let list = wire::split_list(&envelope.raw).map_err(|error| error.to_string())?;
        let metadata = ListMeta::decode(&list.metadata).map_err(|error| error.to_string())?;
        return Ok(Parts {
            metadata,
            items: list.items,
        });
    }
    split_json(&response.body)
}

fn split_json(body: &Bytes) -> Result<Parts, String> {
    use serde_json::value::RawValue;
    #[derive(serde::Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
        #[serde(borrow)]
        items: Option<Vec<&'a RawValue>>,
    }
    let list: List<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let metadata = match list.metadata {
        Some(metadata) => {
            ListMeta::from_json(metadata.get().as_bytes()).map_err(|error| error.to_string())?
        }
        None => ListMeta::default(),
    };
    let items = list.items.unwrap_or_default();
    Ok(Parts {
        metadata,
        items: items
            .iter()
            .map(|item| body.slice_ref(item.get().as_bytes()))
            .collect(),
    })
}

impl<K: Resource> Decode for K {
    fn decode_document(object: &Bytes, protobuf: bool) -> Result<Self, String> {
        if protobuf {
            let envelope = wire::unwrap(object).map_err(|error| error.to_string())?;
            return K::decode(&envelope.raw).map_err(|error| error.to_string());
        }
        K::from_json(object).map_err(|error| error.to_string())
    }

    fn decode_item(item: &Bytes, protobuf: bool) -> Result<Self, String> {
        if protobuf {
            return K::decode(item).map_err(|error| error.to_string());
        }
        K::from_json(item).map_err(|error| error.to_string())
    }
}
