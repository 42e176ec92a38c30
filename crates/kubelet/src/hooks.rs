//! Lifecycle hooks of containers. Upstream: `kubelet/lifecycle/handlers.go`.

use crate::{
    pod,
    probe::http::{self, Get},
};
use api::core::v1::{Container, LifecycleHandler, Pod};
use cri_api::{Runtime, v1};
use std::{sync::Arc, time::Duration};

/// An HTTP hook that hangs would hold its container's start forever.
const HTTP_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a hook runs.
pub struct Target<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub container_id: &'a str,
    pub pod_ip: &'a str,
}

/// Runs a hook to its end; fails with what went wrong.
pub async fn run(
    runtime: &Arc<dyn Runtime>,
    handler: &LifecycleHandler,
    target: &Target<'_>,
) -> Result<(), String> {
    let (name, pod) = (&target.container.name, pod::description(target.pod));
    if let Some(exec) = &handler.exec {
        return run_exec(runtime, target.container_id, &exec.command).await.map_err(|(error, output)| {
            let command = exec.command.join(" ");
            format!(
                "Exec lifecycle hook ([{command}]) for Container {name:?} in Pod {pod:?} failed - error: {error}, \
                 message: {output:?}"
            )
        });
    }
    if let Some(action) = &handler.http_get {
        let path = &action.path;
        let get = Get::from_action(action, target.container, target.pod_ip, "kube-lifecycle");
        let result = match get {
            Ok(get) => run_get(get).await,
            Err(error) => Err(error.to_string()),
        };
        return result.map_err(|error| {
            format!(
                "HTTP lifecycle hook ({path}) for Container {name:?} in Pod {pod:?} failed - error: {error}"
            )
        });
    }
    if let Some(sleep) = &handler.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
        return Ok(());
    }
    Err("Cannot run handler: invalid handler".to_owned())
}

async fn run_exec(runtime: &Arc<dyn Runtime>, id: &str, command: &[String]) -> Result<(), (String, String)> {
    let request = v1::ExecSyncRequest {
        container_id: id.to_owned(),
        cmd: command.to_vec(),
        timeout: 0,
    };
    match runtime.exec_sync(request).await {
        Ok(response) if response.exit_code == 0 => Ok(()),
        Ok(response) => {
            let output = [response.stdout, response.stderr].concat();
            let error = format!(
                "command '{}' exited with {}",
                command.join(" "),
                response.exit_code
            );
            Err((error, String::from_utf8_lossy(&output).into_owned()))
        }
        Err(error) => Err((error.to_string(), String::new())),
    }
}

/// A server that speaks plain HTTP where HTTPS was asked for is asked again, for compatibility.
async fn run_get(get: Get) -> Result<(), String> {
    let attempt = |get: Get| async move {
        tokio::time::timeout(HTTP_TIMEOUT, http::send(&get))
            .await
            .unwrap_or(Err("timed out".to_owned()))
    };
    let result = attempt(get.clone()).await;
    let result = match result {
        Err(error) if get.https && error.contains("InvalidContentType") => {
            attempt(Get { https: false, ..get }).await
        }
        other => other,
    };
    let (status, _, _) = result?;
    if status.is_client_error() || status.is_server_error() {
        return Err(format!("server returned {status}"));
    }
    Ok(())
}
