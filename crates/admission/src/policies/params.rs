//! The objects that bindings give to their policies.

use api::admissionregistration::v1::{ParamKind, ParamRef};
use api::catalogue::{RESOURCES, Resource};
use apimachinery::gvk::GroupVersionKind;
use auth::Objects;
use serde_json::Value as Json;

use crate::matching::Kinds;

/// How the resource of a kind is served; `None` where a policy has no parameters.
///
/// # Errors
/// There is no such kind.
pub fn resolve(kind: Option<&ParamKind>) -> Result<Option<&'static Resource>, String> {
    let Some(kind) = kind else { return Ok(None) };
    let (group, version) = kind
        .api_version
        .split_once('/')
        .unwrap_or(("", &kind.api_version));
    let is = |row: &&Resource| row.group == group && row.version == version && row.kind == kind.kind;
    match RESOURCES.iter().find(is) {
        Some(row) => Ok(Some(row)),
        None => {
            let gvk = GroupVersionKind::new(group, version, &kind.kind);
            Err(format!(
                "failed to find resource referenced by paramKind: '{gvk}'"
            ))
        }
    }
}

/// The parameters, each to evaluate the policy with: null alone where there is none to give.
///
/// # Errors
/// What is wrong with the binding, or that there is none and that this is to be an error.
pub fn collect(
    kind: Option<&ParamKind>,
    reference: Option<&ParamRef>,
    namespace: &str,
    objects: &dyn Objects,
    kinds: &dyn Kinds,
) -> Result<Vec<Json>, String> {
    let (Some(row), Some(reference)) = (resolve(kind)?, reference) else {
        return Ok(vec![Json::Null]);
    };
    let namespace = scope(row, reference, namespace)?;
    let found = match &reference.selector {
        None => objects
            .get(row.group, row.plural, namespace, &reference.name)
            .into_iter()
            .collect(),
        Some(selector) => {
            let selector = api::selector::from_label_selector(selector).map_err(|error| error.to_string())?;
            let mut all = objects.list(row.group, row.plural, namespace);
            all.retain(|object| selector.matches(&object.metadata().labels));
            all
        }
    };
    if found.is_empty() && reference.parameter_not_found_action.as_deref() == Some("Deny") {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    let gvk = GroupVersionKind::new(row.group, row.version, row.kind);
    let document = |object: &dyn api::Object| {
        let bytes = kinds.document(object, &gvk).map_err(|status| status.message)?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    };
    found.iter().map(|object| document(&**object)).collect()
}

/// Where parameters are looked for: in the request's namespace unless the binding names one.
fn scope<'n>(row: &Resource, reference: &'n ParamRef, namespace: &'n str) -> Result<&'n str, String> {
    let named = reference.namespace.as_str();
    match (row.namespaced, named, namespace) {
        (false, "", _) => Ok(""),
        (false, ..) => {
            Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned())
        }
        (true, "", "") => Err(
            "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                .to_owned(),
        ),
        (true, "", namespace) => Ok(namespace),
        (true, named, _) => Ok(named),
    }
}
