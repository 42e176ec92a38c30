//! Container logs, and files of the node's log folder.

use super::{Server, failed, query::Query};
use crate::{
    logs::{
        line::Stream,
        read::{Options, Reader},
    },
    pod,
    status::containers::bare_id,
};
use api::core::v1::{ContainerStatus, PodStatus};
use bytes::Bytes;
use component_base::serving::{BoxError, Response, body};
use cri_api::{Runtime, v1};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// How often a log that is followed is looked at.
const POLL: Duration = Duration::from_millis(250);
/// Pieces of a log that wait for a slow reader.
const QUEUE: usize = 4;
const NODE_LOGS: &str = "/var/log";
/// The largest file of the node's that is served.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The id of the container whose log is wanted, or why there is none. Pure. Upstream: `validateContainerLogStatus`.
pub fn choose(status: &PodStatus, pod: &str, name: &str, previous: bool) -> Result<String, String> {
    let mut all = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .chain(&status.ephemeral_container_statuses);
    let found = all.find(|status| status.name == name);
    let found: &ContainerStatus =
        found.ok_or_else(|| format!("container {name:?} in pod {pod:?} is not available"))?;
    let state = &found.state;
    let last = found
        .last_state
        .terminated
        .as_ref()
        .map(|ended| ended.container_id.clone())
        .filter(|id| !id.is_empty());
    if previous {
        return last
            .ok_or_else(|| format!("previous terminated container {name:?} in pod {pod:?} not found"));
    }
    let terminated = || format!("container {name:?} in pod {pod:?} is terminated");
    if state.running.is_some() {
        return Ok(found.container_id.clone());
    }
    if let Some(ended) = &state.terminated {
        return Some(ended.container_id.clone())
            .filter(|id| !id.is_empty())
            .or(last)
            .ok_or_else(terminated);
    }
    if found.last_state.terminated.is_some() {
        return last.ok_or_else(terminated);
    }
    let waits = |why: &str| format!("container {name:?} in pod {pod:?} is waiting to start: {why}");
    Err(
        match state.waiting.as_ref().map(|waiting| waiting.reason.as_str()) {
            Some("ErrImagePull") => waits("image can't be pulled"),
            Some("ImagePullBackOff") => waits("trying and failing to pull image"),
            Some(reason) => waits(reason),
            None => format!("container {name:?} in pod {pod:?} is waiting to start - no logs yet"),
        },
    )
}

/// What part of the log the query asks for. Pure.
fn options(query: &Query, now: Timestamp) -> Result<Options, String> {
    let number = |key: &str| match query.get(key) {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse::<i64>()
            .map(Some)
            .map_err(|_| format!("invalid value {text:?} for {key}")),
    };
    let since_time = match query.get("sinceTime") {
        None | Some("") => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| format!("invalid value {text:?} for sinceTime"))?,
        ),
    };
    let since_seconds = number("sinceSeconds")?.map(|seconds| {
        now.saturating_sub(SignedDuration::from_secs(seconds))
            .unwrap_or(Timestamp::MIN)
    });
    Ok(Options {
        follow: query.is_set("follow"),
        timestamps: query.is_set("timestamps"),
        since: since_seconds.or(since_time),
        tail_lines: number("tailLines")?,
        limit_bytes: number("limitBytes")?.and_then(|bytes| u64::try_from(bytes).ok()),
        stream: match query.get("stream") {
            Some("Stdout") => Some(Stream::Stdout),
            Some("Stderr") => Some(Stream::Stderr),
            _ => None,
        },
    })
}

impl Server {
    pub(super) async fn container_logs(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        query: &Query,
    ) -> Response {
        let spec = match self.pod_named(namespace, name) {
            Ok(spec) => spec,
            Err(response) => return response,
        };
        if pod::find_container(&spec, container).is_none() {
            let message = format!("container {container:?} not found in pod {name:?}");
            return failed(StatusCode::NOT_FOUND, message);
        }
        let options = match options(query, self.clock.now()) {
            Ok(options) => options,
            Err(message) => return failed(StatusCode::BAD_REQUEST, message),
        };
        let id = match choose(
            &self.statuses.current(&spec),
            name,
            container,
            query.is_set("previous"),
        ) {
            Ok(id) => bare_id(&id).to_owned(),
            Err(message) => return failed(StatusCode::BAD_REQUEST, message),
        };
        let request = v1::ContainerStatusRequest {
            container_id: id.clone(),
            verbose: false,
        };
        let path = match self.runtime.container_status(request).await {
            Ok(response) => PathBuf::from(response.status.map(|status| status.log_path).unwrap_or_default()),
            Err(error) => {
                let message = format!("unable to retrieve container logs for containerd://{id}: {error}");
                return failed(StatusCode::INTERNAL_SERVER_ERROR, message);
            }
        };
        let follow = options.follow;
        let reader = match Reader::open(&path, options) {
            Ok(reader) => reader,
            Err(error) => {
                let message = format!(
                    "failed to try resolving symlinks in path {:?}: {error}",
                    path.display()
                );
                return failed(StatusCode::INTERNAL_SERVER_ERROR, message);
            }
        };
        let (pieces, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(send(reader, follow, self.runtime.clone(), id, pieces));
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        let mut response = body::text(StatusCode::OK, "");
        *response.body_mut() = body::stream(stream);
        response
    }
}

/// Sends the log until its end, or as long as the container runs and someone listens.
async fn send(
    mut reader: Reader,
    follow: bool,
    runtime: Arc<dyn Runtime>,
    id: String,
    pieces: mpsc::Sender<Result<Bytes, BoxError>>,
) {
    let mut ended = !follow;
    loop {
        match reader.read() {
            Ok(piece) if !piece.is_empty() => {
                if pieces.send(Ok(piece.into())).await.is_err() {
                    return;
                }
            }
            Ok(_) if reader.is_full() => return,
            Ok(_) if ended => {
                let rest = reader.finish();
                if !rest.is_empty() {
                    // Whoever has left doesn't miss the last line.
                    let _sent = pieces.send(Ok(rest.into())).await.is_ok();
                }
                return;
            }
            Ok(_) => {
                // Looked at before the next reading, so that the last lines are not missed.
                ended = !is_running(&*runtime, &id).await;
                if !ended {
                    tokio::select! {
                        () = tokio::time::sleep(POLL) => {}
                        () = pieces.closed() => return,
                    }
                }
            }
            Err(error) => {
                let _told = pieces.send(Err(error.into())).await.is_ok();
                return;
            }
        }
    }
}

async fn is_running(runtime: &dyn Runtime, id: &str) -> bool {
    let request = v1::ContainerStatusRequest {
        container_id: id.to_owned(),
        verbose: false,
    };
    let running = i32::from(v1::ContainerState::ContainerRunning);
    match runtime.container_status(request).await {
        Ok(response) => response.status.is_some_and(|status| status.state == running),
        Err(error) => !error.is_not_found(),
    }
}

/// A file or a listing of the node's log folder.
pub(super) fn node_file(parts: &[&str]) -> Response {
    if parts.iter().any(|part| *part == ".." || part.contains('\0')) {
        return failed(StatusCode::BAD_REQUEST, "invalid URL path");
    }
    let path = Path::new(NODE_LOGS).join(parts.join("/"));
    let answer = match fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => listing(&path),
        Ok(meta) if meta.len() > MAX_FILE_BYTES => {
            return failed(StatusCode::PAYLOAD_TOO_LARGE, "file is too large");
        }
        Ok(_) => fs::read(&path),
        Err(error) => Err(error),
    };
    match answer {
        Ok(content) => body::text(StatusCode::OK, content),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => super::not_found(),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

fn listing(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut names: Vec<String> = fs::read_dir(path)?
        .filter_map(Result::ok)
        .map(|entry| {
            let slash = if entry.path().is_dir() { "/" } else { "" };
            format!("{}{slash}", entry.file_name().to_string_lossy())
        })
        .collect();
    names.sort();
    let escape = |name: &str| {
        name.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&#34;")
    };
    let rows = names
        .iter()
        .map(|name| format!("<a href=\"{0}\">{0}</a>\n", escape(name)));
    Ok(format!("<pre>\n{}</pre>\n", rows.collect::<String>()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{Message, core::v1::Pod};

    fn check(status: &str, previous: bool, expected: Result<&str, &str>) {
        let pod = format!(r#"{{"status":{{"containerStatuses":[{status}]}}}}"#);
        let status = Pod::from_json(pod.as_bytes()).unwrap().status;
        let result = choose(&status, "p", "c", previous);
        assert_eq!(result.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn the_current_or_the_previous_container() {
        let restarted = r#"{"name":"c","containerID":"x://2","state":{"running":{}},
            "lastState":{"terminated":{"containerID":"x://1"}}}"#;
        check(restarted, false, Ok("x://2"));
        check(restarted, true, Ok("x://1"));
        let crashed = r#"{"name":"c","state":{"waiting":{"reason":"CrashLoopBackOff"}},
            "lastState":{"terminated":{"containerID":"x://1"}}}"#;
        check(crashed, false, Ok("x://1"));
        check(
            r#"{"name":"c","state":{"terminated":{"containerID":"x://1"}}}"#,
            false,
            Ok("x://1"),
        );
        let fresh = r#"{"name":"c","state":{"waiting":{"reason":"ContainerCreating"}}}"#;
        check(
            fresh,
            false,
            Err(r#"container "c" in pod "p" is waiting to start: ContainerCreating"#),
        );
        check(
            fresh,
            true,
            Err(r#"previous terminated container "c" in pod "p" not found"#),
        );
        check(
            r#"{"name":"d"}"#,
            false,
            Err(r#"container "c" in pod "p" is not available"#),
        );
    }

    #[test]
    fn options_from_the_query() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let parsed = options(
            &Query::parse("follow=true&tailLines=5&sinceSeconds=60&stream=Stderr"),
            now,
        )
        .unwrap();
        assert!(parsed.follow && !parsed.timestamps);
        assert_eq!(
            (parsed.tail_lines, parsed.stream),
            (Some(5), Some(Stream::Stderr))
        );
        assert_eq!(parsed.since.unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert!(options(&Query::parse("tailLines=x"), now).is_err());
    }
}
