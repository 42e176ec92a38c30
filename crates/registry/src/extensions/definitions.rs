//! Definitions of custom resources.

use std::collections::BTreeSet;

use api::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionCondition,
    CustomResourceDefinitionNames, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion,
    CustomResourceSubresources, JSONSchemaProps,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::time::Time;
use apimachinery::validation::{is_dns1035_label, is_dns1123_subdomain};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::approval::{self, Approval};
use super::hoisted::Hoisted;
use super::schema::{self, Place};
use super::{columns, defaults, expressions, formats, structural};
use crate::core::pod::validation::one_of;
use crate::internal::shown_list;
use crate::metadata::messages;
use crate::rules::Rules;
use crate::{table, webhook_client};

const CONVERSION_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
/// Keeps a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// CustomResourceDefinitions.
pub struct CustomResourceDefinitions;

impl Rules for CustomResourceDefinitions {
    type Object = CustomResourceDefinition;
    const UNCONDITIONAL_UPDATE: bool = false;
    const RETURNS_DELETED: bool = true;
    const PLAIN_FINALIZERS_CHECKED: bool = false;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn default(definition: &mut CustomResourceDefinition) {
        let names = &mut definition.spec.names;
        if names.singular.is_empty() {
            names.singular = names.kind.to_lowercase();
        }
        if names.list_kind.is_empty() && !names.kind.is_empty() {
            names.list_kind = format!("{}List", names.kind);
        }
        let conversion = definition.spec.conversion.get_or_insert_with(|| {
            Box::new(CustomResourceConversion {
                strategy: "None".to_owned(),
                ..CustomResourceConversion::default()
            })
        });
        let client = conversion
            .webhook
            .as_mut()
            .and_then(|webhook| webhook.client_config.as_mut());
        if let Some(service) = client.and_then(|client| client.service.as_mut()) {
            service.port.get_or_insert(webhook_client::PORT);
        }
        if definition.status.stored_versions.is_empty() {
            note_storage_version(definition);
        }
    }

    fn prepare_create(_cx: &Context<'_>, definition: &mut CustomResourceDefinition) {
        note_storage_version(definition);
    }

    fn prepare_update(
        _cx: &Context<'_>,
        definition: &mut CustomResourceDefinition,
        _old: &CustomResourceDefinition,
    ) {
        note_storage_version(definition);
    }

    fn validate(definition: &CustomResourceDefinition) -> ErrorList {
        let spec = &definition.spec;
        let mut errors = ErrorList::new();
        let name = definition.metadata.name.as_str();
        if !name.is_empty() && name != format!("{}.{}", spec.names.plural, spec.group) {
            let detail = "must be spec.names.plural+\".\"+spec.group";
            let at = Path::new("metadata").child("name");
            errors.push(Error::invalid(&at, name, detail));
        }
        errors.extend(validate_rest(definition, None));
        errors
    }

    fn validate_update(
        _cx: &Context<'_>,
        definition: &CustomResourceDefinition,
        old: &CustomResourceDefinition,
    ) -> ErrorList {
        validate_rest(definition, Some(old))
    }

    fn validate_status_update(
        definition: &CustomResourceDefinition,
        _old: &CustomResourceDefinition,
    ) -> ErrorList {
        let path = Path::new("status").child("acceptedNames");
        validate_words(&definition.status.accepted_names, &path)
    }

    fn warnings(
        definition: &CustomResourceDefinition,
        old: Option<&CustomResourceDefinition>,
    ) -> Vec<String> {
        let before = old
            .map(|old| formats::unrecognized(&old.spec))
            .unwrap_or_default();
        let formats = formats::unrecognized(&definition.spec);
        let new = formats.iter().filter(|format| !before.contains(format));
        new.map(|format| format!("unrecognized format {format:?}"))
            .collect()
    }

    /// Its objects go first.
    fn begin_deletion(definition: &mut CustomResourceDefinition, now: Timestamp) {
        let finalizers = &mut definition.metadata.finalizers;
        if !finalizers.iter().any(|name| name == CLEANUP) {
            finalizers.push(CLEANUP.to_owned());
        }
        let conditions = &mut definition.status.conditions;
        conditions.retain(|condition| condition.type_ != "Terminating");
        conditions.push(CustomResourceDefinitionCondition {
            type_: "Terminating".to_owned(),
            status: "True".to_owned(),
            last_transition_time: Some(Time(now).truncated()),
            reason: "InstanceDeletionPending".to_owned(),
            message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
                .to_owned(),
            ..CustomResourceDefinitionCondition::default()
        });
    }

    fn row(object: &CustomResourceDefinition, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&object.metadata)
    }
}

/// The version that is stored counts as one that has been.
fn note_storage_version(definition: &mut CustomResourceDefinition) {
    let stored = &mut definition.status.stored_versions;
    let version = definition.spec.versions.iter().find(|version| version.storage);
    if let Some(version) = version.filter(|version| !stored.contains(&version.name)) {
        stored.push(version.name.clone());
    }
}

/// Errors besides those of the name.
fn validate_rest(definition: &CustomResourceDefinition, old: Option<&CustomResourceDefinition>) -> ErrorList {
    let (spec, path) = (&definition.spec, Path::new("spec"));
    let mut errors = validate_spec(spec, &path);
    if let Some(old) = old {
        errors.extend(validate_same(definition, old, &path));
    }
    let names = Path::new("status").child("acceptedNames");
    errors.extend(validate_words(&definition.status.accepted_names, &names));
    errors.extend(validate_stored(definition));
    errors.extend(validate_approval(definition, old));
    if spec.preserve_unknown_fields && !old.is_some_and(|old| old.spec.preserve_unknown_fields) {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(Error::invalid(&path.child("preserveUnknownFields"), true, detail));
    }
    errors
}

/// What makes up the name of the resource stays, and once it is served what its objects are stored by.
fn validate_same(new: &CustomResourceDefinition, old: &CustomResourceDefinition, path: &Path) -> ErrorList {
    let conditions = &old.status.conditions;
    let established = conditions
        .iter()
        .any(|condition| condition.type_ == "Established" && condition.status == "True");
    let (new, old, names) = (&new.spec, &old.spec, path.child("names"));
    let mut errors = ErrorList::new();
    for (judged, new, old, at) in [
        (established, &new.scope, &old.scope, path.child("scope")),
        (established, &new.names.kind, &old.names.kind, names.child("kind")),
        (true, &new.group, &old.group, path.child("group")),
        (true, &new.names.plural, &old.names.plural, names.child("plural")),
    ] {
        if judged {
            errors.extend(crate::metadata::immutable_text(new, old, &at));
        }
    }
    errors
}

fn validate_spec(spec: &CustomResourceDefinitionSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (group, at) = (spec.group.as_str(), path.child("group"));
    let wrong = is_dns1123_subdomain(group);
    if group.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if !wrong.is_empty() {
        errors.push(Error::invalid(&at, group, wrong.join(",")));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        errors.push(Error::invalid(&at, group, detail));
    }
    errors.extend(one_of(
        &spec.scope,
        &["Cluster", "Namespaced"],
        &path.child("scope"),
    ));
    let list = path.child("versions");
    for (index, version) in spec.versions.iter().enumerate() {
        if schema_of(version).is_none() {
            let at = list.index(index).child("schema").child("openAPIV3Schema");
            errors.push(Error::required(&at, ""));
        }
    }
    let defaulted = |schema: &JSONSchemaProps| schema::any(schema, &|schema| schema.default.is_some());
    if spec.preserve_unknown_fields && spec.versions.iter().filter_map(schema_of).any(defaulted) {
        let detail = "must be false in order to use defaults in the schema";
        errors.push(Error::invalid(&path.child("preserveUnknownFields"), true, detail));
    }
    let hoisted = Hoisted::of(spec);
    errors.extend(validate_versions(&hoisted, &list));
    errors.extend(validate_names(&spec.names, &path.child("names")));
    errors.extend(validate_common(&hoisted, path));
    if let Some(conversion) = &spec.conversion {
        let at = path.child("conversion");
        if conversion.strategy != "None" && spec.preserve_unknown_fields {
            let detail = "must be None if spec.preserveUnknownFields is true";
            let strategy = conversion.strategy.as_str();
            errors.push(Error::invalid(&at.child("strategy"), strategy, detail));
        }
        errors.extend(validate_conversion(conversion, &at));
    }
    errors
}

fn schema_of(version: &CustomResourceDefinitionVersion) -> Option<&JSONSchemaProps> {
    version.schema.as_ref()?.open_api_v3_schema.as_deref()
}

fn validate_versions(hoisted: &Hoisted<'_>, path: &Path) -> ErrorList {
    let versions = &hoisted.versions;
    let mut errors = ErrorList::new();
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        seen.insert(&version.name);
        let wrong = is_dns1035_label(&version.name);
        if !wrong.is_empty() {
            let at = path.child("name");
            errors.push(Error::invalid(&at, version.name.as_str(), wrong.join(",")));
        }
        if let Some(warning) = &version.deprecation_warning {
            let at = path.child("deprecationWarning");
            errors.extend(columns::validate_warning(version.deprecated, warning, &at));
        }
        let subresources = version.subresources.as_deref().or(hoisted.subresources);
        if let Some(schema) = schema_of(version) {
            errors.extend(validate_schema(schema, subresources, &path.child("schema")));
        }
        if let Some(subresources) = &version.subresources {
            errors.extend(columns::validate_subresources(
                subresources,
                &path.child("subresources"),
            ));
        }
        for (index, column) in version.additional_printer_columns.iter().enumerate() {
            let at = path.child("additionalPrinterColumns").index(index);
            errors.extend(columns::validate_column(column, &at));
        }
        if !version.selectable_fields.is_empty() {
            let at = path.child("selectableFields");
            match schema_of(version).or(hoisted.schema) {
                Some(schema) => errors.extend(columns::validate_selectable(
                    &version.selectable_fields,
                    schema,
                    &at,
                )),
                None => {
                    let detail = "may only be set when `version.schema.openAPIV3Schema` is not included";
                    errors.push(Error::invalid(&at, "", detail));
                }
            }
        }
    }
    if seen.len() != versions.len() {
        let detail = "must contain unique version names";
        errors.push(Error::invalid(path, shown_list(versions), detail));
    }
    if versions.iter().filter(|version| version.storage).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(Error::invalid(path, shown_list(versions), detail));
    }
    if let Some(first) = versions.first().filter(|first| !first.name.is_empty()) {
        // An older field repeats the name of the first version.
        let wrong = is_dns1035_label(&first.name);
        if !wrong.is_empty() {
            let at = Path::new("spec").child("version");
            errors.push(Error::invalid(&at, first.name.as_str(), wrong.join(",")));
        }
    }
    errors
}

/// What all versions have in common is judged once.
fn validate_common(hoisted: &Hoisted<'_>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(schema) = hoisted.schema {
        let any_status = hoisted.any_subresources_with_status();
        errors.extend(validate_schema(schema, any_status, &path.child("validation")));
    }
    if let Some(subresources) = hoisted.subresources {
        let at = path.child("subresources");
        errors.extend(columns::validate_subresources(subresources, &at));
    }
    for (index, column) in hoisted.columns.iter().enumerate() {
        let at = path.child("additionalPrinterColumns").index(index);
        errors.extend(columns::validate_column(column, &at));
    }
    if !hoisted.selectable.is_empty() {
        let at = path.child("selectableFields");
        match hoisted.schema {
            Some(schema) => errors.extend(columns::validate_selectable(hoisted.selectable, schema, &at)),
            None => {
                let detail = "may only be set when validations.schema is included";
                errors.push(Error::invalid(&at, "", detail));
            }
        }
    }
    errors
}

fn validate_schema(
    schema: &JSONSchemaProps,
    subresources: Option<&CustomResourceSubresources>,
    path: &Path,
) -> ErrorList {
    let path = path.child("openAPIV3Schema");
    let has_status = subresources.is_some_and(|subresources| subresources.status.is_some());
    let mut errors = ErrorList::new();
    if has_status && !schema.type_.is_empty() && schema.type_ != "object" {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(Error::invalid(&path.child("type"), schema.type_.as_str(), detail));
    }
    if schema.nullable {
        let detail = "nullable cannot be true at the root";
        errors.push(Error::forbidden(&path.child("nullable"), detail));
    }
    let unreadable = structural::unreadable(schema);
    if unreadable.is_none() {
        let wrong = structural::validate(schema, &path);
        if wrong.is_empty() {
            errors.extend(defaults::validate(schema, &path));
        }
        errors.extend(wrong);
    }
    let wrong = schema::validate(schema, &Place::ROOT, &path);
    if wrong.is_empty() && errors.is_empty() {
        errors.extend(expressions::validate(schema, &path));
    }
    errors.extend(wrong);
    if let Some(why) = unreadable.filter(|_| errors.is_empty()) {
        errors.push(Error::invalid(&path, "", why));
    }
    errors
}

fn validate_conversion(conversion: &CustomResourceConversion, path: &Path) -> ErrorList {
    let strategies = ["None", "Webhook"];
    let mut errors: ErrorList = one_of(&conversion.strategy, &strategies, &path.child("strategy"))
        .into_iter()
        .collect();
    // The paths are those of the fields' older places.
    let (client_at, versions_at) = (
        path.child("webhookClientConfig"),
        path.child("conversionReviewVersions"),
    );
    let webhook = conversion.webhook.as_deref();
    let client = webhook.and_then(|webhook| webhook.client_config.as_deref());
    let versions = webhook.map_or(&[][..], |webhook| &webhook.conversion_review_versions);
    if conversion.strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.is_some() {
            errors.push(Error::forbidden(&client_at, detail));
        }
        if !versions.is_empty() {
            errors.push(Error::forbidden(&versions_at, detail));
        }
        return errors;
    }
    let required = |detail: &str| vec![Error::required(&client_at, detail)];
    errors.extend(match client.map(|client| (&client.url, &client.service)) {
        None => required("required when strategy is set to Webhook"),
        Some((Some(url), None)) => webhook_client::validate_url(url, &client_at.child("url")),
        Some((None, Some(service))) => webhook_client::validate_service(
            // Upstream mistakes one for the other in what it reports here.
            &service.name,
            &service.namespace,
            service.path.as_deref(),
            service.port.unwrap_or_default(),
            &client_at.child("service"),
        ),
        Some(_) => required("exactly one of url or service is required"),
    });
    errors.extend(validate_review_versions(versions, &versions_at));
    errors
}

fn validate_review_versions(versions: &[String], path: &Path) -> ErrorList {
    if versions.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = ErrorList::new();
    for (index, version) in versions.iter().enumerate() {
        let at = path.index(index);
        if versions[..index].contains(version) {
            errors.push(Error::invalid(&at, version.as_str(), "duplicate version"));
            continue;
        }
        errors.extend(messages(&at, version, is_dns1035_label(version)));
    }
    if !versions
        .iter()
        .any(|version| CONVERSION_VERSIONS.contains(&version.as_str()))
    {
        let detail = format!("must include at least one of {}", CONVERSION_VERSIONS.join(", "));
        errors.push(Error::invalid(path, versions, detail));
    }
    errors
}

/// Kubernetes' own groups take what its community approved, or says that it did not.
fn validate_approval(
    definition: &CustomResourceDefinition,
    old: Option<&CustomResourceDefinition>,
) -> Option<Error> {
    let own = approval::of(definition)?;
    if old.is_some_and(|old| approval::of(old) == Some(own)) {
        return None;
    }
    let at = Path::new("metadata")
        .child("annotations")
        .key(approval::ANNOTATION);
    let text = approval::stated(definition);
    match own {
        Approval::Missing => Some(Error::required(&at, own.explain(text))),
        Approval::Invalid => Some(Error::invalid(&at, text, own.explain(text))),
        Approval::Approved | Approval::Bypassed => None,
    }
}

fn validate_names(names: &CustomResourceDefinitionNames, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let each = [
        (&names.plural, "plural"),
        (&names.singular, "singular"),
        (&names.kind, "kind"),
        (&names.list_kind, "listKind"),
    ];
    for (name, field) in each {
        errors.extend(name.is_empty().then(|| Error::required(&path.child(field), "")));
    }
    errors.extend(validate_words(names, path));
    errors
}

/// Errors of names, as far as there are any.
fn validate_words(names: &CustomResourceDefinitionNames, path: &Path) -> ErrorList {
    let each = [
        (&names.plural, "plural", false),
        (&names.singular, "singular", false),
        (&names.kind, "kind", true),
        (&names.list_kind, "listKind", true),
    ];
    let mut errors = ErrorList::new();
    for (name, field, mixed_case) in each.into_iter().filter(|(name, ..)| !name.is_empty()) {
        let wrong = if mixed_case {
            is_dns1035_label(&name.to_lowercase())
        } else {
            is_dns1035_label(name)
        };
        if !wrong.is_empty() {
            let mut detail = wrong.join(",");
            if mixed_case {
                detail = format!("may have mixed case, but should otherwise match: {detail}");
            }
            errors.push(Error::invalid(&path.child(field), name.as_str(), detail));
        }
    }
    errors.extend(validate_labels(&names.short_names, &path.child("shortNames")));
    if !names.kind.is_empty() && names.kind == names.list_kind {
        let detail = "kind and listKind may not be the same";
        errors.push(Error::invalid(
            &path.child("listKind"),
            names.list_kind.as_str(),
            detail,
        ));
    }
    errors.extend(validate_labels(&names.categories, &path.child("categories")));
    errors
}

fn validate_labels(names: &[String], path: &Path) -> ErrorList {
    let wrong = |(index, name): (usize, &String)| {
        let wrong = is_dns1035_label(name);
        (!wrong.is_empty()).then(|| Error::invalid(&path.index(index), name.as_str(), wrong.join(",")))
    };
    names.iter().enumerate().filter_map(wrong).collect()
}

fn validate_stored(definition: &CustomResourceDefinition) -> ErrorList {
    let path = Path::new("status").child("storedVersions");
    let (stored, versions) = (&definition.status.stored_versions, &definition.spec.versions);
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        return vec![Error::invalid(&path, None::<String>, detail)];
    }
    let mut errors = ErrorList::new();
    let mut rest: Vec<(usize, &String)> = stored.iter().enumerate().collect();
    for version in versions {
        let before = rest.len();
        rest.retain(|(_, name)| **name != version.name);
        if version.storage && rest.len() == before {
            let detail = format!("must have the storage version {}", version.name);
            errors.push(Error::invalid(&path, stored.as_slice(), detail));
        }
    }
    for (index, name) in rest {
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
        );
        errors.push(Error::invalid(&path.index(index), name.as_str(), detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::tests::parse;

    #[test]
    fn definitions_are_completed_and_checked() {
        let mut definition: CustomResourceDefinition = parse(&json!({
            "metadata": {"name": "crontabs.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"plural": "crontabs", "kind": "CronTab"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}}}],
            },
        }));
        CustomResourceDefinitions::default(&mut definition);
        assert_eq!(definition.spec.names.singular, "crontab");
        assert_eq!(definition.spec.names.list_kind, "CronTabList");
        assert_eq!(definition.status.stored_versions, ["v1"]);
        assert_eq!(CustomResourceDefinitions::validate(&definition), []);
        definition.metadata.name = "other".to_owned();
        definition.spec.scope = String::new();
        let errors = CustomResourceDefinitions::validate(&definition);
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "metadata.name: Invalid value: \"other\": must be spec.names.plural+\".\"+spec.group",
                "spec.scope: Required value",
            ]
        );
    }
}
