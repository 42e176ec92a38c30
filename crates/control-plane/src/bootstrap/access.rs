//! The roles and bindings that a cluster starts with: missing ones are made, existing ones get what they lack.

use api::Resource;
use api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use apimachinery::status::Status;
use apiserver::local::Local;
use auth::bootstrap::reconcile::{BindingParts, RoleParts};
use auth::bootstrap::{Action, binding, policy, role};

/// Reconciles all of them.
pub async fn reconcile(local: &Local) -> Result<(), Status> {
    let policy = policy();
    for wanted in policy.cluster_roles {
        reconcile_cluster_role(local, wanted).await?;
    }
    for wanted in policy.cluster_role_bindings {
        reconcile_binding(local, wanted).await?;
    }
    super::namespaces::ensure(local).await?;
    for wanted in policy.roles {
        reconcile_role(local, wanted).await?;
    }
    for wanted in policy.role_bindings {
        reconcile_binding(local, wanted).await?;
    }
    Ok(())
}

/// The object as it stands, or `None` after it was made.
async fn existing<T: Resource>(local: &Local, wanted: &T) -> Result<Option<Box<T>>, Status> {
    let metadata = Resource::metadata(wanted);
    match local.get::<T>(&metadata.namespace, &metadata.name).await {
        Ok(existing) => Ok(Some(existing)),
        Err(status) if status.is_not_found() => local.create(wanted.clone()).await.map(|_| None),
        Err(status) => Err(status),
    }
}

async fn reconcile_cluster_role(local: &Local, wanted: ClusterRole) -> Result<(), Status> {
    let Some(existing) = existing(local, &wanted).await? else {
        return Ok(());
    };
    let aggregated = existing.aggregation_rule.is_some();
    let parts = |role: &ClusterRole| RoleParts {
        metadata: role.metadata.clone(),
        rules: role.rules.clone(),
    };
    if let Action::Update(updated) | Action::Recreate(updated) =
        role(&parts(&existing), &parts(&wanted), aggregated)
    {
        let put = |role: &mut ClusterRole| {
            role.metadata = updated.metadata.clone();
            role.rules.clone_from(&updated.rules);
        };
        local.update("", &wanted.metadata.name, put).await?;
    }
    Ok(())
}

async fn reconcile_role(local: &Local, wanted: Role) -> Result<(), Status> {
    let Some(existing) = existing(local, &wanted).await? else {
        return Ok(());
    };
    let parts = |role: &Role| RoleParts {
        metadata: role.metadata.clone(),
        rules: role.rules.clone(),
    };
    if let Action::Update(updated) | Action::Recreate(updated) =
        role(&parts(&existing), &parts(&wanted), false)
    {
        let put = |role: &mut Role| {
            role.metadata = updated.metadata.clone();
            role.rules.clone_from(&updated.rules);
        };
        local
            .update(&wanted.metadata.namespace, &wanted.metadata.name, put)
            .await?;
    }
    Ok(())
}

/// What the two kinds of bindings have in common.
trait Binding: Resource {
    fn parts(&self) -> BindingParts;
    fn set_parts(&mut self, parts: &BindingParts);
}

impl Binding for ClusterRoleBinding {
    fn parts(&self) -> BindingParts {
        BindingParts {
            metadata: self.metadata.clone(),
            subjects: self.subjects.clone(),
            role: self.role_ref.clone(),
        }
    }

    fn set_parts(&mut self, parts: &BindingParts) {
        self.metadata = parts.metadata.clone();
        self.subjects.clone_from(&parts.subjects);
        self.role_ref = parts.role.clone();
    }
}

impl Binding for RoleBinding {
    fn parts(&self) -> BindingParts {
        BindingParts {
            metadata: self.metadata.clone(),
            subjects: self.subjects.clone(),
            role: self.role_ref.clone(),
        }
    }

    fn set_parts(&mut self, parts: &BindingParts) {
        self.metadata = parts.metadata.clone();
        self.subjects.clone_from(&parts.subjects);
        self.role_ref = parts.role.clone();
    }
}

async fn reconcile_binding<T: Binding>(local: &Local, wanted: T) -> Result<(), Status> {
    let Some(existing) = existing(local, &wanted).await? else {
        return Ok(());
    };
    let (namespace, name) = (
        Resource::metadata(&wanted).namespace.clone(),
        Resource::metadata(&wanted).name.clone(),
    );
    match binding(&existing.parts(), &wanted.parts()) {
        Action::Nothing => Ok(()),
        Action::Update(updated) => local
            .update(&namespace, &name, |object: &mut T| object.set_parts(&updated))
            .await
            .map(drop),
        Action::Recreate(updated) => {
            local.delete::<T>(&namespace, &name).await?;
            let mut fresh = wanted;
            fresh.set_parts(&updated);
            let metadata = Resource::metadata_mut(&mut fresh);
            metadata.uid.clear();
            metadata.resource_version.clear();
            local.create(fresh).await.map(drop)
        }
    }
}
