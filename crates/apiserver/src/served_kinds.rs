//! How admission sees the kinds that are served: their forms, and objects as documents.

use std::sync::Arc;

use admission::matching::{Kinds, ServedAs, Unknown};
use api::catalogue::{self, KindInfo, Resource};
use api::codec::{self, TypeMeta};
use api::custom::CUSTOM;
use api::{Custom, Message, Object};
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use apimachinery::status::Status;
use serde_json::Value as Json;

use crate::decode::{Expected, Failure, read_json};
use crate::kind;
use crate::managed_fields::{Node, lay_over};
use crate::resource::{Resources, Served};

/// See the module.
pub struct ServedKinds {
    pub resources: Arc<Resources>,
}

impl Kinds for ServedKinds {
    fn served_as(&self, resource: &GroupVersionResource, subresource: &str) -> Vec<ServedAs> {
        let of = self
            .resources
            .get(&resource.group, &resource.version, &resource.resource);
        let Some(of) = of else {
            return Vec::new();
        };
        self.resources
            .of_objects(&of.objects)
            .iter()
            .filter_map(|served| form(served, subresource))
            .collect()
    }

    fn document(&self, object: &dyn Object, kind: &GroupVersionKind) -> Result<Vec<u8>, Status> {
        let mut raw = Vec::with_capacity(1024);
        let ty = if object.gvk() == *kind || Custom::of(object).is_some() {
            object.encode(&mut raw);
            object.descriptor()
        } else {
            let row = row(kind)?;
            kind::convert(object.clone_box(), row)?.encode(&mut raw);
            row.ty
        };
        let api_version = kind::api_version_of(&kind.group, &kind.version);
        let meta = TypeMeta {
            api_version: &api_version,
            kind: &kind.kind,
        };
        let mut document = Vec::with_capacity(raw.len() * 2);
        kind::push_json(Some(meta), ty, &raw, &mut document).map_err(Status::internal)?;
        Ok(document)
    }

    fn object(
        &self,
        document: &[u8],
        kind: &GroupVersionKind,
        standing: &dyn Object,
        unknown: Unknown,
    ) -> Result<Box<dyn Object>, Status> {
        if Custom::of(standing).is_some() {
            return self.custom_object(document, standing);
        }
        let info = info(kind)?;
        let decode = info.decode.ok_or_else(|| unknown_kind(kind))?;
        let decoded = read_json(document, expected(info)).map_err(unreadable)?;
        if unknown == Unknown::Refused && !decoded.strict_errors.is_empty() {
            let errors = decoded.strict_errors.join(", ");
            return Err(Status::internal(format!("strict decoding error: {errors}")));
        }
        let object = decode(&decoded.proto).map_err(Status::internal)?;
        let wanted = standing.gvk();
        let mut object = if wanted == *kind {
            object
        } else {
            kind::convert(object, row(&wanted)?)?
        };
        if let Some(objects) = self.resources.all().find(|objects| {
            let row = objects.row;
            row.group == wanted.group && row.version == wanted.version && row.kind == wanted.kind
        }) {
            objects.strategy().default(&mut *object);
        }
        Ok(object)
    }

    fn merge(&self, document: &Json, configuration: &Json, kind: &GroupVersionKind) -> Result<Json, String> {
        let mut configuration = configuration.clone();
        configuration["apiVersion"] = kind::api_version_of(&kind.group, &kind.version).into();
        configuration["kind"] = kind.kind.as_str().into();
        if let Some(served) = self.resources.custom(kind) {
            let schema = Node::root(served.row, served.objects.strategy());
            return lay_over(document, &configuration, schema);
        }
        let info = info(kind).map_err(|status| status.message)?;
        lay_over(document, &configuration, Node::Kind(info.ty))
    }
}

impl ServedKinds {
    /// Versions of a custom kind differ in their name; what the standing one does not know is dropped.
    fn custom_object(&self, document: &[u8], standing: &dyn Object) -> Result<Box<dyn Object>, Status> {
        let parsed = codec::json_to_proto(&CUSTOM, document).map_err(Status::internal)?;
        let mut object = Custom::decode(&parsed.proto).map_err(Status::internal)?;
        let wanted = standing.gvk();
        object.api_version = kind::api_version_of(&wanted.group, &wanted.version);
        let served = self.resources.custom(&wanted);
        if let Some(strategy) = served.as_ref().map(|served| served.objects.strategy()) {
            strategy.prune(&mut object).map_err(Status::internal)?;
            strategy.default(&mut object);
        }
        Ok(Box::new(object))
    }
}

/// What a resource, or one of its subresources, takes and answers; `None`: it has no such subresource.
fn form(served: &Arc<Served>, subresource: &str) -> Option<ServedAs> {
    let row = served.row;
    let kind = if subresource.is_empty() {
        GroupVersionKind::new(row.group, row.version, row.kind)
    } else {
        let sub = row.subresource(subresource)?;
        GroupVersionKind::new(sub.group, sub.version, sub.kind)
    };
    Some(ServedAs {
        resource: GroupVersionResource::new(row.group, row.version, row.plural),
        kind,
    })
}

fn expected(info: &'static KindInfo) -> Expected {
    Expected {
        group: info.group,
        version: info.version,
        kind: info.kind,
        ty: info.ty,
        also: &[],
    }
}

fn unreadable(failure: Failure) -> Status {
    Status::internal(failure.into_reason())
}

fn info(kind: &GroupVersionKind) -> Result<&'static KindInfo, Status> {
    catalogue::kind(&kind.group, &kind.version, &kind.kind).ok_or_else(|| unknown_kind(kind))
}

fn row(kind: &GroupVersionKind) -> Result<&'static Resource, Status> {
    catalogue::RESOURCES
        .iter()
        .find(|row| row.group == kind.group && row.version == kind.version && row.kind == kind.kind)
        .ok_or_else(|| unknown_kind(kind))
}

fn unknown_kind(kind: &GroupVersionKind) -> Status {
    Status::internal(format!("unable to convert to {kind}: unknown kind"))
}
