//! The server as a client of itself, without a network between: through admission and the write path, as
//! `system:apiserver`.

use std::sync::Arc;

use api::meta::v1::DeleteOptions;
use api::{Object, Resource};
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use auth::UserInfo;
use bytes::Bytes;
use serde_json::Value;
use storage::cache::Freshness;

use crate::managed_fields::{self, ApplyRequest, Configuration, Origin};
use crate::objects::{Objects, Written, failed};
use crate::resource::Served;
use crate::state::Api;
use crate::write::{Applied, Change, OperationOptions, Writer};

/// See the module.
#[derive(Clone)]
pub struct Local {
    api: Arc<Api>,
    user: UserInfo,
    /// Who owns the fields that are written.
    manager: &'static str,
}

/// An update of a typed object.
struct Edit<T, F> {
    edit: F,
    kind: std::marker::PhantomData<fn(T)>,
}

impl<T: Resource, F: Fn(&mut T) + Send + Sync> Change for Edit<T, F> {
    fn apply(&self, current: Option<&dyn Object>) -> Result<Applied, Status> {
        let mut object = current.ok_or_else(Status::path_not_found)?.clone_box();
        if let Some(object) = object.downcast_mut::<T>() {
            (self.edit)(object);
        }
        Ok(Applied {
            object,
            warnings: Vec::new(),
        })
    }
}

/// An apply patch to an object that is there, with force.
struct Application<'a> {
    origin: Origin<'a>,
    configuration: Configuration,
}

impl Change for Application<'_> {
    fn tracks_fields(&self) -> bool {
        true
    }

    fn apply(&self, current: Option<&dyn Object>) -> Result<Applied, Status> {
        let current = current.ok_or_else(Status::path_not_found)?;
        let request = ApplyRequest {
            origin: self.origin,
            force: true,
        };
        Ok(Applied {
            object: managed_fields::apply(request, &self.configuration, Some(current))?,
            warnings: Vec::new(),
        })
    }
}

impl Local {
    /// A client of the server.
    pub fn new(api: Arc<Api>) -> Local {
        Local {
            api,
            user: UserInfo::api_server(),
            manager: "kube-apiserver",
        }
    }

    /// The same, writing under another manager's name.
    pub fn managed_by(self, manager: &'static str) -> Local {
        Local { manager, ..self }
    }

    /// The server's parts.
    pub fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// One object as it stands; 404 if there is none.
    pub async fn get<T: Resource>(&self, namespace: &str, name: &str) -> Result<Box<T>, Status> {
        let served = self.served::<T>()?;
        let key = served.objects.key(namespace, name);
        let found = served.objects.load(&key).await?;
        let object = found.and_then(|loaded| loaded.object.downcast::<T>().ok());
        object.ok_or_else(|| Status::not_found(&GroupResource::new(T::GROUP, T::PLURAL), name))
    }

    /// All objects of a kind in a namespace (`""`: in all of them), as of now.
    pub async fn list<T: Resource>(&self, namespace: &str) -> Result<Vec<Box<T>>, Status> {
        let objects = &self.served::<T>()?.objects;
        let snapshot = objects.cache.snapshot(Freshness::Latest).await;
        let snapshot = snapshot.map_err(|error| failed(&error))?;
        snapshot
            .range(objects.prefix_of(namespace).as_bytes(), None)
            .map(|entry| typed(objects.decode(entry.stored().clone())?.object))
            .collect()
    }

    /// Creates an object.
    pub async fn create<T: Resource>(&self, object: T) -> Result<Box<T>, Status> {
        let served = self.served::<T>()?;
        let (namespace, name) = (
            object.metadata().namespace.clone(),
            object.metadata().name.clone(),
        );
        let saved = self
            .writer(&served, &namespace, &name)
            .create(Box::new(object))
            .await?;
        decode(&served.objects, &saved.written)
    }

    /// Changes an object; the change may run more than once.
    pub async fn update<T: Resource>(
        &self,
        namespace: &str,
        name: &str,
        edit: impl Fn(&mut T) + Send + Sync,
    ) -> Result<Box<T>, Status> {
        let served = self.served::<T>()?;
        let change = Edit {
            edit,
            kind: std::marker::PhantomData,
        };
        let saved = self
            .writer(&served, namespace, name)
            .update(&change, false)
            .await?;
        decode(&served.objects, &saved.written)
    }

    /// Changes the status of an object.
    pub async fn update_status<T: Resource>(
        &self,
        namespace: &str,
        name: &str,
        edit: impl Fn(&mut T) + Send + Sync,
    ) -> Result<Box<T>, Status> {
        let served = self.served::<T>()?;
        let change = Edit {
            edit,
            kind: std::marker::PhantomData,
        };
        let mut writer = self.writer(&served, namespace, name);
        writer.subresource = "status";
        let saved = writer.update(&change, false).await?;
        decode(&served.objects, &saved.written)
    }

    /// Applies a configuration to the status of an object, and takes over what others have set in it.
    pub async fn apply_status<T: Resource>(
        &self,
        namespace: &str,
        name: &str,
        configuration: &Value,
    ) -> Result<Box<T>, Status> {
        let served = self.served::<T>()?;
        let change = Application {
            origin: Origin {
                served: &served,
                manager: self.manager,
                subresource: "status",
                now: self.api.clock.now(),
            },
            configuration: Configuration::parse(&Bytes::from(configuration.to_string()))?,
        };
        let mut writer = self.writer(&served, namespace, name);
        writer.subresource = "status";
        let saved = writer.update(&change, false).await?;
        decode(&served.objects, &saved.written)
    }

    /// Deletes an object.
    pub async fn delete<T: Resource>(&self, namespace: &str, name: &str) -> Result<(), Status> {
        let served = self.served::<T>()?;
        self.writer(&served, namespace, name)
            .delete(&DeleteOptions::default())
            .await
            .map(drop)
    }

    /// Deletes an object of whatever resource.
    pub async fn delete_served(
        &self,
        served: &Served,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        self.writer(served, namespace, name)
            .delete(options)
            .await
            .map(drop)
    }

    fn served<T: Resource>(&self) -> Result<Arc<Served>, Status> {
        self.api
            .resources
            .get(T::GROUP, T::VERSION, T::PLURAL)
            .ok_or_else(Status::path_not_found)
    }

    fn writer<'a>(&'a self, served: &'a Served, namespace: &'a str, name: &'a str) -> Writer<'a> {
        Writer {
            api: &self.api,
            served,
            user: &self.user,
            namespace,
            name,
            subresource: "",
            dry_run: false,
            options: OperationOptions::default(),
            manager: Some(self.manager.to_owned()),
            warnings: Vec::new(),
        }
    }
}

fn decode<T: Resource>(objects: &Objects, written: &Written) -> Result<Box<T>, Status> {
    let mut object = crate::kind::stored::decode(objects.row, &written.value).map_err(Status::internal)?;
    if let Some(revision) = written.revision {
        object.metadata_mut().resource_version = revision.to_string();
    }
    typed(object)
}

fn typed<T: Resource>(object: Box<dyn Object>) -> Result<Box<T>, Status> {
    object
        .downcast::<T>()
        .map_err(|object| Status::internal(format!("{} is not of the type that it names", object.gvk())))
}
