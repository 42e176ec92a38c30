//! What a version of a custom kind adds to the write path.
//!
//! Upstream: `apiextensions-apiserver/pkg/registry/customresource`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, CustomResourceSubresourceScale,
    JSONSchemaProps,
};
use api::autoscaling::v1::Scale;
use api::catalogue::Resource;
use api::{Custom, Object};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quote::quote;
use apimachinery::status::Status;
use apimachinery::validation::{is_qualified_name, name_is_dns_subdomain, name_is_path_segment};
use apiserver::strategy::{Context, FieldPaths, Strategy};
use cel::rules::Rules;
use jiff::Timestamp;
use registry::metadata;
use serde_json::Value;

use crate::columns::Cell;
use crate::scale;
use crate::schema::{Schema, defaulting, embedded, lists, pruning, rules, validation};

const STANDARD_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

/// See the module.
pub struct CustomStrategy {
    pub row: &'static Resource,
    /// As it was declared, and ready for use; `None`: anything goes.
    declared: Option<JSONSchemaProps>,
    schema: Option<Schema>,
    /// What the schema demands beyond itself; `None`: nothing.
    rules: Option<Rules>,
    pub has_status: bool,
    pub deprecation: Option<String>,
    /// Paths of selectable fields, without the dot before them.
    pub selectable: &'static [&'static str],
    pub cells: Vec<Cell>,
    scale: Option<scale::Paths>,
    /// Whether the definition is being deleted.
    pub terminating: Arc<AtomicBool>,
}

impl CustomStrategy {
    pub fn new(
        definition: &CustomResourceDefinition,
        version: &CustomResourceDefinitionVersion,
        row: &'static Resource,
        selectable: &'static [&'static str],
        terminating: Arc<AtomicBool>,
    ) -> CustomStrategy {
        let schema = version.schema.as_ref();
        let schema = schema
            .and_then(|schema| schema.open_api_v3_schema.as_deref())
            .filter(|_| !definition.spec.preserve_unknown_fields);
        CustomStrategy {
            row,
            schema: schema.map(Schema::new),
            declared: schema.cloned(),
            rules: None,
            has_status: row.subresource("status").is_some(),
            deprecation: version.deprecated.then(|| deprecation(definition, version)),
            selectable,
            cells: Vec::new(),
            scale: stated_scale(version).map(scale::Paths::new),
            terminating,
        }
    }

    /// Compiles the rules of the schema. Only strategies that judge objects need them.
    pub fn compile_rules(&mut self) {
        self.rules = self.declared.as_ref().and_then(rules::compile);
    }

    fn validate_kind(&self, object: &Custom) -> ErrorList {
        let wrong = [
            ("kind", &object.kind, self.row.kind),
            ("apiVersion", &object.api_version, self.row.api_version),
        ];
        let wrong = wrong.into_iter().filter(|(_, is, shall)| is != shall);
        wrong
            .map(|(field, is, shall)| {
                Error::invalid(&Path::new(field), is.as_str(), format!("must be {shall}"))
            })
            .collect()
    }
}

/// A strategy only sees objects of its kind.
fn own(object: &dyn Object) -> &Custom {
    Custom::of(object).expect("invariant: rows of custom resources decode custom objects")
}

fn own_mut(object: &mut dyn Object) -> &mut Custom {
    Custom::of_mut(object).expect("invariant: rows of custom resources decode custom objects")
}

fn stated_scale(version: &CustomResourceDefinitionVersion) -> Option<&CustomResourceSubresourceScale> {
    version.subresources.as_ref()?.scale.as_deref()
}

/// What clients of a deprecated version are told.
fn deprecation(definition: &CustomResourceDefinition, version: &CustomResourceDefinitionVersion) -> String {
    if let Some(warning) = &version.deprecation_warning {
        return warning.clone();
    }
    let (group, kind) = (&definition.spec.group, &definition.spec.names.kind);
    let is_newer = |other: &&CustomResourceDefinitionVersion| {
        crate::discovery::precedence(&other.name) > crate::discovery::precedence(&version.name)
    };
    let served = definition
        .spec
        .versions
        .iter()
        .filter(|other| other.served && !other.deprecated);
    let newest = served
        .filter(is_newer)
        .max_by_key(|other| crate::discovery::precedence(&other.name));
    let own = format!("{group}/{} {kind} is deprecated", version.name);
    match newest {
        Some(newest) => format!("{own}; use {group}/{} {kind}", newest.name),
        None => own,
    }
}

/// Warnings of finalizers that an update adds.
fn finalizer_warnings(object: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
    let before = old.map_or(&[][..], |old| &old.metadata().finalizers);
    let mut added: Vec<&String> = object.metadata().finalizers.iter().collect();
    added.retain(|name| !before.contains(name));
    added.sort();
    added.dedup();
    let mut warnings = Vec::new();
    for name in added {
        let shown = format!("metadata.finalizers: {}", quote(name));
        warnings.extend(
            is_qualified_name(name)
                .iter()
                .map(|why| format!("{shown}: {why}")),
        );
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name.as_str()) {
            let better = match name.contains('.') {
                true => {
                    "prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"
                }
                false => {
                    "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"
                }
            };
            warnings.push(format!("{shown}: {better}"));
        }
    }
    warnings
}

impl Strategy for CustomStrategy {
    fn schema(&self) -> Option<&JSONSchemaProps> {
        self.declared.as_ref()
    }

    fn prune(&self, object: &mut dyn Object) -> Result<Vec<String>, String> {
        let Some(schema) = &self.schema else {
            return Ok(Vec::new());
        };
        let content = &mut own_mut(object).content;
        let mut unknown = pruning::prune_root(content, schema);
        embedded::prune(content, schema, &mut unknown)?;
        Ok(unknown)
    }

    fn deprecation_warning(&self) -> Option<&str> {
        self.deprecation.as_deref()
    }

    fn takes_new_objects(&self) -> bool {
        !self.terminating.load(Ordering::Relaxed)
    }

    fn default(&self, object: &mut dyn Object) {
        if let Some(schema) = &self.schema {
            defaulting::default_members(&mut own_mut(object).content, schema);
        }
    }

    fn prepare_create(&self, _cx: &Context<'_>, object: &mut dyn Object) {
        let object = own_mut(object);
        if self.has_status {
            object.content.remove("status");
        }
        object.metadata.generation = 1;
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut dyn Object, old: &dyn Object) {
        let (object, old) = (own_mut(object), own(old));
        if cx.subresource == "status" {
            let status = object.content.remove("status");
            let managed_fields = std::mem::take(&mut object.metadata.managed_fields);
            old.clone_into(object);
            object.metadata.managed_fields = managed_fields;
            set_status(object, status);
            return;
        }
        if self.has_status {
            set_status(object, old.content.get("status").cloned());
        }
        if object.content != old.content {
            object.metadata.generation = old.metadata.generation + 1;
        }
    }

    fn validate_create(&self, _cx: &Context<'_>, object: &dyn Object) -> ErrorList {
        let object = own(object);
        let mut errors = self.validate_kind(object);
        if !errors.is_empty() {
            return errors;
        }
        let namespaced = self.row.namespaced;
        errors.extend(metadata::validate(
            &object.metadata,
            namespaced,
            name_is_dns_subdomain,
        ));
        if let Some(schema) = &self.schema {
            let document = Value::Object(object.document());
            errors.extend(validation::validate(&document, None, schema, ""));
        }
        if let Some(scale) = &self.scale {
            errors.extend(scale.validate_spec(object));
            errors.extend(scale.validate_status(object));
        }
        if let Some(schema) = &self.schema {
            errors.extend(embedded::validate(&object.content, schema));
            errors.extend(lists::validate(&object.content, schema));
        }
        if errors.is_empty() {
            errors = metadata::validate(&object.metadata, namespaced, name_is_path_segment);
        }
        errors
    }

    fn validate_update(&self, cx: &Context<'_>, object: &dyn Object, old: &dyn Object) -> ErrorList {
        let (object, old) = (own(object), own(old));
        let any_name = |_: &str, _: bool| Vec::new();
        let mut errors = metadata::validate(&object.metadata, self.row.namespaced, any_name);
        errors.extend(metadata::validate_update(&object.metadata, &old.metadata));
        let of_kind = self.validate_kind(object);
        if !of_kind.is_empty() {
            errors.extend(of_kind);
            return errors;
        }
        errors.extend(metadata::validate_update(&object.metadata, &old.metadata));
        if let Some(schema) = &self.schema {
            errors.extend(validate_change(cx.subresource, object, old, schema));
        }
        if let Some(scale) = &self.scale {
            if cx.subresource != "status" {
                errors.extend(scale.validate_spec(object));
            }
            errors.extend(scale.validate_status(object));
        }
        errors
    }

    fn check_rules(
        &self,
        object: &dyn Object,
        old: Option<&dyn Object>,
        errors: &mut ErrorList,
    ) -> Vec<String> {
        let Some(rules) = &self.rules else {
            return Vec::new();
        };
        rules::check(rules, own(object), old.map(own), errors)
    }

    fn warnings(&self, cx: &Context<'_>, object: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
        match cx.subresource {
            "" => finalizer_warnings(object, old),
            _ => Vec::new(),
        }
    }

    fn left_alone(&self, subresource: &str) -> FieldPaths {
        match subresource {
            "status" => &[&["metadata"], &["spec"]],
            _ => &[],
        }
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn selectable_field(&self, object: &dyn Object, field: &str) -> Option<String> {
        let object = own(object);
        let mut names = field.split('.');
        let first = object.content.get(names.next()?);
        let found = names.try_fold(first?, |value, name| value.get(name));
        Some(match found {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        })
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        self.selectable
    }

    fn scale(&self, object: &dyn Object) -> Option<Scale> {
        self.scale.as_ref().map(|scale| scale.scale(own(object)))
    }

    fn check_scale(&self, object: &dyn Object) -> Result<(), Status> {
        self.scale
            .as_ref()
            .map_or(Ok(()), |scale| scale.check(own(object)))
    }

    fn scale_row(&self, scale: &Scale, now: Timestamp) -> Vec<Value> {
        registry::scale::row(scale, now)
    }

    fn set_scale(&self, object: &mut dyn Object, scale: &Scale) -> Result<(), Status> {
        match &self.scale {
            Some(paths) => paths.set(own_mut(object), scale),
            None => Err(Status::path_not_found()),
        }
    }

    fn table_row(&self, object: &dyn Object, now: Timestamp) -> Vec<Value> {
        let object = own(object);
        let document = Value::Object(object.document());
        let cells = self.cells.iter().map(|cell| cell.show(&document, now));
        std::iter::once(object.metadata.name.as_str().into())
            .chain(cells)
            .collect()
    }
}

/// Errors of a change, as far as the schema goes. Of a change of the status, the rest is not judged.
fn validate_change(subresource: &str, object: &Custom, old: &Custom, schema: &Schema) -> ErrorList {
    let mut errors = ErrorList::new();
    if subresource == "status" {
        let status = |object: &'_ Custom| object.content.get("status").cloned();
        if let (Some(new), Some(schema)) = (status(object), schema.properties.get("status")) {
            errors = validation::validate(&new, status(old).as_ref(), schema, "");
            for error in &mut errors {
                error.field = match error.field.as_str() {
                    "<nil>" => "status".to_owned(),
                    below => format!("status.{below}"),
                };
            }
        }
    } else {
        let (new, old) = (object.document(), old.document());
        let (new, old) = (Value::Object(new), Value::Object(old));
        errors.extend(validation::validate(&new, Some(&old), schema, ""));
        errors.extend(embedded::validate(&object.content, schema));
    }
    // Who finds a list that is wrong already may leave it so.
    if lists::validate(&old.content, schema).is_empty() {
        errors.extend(lists::validate(&object.content, schema));
    }
    errors
}

fn set_status(object: &mut Custom, status: Option<Value>) {
    match status {
        Some(status) => drop(object.content.insert("status".to_owned(), status)),
        None => drop(object.content.remove("status")),
    }
}
