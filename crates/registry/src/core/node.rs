//! Nodes.

use std::collections::BTreeSet;

use api::core::v1::{Node, NodeConfigSource, Taint};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_cidr_legacy, is_label_key, is_valid_label_value};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::internal::shown;
use crate::metadata::messages;
use crate::resources::validate_quantity;
use crate::rules::{MetadataChecks, Rules};
use crate::{table, warnings};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Nodes.
pub struct Nodes;

impl Rules for Nodes {
    type Object = Node;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const FIELDS: &'static [&'static str] = &["spec.unschedulable"];

    crate::spec!();

    fn default(node: &mut Node) {
        if node.status.allocatable.is_empty() {
            node.status.allocatable.clone_from(&node.status.capacity);
        }
        twin_pod_cidrs(node);
    }

    /// A kubelet registers its node with a status.
    fn keep_status(node: &mut Node, old: Option<&Node>) {
        if let Some(old) = old {
            node.status = old.status.clone();
        }
    }

    fn prepare_create(_cx: &Context<'_>, node: &mut Node) {
        node.spec.config_source = None;
        node.status.config = None;
    }

    fn prepare_update(_cx: &Context<'_>, node: &mut Node, old: &Node) {
        if old.spec.config_source.is_none() {
            node.spec.config_source = None;
        }
    }

    fn prepare_status_update(_cx: &Context<'_>, node: &mut Node, old: &Node) {
        if old.status.config.is_none() {
            node.status.config = None;
        }
    }

    fn validate(node: &Node) -> ErrorList {
        let mut errors = validate_taints(&node.spec.taints, &Path::new("metadata").child("taints"));
        errors.extend(validate_amounts(node));
        errors.extend(validate_pod_cidrs(&node.spec.pod_cidrs));
        errors
    }

    fn validate_update(_cx: &Context<'_>, node: &Node, old: &Node) -> ErrorList {
        let mut errors = Self::validate(node);
        errors.extend(validate_change(node, old));
        errors
    }

    fn validate_status_update(node: &Node, old: &Node) -> ErrorList {
        validate_change(node, old)
    }

    fn warnings(node: &Node, _old: Option<&Node>) -> Vec<String> {
        let mut warnings = Vec::new();
        if node.spec.config_source.is_some() {
            warnings.push("spec.configSource: the feature is removed".to_owned());
        }
        if !node.spec.external_id.is_empty() {
            let text = "spec.externalID: this field is deprecated, and is unused by Kubernetes";
            warnings.push(text.to_owned());
        }
        let path = Path::new("spec").child("podCIDRs");
        for (index, value) in node.spec.pod_cidrs.iter().enumerate() {
            warnings.extend(warnings::cidr(value, &path.index(index)));
        }
        warnings
    }

    fn field(node: &Node, field: &str) -> Option<String> {
        (field == "spec.unschedulable").then(|| node.spec.unschedulable.to_string())
    }

    fn row(node: &Node, now: Timestamp) -> Vec<Value> {
        table::node::row(node, now)
    }
}

/// `podCIDR` is the first of `podCIDRs`, whichever of them was set; `podCIDR` wins.
fn twin_pod_cidrs(node: &mut Node) {
    let spec = &mut node.spec;
    match spec.pod_cidrs.first() {
        Some(first) if spec.pod_cidr.is_empty() => spec.pod_cidr.clone_from(first),
        Some(first) if *first == spec.pod_cidr => {}
        _ if spec.pod_cidr.is_empty() => {}
        _ => spec.pod_cidrs = vec![spec.pod_cidr.clone()],
    }
}

/// Errors of taints, of which each key and effect may have one.
pub(super) fn validate_taints(taints: &[Taint], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = BTreeSet::new();
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        errors.extend(messages(&path.child("key"), &taint.key, is_label_key(&taint.key)));
        let wrong = is_valid_label_value(&taint.value);
        if !wrong.is_empty() {
            errors.push(Error::invalid(
                &path.child("value"),
                &taint.value,
                wrong.join(";"),
            ));
        }
        if taint.effect.is_empty() {
            errors.push(Error::required(&path.child("effect"), ""));
        } else if !EFFECTS.contains(&taint.effect.as_str()) {
            errors.push(Error::not_supported(
                &path.child("effect"),
                &taint.effect,
                &EFFECTS,
            ));
        }
        if !seen.insert((&taint.key, &taint.effect)) {
            let mut error = Error::duplicate(&path, shown(taint));
            error.detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(error);
        }
    }
    errors
}

fn validate_amounts(node: &Node) -> ErrorList {
    let path = Path::new("status");
    let lists = [
        ("capacity", &node.status.capacity),
        ("allocatable", &node.status.allocatable),
    ];
    let errors = lists.into_iter().flat_map(|(field, list)| {
        let path = path.child(field);
        list.iter()
            .flat_map(move |(name, quantity)| validate_quantity(name, quantity, &path.child(name.clone())))
    });
    errors.collect()
}

fn validate_pod_cidrs(cidrs: &[String]) -> ErrorList {
    let path = Path::new("spec").child("podCIDRs");
    let mut errors: ErrorList = cidrs
        .iter()
        .enumerate()
        .flat_map(|(index, cidr)| is_cidr_legacy(&path.index(index), cidr, &[]))
        .collect();
    let v6 = cidrs.iter().filter(|cidr| cidr.contains(':')).count();
    if cidrs.len() > 2 || (cidrs.len() == 2 && v6 != 1) {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(Error::invalid(&path, cidrs, detail));
    }
    errors
}

fn validate_change(node: &Node, old: &Node) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = validate_amounts(node);
    let addresses = &node.status.addresses;
    for (index, address) in addresses
        .iter()
        .enumerate()
        .filter(|(index, address)| addresses[..*index].contains(address))
    {
        errors.push(Error::duplicate(
            &Path::new("status").child("addresses").index(index),
            shown(address),
        ));
    }
    let cidrs = &old.spec.pod_cidrs;
    if !cidrs.is_empty() && node.spec.pod_cidrs != *cidrs {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        let changes = match node.spec.pod_cidrs.len() == cidrs.len() {
            true => node
                .spec
                .pod_cidrs
                .iter()
                .zip(cidrs)
                .filter(|(new, old)| new != old)
                .count(),
            false => 1,
        };
        errors.extend((0..changes).map(|_| Error::forbidden(&path.child("podCIDRs"), detail)));
    }
    if !old.spec.provider_id.is_empty() && node.spec.provider_id != old.spec.provider_id {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(Error::forbidden(&path.child("providerID"), detail));
    }
    if let Some(source) = &node.spec.config_source {
        errors.extend(validate_config_source(source, &path.child("configSource")));
    }
    errors.extend(validate_taints(
        &node.spec.taints,
        &Path::new("metadata").child("taints"),
    ));
    if node.spec.external_id != old.spec.external_id {
        errors.push(Error::forbidden(&path.child("externalID"), "may not be updated"));
    }
    errors
}

fn validate_config_source(source: &NodeConfigSource, path: &Path) -> ErrorList {
    if source.config_map.is_some() {
        return ErrorList::new();
    }
    vec![Error::invalid(
        path,
        shown(source),
        "exactly one reference subfield must be non-nil",
    )]
}
