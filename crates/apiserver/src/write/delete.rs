//! Deleting an object: at once, or by marking it.

use api::Object;
use api::catalogue::Resource;
use api::meta::v1::{DeleteOptions, Preconditions};
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use storage::{Expect, Revision};

use super::Writer;
use super::deletion::{Step, plan};
use crate::objects::{CommitError, Loaded, Written};

/// How a DELETE ended.
pub struct Deleted {
    /// The object as it stands, or as it last stood.
    pub last: Written,
    pub name: String,
    pub uid: String,
    /// False while finalizers or a grace period keep it.
    pub gone: bool,
    /// Whether the answer is the object: it lives on, or its kind always answers so.
    pub show_object: bool,
}

impl Writer<'_> {
    /// Deletes one object.
    pub async fn delete(&mut self, options: &DeleteOptions) -> Result<Deleted, Status> {
        let key = self.objects().key(self.namespace, self.name);
        if options.propagation_policy.is_none() && options.orphan_dependents.is_none() {
            let warning = self.strategy().delete_warning().map(str::to_owned);
            self.warn(warning);
        }
        loop {
            let Some(current) = self.objects().load(&key).await? else {
                return Err(Status::not_found(&self.served.group_resource(), self.name));
            };
            if let Some(deleted) = self.delete_loaded(&key, current, options).await? {
                return Ok(deleted);
            }
        }
    }

    /// One attempt; `None` when somebody else wrote in between.
    async fn delete_loaded(
        &mut self,
        key: &str,
        current: Loaded,
        options: &DeleteOptions,
    ) -> Result<Option<Deleted>, Status> {
        let Loaded { object: old, stored } = current;
        if let Some(preconditions) = &options.preconditions {
            check_preconditions(self.objects().row, preconditions, &*old)?;
        }
        let mut object = old.clone_box();
        let step = plan(&mut *object, options, self.strategy(), self.api.clock.now());
        if step == Step::Pending {
            return Ok(Some(self.deleted(&*old, stored.mod_revision, false)?));
        }
        // Admission judges a DELETE by the object that would go; mutating plugins see it too.
        self.admit_delete(&*old).await?;
        if self.dry_run {
            let gone = step != Step::Mark;
            return Ok(Some(self.deleted(&*object, stored.mod_revision, gone)?));
        }
        let committed = match step {
            Step::Mark => self.mark(key, &*object, stored.mod_revision).await,
            Step::MarkThenRemove => self.mark_and_remove(key, &*object, stored.mod_revision).await,
            Step::Remove | Step::Pending => self.objects().remove(key, stored.mod_revision).await,
        };
        match committed {
            Ok(revision) => {
                let gone = step != Step::Mark;
                if gone {
                    self.after_delete(&*object).await;
                }
                Ok(Some(self.deleted(&*object, revision, gone)?))
            }
            Err(CommitError::Conflict) => Ok(None),
            Err(CommitError::Failed(status)) => Err(*status),
        }
    }

    async fn mark(&self, key: &str, object: &dyn Object, read: Revision) -> Result<Revision, CommitError> {
        let value = self
            .objects()
            .encode(object)
            .await
            .map_err(|status| CommitError::Failed(Box::new(status)))?;
        let written = self.objects().put(key, Expect::Unchanged(read), value).await?;
        Ok(written.revision.unwrap_or(read))
    }

    /// Watchers see the mark before the removal, as with upstream.
    async fn mark_and_remove(
        &self,
        key: &str,
        object: &dyn Object,
        read: Revision,
    ) -> Result<Revision, CommitError> {
        let marked = self.mark(key, object, read).await?;
        self.objects().remove(key, marked).await
    }

    fn deleted(&self, object: &dyn Object, revision: Revision, gone: bool) -> Result<Deleted, Status> {
        Ok(Deleted {
            last: Written {
                value: self.objects().encode_shown(object)?,
                revision: Some(revision),
            },
            name: object.metadata().name.clone(),
            uid: object.metadata().uid.clone(),
            gone,
            show_object: !gone || self.strategy().returns_deleted_object(),
        })
    }

    pub(super) async fn after_delete(&self, object: &dyn Object) {
        if let Some(hooks) = &self.behaviour().hooks {
            hooks.after_delete(object).await;
        }
    }
}

/// 409 if an object is not the one, or not as, the client believes.
pub fn check_preconditions(
    row: &Resource,
    preconditions: &Preconditions,
    object: &dyn Object,
) -> Result<(), Status> {
    let metadata = object.metadata();
    // Upstream names the kind here, where it names the resource elsewhere.
    let resource = GroupResource::new(row.group, row.kind);
    let conflict = |why: String| Err(Status::conflict(&resource, &metadata.name, why));
    match (&preconditions.uid, &preconditions.resource_version) {
        (Some(uid), _) if *uid != metadata.uid => conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            metadata.uid
        )),
        (_, Some(version)) if *version != metadata.resource_version => conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
            metadata.resource_version
        )),
        _ => Ok(()),
    }
}
