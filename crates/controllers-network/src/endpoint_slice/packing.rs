//! Spreads endpoints over slices with as few writes as possible. Pure.
//!
//! Upstream: staging/src/k8s.io/endpointslice/reconciler.go (reconcileByPortMapping)

use std::collections::BTreeMap;
use std::sync::Arc;

use api::discovery::v1::{Endpoint, EndpointSlice};

/// What becomes of the slices of one set of ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub delete: Vec<Arc<EndpointSlice>>,
}

/// The identity of an endpoint across changes of its conditions: whom it is of, and where.
fn identity(endpoint: &Endpoint) -> String {
    let target = endpoint
        .target_ref
        .as_deref()
        .map(|target| target.uid.as_str())
        .unwrap_or_default();
    format!("{target}/{}", endpoint.addresses.join(","))
}

/// Fits `desired` into `existing`. `labels_current` says whether a slice's labels are as they should be, `renew`
/// brings labels and owner of a slice up to date and `make` gives a new, empty slice.
pub fn pack(
    existing: &[Arc<EndpointSlice>],
    desired: Vec<Endpoint>,
    max_endpoints: usize,
    renew: impl Fn(&mut EndpointSlice) -> bool,
    make: impl Fn() -> EndpointSlice,
) -> Packed {
    let mut missing: BTreeMap<String, Endpoint> = desired
        .into_iter()
        .map(|endpoint| (identity(&endpoint), endpoint))
        .collect();
    let mut packed = Packed::default();
    let mut unchanged = Vec::new();
    for slice in existing {
        keep_desired(slice, &mut missing, &renew, &mut packed, &mut unchanged);
    }
    let mut rest: Vec<Endpoint> = missing.into_values().collect();
    // The fullest first: fewer slices in the end.
    packed
        .update
        .sort_by_key(|slice| std::cmp::Reverse(slice.endpoints.len()));
    for slice in &mut packed.update {
        let room = max_endpoints.saturating_sub(slice.endpoints.len());
        let tail = rest.split_off(rest.len() - room.min(rest.len()));
        slice.endpoints.extend(tail);
    }
    fill(rest, unchanged, max_endpoints, &renew, make, &mut packed);
    packed
}

/// Keeps what is still desired of a slice, in its newest form.
fn keep_desired(
    slice: &Arc<EndpointSlice>,
    missing: &mut BTreeMap<String, Endpoint>,
    renew: &impl Fn(&mut EndpointSlice) -> bool,
    packed: &mut Packed,
    unchanged: &mut Vec<Arc<EndpointSlice>>,
) {
    let mut kept = Vec::with_capacity(slice.endpoints.len());
    let mut changed = false;
    for endpoint in &slice.endpoints {
        match missing.remove(&identity(endpoint)) {
            Some(mut desired) => {
                // Hints are somebody else's to write.
                desired.hints = endpoint.hints.clone();
                desired.deprecated_topology = endpoint.deprecated_topology.clone();
                changed |= desired != *endpoint;
                kept.push(desired);
            }
            None => changed = true,
        }
    }
    if kept.is_empty() {
        packed.delete.push(slice.clone());
        return;
    }
    let mut updated = (**slice).clone();
    if renew(&mut updated) || changed {
        updated.endpoints = kept;
        packed.update.push(updated);
    } else {
        unchanged.push(slice.clone());
    }
}

/// Endpoints that fit into no slice that is written anyway: into an unchanged one if they all fit, else into new ones.
fn fill(
    mut rest: Vec<Endpoint>,
    mut unchanged: Vec<Arc<EndpointSlice>>,
    max_endpoints: usize,
    renew: &impl Fn(&mut EndpointSlice) -> bool,
    make: impl Fn() -> EndpointSlice,
    packed: &mut Packed,
) {
    while !rest.is_empty() {
        let fitting = (0..unchanged.len())
            .filter(|index| unchanged[*index].endpoints.len() + rest.len() <= max_endpoints)
            .max_by_key(|index| unchanged[*index].endpoints.len());
        if let Some(index) = fitting {
            let mut slice = (*unchanged.swap_remove(index)).clone();
            renew(&mut slice);
            slice.endpoints.append(&mut rest);
            packed.update.push(slice);
        } else {
            let mut slice = make();
            slice.endpoints = rest.split_off(rest.len() - max_endpoints.max(1).min(rest.len()));
            packed.create.push(slice);
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        let (address, ready) = text
            .strip_suffix('!')
            .map_or((text, true), |address| (address, false));
        let mut endpoint = Endpoint {
            addresses: vec![address.into()],
            ..Endpoint::default()
        };
        endpoint.conditions.ready = Some(ready);
        endpoint
    }

    fn slice(name: &str, endpoints: &str) -> Arc<EndpointSlice> {
        let mut slice = EndpointSlice::default();
        slice.metadata.name = name.into();
        slice.endpoints = endpoints.split_whitespace().map(endpoint).collect();
        Arc::new(slice)
    }

    fn render(slice: &EndpointSlice) -> String {
        let endpoint = |endpoint: &Endpoint| {
            let mark = if endpoint.conditions.ready == Some(true) {
                ""
            } else {
                "!"
            };
            format!("{}{mark}", endpoint.addresses[0])
        };
        let endpoints: Vec<String> = slice.endpoints.iter().map(endpoint).collect();
        format!("{}[{}]", slice.metadata.name, endpoints.join(" "))
    }

    /// Slices of at most three endpoints.
    fn check(existing: &[Arc<EndpointSlice>], desired: &str, expected: Expect) {
        let desired = desired.split_whitespace().map(endpoint).collect();
        let packed = pack(existing, desired, 3, |_| false, EndpointSlice::default);
        let mut lines = Vec::new();
        lines.extend(
            packed
                .create
                .iter()
                .map(|slice| format!("create {}", render(slice))),
        );
        lines.extend(
            packed
                .update
                .iter()
                .map(|slice| format!("update {}", render(slice))),
        );
        lines.extend(
            packed
                .delete
                .iter()
                .map(|slice| format!("delete {}", slice.metadata.name)),
        );
        expected.assert_eq(&lines.join("; "));
    }

    #[test]
    fn packing() {
        check(&[], "1 2", expect!["create [1 2]"]);
        check(&[], "1 2 3 4", expect!["create [2 3 4]; create [1]"]);
        check(&[slice("a", "1 2")], "1 2", expect![""]);
        check(&[slice("a", "1 2")], "1 2!", expect!["update a[1 2!]"]);
        check(&[slice("a", "1 2")], "1 3", expect!["update a[1 3]"]);
        check(&[slice("a", "1")], "", expect!["delete a"]);
        // One write rather than two: the new endpoint goes where a change is anyway.
        check(
            &[slice("a", "1 2"), slice("b", "3 4")],
            "1 2 3 5",
            expect!["update b[3 5]"],
        );
        // Nothing changes but for one more: the fullest slice that has room takes it.
        check(
            &[slice("a", "1"), slice("b", "3 4")],
            "1 3 4 5",
            expect!["update b[3 4 5]"],
        );
        check(&[slice("a", "1 2 3")], "1 2 3 4", expect!["create [4]"]);
    }
}
