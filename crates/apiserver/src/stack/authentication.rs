//! Who asks: certificates, tokens, front proxies; else anonymous, or 401.

use std::sync::Arc;

use apimachinery::status::Status;
use futures_util::future::BoxFuture;

use super::{Filter, Next};
use crate::metrics::Metrics;
use crate::request::Request;
use crate::response::{Response, failure};

pub struct Authentication {
    pub authenticator: Arc<dyn auth::Authenticator>,
    pub metrics: Arc<Metrics>,
}

impl Filter for Authentication {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let credentials = auth::Credentials {
                headers: &request.head.headers,
                certificates: &request.peer.certificates,
                path: &request.info.path,
            };
            match self.authenticator.authenticate(credentials).await {
                Ok(Some(user)) => {
                    self.metrics.authenticated("success", &user.name);
                    request.user = user;
                }
                Ok(None) => {
                    self.metrics.authenticated("failure", "");
                    return failure(&Status::unauthorized(), request.error_encoding());
                }
                Err(error) => {
                    self.metrics.authenticated("error", "");
                    tracing::warn!(%error, uri = %request.head.uri, audit_id = %request.audit_id, "Unable to authenticate the request");
                    return failure(&Status::unauthorized(), request.error_encoding());
                }
            }
            // A bearer token must not travel on to a node or an extension server.
            auth::authenticators::bearer::remove_credentials(&mut request.head.headers);
            next.run(request).await
        })
    }
}
