//! The gRPC health check: `grpc.health.v1.Health/Check`.

use super::action::{Outcome, authority};
use ::http::uri::PathAndQuery;
use std::time::Duration;
use tonic::{Code, client::Grpc, transport::Endpoint};

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

pub async fn probe(host: &str, port: i32, service: String, timeout: Duration) -> Outcome {
    let Ok(port) = u16::try_from(port) else {
        return Outcome::Error(format!("invalid port number: {port}"));
    };
    let address = authority(host, port);
    match tokio::time::timeout(timeout, check(&address, service)).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Failure(format!(
            "timeout: failed to connect service {address:?} within {timeout:?}"
        )),
    }
}

async fn check(address: &str, service: String) -> Outcome {
    let endpoint = match Endpoint::from_shared(format!("http://{address}")) {
        Ok(endpoint) => endpoint
            .user_agent("kube-probe/1.36")
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(error) => return Outcome::Error(error),
    };
    let channel = match endpoint.connect().await {
        Ok(channel) => channel,
        Err(error) => {
            return Outcome::Failure(format!(
                "error: failed to connect service at {address:?}: {error}"
            ));
        }
    };
    let mut grpc = Grpc::new(channel);
    if let Err(error) = grpc.ready().await {
        return Outcome::Failure(format!(
            "error: failed to connect service at {address:?}: {error}"
        ));
    }
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let request = tonic::Request::new(HealthCheckRequest { service });
    match grpc.unary(request, path, codec).await {
        Ok(response) if response.get_ref().status == SERVING => Outcome::Success,
        Ok(response) => Outcome::Failure(format!(
            "service unhealthy (responded with {:?})",
            if response.get_ref().status == 2 {
                "NOT_SERVING"
            } else {
                "UNKNOWN"
            }
        )),
        Err(status) if status.code() == Code::Unimplemented => Outcome::Failure(format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
            status.message()
        )),
        Err(status) => Outcome::Failure(format!("error: health rpc probe failed: {}", status.message())),
    }
}
