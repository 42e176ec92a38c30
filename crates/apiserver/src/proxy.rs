//! Requests that go on to a kubelet, a pod or a service: logs, exec, attach, port-forward, proxy.
//!
//! [`target`] says where a request goes (pure), [`connect`] gets there, [`forward`] carries request, answer and
//! upgraded streams through unchanged; [`links`] leads the links of pages back through the proxy.

mod connect;
mod forward;
mod links;
mod log_options;
pub mod target;

use std::sync::Arc;

use admission::{Attributes, Operation, Review};
use api::Resource;
use api::core::v1::{Endpoints, Node, Pod, Service};
use apimachinery::gvk::{GroupResource, GroupVersionKind, GroupVersionResource};
use apimachinery::status::Status;
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, LOCATION};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;

use crate::request::Request;
use crate::request::negotiate::Offers;
use crate::request::options::flag;
use crate::resource::Served;
use crate::response::Response;
use crate::stack;
use crate::state::Api;
use crate::websocket::{self, Payload};
use target::Target;

pub use connect::{Backends, KubeletAccess, KubeletTls};
pub use forward::exchange;

/// Serves log, exec, attach, portforward and proxy.
pub async fn serve(api: &Arc<Api>, served: &Arc<Served>, request: &mut Request) -> Result<Response, Status> {
    let (plural, subresource) = (served.row.plural, request.info.subresource.clone());
    if subresource == "log" {
        // What the pod says is text, but what may be wrong with it is not.
        request.output(Offers::Plain)?;
        log_options::check(request)?;
    } else {
        if request.query.get("dryRun").is_some() {
            return Err(Status::bad_request("dryRun is not supported"));
        }
        check_ports(request)?;
        authorize_stream(api, request).await?;
        admit_connect(api, served, request).await?;
    }
    let target = match (plural, subresource.as_str()) {
        ("pods", "proxy") => target::of_pod(
            &*load::<Pod>(api, request, target::name("pod", &request.info.name)?).await?,
            request,
        )?,
        ("services", "proxy") => service_target(api, request).await?,
        ("nodes", "proxy") => {
            let node = load::<Node>(api, request, target::name("node", &request.info.name)?).await?;
            target::of_node(&node, request, &api.backends.kubelet)?
        }
        ("pods", _) => match kubelet_target(api, request, &subresource).await? {
            Some(target) => target,
            None => return Ok(no_content()),
        },
        _ => return Err(Status::path_not_found()),
    };
    let _held = api.metrics.long_running(request);
    if subresource == "log" {
        return log(api, &target, request).await;
    }
    if subresource == "proxy" && !forward::is_upgrade(request.headers()) {
        return page(api, &target, request).await;
    }
    forward::forward(&api.backends, &target, request, &api.lifecycle.drained).await
}

/// An answer for a browser, whose links lead through the proxy.
async fn page(api: &Api, target: &Target, request: &mut Request) -> Result<Response, Status> {
    if let Some(location) = target::with_slash(request) {
        let mut moved = Response::new(crate::response::full(Vec::new()));
        *moved.status_mut() = http::StatusCode::MOVED_PERMANENTLY;
        let location = HeaderValue::from_str(&location).map_err(Status::internal)?;
        moved.headers_mut().insert(LOCATION, location);
        return Ok(moved);
    }
    let links = links::Links::new(target, request);
    let path = HeaderValue::from_str(request.head.uri.path()).map_err(Status::internal)?;
    request.head.headers.insert("x-forwarded-uri", path);
    // Links can only be found in a page that isn't compressed.
    request.head.headers.remove(ACCEPT_ENCODING);
    let answer = forward::forward(&api.backends, target, request, &api.lifecycle.drained).await?;
    Ok(links.rewrite(answer))
}

/// The kubelet is asked for a plain body, also when the client wants it in the messages of a WebSocket.
async fn log(api: &Api, target: &Target, request: &mut Request) -> Result<Response, Status> {
    let upgrade = if websocket::is_upgrade(request) {
        request.head.extensions.remove::<OnUpgrade>()
    } else {
        None
    };
    let answer = forward::forward(&api.backends, target, request, &api.lifecycle.drained).await?;
    let answer = forward::checked_log(answer, request).await?;
    let Some(upgrade) = upgrade else {
        return Ok(answer);
    };
    request.head.extensions.insert(upgrade);
    websocket::serve(request, answer.into_body().into_data_stream(), Payload::Binary)
}

/// Where the kubelet of the pod serves the stream; `None`: the pod has no node yet, and so no log.
async fn kubelet_target(api: &Api, request: &Request, subresource: &str) -> Result<Option<Target>, Status> {
    let pod = load::<Pod>(api, request, &request.info.name).await?;
    let path = target::kubelet_path(&pod, subresource, &request.query)?;
    if pod.spec.node_name.is_empty() {
        if subresource == "log" {
            return Ok(None);
        }
        return Err(Status::bad_request(format!(
            "pod {} does not have a host assigned",
            pod.metadata.name
        )));
    }
    let node = load::<Node>(api, request, &pod.spec.node_name).await?;
    let insecure = request
        .query
        .get("insecureSkipTLSVerifyBackend")
        .is_some_and(|value| value == "true");
    target::of_kubelet(
        &node,
        path,
        insecure && subresource == "log",
        &api.backends.kubelet,
    )
    .map(Some)
}

async fn service_target(api: &Api, request: &Request) -> Result<Target, Status> {
    let name = target::name("service", &request.info.name)?.to_owned();
    let service = load::<Service>(api, request, &name).await?;
    target::service_port(&service, request)?;
    let endpoints = load::<Endpoints>(api, request, &name).await?;
    target::of_service(&service, &endpoints, request)
}

async fn load<T: Resource>(api: &Api, request: &Request, name: &str) -> Result<Box<T>, Status> {
    let objects = api
        .resources
        .objects(T::GROUP, T::PLURAL)
        .ok_or_else(Status::path_not_found)?;
    let namespace = if T::NAMESPACED {
        request.info.namespace.as_str()
    } else {
        ""
    };
    let found = objects.load(&objects.key(namespace, name)).await?;
    let object = found.and_then(|loaded| loaded.object.downcast::<T>().ok());
    // Upstream names the resource that was asked for, whatever it is that is missing.
    let asked = GroupResource::new(request.info.api_group.as_str(), request.info.resource.as_str());
    object.ok_or_else(|| Status::not_found(&asked, name))
}

/// Ports to forward are numbers.
fn check_ports(request: &Request) -> Result<(), Status> {
    if request.info.subresource != "portforward" {
        return Ok(());
    }
    for port in request.query.all("ports").flat_map(|ports| ports.split(',')) {
        let why = match port.parse::<u16>() {
            Ok(_) if !port.starts_with('+') => continue,
            Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => "value out of range",
            _ => "invalid syntax",
        };
        return Err(Status::bad_request(format!(
            "cannot convert to []int32: strconv.ParseUint: parsing {port:?}: {why}"
        )));
    }
    Ok(())
}

/// A stream opened by GET (WebSocket) does what one opened by POST does: it needs `create` as well.
async fn authorize_stream(api: &Api, request: &Request) -> Result<(), Status> {
    let stream = matches!(
        request.info.subresource.as_str(),
        "exec" | "attach" | "portforward"
    );
    if !stream || request.info.verb != "get" {
        return Ok(());
    }
    let mut attributes = stack::attributes(request);
    attributes.verb = "create".to_owned();
    let decision = api.authorizer.authorize(&attributes).await;
    if decision.is_allowed() {
        Ok(())
    } else {
        Err(stack::forbidden(&attributes, decision.reason()))
    }
}

/// Admission sees who connects to what; the options of the stream are in the query.
async fn admit_connect(api: &Api, served: &Served, request: &Request) -> Result<(), Status> {
    let (row, info) = (served.row, &request.info);
    let kind = row
        .subresource(&info.subresource)
        .map(|sub| GroupVersionKind::new(sub.group, sub.version, sub.kind));
    let kind = kind.unwrap_or_default();
    let connect = connect_options(request, &kind);
    let attributes = Attributes {
        operation: Operation::Connect,
        kind,
        resource: GroupVersionResource::new(row.group, row.version, row.plural),
        subresource: &info.subresource,
        namespace: &info.namespace,
        name: &info.name,
        user: &request.user,
        dry_run: false,
        options: b"",
        now: api.clock.now(),
    };
    let mut review = Review {
        connect: Some(connect),
        ..Review::default()
    };
    api.admission.mutate(&attributes, &mut review).await?;
    api.admission.validate(&attributes, &mut review).await
}

/// The options of a connect as a document.
fn connect_options(request: &Request, kind: &GroupVersionKind) -> Vec<u8> {
    let query = &request.query;
    let api_version = crate::kind::api_version_of(&kind.group, &kind.version);
    let mut options = serde_json::json!({ "kind": kind.kind, "apiVersion": api_version });
    match request.info.subresource.as_str() {
        "exec" | "attach" => {
            for name in ["stdin", "stdout", "stderr", "tty"] {
                if flag(query, name) == Some(true) {
                    options[name] = true.into();
                }
            }
            if let Some(container) = query.get("container").filter(|name| !name.is_empty()) {
                options["container"] = container.into();
            }
            let command: Vec<&str> = query.all("command").collect();
            if !command.is_empty() {
                options["command"] = command.into();
            }
        }
        "portforward" => {
            let ports: Vec<i32> = query.all("ports").filter_map(|port| port.parse().ok()).collect();
            if !ports.is_empty() {
                options["ports"] = ports.into();
            }
        }
        _ => {
            let path = request.head.uri.path();
            let rest = path.strip_prefix(target::prefix(request)).unwrap_or_default();
            if !rest.is_empty() {
                options["path"] = rest.into();
            }
        }
    }
    options.to_string().into_bytes()
}

fn no_content() -> Response {
    let mut response = Response::new(crate::response::full(Vec::new()));
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    response
}
