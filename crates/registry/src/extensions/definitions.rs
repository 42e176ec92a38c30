//! Definitions of custom resources.

use std::collections::BTreeSet;

use api::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionVersion,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1035_label, is_dns1123_subdomain};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::pod::validation::one_of;
use crate::metadata::shown_list;
use crate::rules::Rules;
use crate::{table, webhook_client};

/// CustomResourceDefinitions.
pub struct CustomResourceDefinitions;

impl Rules for CustomResourceDefinitions {
    type Object = CustomResourceDefinition;

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
        let (spec, path) = (&definition.spec, Path::new("spec"));
        let mut errors = ErrorList::new();
        if definition.metadata.name != format!("{}.{}", spec.names.plural, spec.group) {
            let detail = "must be spec.names.plural+\".\"+spec.group";
            let at = Path::new("metadata").child("name");
            errors.push(Error::invalid(&at, definition.metadata.name.as_str(), detail));
        }
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
        errors.extend(validate_versions(&spec.versions, &path.child("versions")));
        errors.extend(validate_names(&spec.names, &path.child("names")));
        errors.extend(validate_stored(definition));
        errors
    }

    fn validate_update(
        _cx: &Context<'_>,
        definition: &CustomResourceDefinition,
        old: &CustomResourceDefinition,
    ) -> ErrorList {
        let mut errors = Self::validate(definition);
        let conditions = &old.status.conditions;
        let established = |kind: &str, status: &str| kind == "Established" && status == "True";
        if !conditions
            .iter()
            .any(|condition| established(&condition.type_, &condition.status))
        {
            return errors;
        }
        let (new, old) = (&definition.spec, &old.spec);
        for (new, old, names, field) in [
            (&new.group, &old.group, false, "group"),
            (&new.scope, &old.scope, false, "scope"),
            (&new.names.kind, &old.names.kind, true, "kind"),
            (&new.names.plural, &old.names.plural, true, "plural"),
        ] {
            let path = Path::new("spec");
            let path = if names { path.child("names") } else { path };
            errors.extend(crate::metadata::immutable_text(new, old, &path.child(field)));
        }
        errors
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

fn validate_versions(versions: &[CustomResourceDefinitionVersion], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, version) in versions.iter().enumerate() {
        let schema = version
            .schema
            .as_ref()
            .and_then(|schema| schema.open_api_v3_schema.as_ref());
        if schema.is_none() {
            let at = path.index(index).child("schema").child("openAPIV3Schema");
            errors.push(Error::required(&at, ""));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        seen.insert(&version.name);
        let wrong = is_dns1035_label(&version.name);
        if !wrong.is_empty() {
            errors.push(Error::invalid(
                &path.child("name"),
                version.name.as_str(),
                wrong.join(","),
            ));
        }
        if let Some(warning) = &version.deprecation_warning
            && !version.deprecated
        {
            let detail = "can only be set for deprecated versions";
            errors.push(Error::invalid(
                &path.child("deprecationWarning"),
                warning.as_str(),
                detail,
            ));
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
    errors
}

fn validate_names(names: &CustomResourceDefinitionNames, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let each = [
        (&names.plural, "plural", false),
        (&names.singular, "singular", false),
        (&names.kind, "kind", true),
        (&names.list_kind, "listKind", true),
    ];
    for (name, field, _) in each {
        errors.extend(name.is_empty().then(|| Error::required(&path.child(field), "")));
    }
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
    for (list, field) in [
        (&names.short_names, "shortNames"),
        (&names.categories, "categories"),
    ] {
        for (index, name) in list.iter().enumerate() {
            let wrong = is_dns1035_label(name);
            if !wrong.is_empty() {
                let at = path.child(field).index(index);
                errors.push(Error::invalid(&at, name.as_str(), wrong.join(",")));
            }
        }
    }
    if !names.kind.is_empty() && names.kind == names.list_kind {
        let detail = "kind and listKind may not be the same";
        errors.push(Error::invalid(
            &path.child("listKind"),
            names.list_kind.as_str(),
            detail,
        ));
    }
    errors
}

fn validate_stored(definition: &CustomResourceDefinition) -> ErrorList {
    let path = Path::new("status").child("storedVersions");
    let (stored, versions) = (&definition.status.stored_versions, &definition.spec.versions);
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        return vec![Error::invalid(&path, stored.as_slice(), detail)];
    }
    let gone = stored.iter().enumerate();
    gone.filter(|(_, name)| !versions.iter().any(|version| version.name == **name))
        .map(|(index, name)| {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            Error::invalid(&path.index(index), name.as_str(), detail)
        })
        .collect()
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
