//! `matchLabelKeys` and `mismatchLabelKeys`: the pod's own labels, added to selectors when the pod is created, so
//! that the scheduler need not know of them (KEP-3633, KEP-3243).

use std::collections::BTreeMap;

use api::core::v1::{Pod, PodAffinityTerm};
use api::meta::v1::{LabelSelector, LabelSelectorRequirement};

type Labels = BTreeMap<String, String>;

pub(super) fn merge(pod: &mut Pod) {
    let labels = pod.metadata.labels.clone();
    if let Some(affinity) = &mut pod.spec.affinity {
        if let Some(pods) = &mut affinity.pod_affinity {
            let preferred = &mut pods.preferred_during_scheduling_ignored_during_execution;
            let terms = preferred.iter_mut().map(|term| &mut term.pod_affinity_term);
            terms
                .chain(&mut pods.required_during_scheduling_ignored_during_execution)
                .for_each(|term| merge_term(term, &labels));
        }
        if let Some(pods) = &mut affinity.pod_anti_affinity {
            let preferred = &mut pods.preferred_during_scheduling_ignored_during_execution;
            let terms = preferred.iter_mut().map(|term| &mut term.pod_affinity_term);
            terms
                .chain(&mut pods.required_during_scheduling_ignored_during_execution)
                .for_each(|term| merge_term(term, &labels));
        }
    }
    for constraint in &mut pod.spec.topology_spread_constraints {
        if let Some(selector) = &mut constraint.label_selector {
            add(selector, &constraint.match_label_keys, "In", &labels);
        }
    }
}

fn merge_term(term: &mut PodAffinityTerm, labels: &Labels) {
    let Some(selector) = &mut term.label_selector else {
        return;
    };
    add(selector, &term.match_label_keys, "In", labels);
    add(selector, &term.mismatch_label_keys, "NotIn", labels);
}

/// Keys that the pod doesn't have are left out.
fn add(selector: &mut LabelSelector, keys: &[String], operator: &str, labels: &Labels) {
    for key in keys {
        let Some(value) = labels.get(key) else { continue };
        selector.match_expressions.push(LabelSelectorRequirement {
            key: key.clone(),
            operator: operator.to_owned(),
            values: vec![value.clone()],
        });
    }
}
