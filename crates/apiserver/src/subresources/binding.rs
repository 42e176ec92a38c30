//! Binding a pod to a node.

use api::Message;
use api::core::v1::Binding;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use jiff::Timestamp;

use crate::decode::{Expected, read_message};
use crate::objects::{Objects, precondition_failed};
use crate::request::Request;
use crate::request::negotiate::Offers;
use crate::request::options::{WriteKind, WriteOptions};
use crate::resource::Served;
use crate::response::{Response, created};
use crate::state::Api;

/// The kind of the body.
const BINDING: Expected = Expected {
    group: "",
    version: "v1",
    kind: "Binding",
    ty: &api::types::core_v1::BINDING,
    also: &[],
};

/// POST `pods/NAME/binding`.
pub async fn create(api: &Api, served: &Served, request: &mut Request) -> Result<Response, Status> {
    let (binding, dry_run) = read(request).await?;
    if binding.metadata.name != request.info.name {
        return Err(Status::bad_request(
            "name in URL does not match name in Binding object",
        ));
    }
    answer(api, &served.objects, request, binding, dry_run).await
}

/// POST `bindings`: the body names the pod.
pub async fn bind_by_body(api: &Api, request: &mut Request) -> Result<Response, Status> {
    let pods = api
        .resources
        .objects("", "pods")
        .ok_or_else(Status::path_not_found)?
        .clone();
    let (binding, dry_run) = read(request).await?;
    answer(api, &pods, request, binding, dry_run).await
}

async fn read(request: &mut Request) -> Result<(Binding, bool), Status> {
    let options = WriteOptions::parse(&request.query, WriteKind::Create)?;
    let proto = read_message(request, BINDING, options.field_validation).await?;
    let mut binding = Binding::decode(&proto).map_err(|error| Status::bad_request(error.to_string()))?;
    crate::write::metadata::settle_namespace(&mut binding.metadata, &request.info.namespace)?;
    Ok((binding, options.dry_run))
}

async fn answer(
    api: &Api,
    pods: &Objects,
    request: &mut Request,
    mut binding: Binding,
    dry_run: bool,
) -> Result<Response, Status> {
    let output = request.output(Offers::Plain)?;
    validate_target(&binding)?;
    api.admit_subresource(request, pods.row, &mut binding, dry_run)
        .await?;
    bind(pods, &binding, dry_run, api.clock.now()).await?;
    created(output)
}

/// What a pod can be bound to. Upstream answers without a reason.
fn validate_target(binding: &Binding) -> Result<(), Status> {
    let target = Path::new("target");
    let mut errors = ErrorList::new();
    if !matches!(binding.target.kind.as_str(), "" | "Node") {
        errors.push(Error::not_supported(
            &target.child("kind"),
            &binding.target.kind,
            &["Node", "<empty>"],
        ));
    }
    if binding.target.name.is_empty() {
        errors.push(Error::required(&target.child("name"), ""));
    }
    let messages: Vec<String> = errors.iter().map(Error::to_string).collect();
    match messages.as_slice() {
        [] => Ok(()),
        [only] => Err(Status::unknown(only)),
        several => Err(Status::unknown(format!("[{}]", several.join(", ")))),
    }
}

async fn bind(pods: &Objects, binding: &Binding, dry_run: bool, now: Timestamp) -> Result<(), Status> {
    let name = &binding.metadata.name;
    let conflict = |why: String| Status::conflict(&GroupResource::new("", "pods/binding"), name, why);
    let stale = |why: String| Status::conflict(&pods.group_resource(), name, why);
    let key = pods.key(&binding.metadata.namespace, name);
    let change = |object: &mut dyn api::Object| {
        let metadata = object.metadata();
        let (uid, version) = (&binding.metadata.uid, &binding.metadata.resource_version);
        if !uid.is_empty() && *uid != metadata.uid {
            return Err(stale(precondition_failed(&key, "UID", uid, &metadata.uid)));
        }
        if !version.is_empty() && *version != metadata.resource_version {
            let is = &metadata.resource_version;
            return Err(stale(precondition_failed(&key, "ResourceVersion", version, is)));
        }
        pods.strategy().bind(object, binding, now).map_err(conflict)
    };
    match pods.change(&key, dry_run, change).await? {
        Some(_) => Ok(()),
        None => Err(Status::not_found(&pods.group_resource(), name)),
    }
}
