//! Which kind has which rules.

use std::sync::Arc;

use api::catalogue::Resource;
use apiserver::strategy::Strategy;

use crate::rules::strategy as typed;
use crate::{
    admissionregistration, apps, autoscaling, batch, certificates, coordination, core, discovery, extensions,
    flowcontrol, networking, node, policy, rbac, resource, scheduling, storage,
};

/// The strategy of a resource in the version of the row; `None` for resources that are not stored.
pub fn strategy(row: &Resource) -> Option<Arc<dyn Strategy>> {
    row.storage?;
    match row.group {
        "" => core_kind(row.kind),
        "apps" => apps_kind(row.kind),
        "batch" => batch_kind(row.kind),
        "autoscaling" if row.version == "v1" => Some(typed::<autoscaling::AutoscalersV1>()),
        "autoscaling" => Some(typed::<autoscaling::AutoscalersV2>()),
        "policy" => Some(typed::<policy::DisruptionBudgets>()),
        "networking.k8s.io" => networking_kind(row.kind),
        "discovery.k8s.io" => Some(typed::<discovery::EndpointSlices>()),
        "coordination.k8s.io" => Some(typed::<coordination::Leases>()),
        "certificates.k8s.io" => Some(typed::<certificates::SigningRequests>()),
        "rbac.authorization.k8s.io" => rbac_kind(row.kind),
        "scheduling.k8s.io" => Some(typed::<scheduling::PriorityClasses>()),
        "node.k8s.io" => Some(typed::<node::RuntimeClasses>()),
        "storage.k8s.io" => storage_kind(row.kind),
        "resource.k8s.io" => resource_kind(row.kind),
        "flowcontrol.apiserver.k8s.io" => flowcontrol_kind(row.kind),
        "admissionregistration.k8s.io" => admission_kind(row.kind),
        "apiextensions.k8s.io" => Some(typed::<extensions::CustomResourceDefinitions>()),
        "apiregistration.k8s.io" => Some(typed::<extensions::ApiServices>()),
        // Served from the same objects as core/v1 Events, which own the strategy.
        "events.k8s.io" => None,
        _ => None,
    }
}

fn core_kind(kind: &str) -> Option<Arc<dyn Strategy>> {
    Some(match kind {
        "ConfigMap" => typed::<core::config_map::ConfigMaps>(),
        "Endpoints" => typed::<core::endpoints::EndpointsRules>(),
        "Event" => typed::<core::event::Events>(),
        "LimitRange" => typed::<core::limit_range::LimitRanges>(),
        "Namespace" => typed::<core::namespace::Namespaces>(),
        "Node" => typed::<core::node::Nodes>(),
        "PersistentVolume" => typed::<core::persistent_volume::PersistentVolumes>(),
        "PersistentVolumeClaim" => typed::<core::persistent_volume_claim::PersistentVolumeClaims>(),
        "Pod" => typed::<core::pod::Pods>(),
        "PodTemplate" => typed::<core::pod_template::PodTemplates>(),
        "ReplicationController" => typed::<core::replication_controller::ReplicationControllers>(),
        "ResourceQuota" => typed::<core::resource_quota::ResourceQuotas>(),
        "Secret" => typed::<core::secret::Secrets>(),
        "Service" => typed::<core::service::Services>(),
        "ServiceAccount" => typed::<core::service_account::ServiceAccounts>(),
        _ => return None,
    })
}

fn apps_kind(kind: &str) -> Option<Arc<dyn Strategy>> {
    Some(match kind {
        "ControllerRevision" => typed::<apps::controller_revision::ControllerRevisions>(),
        "DaemonSet" => typed::<apps::daemon_set::DaemonSets>(),
        "Deployment" => typed::<apps::deployment::Deployments>(),
        "ReplicaSet" => typed::<apps::replica_set::ReplicaSets>(),
        "StatefulSet" => typed::<apps::stateful_set::StatefulSets>(),
        _ => return None,
    })
}

fn batch_kind(kind: &str) -> Option<Arc<dyn Strategy>> {
    Some(match kind {
        "CronJob" => typed::<batch::cron_job::CronJobs>(),
        "Job" => typed::<batch::job::Jobs>(),
        _ => return None,
    })
}

fn networking_kind(kind: &str) -> Option<Arc<dyn Strategy>> {
    Some(match kind {
        "IPAddress" => typed::<networking::ip_address::IpAddresses>(),
        "Ingress" => typed::<networking::ingress::Ingresses>(),
        "IngressClass" => typed::<networking::ingress::IngressClasses>(),
        "NetworkPolicy" => typed::<networking::network_policy::NetworkPolicies>(),
        "ServiceCIDR" => typed::<networking::ip_address::ServiceCidrs>(),
        _ => return None,
    })
}

fn rbac_kind(kind: &str) -> Option<Arc<dyn Strategy>> {
    Some(match kind {
        "ClusterRole" => typed::<rbac::ClusterRoles>(),
        "ClusterRoleBinding" => typed::<rbac::ClusterRoleBindings>(),
        "Role" => typed::<rbac::Roles>(),
        "RoleBinding" => typed::<rbac::RoleBindings>(),
        _ => return None,
    })
}

fn storage_kind(kind: &str) -> Option<Arc<dyn Strategy>> {
    Some(match kind {
        "CSIDriver" => typed::<storage::CsiDrivers>(),
        "CSINode" => typed::<storage::CsiNodes>(),
        "CSIStorageCapacity" => typed::<storage::CsiStorageCapacities>(),
        "StorageClass" => typed::<storage::StorageClasses>(),
        "VolumeAttachment" => typed::<storage::VolumeAttachments>(),
        "VolumeAttributesClass" => typed::<storage::VolumeAttributesClasses>(),
        _ => return None,
    })
}

fn resource_kind(kind: &str) -> Option<Arc<dyn Strategy>> {
    Some(match kind {
        "DeviceClass" => typed::<resource::DeviceClasses>(),
        "ResourceClaim" => typed::<resource::ResourceClaims>(),
        "ResourceClaimTemplate" => typed::<resource::ResourceClaimTemplates>(),
        "ResourceSlice" => typed::<resource::ResourceSlices>(),
        _ => return None,
    })
}

fn flowcontrol_kind(kind: &str) -> Option<Arc<dyn Strategy>> {
    Some(match kind {
        "FlowSchema" => typed::<flowcontrol::FlowSchemas>(),
        "PriorityLevelConfiguration" => typed::<flowcontrol::PriorityLevels>(),
        _ => return None,
    })
}

fn admission_kind(kind: &str) -> Option<Arc<dyn Strategy>> {
    Some(match kind {
        "MutatingAdmissionPolicy" => typed::<admissionregistration::MutatingPolicies>(),
        "MutatingAdmissionPolicyBinding" => typed::<admissionregistration::MutatingPolicyBindings>(),
        "MutatingWebhookConfiguration" => typed::<admissionregistration::MutatingWebhooks>(),
        "ValidatingAdmissionPolicy" => typed::<admissionregistration::ValidatingPolicies>(),
        "ValidatingAdmissionPolicyBinding" => typed::<admissionregistration::ValidatingPolicyBindings>(),
        "ValidatingWebhookConfiguration" => typed::<admissionregistration::ValidatingWebhooks>(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every stored kind has rules, and its row has a cell for each column.
    #[test]
    fn all_stored_resources_have_a_strategy() {
        for row in api::catalogue::RESOURCES
            .iter()
            .filter(|row| row.storage.is_some())
        {
            if row.group == "events.k8s.io" {
                continue;
            }
            let strategy =
                strategy(row).unwrap_or_else(|| panic!("{}/{} has no strategy", row.group, row.kind));
            let mut object = (row.new)();
            strategy.default(&mut *object);
            let cells = strategy.table_row(&*object, jiff::Timestamp::UNIX_EPOCH);
            assert_eq!(cells.len(), row.columns.len(), "cells of {}", row.kind);
        }
    }
}
