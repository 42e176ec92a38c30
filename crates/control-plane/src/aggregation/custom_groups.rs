//! The APIServices of groups that come of CustomResourceDefinitions: they come and go with them.

use api::apiregistration::v1::{APIService, APIServiceSpec};
use api::catalogue;
use apimachinery::status::Status;
use apiserver::local::Local;

/// Says that the object lives as long as the group.
const AUTOMANAGED: (&str, &str) = ("kube-aggregator.kubernetes.io/automanaged", "true");
/// Behind all groups of the server's own.
const GROUP_PRIORITY: i32 = 1000;
const VERSION_PRIORITY: i32 = 100;

/// Makes those that are missing, and removes those whose group or version is gone.
pub async fn reconcile(local: &Local) -> Result<(), Status> {
    let groups = local.api().groups.load();
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for group in groups.iter() {
        let versions = group.versions.iter().map(|version| version.name.as_str());
        wanted.extend(
            versions
                .filter(|version| !is_built_in(&group.name, version))
                .map(|version| (group.name.as_str(), version)),
        );
    }
    let standing = local.list::<APIService>("").await?;
    let (label, value) = AUTOMANAGED;
    for service in &standing {
        let ours = service.metadata.labels.get(label).map(String::as_str) == Some(value);
        let of = (service.spec.group.as_str(), service.spec.version.as_str());
        if ours && !wanted.contains(&of) {
            match local.delete::<APIService>("", &service.metadata.name).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
    }
    for (group, version) in wanted {
        let name = format!("{version}.{group}");
        if standing.iter().any(|service| service.metadata.name == name) {
            continue;
        }
        let mut service = APIService {
            spec: APIServiceSpec {
                group: group.to_owned(),
                version: version.to_owned(),
                group_priority_minimum: GROUP_PRIORITY,
                version_priority: VERSION_PRIORITY,
                ..APIServiceSpec::default()
            },
            ..APIService::default()
        };
        service.metadata.name = name;
        service.metadata.labels.insert(label.to_owned(), value.to_owned());
        match local.create(service).await {
            Err(status) if !status.is_already_exists() => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

fn is_built_in(group: &str, version: &str) -> bool {
    catalogue::GROUPS
        .iter()
        .any(|known| known.name == group && known.versions.contains(&version))
}
