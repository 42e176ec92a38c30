//! What the plugins' tests share: a request, run through both phases of one plugin.

use api::{Object, Resource};
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use apimachinery::status::Status;
use auth::UserInfo;

use crate::{Attributes, Operation, Plugin, Review};

/// A request as a test states it.
pub(crate) struct Request {
    pub operation: Operation,
    pub subresource: &'static str,
    /// The resource, where it is not the object's own (`pods` for an Eviction).
    pub resource: Option<(&'static str, &'static str)>,
    pub user: UserInfo,
    pub name: Option<&'static str>,
    pub dry_run: bool,
}

impl Request {
    pub(crate) fn new(operation: Operation) -> Self {
        Self {
            operation,
            subresource: "",
            resource: None,
            user: UserInfo::new("ada", &[]),
            name: None,
            dry_run: false,
        }
    }

    pub(crate) fn create() -> Self {
        Self::new(Operation::Create)
    }

    pub(crate) fn update() -> Self {
        Self::new(Operation::Update)
    }

    pub(crate) fn subresource(mut self, subresource: &'static str) -> Self {
        self.subresource = subresource;
        self
    }

    pub(crate) fn by(mut self, user: UserInfo) -> Self {
        self.user = user;
        self
    }

    /// Runs both phases, as the write path does, the first once more if the plugin asks for it.
    pub(crate) async fn run<T: Resource>(
        &self,
        plugin: &dyn Plugin,
        object: Option<&mut T>,
        old: Option<&T>,
    ) -> Result<Vec<String>, Status> {
        if !plugin.handles(self.operation) {
            return Ok(Vec::new());
        }
        let about = object.as_deref().or(old).expect("a test has an object");
        let metadata = Object::metadata(about).clone();
        let name = if self.operation == Operation::Create {
            ""
        } else {
            &metadata.name
        };
        let (group, plural) = self.resource.unwrap_or((T::GROUP, T::PLURAL));
        let attributes = Attributes {
            operation: self.operation,
            kind: GroupVersionKind {
                group: T::GROUP.into(),
                version: T::VERSION.into(),
                kind: T::KIND.into(),
            },
            resource: GroupVersionResource {
                group: group.into(),
                version: T::VERSION.into(),
                resource: plural.into(),
            },
            subresource: self.subresource,
            namespace: &metadata.namespace,
            name: self.name.unwrap_or(name),
            user: &self.user,
            dry_run: self.dry_run,
            options: &[],
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        let mut reviewed: Option<Box<dyn Object>> = object.as_deref().map(Object::clone_box);
        let mut review = Review::new(reviewed.as_mut(), old.map(|old| old as &dyn Object));
        let outcome = async {
            plugin.mutate(&attributes, &mut review).await?;
            if review.reinvocation.requested {
                review.reinvocation.again = true;
                plugin.mutate(&attributes, &mut review).await?;
            }
            plugin.validate(&attributes, &mut review).await
        };
        let outcome = outcome.await;
        let warnings = std::mem::take(&mut review.warnings);
        if let (Some(object), Some(reviewed)) = (object, reviewed) {
            *object = *reviewed.downcast().expect("a plugin keeps the kind");
        }
        outcome.map(|()| warnings)
    }
}

/// The message of a refusal, or `ok`.
pub(crate) fn told(outcome: &Result<Vec<String>, Status>) -> &str {
    match outcome {
        Ok(_) => "ok",
        Err(status) => &status.message,
    }
}

/// An object from JSON.
pub(crate) fn from_json<T: Resource>(json: &str) -> T {
    T::from_json(json.as_bytes()).expect("a test's JSON is well-formed")
}
