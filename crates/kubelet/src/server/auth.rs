//! Who may ask the kubelet for what: certificates are checked here, tokens and permissions by the API server.
//! Upstream: `pkg/kubelet/server/auth.go`.

use super::failed;
use crate::config::Config;
use auth::{Attributes, UserInfo};
use client::Client;
use component_base::{
    clock::Clock,
    serving::{Request, Response},
};
use delegated_auth::{Delegate, Options, delegate};
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use std::sync::Arc;

pub struct Guard {
    /// Nothing when everyone may do everything and there is nobody to ask.
    delegate: Option<Delegate>,
    always_allow: bool,
    node_name: String,
}

/// The node's subresources that a path belongs to: any of them is permission enough. Pure.
pub fn subresources(path: &str) -> Vec<&'static str> {
    let below =
        |root: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    if below("/stats") {
        vec!["stats"]
    } else if below("/metrics") {
        vec!["metrics"]
    } else if below("/logs") {
        vec!["log"]
    } else if below("/checkpoint") {
        vec!["checkpoint"]
    } else if below("/healthz") {
        vec!["healthz", "proxy"]
    } else if below("/pods") || below("/runningpods") {
        vec!["pods", "proxy"]
    } else if below("/configz") {
        vec!["configz", "proxy"]
    } else {
        vec!["proxy"]
    }
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

impl Guard {
    /// Nothing when nobody could be let through.
    pub fn new(
        client: Option<&Client>,
        config: &Config,
        node_name: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, delegate::Error> {
        let always_allow = config.authorization.always_allow;
        let delegate = match client {
            Some(client) => Some(Delegate::new(
                client.clone(),
                clock.clone(),
                Options {
                    client_ca_file: config.authentication.client_ca_file.clone(),
                    anonymous: config.authentication.anonymous,
                    token_ttl: config.authentication.webhook_cache_ttl,
                    allow_ttl: config.authorization.authorized_ttl,
                    deny_ttl: config.authorization.unauthorized_ttl,
                },
            )?),
            // Without an API server only an open kubelet can serve.
            None if always_allow && config.authentication.anonymous => None,
            None => return Ok(None),
        };
        Ok(Some(Self {
            delegate,
            always_allow,
            node_name: node_name.to_owned(),
        }))
    }

    /// Lets the request through, or says what to answer. The request is not kept while that is awaited.
    pub fn check(self: &Arc<Self>, request: &Request) -> BoxFuture<'static, Result<(), Response>> {
        let (path, method) = (request.uri().path().to_owned(), request.method().clone());
        let Some(delegate) = self.delegate.clone() else {
            return Box::pin(std::future::ready(Ok(())));
        };
        let authenticated = delegate.authenticate(request);
        let guard = self.clone();
        Box::pin(async move { guard.decide(&delegate, authenticated, &path, &method).await })
    }

    async fn decide(
        &self,
        delegate: &Delegate,
        authenticated: impl Future<Output = Option<UserInfo>>,
        path: &str,
        method: &Method,
    ) -> Result<(), Response> {
        let Some(user) = authenticated.await else {
            return Err(failed(StatusCode::UNAUTHORIZED, "Unauthorized"));
        };
        if self.always_allow {
            return Ok(());
        }
        let subresources = subresources(path);
        for subresource in &subresources {
            let attributes = Attributes {
                user: user.clone(),
                verb: verb(method).into(),
                api_version: "v1".into(),
                resource: "nodes".into(),
                subresource: (*subresource).into(),
                name: self.node_name.clone(),
                resource_request: true,
                path: path.to_owned(),
                ..Attributes::default()
            };
            if delegate.authorize(&attributes).await.is_allowed() {
                return Ok(());
            }
        }
        let message = format!(
            "Forbidden (user={}, verb={}, resource=nodes, subresource(s)=[{}])",
            user.name,
            verb(method),
            subresources.join(" ")
        );
        Err(failed(StatusCode::FORBIDDEN, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_to_subresources() {
        for (path, expected) in [
            ("/metrics", "metrics"),
            ("/metrics/cadvisor", "metrics"),
            ("/metricsx", "proxy"),
            ("/stats/summary", "stats"),
            ("/logs/", "log"),
            ("/pods", "pods proxy"),
            ("/exec/a/b/c", "proxy"),
            ("/containerLogs/a/b/c", "proxy"),
            ("/healthz", "healthz proxy"),
        ] {
            assert_eq!(subresources(path).join(" "), expected, "{path}");
        }
    }
}
