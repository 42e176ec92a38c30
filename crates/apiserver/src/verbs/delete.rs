//! DELETE of one object.

use api::meta::v1::DeleteOptions;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::status::{Details, Status};
use http::StatusCode;

use super::{object_renderer, respond, writer};
use crate::decode::read_delete_options;
use crate::request::Request;
use crate::request::options::{invalid, validate_dry_run};
use crate::resource::Served;
use crate::response::Response;
use crate::state::Api;
use crate::write::OperationOptions;

pub async fn delete(api: &Api, served: &Served, request: &mut Request) -> Result<Response, Status> {
    let renderer = object_renderer(api, served, request)?;
    let options = delete_options(request).await?;
    let name = &request.info.name;
    if let Some(why) = served.objects.behaviour("").strategy.undeletable(name) {
        return Err(Status::forbidden(&served.group_resource(), name, why));
    }
    let mut writer = writer(
        api,
        served,
        request,
        !options.dry_run.is_empty(),
        admission_options(&options),
    );
    let deleted = writer.delete(&options).await;
    let warnings = std::mem::take(&mut writer.warnings);
    warnings.into_iter().for_each(|warning| request.warn(warning));
    let deleted = deleted?;
    // Upstream says 202 only to the old form of "cascade".
    let accepted = !deleted.gone && options.orphan_dependents == Some(false);
    let code = if accepted {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    if deleted.show_object {
        return respond(&renderer, request, code, &deleted.last).await;
    }
    let details = Details {
        name: deleted.name,
        group: served.row.group.to_owned(),
        kind: served.row.plural.to_owned(),
        uid: deleted.uid,
        ..Details::default()
    };
    Ok(crate::response::success(code, Some(details), renderer.output))
}

/// The options of the body or the query, validated.
pub async fn delete_options(request: &mut Request) -> Result<DeleteOptions, Status> {
    let options = read_delete_options(request).await?;
    check_options(&options)?;
    Ok(options)
}

/// 422 for options that are none.
pub fn check_options(options: &DeleteOptions) -> Result<(), Status> {
    let errors = validate(options);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(invalid("DeleteOptions", errors))
    }
}

/// The options as admission gets them.
pub fn admission_options(options: &DeleteOptions) -> OperationOptions {
    use api::Message;
    OperationOptions(options.to_json())
}

fn validate(options: &DeleteOptions) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("propagationPolicy");
    if let Some(policy) = &options.propagation_policy {
        if options.orphan_dependents.is_some() {
            errors.push(Error::invalid(
                &path,
                policy.as_str(),
                "orphanDependents and deletionPropagation cannot be both set",
            ));
        }
        if !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan") {
            errors.push(Error::not_supported(
                &path,
                policy.as_str(),
                &["Foreground", "Background", "Orphan", "nil"],
            ));
        }
    }
    let dry_run: Vec<&str> = options.dry_run.iter().map(String::as_str).collect();
    errors.extend(validate_dry_run(&dry_run));
    errors
}
