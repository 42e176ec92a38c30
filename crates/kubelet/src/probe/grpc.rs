//! The gRPC health check: `grpc.health.v1.Health/Check`.

use super::action::{Outcome, authority};
use crate::duration::go_duration;
use ::http::uri::PathAndQuery;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tonic::{
    Code, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// The status of a service that takes requests.
const SERVING: i32 = 1;

/// How long to wait before a server that isn't there yet is tried again.
const RECONNECT: Duration = Duration::from_millis(100);

/// One time limit for connecting, which is tried again until then, and for the answer.
pub async fn probe(host: &str, port: i32, service: String, timeout: Duration) -> Outcome {
    let Ok(port) = u16::try_from(port) else {
        return Outcome::Error(format!("invalid port number: {port}"));
    };
    let address = authority(host, port);
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .and_then(|endpoint| endpoint.user_agent("kube-probe/1.36"));
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(error) => return Outcome::Error(error.to_string()),
    };
    let deadline = Instant::now() + timeout;
    let Ok(channel) = timeout_at(deadline, connect(&endpoint)).await else {
        return Outcome::Failure(format!(
            "timeout: failed to connect service {address:?} within {}: context deadline exceeded",
            go_duration(timeout)
        ));
    };
    match timeout_at(deadline, check(channel, service)).await {
        Ok(answer) => outcome(answer),
        Err(_) => Outcome::Failure(format!(
            "timeout: health rpc did not complete within {}",
            go_duration(timeout)
        )),
    }
}

async fn connect(endpoint: &Endpoint) -> Channel {
    loop {
        match endpoint.connect().await {
            Ok(channel) => return channel,
            Err(error) => tracing::debug!(%error, "cannot connect for a gRPC probe"),
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn check(channel: Channel, service: String) -> Result<i32, Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let request = tonic::Request::new(HealthCheckRequest { service });
    let response = grpc.unary(request, path, codec).await?;
    Ok(response.get_ref().status)
}

fn outcome(answer: Result<i32, Status>) -> Outcome {
    let words = match answer {
        Ok(SERVING) => return Outcome::Success,
        Ok(status) => {
            let name = match status {
                0 => "UNKNOWN".to_owned(),
                2 => "NOT_SERVING".to_owned(),
                3 => "SERVICE_UNKNOWN".to_owned(),
                other => other.to_string(),
            };
            format!("service unhealthy (responded with {name:?})")
        }
        Err(status) if status.code() == Code::Unimplemented => format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
            status.message()
        ),
        Err(status) => format!(
            "error: health rpc probe failed: rpc error: code = {:?} desc = {}",
            status.code(),
            status.message()
        ),
    };
    Outcome::Failure(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(answer: Result<i32, Status>) -> String {
        match outcome(answer) {
            Outcome::Failure(words) => words,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn answers_in_upstream_s_words() {
        assert_eq!(words(Ok(1)), "Success");
        assert_eq!(
            words(Ok(2)),
            r#"service unhealthy (responded with "NOT_SERVING")"#
        );
        assert_eq!(
            words(Err(Status::not_found("unknown service"))),
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"
        );
        assert!(
            words(Err(Status::unimplemented("x"))).contains("does not implement the grpc health protocol")
        );
    }

    #[tokio::test]
    async fn nobody_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let outcome = probe(
            "127.0.0.1",
            port.into(),
            String::new(),
            Duration::from_millis(150),
        )
        .await;
        let Outcome::Failure(words) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            words,
            format!(
                r#"timeout: failed to connect service "127.0.0.1:{port}" within 150ms: context deadline exceeded"#
            )
        );
    }
}
