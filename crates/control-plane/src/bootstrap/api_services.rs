//! The APIServices of the groups that this server serves itself: they give the groups their order.

use api::apiregistration::v1::{APIService, APIServiceSpec};
use apimachinery::status::Status;
use apiserver::local::Local;

/// Says that the server makes the object, once at each start.
const AUTOMANAGED: (&str, &str) = ("kube-aggregator.kubernetes.io/automanaged", "onstart");
/// The group of APIServices needs none.
const OWN: &str = "apiregistration.k8s.io";
const DEFAULT_VERSION_PRIORITY: i32 = 15;

/// Greater ones come first. A group that stands here in no row is not registered.
const GROUPS: &[(&str, i32)] = &[
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("apiextensions.k8s.io", 16_700),
    ("admissionregistration.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("resource.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
];

const VERSIONS: &[(&str, &str, i32)] = &[
    ("", "v1", 1),
    ("autoscaling", "v2", 30),
    ("flowcontrol.apiserver.k8s.io", "v1", 21),
    ("resource.k8s.io", "v1", 21),
];

/// Makes those that are missing, and takes back what has become of the others' specs.
pub async fn ensure(local: &Local) -> Result<(), Status> {
    for group in api::catalogue::GROUPS.iter().filter(|group| group.name != OWN) {
        for version in group.versions {
            ensure_version(local, group.name, version).await?;
        }
    }
    Ok(())
}

async fn ensure_version(local: &Local, group: &str, version: &str) -> Result<(), Status> {
    let Some((_, priority)) = GROUPS.iter().find(|(known, _)| *known == group) else {
        return Ok(());
    };
    let known = VERSIONS
        .iter()
        .find(|(of, known, _)| (*of, *known) == (group, version));
    let spec = APIServiceSpec {
        group: group.to_owned(),
        version: version.to_owned(),
        group_priority_minimum: *priority,
        version_priority: known.map_or(DEFAULT_VERSION_PRIORITY, |(.., priority)| *priority),
        ..APIServiceSpec::default()
    };
    let name = format!("{version}.{group}");
    let (label, value) = AUTOMANAGED;
    let mut service = APIService {
        spec: spec.clone(),
        ..APIService::default()
    };
    service.metadata.name.clone_from(&name);
    service.metadata.labels.insert(label.to_owned(), value.to_owned());
    if super::ensure(local, service).await? == super::Ensured::Created {
        return Ok(());
    }
    let standing = local.get::<APIService>("", &name).await?;
    // Who takes the label off takes the object over.
    let managed = standing.metadata.labels.get(label).map(String::as_str) == Some(value);
    if managed && standing.spec != spec {
        let edit = |service: &mut APIService| service.spec = spec.clone();
        local.update("", &name, edit).await?;
    }
    Ok(())
}
