//! From a request that may be served to the handler that serves it.

use std::sync::Arc;

use api::catalogue::{self, Resource};
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use futures_util::future::BoxFuture;

use crate::paths;
use crate::request::Request;
use crate::resource::Served;
use crate::response::{Response, failure, page_not_found};
use crate::stack::Endpoint;
use crate::state::Api;
use crate::{deprecation, subresources, verbs, virtual_resources};

/// The end of the stack.
pub struct Dispatch {
    pub api: Arc<Api>,
}

impl Endpoint for Dispatch {
    fn serve<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let answer = if request.info.is_resource_request {
                self.resource(request).await
            } else {
                paths::serve(&self.api, request).await
            };
            answer.unwrap_or_else(|status| failure(&status, request.error_encoding()))
        })
    }
}

impl Dispatch {
    async fn resource(&self, request: &mut Request) -> Result<Response, Status> {
        let info = &request.info;
        let Some(row) = catalogue::resource(&info.api_group, &info.api_version, &info.resource) else {
            return unknown_resource(&info.api_group);
        };
        check_scope(row, request)?;
        check_verb(row, request)?;
        if let Some(warning) = deprecation::warning(row) {
            request.warn(warning);
        }
        match self
            .api
            .resources
            .get(row.group, row.version, row.plural)
            .cloned()
        {
            None => virtual_resources::serve(&self.api, row, request).await,
            Some(served) => self.stored(&served, request).await,
        }
    }

    async fn stored(&self, served: &Arc<Served>, request: &mut Request) -> Result<Response, Status> {
        match request.info.subresource.as_str() {
            "" | "status" => verbs::serve(&self.api, served, request).await,
            _ => subresources::serve(&self.api, served, request).await,
        }
    }
}

/// Within a group that is served the answer is a Status; elsewhere Go's mux answers.
fn unknown_resource(group: &str) -> Result<Response, Status> {
    let served = catalogue::GROUPS.iter().any(|known| known.name == group);
    if served {
        Err(Status::path_not_found())
    } else {
        Ok(page_not_found())
    }
}

/// Single objects of a namespaced resource stand below their namespace, cluster-wide ones don't.
fn check_scope(row: &Resource, request: &Request) -> Result<(), Status> {
    let info = &request.info;
    let in_namespace = !info.namespace.is_empty() && info.resource != "namespaces";
    let collection = matches!(
        info.verb.as_str(),
        "list" | "watch" | "deletecollection" | "create"
    );
    let fits = match (row.namespaced, in_namespace) {
        (true, true) | (false, false) => true,
        (true, false) => collection && info.subresource.is_empty(),
        (false, true) => false,
    };
    if !fits {
        return Err(Status::path_not_found());
    }
    if row.namespaced && !in_namespace && matches!(info.verb.as_str(), "create" | "deletecollection") {
        return Err(method_not_allowed());
    }
    Ok(())
}

/// The verbs of the catalogue are those that there are.
fn check_verb(row: &Resource, request: &Request) -> Result<(), Status> {
    let info = &request.info;
    let verbs = match info.subresource.as_str() {
        "" => row.verbs,
        name => row.subresource(name).ok_or_else(Status::path_not_found)?.verbs,
    };
    // Streams take any method; what the path names decides.
    if !fits_path(request) {
        return Err(method_not_allowed());
    }
    let any_method = matches!(
        info.subresource.as_str(),
        "proxy" | "exec" | "attach" | "portforward"
    );
    if any_method || verbs.contains(&info.verb.as_str()) {
        return Ok(());
    }
    Err(method_not_allowed())
}

/// Collections are not updated as a whole, and single objects are not created by their name.
fn fits_path(request: &Request) -> bool {
    let info = &request.info;
    match info.verb.as_str() {
        "update" | "patch" => !info.name.is_empty(),
        "create" => info.name.is_empty() || !info.subresource.is_empty(),
        _ => true,
    }
}

fn method_not_allowed() -> Status {
    Status::generic(405, "", &GroupResource::default(), "", "")
}
