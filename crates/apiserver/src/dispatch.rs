//! From a request that may be served to the handler that serves it.

use std::sync::Arc;

use api::catalogue;
use apimachinery::status::Status;
use apimachinery::validation::is_valid_path_segment_name;
use futures_util::future::BoxFuture;

use crate::paths;
use crate::request::Request;
use crate::resource::Served;
use crate::response::{Response, page_not_found, refusal};
use crate::stack::Endpoint;
use crate::state::Api;
use crate::{aggregation, deprecation, routes, subresources, verbs, virtual_resources};

/// The end of the stack.
pub struct Dispatch {
    pub api: Arc<Api>,
}

impl Endpoint for Dispatch {
    fn serve<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let backend = self.api.aggregation.backend(&request.info.path);
            let answer = if let Some(backend) = backend {
                aggregation::forward(&self.api, &backend, request).await
            } else if request.info.is_resource_request {
                self.resource(request).await
            } else {
                paths::serve(&self.api, request).await
            };
            answer.unwrap_or_else(|status| refusal(&status, request))
        })
    }
}

impl Dispatch {
    async fn resource(&self, request: &mut Request) -> Result<Response, Status> {
        let info = &request.info;
        if info.path.starts_with("//") {
            return Ok(page_not_found());
        }
        let Some(row) = catalogue::resource(&info.api_group, &info.api_version, &info.resource) else {
            return match self
                .api
                .resources
                .get(&info.api_group, &info.api_version, &info.resource)
            {
                Some(served) => self.custom(&served, request).await,
                None => unknown_resource(&info.api_group),
            };
        };
        routes::check(row, request)?;
        if let Some(warning) = deprecation::warning(row) {
            request.warn(warning);
        }
        match self.api.resources.get(row.group, row.version, row.plural) {
            None => virtual_resources::serve(&self.api, row, request).await,
            Some(served) => self.stored(&served, request).await,
        }
    }

    /// A custom resource has no routes of its own: what it does not take is judged here.
    async fn custom(&self, served: &Arc<Served>, request: &mut Request) -> Result<Response, Status> {
        let (row, info) = (served.row, &request.info);
        let everywhere = matches!(info.verb.as_str(), "list" | "watch");
        if info.namespace.is_empty() == row.namespaced && !(row.namespaced && everywhere) {
            return Ok(page_not_found());
        }
        let warning = served.objects.strategy().deprecation_warning();
        warning.into_iter().for_each(|warning| request.warn(warning));
        let info = &request.info;
        if info.subresource.is_empty() {
            return self.stored(served, request).await;
        }
        let Some(subresource) = row.subresource(&info.subresource) else {
            return Err(Status::not_found(&served.group_resource(), &info.name));
        };
        if !subresource.verbs.contains(&info.verb.as_str()) {
            return Err(Status::method_not_supported(&served.group_resource(), &info.verb));
        }
        self.stored(served, request).await
    }

    async fn stored(&self, served: &Arc<Served>, request: &mut Request) -> Result<Response, Status> {
        check_name(request)?;
        match request.info.subresource.as_str() {
            "" | "status" => verbs::serve(&self.api, served, request).await,
            _ => subresources::serve(&self.api, served, request).await,
        }
    }
}

/// What is read or removed must have a name that a key can hold; a body is told first what is wrong with it.
fn check_name(request: &Request) -> Result<(), Status> {
    let info = &request.info;
    if !matches!(info.verb.as_str(), "get" | "delete" | "patch") {
        return Ok(());
    }
    match is_valid_path_segment_name(&info.name).as_slice() {
        [] => Ok(()),
        why => Err(Status::bad_request(format!(
            "Name parameter invalid: {:?}: {}",
            info.name,
            why.join(";")
        ))),
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
