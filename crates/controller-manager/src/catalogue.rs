//! The controllers, a row each: names, account, and how to start it.
//!
//! Upstream: cmd/kube-controller-manager/app/{core,apps,…}.go, names/controller_names.go

use std::sync::Arc;

use api::apps::v1::ReplicaSet;
use api::core::v1::ReplicationController;
use controller_runtime::Context;
use controllers_cluster::{
    bootstrap_signer, certificates, disruption, garbage_collector, namespace, node_lifecycle, node_ttl,
    pod_gc, resource_quota, role_aggregation, root_ca, service_account, service_account_tokens,
    taint_eviction, token_cleaner,
};
use controllers_network::{endpoint_slice, endpoint_slice_mirroring, endpoints, node_ipam, service_cidr};
use controllers_storage::ephemeral_volume;
use controllers_storage::protection::{attributes_classes, claims, volumes};
use controllers_workloads::{
    cron_job, daemon_set, deployment, finished_jobs, job, pod_autoscaler, replica_set, stateful_set,
};
use futures_util::future::BoxFuture;
use pki::token::Signer;

use crate::options::Options;
use crate::selection::Names;

/// What controllers need beyond their context, read before any starts.
pub struct Inputs {
    pub options: Options,
    /// The authorities to publish, in PEM.
    pub root_ca: Option<String>,
    /// Signs tokens that are kept in secrets.
    pub token_signer: Option<Arc<Signer>>,
}

/// Starts a controller, or tells that the options leave it nothing to do.
type Start = fn(Context, &Arc<Inputs>) -> Option<BoxFuture<'static, ()>>;

/// A controller.
pub struct Row {
    pub names: Names,
    /// The service account in kube-system that it acts as; empty for the process itself.
    pub account: &'static str,
    /// How many times more requests than others it may send, because one thing to do takes many: on average, at once.
    pub rate: (u16, u16),
    pub start: Start,
}

impl Row {
    const fn at_rate(mut self, qps: u16, burst: u16) -> Row {
        self.rate = (qps, burst);
        self
    }
}

const fn row(name: &'static str, alias: &'static str, account: &'static str, start: Start) -> Row {
    Row {
        names: Names {
            name,
            alias,
            by_default: true,
        },
        account,
        rate: (1, 1),
        start,
    }
}

/// A controller that `*` doesn't include.
const fn optional(name: &'static str, alias: &'static str, account: &'static str, start: Start) -> Row {
    Row {
        names: Names {
            name,
            alias,
            by_default: false,
        },
        account,
        rate: (1, 1),
        start,
    }
}

/// All controllers, those first on which others wait.
pub const ROWS: &[Row] = &[
    row(
        "serviceaccount-controller",
        "serviceaccount",
        "service-account-controller",
        |context, _| Some(Box::pin(service_account::run(context))),
    ),
    row(
        "serviceaccount-token-controller",
        "serviceaccount-token",
        "",
        |context, inputs| {
            let options = service_account_tokens::Options {
                workers: inputs.options.workers.service_account_token,
                signer: inputs.token_signer.clone()?,
                root_ca: inputs.root_ca.clone(),
            };
            Some(Box::pin(service_account_tokens::run(context, options)))
        },
    ),
    row(
        "root-ca-certificate-publisher-controller",
        "root-ca-cert-publisher",
        "root-ca-cert-publisher",
        |context, inputs| {
            let bundle = inputs.root_ca.clone()?;
            Some(Box::pin(root_ca::run(context, bundle)))
        },
    ),
    row(
        "namespace-controller",
        "namespace",
        "namespace-controller",
        |context, inputs| {
            Some(Box::pin(namespace::run(
                context,
                inputs.options.workers.namespace,
            )))
        },
    )
    .at_rate(20, 100),
    row(
        "replicaset-controller",
        "replicaset",
        "replicaset-controller",
        |context, inputs| {
            Some(Box::pin(replica_set::run::<ReplicaSet>(
                context,
                inputs.options.workers.replica_set,
            )))
        },
    ),
    row(
        "replicationcontroller-controller",
        "replicationcontroller",
        "replication-controller",
        |context, inputs| {
            let workers = inputs.options.workers.replication_controller;
            Some(Box::pin(replica_set::run::<ReplicationController>(
                context, workers,
            )))
        },
    ),
    row(
        "deployment-controller",
        "deployment",
        "deployment-controller",
        |context, inputs| {
            Some(Box::pin(deployment::run(
                context,
                inputs.options.workers.deployment,
            )))
        },
    ),
    row(
        "endpointslice-controller",
        "endpointslice",
        "endpointslice-controller",
        |context, inputs| {
            let Options {
                workers,
                max_endpoints_per_slice,
                ..
            } = &inputs.options;
            Some(Box::pin(endpoint_slice::run(
                context,
                workers.service_endpoint,
                *max_endpoints_per_slice,
            )))
        },
    ),
    row(
        "endpoints-controller",
        "endpoint",
        "endpoint-controller",
        |context, inputs| Some(Box::pin(endpoints::run(context, inputs.options.workers.endpoint))),
    ),
    row(
        "endpointslice-mirroring-controller",
        "endpointslicemirroring",
        "endpointslicemirroring-controller",
        |context, inputs| {
            Some(Box::pin(endpoint_slice_mirroring::run(
                context,
                inputs.options.mirroring.clone(),
            )))
        },
    ),
    row(
        "garbage-collector-controller",
        "garbagecollector",
        "generic-garbage-collector",
        |context, inputs| {
            let workers = inputs.options.workers.garbage_collector;
            let run: fn(Context, usize) -> BoxFuture<'static, ()> =
                |context, workers| Box::pin(garbage_collector::run(context, workers));
            inputs.options.garbage_collection.then(|| run(context, workers))
        },
    )
    .at_rate(2, 1),
    row(
        "node-lifecycle-controller",
        "nodelifecycle",
        "node-controller",
        |context, inputs| {
            Some(Box::pin(node_lifecycle::run(
                context,
                inputs.options.node_lifecycle.clone(),
            )))
        },
    ),
    row(
        "taint-eviction-controller",
        "taint-eviction-controller",
        "node-controller",
        |context, _| Some(Box::pin(taint_eviction::run(context))),
    ),
    row(
        "pod-garbage-collector-controller",
        "podgc",
        "pod-garbage-collector",
        |context, inputs| Some(Box::pin(pod_gc::run(context, inputs.options.terminated_pods))),
    ),
    row(
        "certificatesigningrequest-signing-controller",
        "csrsigning",
        "certificate-controller",
        |context, inputs| {
            let options = inputs.options.signing.clone()?;
            Some(Box::pin(certificates::signing::run(context, options)))
        },
    ),
    row(
        "certificatesigningrequest-approving-controller",
        "csrapproving",
        "certificate-controller",
        |context, _| Some(Box::pin(certificates::approving::run(context))),
    ),
    row(
        "certificatesigningrequest-cleaner-controller",
        "csrcleaner",
        "certificate-controller",
        |context, _| Some(Box::pin(certificates::cleaning::run(context))),
    ),
    row(
        "clusterrole-aggregation-controller",
        "clusterrole-aggregation",
        "clusterrole-aggregation-controller",
        |context, _| Some(Box::pin(role_aggregation::run(context))),
    ),
    row("ttl-controller", "ttl", "ttl-controller", |context, _| {
        Some(Box::pin(node_ttl::run(context)))
    }),
    optional(
        "token-cleaner-controller",
        "tokencleaner",
        "token-cleaner",
        |context, _| Some(Box::pin(token_cleaner::run(context))),
    ),
    row(
        "daemonset-controller",
        "daemonset",
        "daemon-set-controller",
        |context, inputs| {
            Some(Box::pin(daemon_set::run(
                context,
                inputs.options.workers.daemon_set,
            )))
        },
    ),
    row(
        "statefulset-controller",
        "statefulset",
        "statefulset-controller",
        |context, inputs| {
            Some(Box::pin(stateful_set::run(
                context,
                inputs.options.workers.stateful_set,
            )))
        },
    ),
    row("job-controller", "job", "job-controller", |context, inputs| {
        Some(Box::pin(job::run(context, inputs.options.workers.job)))
    }),
    row(
        "cronjob-controller",
        "cronjob",
        "cronjob-controller",
        |context, inputs| Some(Box::pin(cron_job::run(context, inputs.options.workers.cron_job))),
    ),
    row(
        "ttl-after-finished-controller",
        "ttl-after-finished",
        "ttl-after-finished-controller",
        |context, inputs| {
            Some(Box::pin(finished_jobs::run(
                context,
                inputs.options.workers.finished_job,
            )))
        },
    ),
    row(
        "disruption-controller",
        "disruption",
        "disruption-controller",
        |context, _| Some(Box::pin(disruption::run(context))),
    ),
    row(
        "resourcequota-controller",
        "resourcequota",
        "resourcequota-controller",
        |context, inputs| {
            Some(Box::pin(resource_quota::run(
                context,
                inputs.options.resource_quota.clone(),
            )))
        },
    ),
    row(
        "persistentvolumeclaim-protection-controller",
        "pvc-protection",
        "pvc-protection-controller",
        |context, _| Some(Box::pin(claims::run(context))),
    ),
    row(
        "persistentvolume-protection-controller",
        "pv-protection",
        "pv-protection-controller",
        |context, _| Some(Box::pin(volumes::run(context))),
    ),
    row(
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        |context, _| Some(Box::pin(attributes_classes::run(context))),
    ),
    row(
        "ephemeral-volume-controller",
        "ephemeral-volume",
        "ephemeral-volume-controller",
        |context, inputs| {
            Some(Box::pin(ephemeral_volume::run(
                context,
                inputs.options.workers.ephemeral_volume,
            )))
        },
    ),
    row(
        "horizontal-pod-autoscaler-controller",
        "horizontalpodautoscaling",
        "horizontal-pod-autoscaler",
        |context, inputs| {
            Some(Box::pin(pod_autoscaler::run(
                context,
                inputs.options.pod_autoscaler.clone(),
            )))
        },
    ),
    row(
        "service-cidr-controller",
        "service-cidr-controller",
        "service-cidrs-controller",
        |context, _| Some(Box::pin(service_cidr::run(context))),
    ),
    optional(
        "bootstrap-signer-controller",
        "bootstrapsigner",
        "bootstrap-signer",
        |context, _| Some(Box::pin(bootstrap_signer::run(context))),
    ),
    row(
        "node-ipam-controller",
        "nodeipam",
        "node-controller",
        |context, inputs| {
            let options = inputs.options.node_ipam.clone()?;
            Some(Box::pin(node_ipam::run(context, options)))
        },
    ),
];

/// Every name and alias that `--controllers` takes: also those of upstream's controllers that aren't here, which a
/// flag may well leave out or name.
pub fn known_names() -> Vec<&'static str> {
    let ours = ROWS.iter().flat_map(|row| [row.names.name, row.names.alias]);
    ours.chain(UPSTREAM_ONLY.iter().copied()).collect()
}

/// Upstream's controllers without a counterpart here yet.
pub const UPSTREAM_ONLY: &[&str] = &[
    "cloud-node-lifecycle-controller",
    "cloud-node-lifecycle",
    "device-taint-eviction-controller",
    "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    "legacy-serviceaccount-token-cleaner-controller",
    "legacy-service-account-token-cleaner",
    "node-route-controller",
    "route",
    "persistentvolume-attach-detach-controller",
    "attachdetach",
    "persistentvolume-binder-controller",
    "persistentvolume-binder",
    "persistentvolume-expander-controller",
    "persistentvolume-expander",
    "resourceclaim-controller",
    "resource-claim-controller",
    "selinux-warning-controller",
    "service-lb-controller",
    "service",
    "storage-version-migrator-controller",
    "storageversion-garbage-collector-controller",
    "storage-version-gc",
    "validatingadmissionpolicy-status-controller",
    "podcertificaterequest-cleaner-controller",
];
