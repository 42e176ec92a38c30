//! Changing an object, by whatever means the new state is made from the old one.

use api::Object;
use apimachinery::field::{Error, Path};
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;
use auth::{Attributes, Decision};
use storage::Expect;

use super::admit::Operation;
use super::{Reservation, Saved, Writer, deletion, metadata};
use crate::managed_fields;
use crate::objects::{CommitError, Loaded, Written, precondition_failed};

/// What upstream tells the loser of a race.
const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Makes the wanted state of an object from its present one. Called again after each conflict.
pub trait Change: Send + Sync {
    /// Whether the change itself records who owns which field.
    fn tracks_fields(&self) -> bool {
        false
    }

    /// Whether a uid in the new state is a precondition, as it is of a PUT.
    fn states_identity(&self) -> bool {
        false
    }

    /// `None`: there is no object; a change that can't create answers 404.
    fn apply(&self, current: Option<&dyn Object>) -> Result<Applied, Status>;
}

/// The wanted state, of the storage version.
pub struct Applied {
    pub object: Box<dyn Object>,
    pub warnings: Vec<String>,
}

/// How one attempt ended.
enum Attempt {
    Done(Saved),
    /// Somebody else wrote in between.
    Raced,
}

impl Writer<'_> {
    /// Applies a change; creates the object if the kind or the caller allows that.
    pub async fn update(&mut self, change: &dyn Change, force_create: bool) -> Result<Saved, Status> {
        let key = self.objects().key(self.namespace, self.name);
        // Each race that is lost means that somebody else got on; the request's deadline bounds the whole.
        loop {
            let attempt = match self.objects().load(&key).await? {
                Some(current) => self.replace(&key, current, change).await?,
                None if force_create || self.strategy().allow_create_on_update() => {
                    self.create_by_update(change).await?
                }
                None => return Err(Status::not_found(&self.served.group_resource(), self.name)),
            };
            if let Attempt::Done(saved) = attempt {
                return Ok(saved);
            }
        }
    }

    async fn create_by_update(&mut self, change: &dyn Change) -> Result<Attempt, Status> {
        let Applied { mut object, warnings } = change.apply(None)?;
        self.warn(warnings);
        if !object.metadata().uid.is_empty() {
            let uid = &object.metadata().uid;
            let why = if change.states_identity() {
                precondition_failed(&self.objects().key(self.namespace, self.name), "UID", uid, "")
            } else {
                format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                )
            };
            return Err(Status::conflict(&self.served.group_resource(), self.name, why));
        }
        self.settle_identity(&mut *object)?;
        self.strategy().default(&mut *object);
        if !change.tracks_fields() {
            self.track_fields(None, &mut *object);
        }
        self.authorize_create().await?;
        self.mutate(Operation::Create, &mut object, None).await?;
        metadata::settle_namespace(object.metadata_mut(), self.object_namespace())?;
        self.deduplicate_owners(&mut *object, " after mutating admission happens");
        let written = self.insert(object).await.map_err(Status::from);
        match written {
            Ok(written) => Ok(Attempt::Done(Saved {
                written,
                created: true,
            })),
            Err(status) if status.is_already_exists() => Ok(Attempt::Raced),
            Err(status) => Err(status),
        }
    }

    async fn replace(&mut self, key: &str, current: Loaded, change: &dyn Change) -> Result<Attempt, Status> {
        let Loaded { object: old, stored } = current;
        let Applied { mut object, warnings } = change.apply(Some(&*old))?;
        self.warn(warnings);
        self.settle_identity(&mut *object)?;
        if change.states_identity() {
            self.check_uid(&*object, &*old)?;
        }
        self.strategy().default(&mut *object);
        if !change.tracks_fields() {
            self.track_fields(Some(&*old), &mut *object);
        }
        self.mutate(Operation::Update, &mut object, Some(&*old)).await?;
        metadata::settle_namespace(object.metadata_mut(), self.object_namespace())?;
        self.deduplicate_owners(&mut *object, " after mutating admission happens");
        managed_fields::keep_times(&mut *object, &*old)?;
        self.check_version(&mut *object, &*old)?;

        object.metadata_mut().generation = old.metadata().generation;
        self.strategy()
            .prepare_update(&self.context(), &mut *object, &*old);
        metadata::carry_over(&mut *object, &*old);
        let reservation = self.begin_update(&mut *object, &*old).await?;
        let mut errors = self.strategy().validate_update(&self.context(), &*object, &*old);
        let warnings = self.strategy().check_rules(&*object, Some(&*old), &mut errors);
        self.warn(warnings);
        self.valid(&*object, errors)?;
        let warnings = self.strategy().warnings(&self.context(), &*object, Some(&*old));
        self.warn(warnings);
        self.validate(Operation::Update, &mut object, Some(&*old)).await?;

        let value = self.objects().encode(&*object).await?;
        if deletion::ends_deletion(&*object, &*old, self.strategy()) {
            return self.remove_after_update(key, &*object, value, &stored).await;
        }
        if value == stored.value || self.dry_run {
            // Nothing to write: the object keeps its revision, and no watcher hears of it.
            return Ok(Attempt::Done(Saved {
                written: Written {
                    value,
                    revision: Some(stored.mod_revision),
                },
                created: false,
            }));
        }
        match self
            .objects()
            .put(key, Expect::Unchanged(stored.mod_revision), value)
            .await
        {
            Ok(written) => {
                reservation.commit();
                Ok(Attempt::Done(Saved {
                    written,
                    created: false,
                }))
            }
            Err(CommitError::Conflict) => Ok(Attempt::Raced),
            Err(CommitError::Failed(status)) => Err(*status),
        }
    }

    /// The update took the last finalizer off an object that is being deleted.
    async fn remove_after_update(
        &self,
        key: &str,
        object: &dyn Object,
        value: bytes::Bytes,
        stored: &storage::KeyValue,
    ) -> Result<Attempt, Status> {
        if !self.dry_run {
            match self.objects().remove(key, stored.mod_revision).await {
                Ok(_) => self.after_delete(object).await,
                Err(CommitError::Conflict) => return Ok(Attempt::Raced),
                Err(CommitError::Failed(status)) => return Err(*status),
            }
        }
        Ok(Attempt::Done(Saved {
            written: Written {
                value,
                revision: Some(stored.mod_revision),
            },
            created: false,
        }))
    }

    async fn begin_update(&self, object: &mut dyn Object, old: &dyn Object) -> Result<Reservation, Status> {
        match &self.behaviour().hooks {
            Some(hooks) => Ok(Reservation(
                hooks.begin_update(&self.context(), object, old).await?,
            )),
            None => Ok(Reservation::default()),
        }
    }

    /// Name and namespace of the object must be those of the URL.
    pub fn settle_identity(&self, object: &mut dyn Object) -> Result<(), Status> {
        let metadata = object.metadata_mut();
        metadata::settle_namespace(metadata, self.object_namespace())?;
        if metadata.name.is_empty() {
            return Err(Status::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                self.name
            )));
        }
        if metadata.name != self.name {
            let (body, url) = (&metadata.name, self.name);
            return Err(Status::bad_request(format!(
                "the name of the object ({body}) does not match the name on the URL ({url})"
            )));
        }
        Ok(())
    }

    /// A uid in the body is a precondition.
    fn check_uid(&self, object: &dyn Object, old: &dyn Object) -> Result<(), Status> {
        let (wanted, is) = (&object.metadata().uid, &old.metadata().uid);
        if wanted.is_empty() || wanted == is {
            return Ok(());
        }
        let why = precondition_failed(&self.objects().key(self.namespace, self.name), "UID", wanted, is);
        Err(Status::conflict(&self.served.group_resource(), self.name, why))
    }

    /// A resourceVersion in the body is a precondition; some kinds insist on one.
    fn check_version(&self, object: &mut dyn Object, old: &dyn Object) -> Result<(), Status> {
        let wanted = &object.metadata().resource_version;
        if wanted.is_empty() || wanted == "0" {
            if self.strategy().allow_unconditional_update() {
                // Validation wants to see the version that the update is of.
                object
                    .metadata_mut()
                    .resource_version
                    .clone_from(&old.metadata().resource_version);
                return Ok(());
            }
            let path = Path::new("metadata").child("resourceVersion");
            let kind = GroupKind::new(self.served.row.group, self.served.row.plural);
            return Err(Status::invalid(
                &kind,
                self.name,
                vec![Error::invalid(&path, 0, "must be specified for an update")],
            ));
        }
        if wanted.parse::<u64>().is_err() {
            return Err(Status::unknown(format!(
                "strconv.ParseUint: parsing {wanted:?}: invalid syntax"
            )));
        }
        if *wanted != old.metadata().resource_version {
            return Err(Status::conflict(
                &self.served.group_resource(),
                self.name,
                MODIFIED,
            ));
        }
        Ok(())
    }

    /// Who may update does not thereby may create.
    async fn authorize_create(&self) -> Result<(), Status> {
        let row = self.served.row;
        let attributes = Attributes {
            user: self.user.clone(),
            verb: "create".to_owned(),
            namespace: self.namespace.to_owned(),
            api_group: row.group.to_owned(),
            api_version: row.version.to_owned(),
            resource: row.plural.to_owned(),
            subresource: self.subresource.to_owned(),
            name: self.name.to_owned(),
            resource_request: true,
            ..Attributes::default()
        };
        match self.api.authorizer.authorize(&attributes).await {
            Decision::Allow { .. } => Ok(()),
            Decision::Deny { reason } | Decision::NoOpinion { reason } => {
                Err(crate::stack::forbidden(&attributes, &reason))
            }
        }
    }
}
