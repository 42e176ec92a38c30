//! What CSI drivers say of themselves, of nodes and of their capacity.

use api::storage::v1::{CSIDriver, CSINode, CSINodeDriver, CSIStorageCapacity};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1123_subdomain, is_qualified_name};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::validate_driver_name;
use crate::internal;
use crate::metadata::{immutable_text, messages, shown};
use crate::numbers::nonnegative;
use crate::resources::validate_nonnegative;
use crate::rules::{MetadataChecks, Rules};
use crate::{label_selector, table};

const MAX_NODE_ID: usize = 256;
const MOST_TOKEN_SECONDS: i64 = 1 << 32;
const FEWEST_TOKEN_SECONDS: i64 = 600;
const FS_GROUP_POLICIES: [&str; 3] = ["File", "None", "ReadWriteOnceWithFSType"];

/// CSINodes.
pub struct CsiNodes;

impl Rules for CsiNodes {
    type Object = CSINode;
    const RETURNS_DELETED: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(node: &CSINode) -> ErrorList {
        let path = Path::new("spec").child("drivers");
        let mut errors = ErrorList::new();
        for (index, driver) in node.spec.drivers.iter().enumerate() {
            errors.extend(validate_node_driver(
                driver,
                &node.spec.drivers[..index],
                &path.index(index),
            ));
        }
        errors
    }

    /// What a driver said of a node stays, but for how much it takes.
    fn validate_update(_cx: &Context<'_>, node: &CSINode, old: &CSINode) -> ErrorList {
        let mut errors = Self::validate(node);
        let path = Path::new("spec").child("drivers");
        let fixed = |driver: &CSINodeDriver| CSINodeDriver {
            allocatable: None,
            ..driver.clone()
        };
        for before in &old.spec.drivers {
            let same = node
                .spec
                .drivers
                .iter()
                .filter(|driver| driver.name == before.name);
            for now in same.map(fixed).filter(|now| *now != fixed(before)) {
                errors.push(Error::immutable(&path, internal::shown(&now)));
            }
        }
        errors
    }

    fn row(node: &CSINode, now: Timestamp) -> Vec<Value> {
        table::volume::csi_node(node, now)
    }
}

fn validate_node_driver(driver: &CSINodeDriver, before: &[CSINodeDriver], path: &Path) -> ErrorList {
    let mut errors = validate_driver_name(&driver.name, &path.child("name"));
    let (id, at) = (driver.node_id.as_str(), path.child("nodeID"));
    if id.is_empty() {
        errors.push(Error::required(&at, ""));
    }
    if id.len() > MAX_NODE_ID {
        let detail = format!("must be {MAX_NODE_ID} characters or less");
        errors.push(Error::invalid(&at, id, detail));
    }
    let count = driver
        .allocatable
        .as_ref()
        .and_then(|allocatable| allocatable.count);
    let at = path.child("allocatable").child("count");
    errors.extend(count.and_then(|count| nonnegative(count, &at)));
    if before.iter().any(|other| other.name == driver.name) {
        errors.push(Error::duplicate(&path.child("name"), &driver.name));
    }
    for (index, key) in driver.topology_keys.iter().enumerate() {
        if key.is_empty() {
            errors.push(Error::required(path, ""));
        }
        if driver.topology_keys[..index].contains(key) {
            errors.push(Error::duplicate(path, key));
        }
        errors.extend(messages(path, key, is_qualified_name(key)));
    }
    errors
}

/// CSIDrivers.
pub struct CsiDrivers;

impl Rules for CsiDrivers {
    type Object = CSIDriver;
    const RETURNS_DELETED: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn default(driver: &mut CSIDriver) {
        let spec = &mut driver.spec;
        spec.attach_required.get_or_insert(true);
        spec.pod_info_on_mount.get_or_insert(false);
        spec.storage_capacity.get_or_insert(false);
        spec.fs_group_policy
            .get_or_insert_with(|| "ReadWriteOnceWithFSType".to_owned());
        if spec.volume_lifecycle_modes.is_empty() {
            spec.volume_lifecycle_modes.push("Persistent".to_owned());
        }
        spec.requires_republish.get_or_insert(false);
        spec.se_linux_mount.get_or_insert(false);
    }

    fn prepare_create(_cx: &Context<'_>, driver: &mut CSIDriver) {
        // Scaling by volume limits is off by default.
        driver.spec.prevent_pod_scheduling_if_missing = None;
    }

    fn prepare_update(_cx: &Context<'_>, driver: &mut CSIDriver, old: &CSIDriver) {
        if old.spec.prevent_pod_scheduling_if_missing.is_none() {
            driver.spec.prevent_pod_scheduling_if_missing = None;
        }
        // Counts changes, though new objects start without a generation.
        driver.metadata.generation = old.metadata.generation + i64::from(driver.spec != old.spec);
    }

    fn validate(driver: &CSIDriver) -> ErrorList {
        let (path, spec) = (Path::new("spec"), &driver.spec);
        let mut errors = ErrorList::new();
        let policy = spec.fs_group_policy.as_deref();
        if let Some(policy) = policy.filter(|policy| !FS_GROUP_POLICIES.contains(policy)) {
            let path = path.child("fsGroupPolicy");
            errors.push(Error::not_supported(&path, policy, &FS_GROUP_POLICIES));
        }
        errors.extend(validate_token_requests(driver, &path.child("tokenRequests")));
        let modes = ["Persistent", "Ephemeral"];
        let unknown = |mode: &&String| !modes.contains(&mode.as_str());
        for mode in spec.volume_lifecycle_modes.iter().filter(unknown) {
            let path = path.child("volumeLifecycleModes");
            errors.push(Error::not_supported(&path, mode, &modes));
        }
        let period = spec.node_allocatable_update_period_seconds;
        if let Some(period) = period.filter(|period| *period < 10) {
            let path = path.child("nodeAllocatableUpdatePeriodSeconds");
            let detail = "must be greater than or equal to 10 seconds";
            errors.push(Error::invalid(&path, period, detail));
        }
        if let Some(secret) = spec.service_account_token_in_secrets
            && spec.token_requests.is_empty()
        {
            let path = path.child("serviceAccountTokenInSecrets");
            let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
            errors.push(Error::invalid(&path, secret, detail));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, driver: &CSIDriver, old: &CSIDriver) -> ErrorList {
        let (path, spec) = (Path::new("spec"), &driver.spec);
        let mut errors = Self::validate(driver);
        if spec.attach_required != old.spec.attach_required {
            // The name of the field is upstream's.
            errors.push(Error::immutable(
                &path.child("attachedRequired"),
                spec.attach_required,
            ));
        }
        if spec.volume_lifecycle_modes != old.spec.volume_lifecycle_modes {
            let path = path.child("volumeLifecycleModes");
            errors.push(Error::immutable(&path, spec.volume_lifecycle_modes.as_slice()));
        }
        errors
    }

    fn warnings(driver: &CSIDriver, old: Option<&CSIDriver>) -> Vec<String> {
        let spec = &driver.spec;
        let unchanged = old.is_some_and(|old| old.spec.token_requests == spec.token_requests);
        if spec.token_requests.is_empty() || spec.service_account_token_in_secrets.is_some() || unchanged {
            return Vec::new();
        }
        vec![
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes".to_owned(),
        ]
    }

    fn row(driver: &CSIDriver, now: Timestamp) -> Vec<Value> {
        table::volume::csi_driver(driver, now)
    }
}

fn validate_token_requests(driver: &CSIDriver, path: &Path) -> ErrorList {
    let requests = &driver.spec.token_requests;
    let mut errors = ErrorList::new();
    for (index, request) in requests.iter().enumerate() {
        let path = path.index(index);
        if requests[..index]
            .iter()
            .any(|other| other.audience == request.audience)
        {
            errors.push(Error::duplicate(&path.child("audience"), &request.audience));
            continue;
        }
        let seconds = request.expiration_seconds.unwrap_or(FEWEST_TOKEN_SECONDS);
        let mut wrong = |detail: &str| {
            errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
        };
        if seconds < FEWEST_TOKEN_SECONDS {
            wrong("may not specify a duration less than 10 minutes");
        }
        if seconds > MOST_TOKEN_SECONDS {
            wrong("may not specify a duration larger than 2^32 seconds");
        }
    }
    errors
}

/// CSIStorageCapacities.
pub struct CsiStorageCapacities;

impl Rules for CsiStorageCapacities {
    type Object = CSIStorageCapacity;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(capacity: &CSIStorageCapacity) -> ErrorList {
        let mut errors = ErrorList::new();
        if let Some(topology) = &capacity.node_topology {
            errors.extend(label_selector::validate(topology, &Path::new("nodeTopology")));
        }
        let name = &capacity.storage_class_name;
        errors.extend(messages(
            &Path::new("storageClassName"),
            name,
            is_dns1123_subdomain(name),
        ));
        if let Some(amount) = &capacity.capacity {
            errors.extend(validate_nonnegative(amount, &Path::new("capacity")));
        }
        errors
    }

    fn validate_update(
        _cx: &Context<'_>,
        capacity: &CSIStorageCapacity,
        old: &CSIStorageCapacity,
    ) -> ErrorList {
        let mut errors = Self::validate(capacity);
        if capacity.node_topology != old.node_topology {
            let topology = capacity.node_topology.as_deref().map(shown);
            errors.push(Error::immutable(&Path::new("nodeTopology"), topology));
        }
        errors.extend(immutable_text(
            &capacity.storage_class_name,
            &old.storage_class_name,
            &Path::new("storageClassName"),
        ));
        errors
    }

    fn row(capacity: &CSIStorageCapacity, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&capacity.metadata)
    }
}
