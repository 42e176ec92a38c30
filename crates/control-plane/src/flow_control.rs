//! Flow control while the server runs: the conditions of flow schemas go through the server's own write path.

use std::sync::Arc;

use api::flowcontrol::v1::{FlowSchema, FlowSchemaCondition};
use api::{Kind, Message};
use apimachinery::status::Status;
use apiserver::local::Local;
use component_base::shutdown::Shutdown;
use flow_control::Conditions;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

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
            let configuration = configuration(schema, &condition).map_err(Status::internal)?;
            let applied = self.local.apply_status::<FlowSchema>("", schema, &configuration);
            match applied.await {
                // A schema that has gone needs no condition.
                Err(status) if !status.is_not_found() => Err(status),
                _ => Ok(()),
            }
        })
    }
}

/// The condition alone, as a configuration to apply: what stands beside it stays with whoever set it.
fn configuration(schema: &str, condition: &FlowSchemaCondition) -> serde_json::Result<Value> {
    let condition: Value = serde_json::from_slice(&condition.to_json())?;
    Ok(json!({
        "apiVersion": format!("{}/{}", FlowSchema::GROUP, FlowSchema::VERSION),
        "kind": FlowSchema::KIND,
        "metadata": {"name": schema},
        "status": {"conditions": [condition]},
    }))
}
