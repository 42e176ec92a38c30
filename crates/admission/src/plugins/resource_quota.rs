//! Requests are charged to the quotas of their namespace, and refused where they exceed one.
//!
//! The usage is written to a quota's status before the object is stored, under a lock of the namespace and
//! by compare-and-swap: two requests cannot both have the last of something. What is charged for a request
//! that then fails is given back by the quota controller.

mod charge;
mod devices;

use std::sync::Arc;

use api::Object;
use api::core::v1::ResourceQuota;
use api::quota::{Counted, Evaluator};
use apimachinery::status::Status;
use apimachinery::time::Time;
use auth::Objects;
use component_base::clock::Clock;
use futures_util::lock::Mutex;

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

/// How often a charge is tried anew when another server was faster.
const ATTEMPTS: u32 = 8;
/// Namespaces share locks by the hash of their names.
const LOCKS: usize = 64;

pub struct ResourceQuotaPlugin {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    locks: Vec<Mutex<()>>,
}

impl ResourceQuotaPlugin {
    pub fn new(objects: Arc<dyn Objects>, clock: Arc<dyn Clock>) -> Self {
        Self {
            objects,
            clock,
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }

    async fn check(&self, attributes: &Attributes<'_>, review: &Review<'_>) -> Result<(), Status> {
        let Some(object) = review.object().filter(|_| concerns(attributes, review)) else {
            return Ok(());
        };
        // Most namespaces have none: that costs a look into the cache, not a lock.
        if self
            .objects
            .cached_all::<ResourceQuota>(attributes.namespace)
            .is_empty()
        {
            return Ok(());
        }
        let _turn = self.lock(attributes.namespace).lock().await;
        let mut refusal = None;
        for _ in 0..ATTEMPTS {
            match self.charge_all(attributes, object, review.old).await {
                Err(status) if status.is_conflict() => refusal = Some(status),
                outcome => return outcome,
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// First every quota is checked, then all are charged: a refusal charges nothing.
    async fn charge_all(
        &self,
        attributes: &Attributes<'_>,
        object: &dyn Object,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let devices = devices::Cached(self.objects.clone());
        let evaluator = Evaluator {
            group: &attributes.resource.group,
            resource: &attributes.resource.resource,
            devices: &devices,
        };
        let counted = |object| Counted { evaluator, object };
        let old = old
            .filter(|_| attributes.operation == Operation::Update)
            .map(counted);
        let now = Time(self.clock.now());
        let mut charged = Vec::new();
        for cached in self.objects.cached_all::<ResourceQuota>(attributes.namespace) {
            // The cache may not have the last charge yet.
            let live = self
                .objects
                .live::<ResourceQuota>(attributes.namespace, &cached.metadata.name)
                .await?;
            let Some(mut quota) = live else { continue };
            let used = charge::charge(&quota, counted(object), old, now)
                .map_err(|message| attributes.forbidden(Some(object), message))?;
            if let Some(used) = used {
                quota.status.used = used;
                charged.push(quota);
            }
        }
        if attributes.dry_run {
            return Ok(());
        }
        for quota in charged {
            self.objects.update_status(quota).await?;
        }
        Ok(())
    }

    fn lock(&self, namespace: &str) -> &Mutex<()> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        namespace.hash(&mut hasher);
        &self.locks[hasher.finish() as usize % LOCKS]
    }
}

/// Creates count; updates do for the kinds whose usage can change.
fn concerns(attributes: &Attributes<'_>, review: &Review<'_>) -> bool {
    if attributes.namespace.is_empty() || attributes.is("", "resourcequotas", "status") {
        return false;
    }
    match (attributes.operation, attributes.subresource) {
        (Operation::Create, "") => true,
        (Operation::Update, "resize") => attributes.is("", "pods", "resize"),
        (Operation::Update, "") if attributes.is("", "pods", "") => charge::scope_changed(review),
        (Operation::Update, "") => {
            attributes.is("", "services", "")
                || attributes.is("", "persistentvolumeclaims", "")
                || attributes.is("resource.k8s.io", "resourceclaims", "")
        }
        (Operation::Update, "status") => attributes.is("", "persistentvolumeclaims", "status"),
        _ => false,
    }
}

impl Plugin for ResourceQuotaPlugin {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.namespace.is_empty() {
            pass()
        } else {
            Box::pin(self.check(attributes, review))
        }
    }
}

#[cfg(test)]
mod tests;
