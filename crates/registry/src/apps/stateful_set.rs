//! StatefulSets.

use api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus, StatefulSetUpdateStrategy};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::status::Status;
use apimachinery::validation::{is_dns1123_label, name_is_dns_label};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::replica_set::validate_endless;
use crate::core::persistent_volume_claim::validate_spec as validate_claim;
use crate::core::pod::{defaults, validation};
use crate::internal::shown;
use crate::metadata::messages;
use crate::numbers::{
    all_nonnegative, at_most_100_percent, int_or_percent, nonnegative, not_more_than, plain_value,
};
use crate::rules::Rules;
use crate::{label_selector, scale, table, warnings};

const POLICIES: [&str; 2] = ["Retain", "Delete"];

/// StatefulSets.
pub struct StatefulSets;

impl Rules for StatefulSets {
    type Object = StatefulSet;

    crate::spec!();
    crate::status!();
    const GENERATION: bool = true;
    crate::scale!(scale::selector);

    fn is_new_generation(set: &StatefulSet, old: &StatefulSet) -> bool {
        let mut set = set.clone();
        drop_max_unavailable(&mut set, Some(old));
        set.spec != old.spec
    }

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_dns_label(name, prefix)
    }

    fn default(set: &mut StatefulSet) {
        let spec = &mut set.spec;
        if spec.pod_management_policy.is_empty() {
            spec.pod_management_policy = "OrderedReady".to_owned();
        }
        default_strategy(&mut spec.update_strategy);
        let policy = spec
            .persistent_volume_claim_retention_policy
            .get_or_insert_default();
        for when in [&mut policy.when_deleted, &mut policy.when_scaled] {
            if when.is_empty() {
                *when = "Retain".to_owned();
            }
        }
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        defaults::template(&mut spec.template);
        for claim in &mut spec.volume_claim_templates {
            defaults::claim_spec(&mut claim.spec);
            if claim.status.phase.is_empty() {
                claim.status.phase = "Pending".to_owned();
            }
        }
    }

    fn prepare_create(_cx: &Context<'_>, set: &mut StatefulSet) {
        drop_max_unavailable(set, None);
    }

    fn prepare_update(_cx: &Context<'_>, set: &mut StatefulSet, old: &StatefulSet) {
        drop_max_unavailable(set, Some(old));
    }

    fn validate(set: &StatefulSet) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = validate_spec(&set.spec, &path);
        for (index, claim) in set.spec.volume_claim_templates.iter().enumerate() {
            let path = path.child("volumeClaimTemplates").index(index).child("spec");
            errors.extend(validate_claim(&claim.spec, &path));
        }
        if !set.spec.service_name.is_empty() {
            let name = &set.spec.service_name;
            errors.extend(messages(&path.child("serviceName"), name, is_dns1123_label(name)));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, set: &StatefulSet, old: &StatefulSet) -> ErrorList {
        let mut errors = validate_spec(&set.spec, &Path::new("spec"));
        let mut same = set.spec.clone();
        same.replicas = old.spec.replicas;
        same.template.clone_from(&old.spec.template);
        same.update_strategy.clone_from(&old.spec.update_strategy);
        same.min_ready_seconds = old.spec.min_ready_seconds;
        same.ordinals.clone_from(&old.spec.ordinals);
        same.revision_history_limit = old.spec.revision_history_limit;
        same.persistent_volume_claim_retention_policy
            .clone_from(&old.spec.persistent_volume_claim_retention_policy);
        if same != old.spec {
            let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
            errors.push(Error::forbidden(&Path::new("spec"), detail));
        }
        errors
    }

    fn validate_status_update(set: &StatefulSet, old: &StatefulSet) -> ErrorList {
        let path = Path::new("status");
        let mut errors = validate_status(&set.status, &path);
        let (new, old) = (set.status.collision_count, old.status.collision_count);
        if old.is_some_and(|old| new.unwrap_or(0) < old) {
            let path = path.child("collisionCount");
            errors.push(Error::invalid(&path, new.unwrap_or(0), "cannot be decremented"));
        }
        errors
    }

    fn warnings(set: &StatefulSet, old: Option<&StatefulSet>) -> Vec<String> {
        let (spec, path) = (&set.spec, Path::new("spec"));
        let mut all =
            warnings::pod::workload(&set.metadata, old.map(|old| &old.metadata), &spec.template, false);
        for (index, claim) in spec.volume_claim_templates.iter().enumerate() {
            let path = path.child("volumeClaimTemplates").index(index);
            // Upstream's path of a change has a field more.
            let path = if old.is_some() { path.child("Spec") } else { path };
            all.extend(warnings::claim(&claim.spec, &path));
        }
        if spec.revision_history_limit.is_some_and(|limit| limit < 0) {
            let text = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended";
            all.push(text.to_owned());
        }
        all
    }

    fn row(set: &StatefulSet, now: Timestamp) -> Vec<Value> {
        table::workload::stateful_set(set, now)
    }
}

/// A field of a feature that is off stays only where it is in use (KEP-961).
fn drop_max_unavailable(set: &mut StatefulSet, old: Option<&StatefulSet>) {
    let used = |set: &StatefulSet| {
        let rolling = set.spec.update_strategy.rolling_update.as_deref();
        rolling.is_some_and(|own| own.max_unavailable.is_some())
    };
    if !old.is_some_and(used)
        && let Some(rolling) = &mut set.spec.update_strategy.rolling_update
    {
        rolling.max_unavailable = None;
    }
}

fn default_strategy(strategy: &mut StatefulSetUpdateStrategy) {
    if strategy.type_.is_empty() {
        strategy.type_ = "RollingUpdate".to_owned();
        strategy.rolling_update.get_or_insert_default();
    }
    if strategy.type_ == "RollingUpdate"
        && let Some(rolling) = &mut strategy.rolling_update
    {
        rolling.partition.get_or_insert(0);
    }
}

fn validate_spec(spec: &StatefulSetSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let policy_path = path.child("podManagementPolicy");
    match spec.pod_management_policy.as_str() {
        "" => errors.push(Error::required(&policy_path, "")),
        "OrderedReady" | "Parallel" => {}
        policy => errors.push(Error::invalid(
            &policy_path,
            policy,
            "must be 'OrderedReady' or 'Parallel'",
        )),
    }
    errors.extend(validate_strategy(
        &spec.update_strategy,
        &path.child("updateStrategy"),
    ));
    if let Some(policy) = &spec.persistent_volume_claim_retention_policy {
        let path = path.child("persistentVolumeClaimRetentionPolicy");
        for (name, when) in [
            ("whenDeleted", &policy.when_deleted),
            ("whenScaled", &policy.when_scaled),
        ] {
            if !POLICIES.contains(&when.as_str()) {
                errors.push(Error::not_supported(&path.child(name), when, &POLICIES));
            }
        }
    }
    errors.extend(nonnegative(spec.replicas.unwrap_or(0), &path.child("replicas")));
    errors.extend(nonnegative(
        spec.min_ready_seconds,
        &path.child("minReadySeconds"),
    ));
    if let Some(ordinals) = &spec.ordinals {
        errors.extend(nonnegative(ordinals.start, &path.child("ordinals.start")));
    }
    errors.extend(validate_pods(spec, path));
    errors
}

fn validate_strategy(strategy: &StatefulSetUpdateStrategy, path: &Path) -> ErrorList {
    let rolling_path = path.child("rollingUpdate");
    let mut errors = ErrorList::new();
    match (strategy.type_.as_str(), strategy.rolling_update.as_deref()) {
        ("", _) => errors.push(Error::required(path, "")),
        ("OnDelete", None) | ("RollingUpdate", None) => {}
        ("OnDelete", Some(rolling)) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            let mut rolling = rolling.clone();
            // Upstream's own form of it has no absent partition.
            rolling.partition.get_or_insert_default();
            errors.push(Error::invalid(&rolling_path, shown(&rolling), detail));
        }
        ("RollingUpdate", Some(rolling)) => {
            errors.extend(nonnegative(
                rolling.partition.unwrap_or(0),
                &rolling_path.child("partition"),
            ));
            if let Some(unavailable) = &rolling.max_unavailable {
                let path = rolling_path.child("maxUnavailable");
                errors.extend(int_or_percent(unavailable, &path));
                if plain_value(unavailable) == 0 {
                    errors.push(Error::invalid(
                        &path,
                        crate::numbers::shown(unavailable),
                        "cannot be 0",
                    ));
                }
                errors.extend(at_most_100_percent(unavailable, &path));
            }
        }
        _ => {
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(Error::invalid(path, shown(strategy), detail));
        }
    }
    errors
}

fn validate_pods(spec: &StatefulSetSpec, path: &Path) -> ErrorList {
    let selector = spec.selector.as_deref();
    let selector_path = path.child("selector");
    let mut errors = label_selector::validate_required(selector, "statefulset", &selector_path);
    let template_path = path.child("template");
    match selector.map(api::selector::from_label_selector).transpose() {
        Err(_) => {
            let value = selector.map_or_else(|| None::<String>.into(), shown);
            errors.push(Error::invalid(&selector_path, value, ""));
        }
        Ok(parsed) => {
            let labels = &spec.template.metadata.labels;
            match parsed {
                // No selector selects nothing.
                None => errors.push(label_selector::no_match(labels, &template_path)),
                Some(parsed) => {
                    errors.extend(label_selector::validate_match(&parsed, labels, &template_path));
                }
            }
            errors.extend(validation::template(&template_of_pods(spec), &template_path));
        }
    }
    errors.extend(validate_endless(&spec.template, "StatefulSet", &template_path));
    errors
}

/// The template as pods get it: with the volumes of the claims, and host names of their own.
fn template_of_pods(spec: &StatefulSetSpec) -> api::core::v1::PodTemplateSpec {
    let mut template = spec.template.clone();
    template.spec.hostname.clear();
    template.spec.subdomain.clear();
    let claims = || {
        spec.volume_claim_templates
            .iter()
            .map(|claim| claim.metadata.name.as_str())
    };
    template
        .spec
        .volumes
        .retain(|volume| !claims().any(|name| name == volume.name));
    for name in claims() {
        let mut volume = api::core::v1::Volume {
            name: name.to_owned(),
            ..Default::default()
        };
        // The claim's final name has the pod's name in it; any valid one does for checking mounts.
        volume.volume_source.persistent_volume_claim =
            Some(Box::new(api::core::v1::PersistentVolumeClaimVolumeSource {
                claim_name: name.to_owned(),
                read_only: false,
            }));
        template.spec.volumes.push(volume);
    }
    template
}

fn validate_status(status: &StatefulSetStatus, path: &Path) -> ErrorList {
    let counts = [
        ("readyReplicas", status.ready_replicas),
        ("currentReplicas", status.current_replicas),
        ("updatedReplicas", status.updated_replicas),
        ("availableReplicas", status.available_replicas),
    ];
    let mut errors: ErrorList = nonnegative(status.replicas, &path.child("replicas"))
        .into_iter()
        .collect();
    errors.extend(
        counts
            .iter()
            .filter_map(|(name, count)| nonnegative(*count, &path.child(*name))),
    );
    errors.extend(all_nonnegative(
        [
            ("observedGeneration", status.observed_generation),
            ("collisionCount", status.collision_count.unwrap_or(0).into()),
        ],
        path,
    ));
    for (name, count) in counts {
        let detail = "cannot be greater than status.replicas";
        errors.extend(not_more_than(count, status.replicas, &path.child(name), detail));
    }
    let (available, ready) = (status.available_replicas, status.ready_replicas);
    let detail = "cannot be greater than status.readyReplicas";
    errors.extend(not_more_than(
        available,
        ready,
        &path.child("availableReplicas"),
        detail,
    ));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::parse;
    use serde_json::json;

    #[test]
    fn only_rolling_updates_have_parameters() {
        let partition = |shown: &str| {
            vec![format!(
                "s.rollingUpdate: Invalid value: {{\"Partition\":{shown},\"MaxUnavailable\":null}}: only allowed for updateStrategy 'RollingUpdate'"
            )]
        };
        for (strategy, expected) in [
            (json!({"type": "OnDelete"}), Vec::new()),
            (json!({"type": "RollingUpdate", "rollingUpdate": {}}), Vec::new()),
            (json!({"type": "OnDelete", "rollingUpdate": {}}), partition("0")),
            (
                json!({"type": "OnDelete", "rollingUpdate": {"partition": 2}}),
                partition("2"),
            ),
        ] {
            let parsed = parse::<StatefulSetUpdateStrategy>(&strategy);
            let errors = validate_strategy(&parsed, &Path::new("s"));
            let shown: Vec<String> = errors.iter().map(Error::to_string).collect();
            assert_eq!(shown, expected, "{strategy}");
        }
    }
}
