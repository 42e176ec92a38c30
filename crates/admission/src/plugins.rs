//! The built-in plugins.
//!
//! By what they are about. Namespaces: [`namespace_lifecycle`]. Pods: [`service_account`], [`priority`],
//! [`default_toleration_seconds`], [`runtime_class`], [`pod_security`], [`pod_topology_labels`],
//! [`always_pull_images`]. Resources:
//! [`limit_ranger`], [`resource_quota`]. Nodes: [`node_restriction`], [`taint_nodes_by_condition`].
//! Storage and network defaults: [`default_storage_class`], [`storage_object_in_use_protection`],
//! [`persistent_volume_claim_resize`], [`default_ingress_class`], [`deny_service_external_ips`].
//! Certificates and trust: [`certificates`]. Rights: [`rbac_escalation`].

pub mod always_pull_images;
pub mod certificates;
pub mod default_ingress_class;
pub mod default_storage_class;
pub mod default_toleration_seconds;
pub mod deny_service_external_ips;
pub mod limit_ranger;
pub mod namespace_lifecycle;
pub mod node_restriction;
pub mod persistent_volume_claim_resize;
pub mod pod_security;
pub mod pod_topology_labels;
pub mod priority;
pub mod rbac_escalation;
pub mod resource_quota;
pub mod runtime_class;
pub mod service_account;
pub mod storage_object_in_use_protection;
pub mod taint_nodes_by_condition;

use std::sync::Arc;

use auth::authorizers::Rbac;
use auth::{Authorizer, Objects};
use component_base::clock::Clock;
use component_base::metrics::Registry;

use crate::Plugin;
use crate::matching::Kinds;

/// What plugins work with.
#[derive(Clone)]
pub struct Dependencies {
    pub objects: Arc<dyn Objects>,
    pub kinds: Arc<dyn Kinds>,
    pub authorizer: Arc<dyn Authorizer>,
    /// Where roles are in force: their writes are checked for escalation.
    pub rbac: Option<Arc<Rbac>>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Registry,
    /// `--default-not-ready-toleration-seconds`
    pub not_ready_toleration_seconds: i64,
    /// `--default-unreachable-toleration-seconds`
    pub unreachable_toleration_seconds: i64,
}

/// Every built-in plugin; [`crate::Chain`] picks and orders them.
pub fn all(with: &Dependencies) -> Vec<Arc<dyn Plugin>> {
    let objects = || with.objects.clone();
    let authorizer = || with.authorizer.clone();
    let mut plugins: Vec<Arc<dyn Plugin>> = vec![
        Arc::new(namespace_lifecycle::NamespaceLifecycle::new(
            objects(),
            with.clock.clone(),
        )),
        Arc::new(limit_ranger::LimitRanger::new(objects())),
        Arc::new(service_account::ServiceAccountPlugin::new(
            objects(),
            with.clock.clone(),
        )),
        Arc::new(node_restriction::NodeRestriction::new(objects(), authorizer())),
        Arc::new(taint_nodes_by_condition::TaintNodesByCondition),
        Arc::new(always_pull_images::AlwaysPullImages),
        Arc::new(pod_security::PodSecurity::new(objects(), &with.metrics)),
        Arc::new(priority::Priority::new(objects())),
        Arc::new(default_toleration_seconds::DefaultTolerationSeconds {
            not_ready: with.not_ready_toleration_seconds,
            unreachable: with.unreachable_toleration_seconds,
        }),
        Arc::new(default_storage_class::DefaultStorageClass::new(objects())),
        Arc::new(storage_object_in_use_protection::StorageObjectInUseProtection),
        Arc::new(persistent_volume_claim_resize::PersistentVolumeClaimResize::new(
            objects(),
        )),
        Arc::new(runtime_class::RuntimeClassPlugin::new(objects())),
        Arc::new(certificates::CertificateApproval::new(authorizer())),
        Arc::new(certificates::CertificateSigning::new(authorizer())),
        Arc::new(certificates::CertificateSubjectRestriction),
        Arc::new(default_ingress_class::DefaultIngressClass::new(objects())),
        Arc::new(deny_service_external_ips::DenyServiceExternalIps),
        Arc::new(pod_topology_labels::PodTopologyLabels::new(objects())),
        Arc::new(resource_quota::ResourceQuotaPlugin::new(
            objects(),
            with.clock.clone(),
        )),
    ];
    if let Some(rbac) = &with.rbac {
        plugins.push(Arc::new(rbac_escalation::RbacEscalation::new(
            rbac.clone(),
            authorizer(),
        )));
    }
    plugins
}
