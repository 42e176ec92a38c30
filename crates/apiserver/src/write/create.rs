//! Creating an object.

use api::Object;
use apimachinery::status::Status;
use storage::Expect;

use super::admit::Operation;
use super::{Reservation, Saved, Writer, metadata};
use crate::objects::{CommitError, Written};

/// How often a generated name is drawn until one is free.
const NAME_ATTEMPTS: usize = 8;

impl Writer<'_> {
    /// Creates an object of the storage version, as decoded from a body.
    pub async fn create(&mut self, mut object: Box<dyn Object>) -> Result<Saved, Status> {
        // The store says so, which a dry run does not come to.
        if !self.dry_run && !matches!(object.metadata().resource_version.as_str(), "" | "0") {
            return Err(Status::unknown(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        metadata::wipe(object.metadata_mut());
        metadata::settle_namespace(object.metadata_mut(), self.object_namespace())?;
        self.deduplicate_owners(&mut *object, "");
        self.strategy().default(&mut *object);
        self.track_fields(None, &mut *object);
        self.mutate(Operation::Create, &mut object, None).await?;
        metadata::settle_namespace(object.metadata_mut(), self.object_namespace())?;
        self.deduplicate_owners(&mut *object, " after mutating admission happens");

        let generated = object.metadata().name.is_empty() && !object.metadata().generate_name.is_empty();
        if !generated {
            let written = self.insert(object).await?;
            return Ok(Saved {
                written,
                created: true,
            });
        }
        let mut taken = None;
        for _ in 0..NAME_ATTEMPTS {
            match self.insert(object.clone_box()).await {
                Ok(written) => {
                    return Ok(Saved {
                        written,
                        created: true,
                    });
                }
                Err(Refused::NameTaken(status)) => taken = Some(status),
                Err(Refused::Failed(status)) => return Err(status),
            }
        }
        Err(taken.unwrap_or_else(|| Status::internal("no name could be generated".to_owned())))
    }

    /// One attempt to insert, from the point where the object gets its identity.
    pub(super) async fn insert(&mut self, mut object: Box<dyn Object>) -> Result<Written, Refused> {
        let generated = object.metadata().name.is_empty();
        metadata::fill(object.metadata_mut(), self.api.clock.now());
        if !self.dry_run {
            object.metadata_mut().resource_version.clear();
        }
        self.strategy().prepare_create(&self.context(), &mut *object);
        let reservation = self.begin_create(&mut *object).await?;
        let name = object.metadata().name.clone();
        let mut errors = self.strategy().validate_create(&self.context(), &*object);
        let warnings = self.strategy().check_rules(&*object, None, &mut errors);
        self.warn(warnings);
        self.valid(&*object, errors)?;
        let warnings = self.strategy().warnings(&self.context(), &*object, None);
        self.warn(warnings);
        self.validate(Operation::Create, &mut object, None).await?;

        let key = self.objects().key(self.namespace, &name);
        let value = self.objects().encode(&*object).await?;
        if self.dry_run {
            return match self.objects().load(&key).await? {
                Some(_) => Err(self.name_taken(&key, &name, generated).await),
                None => Ok(Written {
                    value,
                    revision: None,
                }),
            };
        }
        match self.objects().put(&key, Expect::Absent, value).await {
            Ok(written) => {
                reservation.commit();
                Ok(written)
            }
            Err(CommitError::Conflict) => Err(self.name_taken(&key, &name, generated).await),
            Err(CommitError::Failed(status)) => Err(Refused::Failed(*status)),
        }
    }

    async fn begin_create(&self, object: &mut dyn Object) -> Result<Reservation, Status> {
        match &self.behaviour().hooks {
            Some(hooks) => Ok(Reservation(hooks.begin_create(&self.context(), object).await?)),
            None => Ok(Reservation::default()),
        }
    }

    async fn name_taken(&self, key: &str, name: &str, generated: bool) -> Refused {
        let mut status = Status::already_exists(&self.served.group_resource(), name);
        match self.objects().load(key).await {
            Ok(Some(standing)) if standing.object.metadata().deletion_timestamp.is_some() => {
                status.message = format!("object is being deleted: {}", status.message);
            }
            Ok(_) => {}
            Err(error) => return Refused::Failed(error),
        }
        if generated {
            Refused::NameTaken(status)
        } else {
            Refused::Failed(status)
        }
    }
}

/// Why an object was not inserted.
pub(super) enum Refused {
    /// Another draw of the name may help.
    NameTaken(Status),
    Failed(Status),
}

impl From<Status> for Refused {
    fn from(status: Status) -> Refused {
        Refused::Failed(status)
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Status {
        match refused {
            Refused::NameTaken(status) | Refused::Failed(status) => status,
        }
    }
}
