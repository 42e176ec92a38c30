//! A container's environment: sources, variables, references, service announcements, in upstream's order.

use super::{
    expansion,
    fields::{self, Surroundings},
};
use api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The object can't be had; worded by whoever looked.
    #[error("{0}")]
    Lookup(String),
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    Key {
        key: String,
        kind: &'static str,
        namespace: String,
        name: String,
    },
    #[error(transparent)]
    Field(#[from] fields::Error),
    #[error("environment variable {0} has an unsupported source")]
    Source(String),
}

/// Why an object can't be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// It does not exist: an optional reference to it is skipped.
    NotFound(String),
    Failed(String),
}

type Found<T> = Result<Arc<T>, Missing>;

/// The objects that a container refers to, looked up beforehand, by name.
#[derive(Debug, Clone, Default)]
pub struct References {
    pub config_maps: BTreeMap<String, Found<ConfigMap>>,
    pub secrets: BTreeMap<String, Found<Secret>>,
}

/// The names of config maps and secrets that a container's environment refers to.
pub fn referenced(container: &Container) -> (Vec<String>, Vec<String>) {
    let mut config_maps = Vec::new();
    let mut secrets = Vec::new();
    for source in &container.env_from {
        config_maps.extend(
            source
                .config_map_ref
                .iter()
                .map(|r| r.local_object_reference.name.clone()),
        );
        secrets.extend(
            source
                .secret_ref
                .iter()
                .map(|r| r.local_object_reference.name.clone()),
        );
    }
    for source in container
        .env
        .iter()
        .filter_map(|variable| variable.value_from.as_ref())
    {
        config_maps.extend(
            source
                .config_map_key_ref
                .iter()
                .map(|r| r.local_object_reference.name.clone()),
        );
        secrets.extend(
            source
                .secret_key_ref
                .iter()
                .map(|r| r.local_object_reference.name.clone()),
        );
    }
    (config_maps, secrets)
}

/// The variables in their final order: declared ones first, then those from sources and services by name.
pub fn build(
    pod: &Pod,
    container: &Container,
    references: &References,
    services: &BTreeMap<String, String>,
    around: &Surroundings,
) -> Result<Vec<(String, String)>, Error> {
    let mut known = from_sources(container, references)?;
    let mut declared: Vec<(String, String)> = Vec::new();
    for variable in &container.env {
        let value = if !variable.value.is_empty() {
            expansion::expand(&variable.value, |name| {
                known.get(name).or_else(|| services.get(name)).cloned()
            })
        } else if let Some(source) = &variable.value_from {
            let context = Context {
                pod,
                container,
                references,
                around,
            };
            match context.resolve(&variable.name, source)? {
                Some(value) => value,
                None => continue,
            }
        } else {
            String::new()
        };
        known.insert(variable.name.clone(), value.clone());
        declared.retain(|(name, _)| name != &variable.name);
        declared.push((variable.name.clone(), value));
    }
    let mut result = declared;
    let is_declared =
        |name: &String, result: &[(String, String)]| result.iter().any(|(other, _)| other == name);
    for (name, value) in known {
        if !is_declared(&name, &result) {
            result.push((name, value));
        }
    }
    for (name, value) in services {
        if !is_declared(name, &result) {
            result.push((name.clone(), value.clone()));
        }
    }
    Ok(result)
}

fn found<'a, T>(
    objects: &'a BTreeMap<String, Found<T>>,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<&'a T>, Error> {
    match objects.get(name) {
        Some(Ok(object)) => Ok(Some(object)),
        Some(Err(Missing::NotFound(_))) if optional == Some(true) => Ok(None),
        Some(Err(Missing::NotFound(message) | Missing::Failed(message))) => {
            Err(Error::Lookup(message.clone()))
        }
        None => Err(Error::Lookup(format!("object {name:?} was not looked up"))),
    }
}

fn from_sources(container: &Container, references: &References) -> Result<BTreeMap<String, String>, Error> {
    let mut variables = BTreeMap::new();
    for source in &container.env_from {
        let prefix = &source.prefix;
        if let Some(reference) = &source.config_map_ref {
            let name = &reference.local_object_reference.name;
            if let Some(object) = found(&references.config_maps, name, reference.optional)? {
                variables.extend(
                    object
                        .data
                        .iter()
                        .map(|(key, value)| (format!("{prefix}{key}"), value.clone())),
                );
            }
        } else if let Some(reference) = &source.secret_ref {
            let name = &reference.local_object_reference.name;
            if let Some(object) = found(&references.secrets, name, reference.optional)? {
                variables.extend(object.data.iter().map(|(key, value)| {
                    (
                        format!("{prefix}{key}"),
                        String::from_utf8_lossy(value).into_owned(),
                    )
                }));
            }
        }
    }
    Ok(variables)
}

struct Context<'a> {
    pod: &'a Pod,
    container: &'a Container,
    references: &'a References,
    around: &'a Surroundings,
}

impl Context<'_> {
    /// The value of a source; nothing when an optional one is absent.
    fn resolve(&self, variable: &str, source: &EnvVarSource) -> Result<Option<String>, Error> {
        if let Some(selector) = &source.field_ref {
            return Ok(Some(fields::field(selector, self.pod, self.around)?));
        }
        if let Some(selector) = &source.resource_field_ref {
            let value = fields::resource(selector, self.pod, Some(self.container), &self.around.allocatable)?;
            return Ok(Some(value));
        }
        if let Some(selector) = &source.config_map_key_ref {
            let name = &selector.local_object_reference.name;
            let object = found(&self.references.config_maps, name, selector.optional)?;
            let value = object.map(|object| object.data.get(&selector.key).cloned());
            return self.keyed(value, "ConfigMap", name, &selector.key, selector.optional);
        }
        if let Some(selector) = &source.secret_key_ref {
            let name = &selector.local_object_reference.name;
            let object = found(&self.references.secrets, name, selector.optional)?;
            let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
            let value = object.map(|object| object.data.get(&selector.key).map(text));
            return self.keyed(value, "Secret", name, &selector.key, selector.optional);
        }
        Err(Error::Source(variable.to_owned()))
    }

    fn keyed(
        &self,
        value: Option<Option<String>>,
        kind: &'static str,
        name: &str,
        key: &str,
        optional: Option<bool>,
    ) -> Result<Option<String>, Error> {
        match value {
            Some(Some(value)) => Ok(Some(value)),
            Some(None) if optional != Some(true) => Err(Error::Key {
                key: key.to_owned(),
                kind,
                namespace: self.pod.metadata.namespace.clone(),
                name: name.to_owned(),
            }),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
