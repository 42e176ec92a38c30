//! How an apply is told that others own what it states.

use std::collections::BTreeMap;

use apimachinery::quote::quote;
use apimachinery::status::{Cause, Status};
use structured_merge::managers::Manager;
use structured_merge::{Conflict, show};

/// The 409, with a cause for each field.
pub fn refuse(conflicts: &[Conflict]) -> Status {
    let cause = |conflict: &Conflict| Cause {
        reason: "FieldManagerConflict".to_owned(),
        message: format!("conflict with {}", name(&conflict.manager)),
        field: show(&conflict.path),
    };
    Status::apply_conflict(conflicts.iter().map(cause).collect(), message(conflicts))
}

fn message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        let (manager, path) = (name(&only.manager), show(&only.path));
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut by_manager: BTreeMap<&Manager, Vec<String>> = BTreeMap::new();
    for conflict in conflicts {
        by_manager
            .entry(&conflict.manager)
            .or_default()
            .push(format!("- {}", show(&conflict.path)));
    }
    let groups = by_manager
        .iter()
        .map(|(manager, paths)| format!("conflicts with {}:\n{}", name(manager), paths.join("\n")));
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        groups.collect::<Vec<_>>().join("\n")
    )
}

/// `"kubectl-edit" using apps/v1`
fn name(manager: &Manager) -> String {
    let mut name = quote(&manager.name);
    if !manager.subresource.is_empty() {
        name += &format!(" with subresource {}", quote(&manager.subresource));
    }
    if !manager.applies {
        name += &format!(" using {}", manager.api_version);
    }
    name
}
