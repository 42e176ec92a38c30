//! A definition as a resource that is served: a row and a strategy for each version, over one cache.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::Message;
use api::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionSpec,
    CustomResourceDefinitionVersion,
};
use api::catalogue::Resource;
use apimachinery::status::Status;
use apiserver::conversion::Converter;
use apiserver::objects::{self, Behaviours, Objects, Selectable};
use apiserver::openapi::CustomKind;
use apiserver::resource::Table;
use apiserver::state::Api;
use apiserver::strategy::Behaviour;
use storage::cache::{Cache, Options as CacheOptions};
use storage::{Key, Measured, Store};

use crate::columns;
use crate::conditions::{ESTABLISHED, TERMINATING, holds};
use crate::conversion::{Metrics, WebhookConverter};
use crate::rows::Rows;
use crate::strategy::CustomStrategy;

/// See the module.
pub struct CustomResource {
    pub uid: String,
    spec: CustomResourceDefinitionSpec,
    names: CustomResourceDefinitionNames,
    /// Whether discovery shows it.
    pub is_shown: bool,
    pub is_terminating: bool,
    terminating: Arc<AtomicBool>,
    pub cache: Arc<Cache>,
    pub versions: Vec<Version>,
}

/// A version that is served, or that is stored.
pub struct Version {
    pub row: &'static Resource,
    pub is_served: bool,
    pub objects: Arc<Objects>,
}

impl CustomResource {
    /// Opens the resource of a definition whose names were accepted.
    pub fn open(
        definition: &CustomResourceDefinition,
        rows: &mut Rows,
        api: &Api,
        metrics: &Arc<Metrics>,
    ) -> Result<CustomResource, Status> {
        let converter = WebhookConverter::of(definition, &api.webhooks, &api.clock, metrics);
        let converter = converter.map(|converter| Arc::new(converter) as Arc<dyn Converter>);
        let terminating = Arc::new(AtomicBool::new(false));
        let mut strategies = Vec::new();
        for version in &definition.spec.versions {
            let (columns, cells) = columns::of(version, rows);
            let row = rows.row(definition, version, columns)?;
            let selectable = rows.texts(&selectable(std::slice::from_ref(version)));
            let mut strategy = CustomStrategy::new(definition, version, row, selectable, terminating.clone());
            strategy.cells = cells;
            strategy.compile_rules();
            strategies.push((version, Arc::new(strategy)));
        }
        let stored = strategies.iter().find(|(version, _)| version.storage);
        let (stored, strategy) =
            stored.ok_or_else(|| Status::internal("a definition without a storage version".to_owned()))?;
        // The cache is one for all versions, and knows the fields of each.
        let all = rows.texts(&selectable(&definition.spec.versions));
        let extracting = CustomStrategy::new(definition, stored, strategy.row, all, terminating.clone());
        let (store, cache) = open_cache(api, strategy.row, Arc::new(extracting));
        let versions: Vec<objects::Version> = strategies
            .iter()
            .map(|(_, strategy)| objects::Version {
                row: strategy.row,
                strategy: strategy.clone(),
            })
            .collect();
        let version = |(version, strategy): (&CustomResourceDefinitionVersion, Arc<CustomStrategy>)| {
            let row = strategy.row;
            let main = Behaviour {
                strategy,
                hooks: None,
            };
            let behaviours = Behaviours {
                main,
                subresources: Vec::new(),
            };
            let mut objects = Objects::new(row, behaviours, store.clone(), cache.clone());
            objects.versions.clone_from(&versions);
            objects.converter.clone_from(&converter);
            Version {
                row,
                is_served: version.served,
                objects: Arc::new(objects),
            }
        };
        let mut resource = CustomResource {
            uid: definition.metadata.uid.clone(),
            spec: definition.spec.clone(),
            names: definition.status.accepted_names.clone(),
            is_shown: false,
            is_terminating: false,
            terminating,
            versions: strategies.into_iter().map(version).collect(),
            cache: cache.clone(),
        };
        resource.follow(definition);
        Ok(resource)
    }

    /// Whether this is still what a definition says.
    pub fn is_of(&self, definition: &CustomResourceDefinition) -> bool {
        self.uid == definition.metadata.uid
            && self.spec == definition.spec
            && self.names == definition.status.accepted_names
    }

    /// Takes over what may change without the resource becoming another.
    pub fn follow(&mut self, definition: &CustomResourceDefinition) {
        self.is_shown = holds(definition, ESTABLISHED);
        self.is_terminating = holds(definition, TERMINATING);
        self.terminating.store(self.is_terminating, Ordering::Relaxed);
    }

    /// The served versions as OpenAPI shows them.
    pub fn kinds(&self) -> Vec<CustomKind> {
        let served = self.versions.iter().filter(|version| version.is_served);
        let kind = |version: &Version| {
            let strategy = version.objects.strategy();
            CustomKind {
                row: version.row,
                schema: strategy
                    .schema()
                    .and_then(|schema| serde_json::from_slice(&schema.to_json()).ok()),
                selectable: strategy.selectable_fields(),
            }
        };
        served.map(kind).collect()
    }

    /// Adds the versions to what a server serves.
    pub fn add_to(&self, table: &mut Table) {
        let stored = self.versions.iter().find(|version| version.row.is_stored());
        stored
            .iter()
            .for_each(|stored| table.insert_stored(stored.objects.clone()));
        for version in self.versions.iter().filter(|version| version.is_served) {
            table.insert(version.row, version.objects.clone());
        }
    }
}

fn open_cache(
    api: &Api,
    row: &'static Resource,
    strategy: Arc<CustomStrategy>,
) -> (Arc<dyn Store>, Arc<Cache>) {
    let metrics = api.store_metrics.of(row.group, row.plural);
    let options = CacheOptions {
        metrics: Some(metrics.clone()),
        ..CacheOptions::default()
    };
    let prefix = Key::from(objects::prefix(row));
    let store: Arc<dyn Store> = Arc::new(Measured::new(api.store.of(&prefix).clone(), metrics));
    let extract = Arc::new(Selectable::new(row, strategy));
    let cache = Cache::start(store.clone(), prefix, extract, options);
    (store, cache)
}

/// The selectable fields of versions, without the dots before their paths.
fn selectable(versions: &[CustomResourceDefinitionVersion]) -> Vec<String> {
    let fields = versions.iter().flat_map(|version| &version.selectable_fields);
    let names: BTreeSet<&str> = fields
        .map(|field| field.json_path.trim_start_matches('.'))
        .collect();
    names.into_iter().map(str::to_owned).collect()
}
