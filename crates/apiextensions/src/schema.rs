//! Schemas of custom kinds, made ready to be used: values parsed, patterns compiled.
//!
//! [`pruning`] drops what is not declared, [`defaulting`] fills in what is absent, [`validation`] and [`lists`] judge what
//! is there, [`embedded`] objects within objects, [`formats`] what strings say, [`rules`] are what the author of the
//! schema wrote as expressions. All pure.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/{schema,validation}`.

pub mod defaulting;
pub mod embedded;
pub mod formats;
pub mod lists;
pub mod pruning;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod validation;

use std::collections::BTreeMap;

use api::apiextensions::v1::JSONSchemaProps;
use api::runtime::Json;
use regex_lite::Regex;
use serde_json::Value;

/// What a value may be.
#[derive(Default)]
pub struct Schema {
    /// Empty: of any type.
    pub kind: String,
    pub int_or_string: bool,
    pub nullable: bool,
    pub preserves_unknown: bool,
    pub is_embedded: bool,
    pub default: Option<Value>,
    pub properties: BTreeMap<String, Schema>,
    pub additional: Additional,
    pub items: Option<Box<Schema>>,
    pub required: Vec<String>,
    pub list_type: String,
    pub list_keys: Vec<String>,
    pub limits: Limits,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
}

/// What members an object may have beside its properties.
#[derive(Default)]
pub enum Additional {
    #[default]
    Unsaid,
    Any,
    None,
    Of(Box<Schema>),
}

/// What is required of a single value.
#[derive(Default)]
pub struct Limits {
    pub format: String,
    pub enum_: Vec<Value>,
    pub maximum: Option<Bound>,
    pub minimum: Option<Bound>,
    pub multiple_of: Option<f64>,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    pub pattern: Option<Pattern>,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    pub unique_items: bool,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
}

/// An end of a range of numbers.
#[derive(Clone, Copy)]
pub struct Bound {
    pub value: f64,
    pub exclusive: bool,
}

pub struct Pattern {
    pub text: String,
    /// `None` if the expression is none that we know.
    pub regex: Option<Regex>,
}

impl Schema {
    /// Makes a declared schema ready.
    pub fn new(declared: &JSONSchemaProps) -> Schema {
        let list = |schemas: &[JSONSchemaProps]| schemas.iter().map(Schema::new).collect();
        let boxed = |schema: &JSONSchemaProps| Box::new(Schema::new(schema));
        let items = declared.items.as_ref().and_then(|items| items.schema.as_deref());
        let additional = match &declared.additional_properties {
            None => Additional::Unsaid,
            Some(extra) => match &extra.schema {
                Some(schema) => Additional::Of(boxed(schema)),
                None if extra.allows => Additional::Any,
                None => Additional::None,
            },
        };
        let properties = declared.properties.iter();
        let mut schema = Schema {
            kind: declared.type_.clone(),
            int_or_string: declared.x_kubernetes_int_or_string,
            nullable: declared.nullable,
            preserves_unknown: declared.x_kubernetes_preserve_unknown_fields == Some(true),
            is_embedded: declared.x_kubernetes_embedded_resource,
            default: declared.default.as_ref().and_then(value),
            properties: properties
                .map(|(name, part)| (name.clone(), Schema::new(part)))
                .collect(),
            additional,
            items: items.map(boxed),
            required: declared.required.clone(),
            list_type: declared.x_kubernetes_list_type.clone().unwrap_or_default(),
            list_keys: declared.x_kubernetes_list_map_keys.clone(),
            limits: Limits::new(declared),
            all_of: list(&declared.all_of),
            any_of: list(&declared.any_of),
            one_of: list(&declared.one_of),
            not: declared.not.as_deref().map(boxed),
        };
        if let Some(mut default) = schema.default.take() {
            pruning::prune(&mut default, Some(&schema), &mut Vec::new());
            schema.default = Some(default);
        }
        schema
    }

    /// The schema of a member.
    pub fn member(&self, name: &str) -> Option<&Schema> {
        match (self.properties.get(name), &self.additional) {
            (Some(property), _) => Some(property),
            (None, Additional::Of(schema)) => Some(schema),
            (None, _) => None,
        }
    }

    /// The types that a value may be of; none: all.
    pub fn types(&self) -> Vec<&str> {
        match self.kind.as_str() {
            _ if self.int_or_string => vec!["integer", "string"],
            "" => Vec::new(),
            kind => vec![kind],
        }
    }
}

impl Limits {
    fn new(declared: &JSONSchemaProps) -> Limits {
        let bound = |value: Option<f64>, exclusive| value.map(|value| Bound { value, exclusive });
        let pattern = declared.pattern.as_str();
        let known = formats::is_known(&declared.type_, &declared.format);
        Limits {
            format: if known {
                declared.format.clone()
            } else {
                String::new()
            },
            enum_: declared.enum_.iter().filter_map(value).collect(),
            maximum: bound(declared.maximum, declared.exclusive_maximum),
            minimum: bound(declared.minimum, declared.exclusive_minimum),
            multiple_of: declared.multiple_of,
            max_length: declared.max_length,
            min_length: declared.min_length,
            pattern: (!pattern.is_empty()).then(|| Pattern {
                text: pattern.to_owned(),
                regex: Regex::new(pattern).ok(),
            }),
            max_items: declared.max_items,
            min_items: declared.min_items,
            unique_items: declared.unique_items,
            max_properties: declared.max_properties,
            min_properties: declared.min_properties,
        }
    }
}

/// A stated value; null counts as none.
fn value(stated: &Json) -> Option<Value> {
    let value = api::codec::document::parse(&stated.raw).ok();
    value.map(|(value, _)| value).filter(|value| !value.is_null())
}
