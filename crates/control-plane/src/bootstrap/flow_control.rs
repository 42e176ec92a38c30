//! The flow schemas and priority levels that a cluster starts with.
//!
//! Mandatory ones are kept as they are here. Suggested ones are only while their annotation, or the lack of any change,
//! says that nobody has taken them over.
//!
//! Upstream: `pkg/registry/flowcontrol/{rest,ensurer}`, `k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap`.

mod levels;
mod schemas;

use api::Resource;
use api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use api::meta::v1::ObjectMeta;
use apimachinery::status::Status;
use apiserver::local::Local;

const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upkeep {
    /// The server's: always as it makes it.
    Mandatory,
    /// The server's until an administrator changes it.
    Suggested,
}

/// Makes what is missing, brings up to date what is still the server's, and removes what it no longer suggests.
pub async fn ensure(local: &Local) -> Result<(), Status> {
    for (upkeep, level) in levels::all() {
        keep(local, upkeep, level).await?;
    }
    for (upkeep, schema) in schemas::all() {
        keep(local, upkeep, schema).await?;
    }
    remove_obsolete::<FlowSchema>(local, &names(&schemas::all())).await?;
    remove_obsolete::<PriorityLevelConfiguration>(local, &names(&levels::all())).await
}

fn names<T: Resource>(objects: &[(Upkeep, T)]) -> Vec<String> {
    let name = |(_, object): &(Upkeep, T)| object.metadata().name.clone();
    objects.iter().map(name).collect()
}

/// What the two kinds have in common.
trait Configuration: Resource {
    fn same_spec(&self, other: &Self) -> bool;
    fn set_spec(&mut self, from: &Self);
}

impl Configuration for FlowSchema {
    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }

    fn set_spec(&mut self, from: &Self) {
        self.spec.clone_from(&from.spec);
    }
}

impl Configuration for PriorityLevelConfiguration {
    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }

    fn set_spec(&mut self, from: &Self) {
        self.spec.clone_from(&from.spec);
    }
}

/// What is to be done to an object that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Revision {
    spec: bool,
    /// The annotation's new value, if it changes.
    annotation: Option<bool>,
}

async fn keep<T: Configuration>(local: &Local, upkeep: Upkeep, mut wanted: T) -> Result<(), Status> {
    annotate(wanted.metadata_mut(), true);
    let name = wanted.metadata().name.clone();
    let current = match local.get::<T>("", &name).await {
        Ok(current) => current,
        Err(status) if status.is_not_found() => return super::ensure(local, wanted).await.map(drop),
        Err(status) => return Err(status),
    };
    let revision = revise(upkeep, current.metadata(), current.same_spec(&wanted));
    if !revision.spec && revision.annotation.is_none() {
        return Ok(());
    }
    let version = current.metadata().resource_version.clone();
    let put = |object: &mut T| {
        object.metadata_mut().resource_version.clone_from(&version);
        if revision.spec {
            object.set_spec(&wanted);
        }
        if let Some(value) = revision.annotation {
            annotate(object.metadata_mut(), value);
        }
    };
    match local.update("", &name, put).await {
        // Somebody else was faster: the next round looks again.
        Err(status) if !status.is_conflict() => Err(status),
        _ => Ok(()),
    }
}

fn revise(upkeep: Upkeep, metadata: &ObjectMeta, same_spec: bool) -> Revision {
    let annotated = annotation(metadata);
    let ours = upkeep == Upkeep::Mandatory || annotated.unwrap_or(metadata.generation == 1);
    Revision {
        spec: ours && !same_spec,
        annotation: (annotated != Some(ours)).then_some(ours),
    }
}

/// As Go reads a bool.
fn annotation(metadata: &ObjectMeta) -> Option<bool> {
    match metadata.annotations.get(AUTO_UPDATE)?.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn annotate(metadata: &mut ObjectMeta, value: bool) {
    metadata
        .annotations
        .insert(AUTO_UPDATE.to_owned(), value.to_string());
}

/// Objects that an earlier version suggested, and that nobody has taken over.
async fn remove_obsolete<T: Configuration>(local: &Local, wanted: &[String]) -> Result<(), Status> {
    for object in local.list::<T>("").await? {
        let metadata = object.metadata();
        if annotation(metadata) != Some(true) || wanted.contains(&metadata.name) {
            continue;
        }
        match local.delete::<T>("", &metadata.name).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => return Err(status),
            _ => tracing::info!(name = %metadata.name, "removed an obsolete flow control object"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(upkeep: Upkeep, annotated: Option<&str>, generation: i64, same_spec: bool) -> String {
        let mut metadata = ObjectMeta {
            generation,
            ..ObjectMeta::default()
        };
        if let Some(value) = annotated {
            metadata
                .annotations
                .insert(AUTO_UPDATE.to_owned(), value.to_owned());
        }
        let revision = revise(upkeep, &metadata, same_spec);
        format!("spec {}, annotation {:?}", revision.spec, revision.annotation)
    }

    #[test]
    fn mandatory_objects_are_kept_and_suggested_ones_as_long_as_they_are_ours() {
        use Upkeep::{Mandatory, Suggested};
        assert_eq!(
            check(Mandatory, Some("true"), 7, false),
            "spec true, annotation None"
        );
        assert_eq!(
            check(Mandatory, Some("false"), 7, true),
            "spec false, annotation Some(true)"
        );
        assert_eq!(
            check(Suggested, Some("true"), 2, false),
            "spec true, annotation None"
        );
        assert_eq!(
            check(Suggested, Some("false"), 2, false),
            "spec false, annotation None"
        );
        assert_eq!(
            check(Suggested, None, 1, false),
            "spec true, annotation Some(true)"
        );
        assert_eq!(
            check(Suggested, Some("?"), 2, false),
            "spec false, annotation Some(false)"
        );
    }
}
