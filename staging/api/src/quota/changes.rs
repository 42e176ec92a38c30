//! Which updates of objects may give something back to quotas.

use apimachinery::time::Time;

use super::{claims, pods, services};
use crate::core::v1::{ContainerStatus, PersistentVolumeClaim, Pod, Service};
use crate::message::Object;

/// Whether quotas that count the object must be counted anew after this update. Admission charges what an update
/// costs, and nobody else knows what it gives back.
pub fn replenishes(old: &dyn Object, new: &dyn Object, now: Time) -> bool {
    if let (Some(old), Some(new)) = (old.downcast_ref::<Pod>(), new.downcast_ref::<Pod>()) {
        return pod(old, new, now);
    }
    if let (Some(old), Some(new)) = (old.downcast_ref::<Service>(), new.downcast_ref::<Service>()) {
        return services::charged_type(old) != services::charged_type(new);
    }
    match (
        old.downcast_ref::<PersistentVolumeClaim>(),
        new.downcast_ref::<PersistentVolumeClaim>(),
    ) {
        (Some(old), Some(new)) => {
            claims::size(old) != claims::size(new)
                || claims::attributes_classes(old) != claims::attributes_classes(new)
        }
        _ => false,
    }
}

fn pod(old: &Pod, new: &Pod, now: Time) -> bool {
    let resized = |old: &[ContainerStatus], new: &[ContainerStatus]| {
        old.iter().any(|before| {
            new.iter()
                .any(|after| after.name == before.name && after.resources != before.resources)
        })
    };
    resized(&old.status.container_statuses, &new.status.container_statuses)
        || resized(
            &old.status.init_container_statuses,
            &new.status.init_container_statuses,
        )
        || pods::is_terminating(old) != pods::is_terminating(new)
        || (pods::is_charged(old, now) && !pods::is_charged(new, now))
}
