//! Which objects a list, watch or deletecollection is about.

use std::sync::Arc;

use apimachinery::status::Status;
use apimachinery::{fields, labels};
use storage::Key;
use storage::cache::{Entry, Predicate, Scope};

use crate::request::info::RequestInfo;
use crate::request::options::ListOptions;
use crate::resource::Served;

const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

/// Label and field selectors over the entries of a resource.
#[derive(Clone, Debug)]
pub struct Selection {
    labels: labels::Selector,
    fields: fields::Selector,
    prefix_length: usize,
    namespaced: bool,
    scope: Scope,
}

impl Selection {
    /// What the request's path and selectors select.
    pub fn new(served: &Served, info: &RequestInfo, options: &ListOptions) -> Result<Selection, Status> {
        let objects = &served.objects;
        let mut fields = by_field(&options.field_selector, served)?;
        if !info.name.is_empty() {
            match fields.requires_exact_match(NAME) {
                Some(name) if name == info.name => {}
                None if fields.is_everything() => fields = fields::Selector::equals(NAME, info.name.clone()),
                _ => {
                    return Err(Status::bad_request(
                        "fieldSelector metadata.name doesn't match requested name",
                    ));
                }
            }
        }
        let namespace = match (info.namespace.as_str(), fields.requires_exact_match(NAMESPACE)) {
            ("", Some(selected)) if served.row.namespaced && !selected.contains('/') => selected.to_owned(),
            ("", _) => String::new(),
            (requested, _) if served.row.namespaced => requested.to_owned(),
            _ => String::new(),
        };
        let prefix = Key::from(objects.prefix_of(&namespace));
        let indexed = objects.strategy().selectable_fields().iter().find_map(|field| {
            let value = fields.requires_exact_match(field)?;
            objects.indexed.contains(field).then(|| Scope::Field {
                prefix: prefix.clone(),
                field,
                value: value.to_owned(),
            })
        });
        let scope = match fields.requires_exact_match(NAME) {
            Some(name) if !name.contains('/') && (!served.row.namespaced || !namespace.is_empty()) => {
                Scope::Key(Key::from(objects.key(&namespace, name)))
            }
            _ => indexed.unwrap_or(Scope::Prefix(prefix)),
        };
        Ok(Selection {
            labels: options.label_selector.clone(),
            fields,
            prefix_length: objects.prefix().len(),
            namespaced: served.row.namespaced,
            scope,
        })
    }

    /// Where to look.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether everything in the scope is selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// Whether an entry is selected.
    pub fn matches(&self, entry: &Entry) -> bool {
        if !self.labels.is_everything() && !self.labels.matches_with(|name| entry.labels().get(name)) {
            return false;
        }
        if self.fields.is_everything() {
            return true;
        }
        let path = entry
            .key()
            .get(self.prefix_length..)
            .and_then(|path| std::str::from_utf8(path).ok())
            .unwrap_or_default();
        let (namespace, name) = if self.namespaced {
            path.split_once('/').unwrap_or(("", path))
        } else {
            ("", path)
        };
        self.fields.matches(|field| match field {
            NAME => Some(name),
            NAMESPACE => Some(namespace),
            other => entry.fields().get(other),
        })
    }

    /// The selection as a watch's predicate.
    pub fn predicate(&self) -> Option<Predicate> {
        // The one requirement that led to a key or an index is met by whatever is found there.
        let is_scope = self.fields.requirements().len() == 1 && !matches!(self.scope, Scope::Prefix(_));
        if self.is_everything() || (self.labels.is_everything() && is_scope) {
            return None;
        }
        let selection = self.clone();
        Some(Arc::new(move |entry| selection.matches(entry)))
    }
}

/// The selector in terms of the strategy's fields. Only some fields can be selected by, and a group may have names of its
/// own for them.
fn by_field(selector: &fields::Selector, served: &Served) -> Result<fields::Selector, Status> {
    if selector.is_nothing() {
        return Ok(selector.clone());
    }
    let strategy = served.objects.strategy();
    let mut requirements = selector.requirements().to_vec();
    requirements.retain(|requirement| !(requirement.field.is_empty() && requirement.value.is_empty()));
    // Kinds that name their fields do not name a namespace if they are in none.
    let names_fields = served.is_custom() || !strategy.selectable_fields().is_empty();
    let namespace = served.row.namespaced || !names_fields;
    for requirement in &mut requirements {
        let label = requirement.field.as_str();
        if label == NAME || (label == NAMESPACE && namespace) {
            continue;
        }
        match strategy.field_of_label(served.row.group, label) {
            Some(field) => field.clone_into(&mut requirement.field),
            None => return Err(unknown_field(label, !names_fields)),
        }
    }
    Ok(fields::Selector::from_requirements(requirements))
}

fn unknown_field(label: &str, no_others: bool) -> Status {
    Status::bad_request(if no_others {
        format!("{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {label}")
    })
}
