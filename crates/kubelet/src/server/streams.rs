//! Exec, attach and port-forward: the runtime serves the streams, the kubelet lets them through.

use super::{Server, failed, query::Query, upgrade};
use crate::{
    pod,
    runtime::{inspect, state::ContainerState},
};
use component_base::serving::{Request, Response, body};
use cri_api::v1;
use http::{HeaderValue, StatusCode, header};

/// When a runtime that has too many streams waiting to be opened may be asked again, in seconds: how long it keeps one.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("60");

/// A runtime's refusal to open streams.
fn refused(error: &cri_api::Error) -> Response {
    if error.is_not_found() {
        return failed(StatusCode::NOT_FOUND, error);
    }
    if !error.is_exhausted() {
        return failed(StatusCode::INTERNAL_SERVER_ERROR, error);
    }
    let mut response = failed(StatusCode::TOO_MANY_REQUESTS, error);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// Which streams a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Streams {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Streams {
    /// The kubelet's own parameter names. A terminal has but one output.
    fn parse(query: &Query) -> Result<Self, String> {
        let tty = query.is_set("tty");
        let streams = Self {
            stdin: query.is_set("input"),
            stdout: query.is_set("output"),
            stderr: query.is_set("error") && !tty,
            tty,
        };
        if streams.stdin || streams.stdout || streams.stderr {
            Ok(streams)
        } else {
            Err("you must specify at least 1 of stdin, stdout, stderr".to_owned())
        }
    }
}

impl Server {
    /// The running container of a pod, by name.
    async fn running_container(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
    ) -> Result<String, Response> {
        let spec = self.pod_named(namespace, name)?;
        let state = inspect::pod(&*self.runtime, &spec.metadata.uid)
            .await
            .map_err(|error| failed(StatusCode::INTERNAL_SERVER_ERROR, error))?;
        state
            .find(container)
            .filter(|status| status.state == ContainerState::Running)
            .map(|status| status.id.clone())
            .ok_or_else(|| {
                failed(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("container not found ({container:?})"),
                )
            })
    }

    pub(super) async fn exec(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        query: &Query,
        request: Request,
    ) -> Response {
        let streams = match Streams::parse(query) {
            Ok(streams) => streams,
            Err(message) => return failed(StatusCode::BAD_REQUEST, message),
        };
        let id = match self.running_container(namespace, name, container).await {
            Ok(id) => id,
            Err(response) => return response,
        };
        let exec = v1::ExecRequest {
            container_id: id,
            cmd: query.all("command").map(str::to_owned).collect(),
            tty: streams.tty,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
        };
        match self.runtime.exec(exec).await {
            Ok(answer) => upgrade::pass(request, &answer.url).await,
            Err(error) => refused(&error),
        }
    }

    pub(super) async fn attach(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        query: &Query,
        request: Request,
    ) -> Response {
        let streams = match Streams::parse(query) {
            Ok(streams) => streams,
            Err(message) => return failed(StatusCode::BAD_REQUEST, message),
        };
        let id = match self.running_container(namespace, name, container).await {
            Ok(id) => id,
            Err(response) => return response,
        };
        let attach = v1::AttachRequest {
            container_id: id,
            stdin: streams.stdin,
            tty: streams.tty,
            stdout: streams.stdout,
            stderr: streams.stderr,
        };
        match self.runtime.attach(attach).await {
            Ok(answer) => upgrade::pass(request, &answer.url).await,
            Err(error) => refused(&error),
        }
    }

    pub(super) async fn port_forward(
        &self,
        namespace: &str,
        name: &str,
        query: &Query,
        request: Request,
    ) -> Response {
        let spec = match self.pod_named(namespace, name) {
            Ok(spec) => spec,
            Err(response) => return response,
        };
        let state = match inspect::pod(&*self.runtime, &spec.metadata.uid).await {
            Ok(state) => state,
            Err(error) => return failed(StatusCode::INTERNAL_SERVER_ERROR, error),
        };
        let Some(sandbox) = state.sandboxes.first().filter(|sandbox| sandbox.ready) else {
            let message = format!("failed to find sandboxID for pod {}", pod::description(&spec));
            return failed(StatusCode::INTERNAL_SERVER_ERROR, message);
        };
        // Only WebSocket clients name their ports here; SPDY has them in its streams.
        let ports: Result<Vec<i32>, _> = query
            .all("port")
            .chain(query.all("ports"))
            .flat_map(|text| text.split(','))
            .map(str::parse)
            .collect();
        let Ok(port) = ports else {
            return failed(StatusCode::BAD_REQUEST, "unable to parse port");
        };
        let forward = v1::PortForwardRequest {
            pod_sandbox_id: sandbox.id.clone(),
            port,
        };
        match self.runtime.port_forward(forward).await {
            Ok(answer) => upgrade::pass(request, &answer.url).await,
            Err(error) => refused(&error),
        }
    }

    pub(super) async fn run_command(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        query: &Query,
    ) -> Response {
        let id = match self.running_container(namespace, name, container).await {
            Ok(id) => id,
            Err(response) => return response,
        };
        let cmd = query
            .get("cmd")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        match self
            .runtime
            .exec_sync(v1::ExecSyncRequest {
                container_id: id,
                cmd,
                timeout: 0,
            })
            .await
        {
            Ok(output) => body::text(StatusCode::OK, [output.stdout, output.stderr].concat()),
            Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_a_request() {
        let parse = |query: &str| Streams::parse(&Query::parse(query));
        let all = Streams {
            stdin: true,
            stdout: true,
            stderr: true,
            tty: false,
        };
        assert_eq!(parse("input=1&output=1&error=1"), Ok(all));
        assert_eq!(
            parse("output=1&error=1&tty=1"),
            Ok(Streams {
                stdin: false,
                stderr: false,
                tty: true,
                ..all
            })
        );
        assert!(parse("tty=1").is_err());
    }
}
