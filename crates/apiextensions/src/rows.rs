//! Definitions as rows of the catalogue, a row for each version.
//!
//! Rows live as long as the process, as those of the catalogue do, for everything on the way of a request refers to
//! them. A row that was made once is found again when a definition comes back as it was, so that what is kept grows with the
//! number of different definitions there have been, by some hundred bytes each, and not with their changes.

use std::collections::{BTreeMap, BTreeSet};

use api::Custom;
use api::apiextensions::v1::{CustomResourceDefinition, CustomResourceDefinitionVersion};
use api::catalogue::{Column, Resource, Scope, Subresource};
use api::custom::CUSTOM;
use apimachinery::status::Status;

/// Rows that are kept at most.
const MAX_ROWS: usize = 100_000;

const VERBS: &[&str] = &[
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];
const SUBRESOURCE_VERBS: &[&str] = &["get", "patch", "update"];

/// Every row that was made.
#[derive(Default)]
pub struct Rows {
    texts: BTreeSet<&'static str>,
    rows: BTreeMap<String, &'static Resource>,
    lists: BTreeMap<Vec<String>, &'static [&'static str]>,
}

impl Rows {
    /// The row of a version of a definition whose names were accepted.
    pub fn row(
        &mut self,
        definition: &CustomResourceDefinition,
        version: &CustomResourceDefinitionVersion,
        columns: Vec<Column>,
    ) -> Result<&'static Resource, Status> {
        let spec = &definition.spec;
        let storage = spec.versions.iter().find(|version| version.storage);
        let subresources = version.subresources.as_deref();
        let key = format!(
            "{:?}",
            (
                (
                    &spec.group,
                    &version.name,
                    &spec.scope,
                    storage.map(|version| &version.name)
                ),
                &definition.status.accepted_names,
                subresources.map(|stated| (stated.status.is_some(), stated.scale.is_some())),
                &columns,
            )
        );
        if let Some(known) = self.rows.get(&key) {
            return Ok(known);
        }
        if self.rows.len() >= MAX_ROWS {
            return Err(Status::internal(format!(
                "there have been {MAX_ROWS} versions of custom resources since the server started"
            )));
        }
        let row = self.make(definition, version, columns);
        let row: &'static Resource = Box::leak(Box::new(row));
        self.rows.insert(key, row);
        Ok(row)
    }

    fn make(
        &mut self,
        definition: &CustomResourceDefinition,
        version: &CustomResourceDefinitionVersion,
        columns: Vec<Column>,
    ) -> Resource {
        let (spec, names) = (&definition.spec, &definition.status.accepted_names);
        let group = self.text(&spec.group);
        let storage = spec.versions.iter().find(|version| version.storage);
        let namespaced = spec.scope == "Namespaced";
        let version_name = self.text(&version.name);
        let kind = self.text(&names.kind);
        let subresources = Self::subresources(group, version_name, kind, version);
        Resource {
            group,
            version: version_name,
            kind,
            api_version: self.text(&format!("{group}/{version_name}")),
            list_kind: self.text(&names.list_kind),
            plural: self.text(&names.plural),
            singular: self.text(&names.singular),
            short_names: self.texts(&names.short_names),
            categories: self.texts(&names.categories),
            scope: if namespaced {
                Scope::Namespaced
            } else {
                Scope::Cluster
            },
            namespaced,
            verbs: VERBS,
            subresources,
            columns: Box::leak(columns.into_boxed_slice()),
            storage: storage.map(|version| (group, self.text(&version.name))),
            prefix: self.text(&format!("{group}/{}", names.plural)),
            ty: &CUSTOM,
            decode: Custom::decode_object,
            new: Custom::empty_object,
        }
    }

    /// A text that lives as long as the process.
    pub fn text(&mut self, text: &str) -> &'static str {
        match self.texts.get(text) {
            Some(known) => known,
            None => {
                let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
                self.texts.insert(text);
                text
            }
        }
    }

    /// Texts that live as long as the process.
    pub fn texts(&mut self, texts: &[String]) -> &'static [&'static str] {
        if let Some(known) = self.lists.get(texts) {
            return known;
        }
        let list: Vec<&'static str> = texts.iter().map(|text| self.text(text)).collect();
        let list: &'static [&'static str] = Box::leak(list.into_boxed_slice());
        self.lists.insert(texts.to_vec(), list);
        list
    }

    fn subresources(
        group: &'static str,
        version_name: &'static str,
        kind: &'static str,
        version: &CustomResourceDefinitionVersion,
    ) -> &'static [Subresource] {
        let stated = version.subresources.as_deref();
        let mut subresources = Vec::new();
        if stated.is_some_and(|stated| stated.status.is_some()) {
            subresources.push(Subresource {
                name: "status",
                group,
                version: version_name,
                kind,
                verbs: SUBRESOURCE_VERBS,
            });
        }
        if stated.is_some_and(|stated| stated.scale.is_some()) {
            subresources.push(Subresource {
                name: "scale",
                group: "autoscaling",
                version: "v1",
                kind: "Scale",
                verbs: SUBRESOURCE_VERBS,
            });
        }
        Box::leak(subresources.into_boxed_slice())
    }
}
