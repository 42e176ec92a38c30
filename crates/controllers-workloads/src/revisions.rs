//! The history of a template as ControllerRevisions, which daemon sets and stateful sets keep.
//!
//! [`plan`] finds the revision of the present template among those stored and what must be written; [`sync`] writes.
//!
//! Upstream: pkg/controller/history, pkg/controller/daemon/update.go

use api::Message;
use api::Resource;
use api::apps::v1::ControllerRevision;
use api::core::v1::PodTemplateSpec;
use api::meta::v1::DeleteOptions;
use api::runtime::RawExtension;
use client::{Api, Error};
use controller_runtime::ownership::{controller_ref, is_controlled_by};
use serde_json::{Value, json};

use crate::deployment::template_hash;

/// The label that ties pods to the revision that they were made from.
pub const HASH_LABEL: &str = "controller-revision-hash";

/// The present template's revision and the older ones, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    pub current: ControllerRevision,
    pub old: Vec<ControllerRevision>,
}

impl History {
    /// The hash that pods of the present template bear.
    pub fn hash(&self) -> &str {
        hash_of(&self.current)
    }
}

/// The hash of a revision's pods; a revision of an older release bears it only as its name.
pub fn hash_of(revision: &ControllerRevision) -> &str {
    revision
        .metadata
        .labels
        .get(HASH_LABEL)
        .unwrap_or(&revision.metadata.name)
}

/// The patch that restores a template: what a revision stores.
pub fn patch_of(template: &PodTemplateSpec) -> Value {
    let mut template: Value = serde_json::from_slice(&template.to_json()).unwrap_or_default();
    drop_nulls(&mut template);
    if let Some(fields) = template.as_object_mut() {
        fields.insert("$patch".into(), "replace".into());
    }
    json!({"spec": {"template": template}})
}

/// The template that a revision restores.
pub fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut stored: Value = serde_json::from_slice(&revision.data.raw).ok()?;
    let template = stored.pointer_mut("/spec/template")?.take();
    let Value::Object(mut template) = template else {
        return None;
    };
    template.remove("$patch");
    PodTemplateSpec::from_json(Value::Object(template).to_string().as_bytes()).ok()
}

/// Whether a revision is of this template. Go writes absent times as null: that says the same.
pub fn matches(revision: &ControllerRevision, patch: &Value) -> bool {
    match serde_json::from_slice::<Value>(&revision.data.raw) {
        Ok(mut stored) => {
            drop_nulls(&mut stored);
            stored == *patch
        }
        Err(_) => false,
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// The present template's revision among those stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Current(Box<ControllerRevision>),
    /// It was rolled back to, and must get this number, the highest.
    Outnumbered(Box<ControllerRevision>, i64),
    /// There is none; a new one gets this number.
    Nothing(i64),
}

/// Finds the present template's revision among those of its owner; the others come oldest first.
pub fn plan(mut revisions: Vec<ControllerRevision>, patch: &Value) -> (Found, Vec<ControllerRevision>) {
    revisions.sort_by(|a, b| {
        let age = |r: &ControllerRevision| (r.revision, r.metadata.creation_timestamp);
        age(a)
            .cmp(&age(b))
            .then_with(|| a.metadata.name.cmp(&b.metadata.name))
    });
    let found = revisions.iter().rposition(|revision| matches(revision, patch));
    let current = found.map(|index| Box::new(revisions.remove(index)));
    let next = revisions.iter().map(|old| old.revision).max().unwrap_or_default() + 1;
    let found = match current {
        None => Found::Nothing(next),
        Some(current) if current.revision < next => Found::Outnumbered(current, next),
        Some(current) => Found::Current(current),
    };
    (found, revisions)
}

/// Brings the stored history up to date. `collisions` is the owner's count of them so far; none when it must rise,
/// because another template's revision has the name.
pub async fn sync<K: Resource>(
    api: &Api<ControllerRevision>,
    owner: &K,
    template: &PodTemplateSpec,
    collisions: Option<i32>,
    stored: Vec<ControllerRevision>,
) -> Result<Option<History>, Error> {
    let patch = patch_of(template);
    let (found, old) = plan(stored, &patch);
    let current = match found {
        Found::Current(current) => *current,
        Found::Outnumbered(current, number) => {
            api.update(&ControllerRevision {
                revision: number,
                ..*current
            })
            .await?
        }
        Found::Nothing(number) => {
            let wanted = new(owner, template, &patch, collisions, number);
            match create(api, owner, &wanted, &patch).await? {
                Some(created) => created,
                None => return Ok(None),
            }
        }
    };
    Ok(Some(History { current, old }))
}

fn new<K: Resource>(
    owner: &K,
    template: &PodTemplateSpec,
    patch: &Value,
    collisions: Option<i32>,
    number: i64,
) -> ControllerRevision {
    let hash = template_hash::hash(template, collisions);
    let mut revision = ControllerRevision::default();
    revision.metadata.name = template_hash::replica_set_name(&owner.metadata().name, &hash);
    revision.metadata.namespace = owner.metadata().namespace.clone();
    revision.metadata.labels = template.metadata.labels.clone();
    revision.metadata.labels.insert(HASH_LABEL.into(), hash);
    revision.metadata.annotations = owner.metadata().annotations.clone();
    revision.metadata.owner_references = vec![controller_ref(owner)];
    revision.data = RawExtension {
        raw: patch.to_string().into_bytes(),
    };
    revision.revision = number;
    revision
}

/// Creates a revision, or finds that it is there already; none when its name is another's.
async fn create<K: Resource>(
    api: &Api<ControllerRevision>,
    owner: &K,
    wanted: &ControllerRevision,
    patch: &Value,
) -> Result<Option<ControllerRevision>, Error> {
    match api.create(wanted).await {
        Err(error) if error.is_already_exists() => {
            let existing = api.get(&wanted.metadata.name).await?;
            let ours =
                is_controlled_by(&existing.metadata, &owner.metadata().uid) && matches(&existing, patch);
            Ok(ours.then_some(existing))
        }
        outcome => outcome.map(Some),
    }
}

/// Deletes the oldest revisions beyond the limit that no pod is of.
pub async fn clean_up(
    api: &Api<ControllerRevision>,
    old: &[ControllerRevision],
    limit: Option<i32>,
    is_live: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let limit = usize::try_from(limit.unwrap_or(10)).unwrap_or_default();
    let surplus = old.len().saturating_sub(limit);
    for revision in old
        .iter()
        .filter(|revision| !is_live(hash_of(revision)))
        .take(surplus)
    {
        match api
            .delete(&revision.metadata.name, &DeleteOptions::default())
            .await
        {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(node: &str) -> PodTemplateSpec {
        let mut template = PodTemplateSpec::default();
        template.spec.node_name = node.into();
        template
    }

    fn revision(node: &str, number: i64) -> ControllerRevision {
        let raw = patch_of(&template(node)).to_string().into_bytes();
        let mut revision = ControllerRevision {
            data: RawExtension { raw },
            revision: number,
            ..ControllerRevision::default()
        };
        revision.metadata.name = format!("{node}-{number}");
        revision
    }

    fn check(stored: &[(&str, i64)], expected: &str) {
        let stored = stored
            .iter()
            .map(|(node, number)| revision(node, *number))
            .collect();
        let (found, old) = plan(stored, &patch_of(&template("b")));
        let found = match found {
            Found::Current(current) => format!("current {}", current.metadata.name),
            Found::Outnumbered(current, number) => format!("renumber {} to {number}", current.metadata.name),
            Found::Nothing(number) => format!("create {number}"),
        };
        assert_eq!(format!("{found}, {} old", old.len()), expected);
    }

    #[test]
    fn the_present_template_has_the_highest_number() {
        check(&[], "create 1, 0 old");
        check(&[("a", 1)], "create 2, 1 old");
        check(&[("a", 1), ("b", 2)], "current b-2, 1 old");
        check(&[("b", 1), ("a", 2)], "renumber b-1 to 3, 1 old");
    }

    #[test]
    fn a_revision_restores_its_template() {
        assert_eq!(template_of(&revision("b", 1)), Some(template("b")));
        assert_eq!(template_of(&ControllerRevision::default()), None);
    }

    #[test]
    fn nulls_that_go_writes_make_no_difference() {
        let mut stored = revision("b", 1);
        let text = String::from_utf8(stored.data.raw.clone()).expect("text");
        let with_null = text.replacen(
            "\"spec\":{\"template\":{",
            "\"spec\":{\"template\":{\"metadata\":{\"creationTimestamp\":null},",
            1,
        );
        stored.data.raw = with_null.into_bytes();
        let mut wanted = patch_of(&template("b"));
        wanted["spec"]["template"]["metadata"] = json!({});
        assert!(matches(&stored, &wanted));
        assert!(!matches(&revision("a", 1), &wanted));
    }
}
