//! Flow control while the server runs: the conditions of flow schemas go through the server's own write path.

use std::sync::Arc;

use api::flowcontrol::v1::{FlowSchema, FlowSchemaCondition};
use apimachinery::status::Status;
use apiserver::local::Local;
use component_base::shutdown::Shutdown;
use flow_control::Conditions;
use futures_util::future::BoxFuture;

/// Who owns the conditions.
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";

/// Starts what goes on beside the requests, if flow control is on. Opens its hooks.
pub fn start(local: &Local, shutdown: &Shutdown) {
    let api = local.api();
    if let Some(flow_control) = api.flow_control.clone() {
        let conditions = Arc::new(SchemaConditions {
            local: local.clone().managed_by(MANAGER),
        });
        tokio::spawn(flow_control.run(conditions, shutdown.clone()));
    }
    // The configuration that was stored is in force since the server was built.
    for hook in [
        "priority-and-fairness-config-consumer",
        "priority-and-fairness-filter",
    ] {
        api.health.done(hook);
    }
}

struct SchemaConditions {
    local: Local,
}

impl Conditions for SchemaConditions {
    fn set<'a>(
        &'a self,
        schema: &'a str,
        condition: FlowSchemaCondition,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            let edit = |schema: &mut FlowSchema| put(&mut schema.status.conditions, &condition);
            match self.local.update_status("", schema, edit).await {
                // A schema that has gone needs no condition.
                Err(status) if !status.is_not_found() => Err(status),
                _ => Ok(()),
            }
        })
    }
}

/// In place of the one of its type, or behind all others.
fn put(conditions: &mut Vec<FlowSchemaCondition>, condition: &FlowSchemaCondition) {
    let mut same = conditions
        .iter_mut()
        .filter(|other| other.type_ == condition.type_);
    let Some(old) = same.next() else {
        conditions.push(condition.clone());
        return;
    };
    old.clone_from(condition);
}
