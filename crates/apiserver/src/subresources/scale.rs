//! Scale: the replicas of a workload, the same for all kinds that have them.

use api::autoscaling::v1::Scale;
use api::catalogue::Column;
use api::codec::TypeMeta;
use api::{Custom, Message, Object};
use apimachinery::field::{Error, Path};
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;
use storage::cache::Freshness;

use crate::decode::{Expected, decode_json, read_message};
use crate::kind;
use crate::objects::failed;
use crate::render::table::Unstored;
use crate::render::{IncludeObject, with_type};
use crate::request::negotiate::{Encoding, Offers, Output, View};
use crate::request::options::{WriteKind, WriteOptions};
use crate::request::{Request, body};
use crate::resource::Served;
use crate::response::{Response, bytes, json_document, message};
use crate::state::Api;
use crate::strategy::Strategy;
use crate::verbs::patch::{Patch, accepted};
use crate::verbs::writer;
use crate::write::{Applied, Change};

/// The kind of the subresource.
const SCALE: Expected = Expected {
    group: "autoscaling",
    version: "v1",
    kind: "Scale",
    ty: &api::types::autoscaling_v1::SCALE,
    also: &[],
};

/// What a Scale shows in a table.
const COLUMNS: [Column; 4] = [
    column("Name", "string"),
    column("Desired", "integer"),
    column("Available", "integer"),
    column("Age", "string"),
];

const fn column(name: &'static str, kind: &'static str) -> Column {
    Column {
        name,
        kind,
        format: "",
        description: "",
        priority: 0,
    }
}

/// How the Scale is answered.
struct Form {
    output: Output,
    include: IncludeObject,
    now: Timestamp,
}

/// GET, PUT and PATCH.
pub async fn serve(api: &Api, served: &Served, request: &mut Request) -> Result<Response, Status> {
    let output = request.output(Offers::Views)?;
    let include = match output.view {
        View::Table(_) => IncludeObject::parse(&request.query)?,
        _ => IncludeObject::default(),
    };
    let form = Form {
        output,
        include,
        now: api.clock.now(),
    };
    let verb = request.info.verb.clone();
    match verb.as_str() {
        "get" => get(served, request, &form).await,
        "update" => {
            let options = WriteOptions::parse(&request.query, WriteKind::Update)?;
            let proto = read_message(request, SCALE, options.field_validation).await?;
            let scale = Scale::decode(&proto).map_err(|error| Status::bad_request(error.to_string()))?;
            write(
                api,
                served,
                request,
                Edit::Replace(Box::new(scale)),
                options,
                &form,
            )
            .await
        }
        "patch" => {
            let content_type = request
                .header("content-type")
                .unwrap_or_default()
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            let body: Bytes = body::read(request).await?;
            let options = WriteOptions::parse(&request.query, WriteKind::Patch)?;
            let (patch, _) = Patch::parse(&content_type, &body, accepted(served))?;
            write(api, served, request, Edit::Patch(patch), options, &form).await
        }
        other => Err(Status::method_not_supported(&served.group_resource(), other)),
    }
}

async fn get(served: &Served, request: &Request, form: &Form) -> Result<Response, Status> {
    let key = served.objects.key(&request.info.namespace, &request.info.name);
    let (_, entry) = served
        .objects
        .cache
        .get(key.as_bytes(), Freshness::Latest)
        .await
        .map_err(|error| failed(&error))?;
    let entry = entry.ok_or_else(|| Status::not_found(&served.group_resource(), &request.info.name))?;
    let entry = served.objects.entry_in_own_version(entry).await?;
    let loaded = served.objects.decode(entry.stored().clone())?;
    served.objects.strategy().check_scale(&*loaded.object)?;
    let scale = served
        .objects
        .strategy()
        .scale(&*loaded.object)
        .ok_or_else(Status::path_not_found)?;
    answer(served, &scale, form)
}

async fn write(
    api: &Api,
    served: &Served,
    request: &mut Request,
    edit: Edit,
    options: WriteOptions,
    form: &Form,
) -> Result<Response, Status> {
    let change = ScaleChange {
        strategy: served.objects.strategy(),
        name: &request.info.name.clone(),
        edit,
    };
    let mut writer = writer(
        api,
        served,
        request,
        options.dry_run,
        options.to_json(WriteKind::Update),
    );
    let saved = writer.update(&change, false).await;
    let warnings = std::mem::take(&mut writer.warnings);
    warnings.into_iter().for_each(|warning| request.warn(warning));
    let written = saved?.written;
    let value = served.objects.one_in_own_version(written.value).await?;
    let mut object = served.objects.read(&value).map_err(Status::internal)?;
    object.metadata_mut().resource_version = written
        .revision
        .map(|revision| revision.to_string())
        .unwrap_or_default();
    let scale = served
        .objects
        .strategy()
        .scale(&*object)
        .ok_or_else(Status::path_not_found)?;
    answer(served, &scale, form)
}

fn answer(served: &Served, scale: &Scale, form: &Form) -> Result<Response, Status> {
    const KIND: TypeMeta<'_> = TypeMeta {
        api_version: "autoscaling/v1",
        kind: "Scale",
    };
    let output = form.output;
    let json = match output.view {
        View::Full => {
            return message(
                StatusCode::OK,
                (SCALE.group, SCALE.version, SCALE.kind),
                scale,
                output,
            );
        }
        View::Metadata if output.encoding == Encoding::Protobuf => {
            let raw = kind::metadata_message(&scale.metadata);
            let raw = kind::wrap("meta.k8s.io", "v1", "PartialObjectMetadata", &raw);
            return Ok(bytes(StatusCode::OK, output.encoding.media_type(), raw));
        }
        View::Metadata => {
            let json = kind::metadata_document(&scale.metadata).map_err(Status::internal)?;
            with_type("PartialObjectMetadata", "meta.k8s.io/v1", &json)
        }
        View::Table(version) => {
            let shown = Unstored {
                kind: KIND,
                metadata: &scale.metadata,
                message: scale,
                columns: &COLUMNS,
                cells: served.objects.strategy().scale_row(scale, form.now),
            };
            shown.table(version, form.include)?
        }
    };
    Ok(json_document(StatusCode::OK, json, output))
}

enum Edit {
    Replace(Box<Scale>),
    Patch(Patch),
}

/// A change of the workload by a change of its scale.
struct ScaleChange<'a> {
    strategy: &'a dyn Strategy,
    name: &'a str,
    edit: Edit,
}

impl Change for ScaleChange<'_> {
    fn states_identity(&self) -> bool {
        matches!(self.edit, Edit::Replace(_))
    }

    fn apply(&self, current: Option<&dyn Object>) -> Result<Applied, Status> {
        let current = current.ok_or_else(Status::path_not_found)?;
        let before = self.strategy.scale(current).ok_or_else(Status::path_not_found)?;
        let scale = match &self.edit {
            Edit::Replace(scale) => (**scale).clone(),
            Edit::Patch(patch) => patched(patch, &before)?,
        };
        if scale.metadata.name != self.name {
            let body = &scale.metadata.name;
            return Err(Status::bad_request(format!(
                "the name of the object ({body}) does not match the name on the URL ({})",
                self.name
            )));
        }
        // What a custom kind takes is for its own validation to say.
        if scale.spec.replicas < 0 && Custom::of(current).is_none() {
            let error = Error::invalid(
                &Path::new("spec").child("replicas"),
                i64::from(scale.spec.replicas),
                "must be greater than or equal to 0",
            );
            return Err(Status::invalid(
                &GroupKind::new("autoscaling", "Scale"),
                self.name,
                vec![error],
            ));
        }
        let mut object = current.clone_box();
        if !scale.metadata.resource_version.is_empty() {
            let version = &scale.metadata.resource_version;
            object.metadata_mut().resource_version.clone_from(version);
        }
        if !scale.metadata.uid.is_empty() {
            object.metadata_mut().uid.clone_from(&scale.metadata.uid);
        }
        self.strategy.set_scale(&mut *object, &scale)?;
        Ok(Applied {
            object,
            warnings: Vec::new(),
        })
    }
}

fn patched(patch: &Patch, before: &Scale) -> Result<Scale, Status> {
    let document: Value = serde_json::from_slice(&before.to_json()).map_err(Status::internal)?;
    let after = patch.apply(SCALE.ty, document)?;
    let json = serde_json::to_vec(&after).map_err(Status::internal)?;
    Scale::decode(&decode_json(&json, SCALE)?.proto).map_err(|error| Status::bad_request(error.to_string()))
}
