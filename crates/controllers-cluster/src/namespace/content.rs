//! Deletes the objects of one resource in one namespace.

use std::collections::BTreeMap;

use api::core::v1::Pod;
use client::discovery::ServedResource;
use client::metadata::MetadataApi;
use client::{Client, DeleteParams, Error, ListParams, ResourcePath, Scope};

use super::conditions::{Findings, Remaining};

/// How long finalizers of other controllers are thought to take.
const FINALIZER_SECONDS: u64 = 15;

/// Deletes them and notes what is left. `elapsed` is since the namespace was deleted, in seconds.
pub(super) async fn delete(
    client: &Client,
    resource: &ServedResource,
    namespace: &str,
    elapsed: i64,
    findings: &mut Findings,
) {
    let path = ResourcePath::new(resource.gvr.clone(), Scope::Namespace(namespace.to_owned()));
    let objects = MetadataApi::new(client.clone(), path);
    match empty(client, &objects, resource, namespace, elapsed).await {
        Ok(Some(remaining)) => findings.remaining(&resource.gvr, remaining),
        Ok(None) => {}
        Err(error) => findings.content_failed(error),
    }
}

async fn empty(
    client: &Client,
    objects: &MetadataApi,
    resource: &ServedResource,
    namespace: &str,
    elapsed: i64,
) -> Result<Option<Remaining>, String> {
    let is_pods = resource.gvr.group.is_empty() && resource.gvr.resource == "pods";
    let estimate = if is_pods {
        grace_left(client, namespace, elapsed).await
    } else {
        Ok(0)
    };
    let estimate = estimate.map_err(|error| error.to_string())?;
    delete_all(objects, resource)
        .await
        .map_err(|error| error.to_string())?;
    if !resource.supports(&["list"]) {
        return Ok(None);
    }
    let left = match objects.list(&ListParams::default()).await {
        Ok(left) => left.items,
        Err(error) if is_unsupported(&error) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if left.is_empty() {
        return Ok(None);
    }
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for finalizer in left.iter().flat_map(|object| &object.metadata.finalizers) {
        *finalizers.entry(finalizer.clone()).or_default() += 1;
    }
    let estimate = match estimate {
        0 if finalizers.is_empty() => {
            let gvr = &resource.gvr;
            return Err(format!(
                "unexpected items still remain in namespace: {namespace} for gvr: {gvr}"
            ));
        }
        0 => FINALIZER_SECONDS,
        estimate => estimate,
    };
    Ok(Some(Remaining {
        count: left.len(),
        finalizers,
        estimate,
    }))
}

/// All at once where the resource allows it, else one by one. Background, so that nothing is orphaned in between.
async fn delete_all(objects: &MetadataApi, resource: &ServedResource) -> Result<(), Error> {
    let options = DeleteParams::background();
    if resource.supports(&["deletecollection"]) {
        match objects.delete_collection(&options).await {
            Err(error) if is_unsupported(&error) => {}
            outcome => return outcome,
        }
    }
    if !resource.supports(&["list"]) {
        return Ok(());
    }
    for object in objects.list(&ListParams::default()).await?.items {
        match objects.delete(&object.metadata.name, &options).await {
            Err(error) if !is_unsupported(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn is_unsupported(error: &Error) -> bool {
    error.is_not_found() || error.is_method_not_supported()
}

/// Seconds until the last pod's grace period is over, from the namespace's deletion on.
async fn grace_left(client: &Client, namespace: &str, elapsed: i64) -> Result<u64, Error> {
    let pods = client
        .api::<Pod>()
        .namespace(namespace)
        .list(&ListParams::default())
        .await?;
    let running = pods
        .items
        .iter()
        .filter(|pod| !api::pod_conditions::is_terminal(pod));
    let longest = running
        .filter_map(|pod| pod.spec.termination_grace_period_seconds)
        .max()
        .unwrap_or_default();
    // Overdue: not zero, which would mean that nothing can be left.
    Ok(if longest <= 0 {
        0
    } else {
        u64::try_from(longest - elapsed)
            .unwrap_or_default()
            .max(FINALIZER_SECONDS)
    })
}
