//! The policies and bindings that are there, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use auth::{Change, Follower};
use parking_lot::{Mutex, RwLock};

use super::compiled::{Binding, Policy};

const GROUP: &str = "admissionregistration.k8s.io";

/// A policy with what puts it in force.
pub struct Hook {
    pub policy: Arc<Policy>,
    pub bindings: Vec<Arc<Binding>>,
}

/// Kept up to date from the API's objects; requests take what is there.
#[derive(Default)]
pub struct Index {
    known: Mutex<Known>,
    hooks: RwLock<Arc<[Hook]>>,
}

#[derive(Default)]
struct Known {
    policies: BTreeMap<String, Arc<Policy>>,
    bindings: BTreeMap<String, Arc<Binding>>,
}

impl Known {
    /// A policy that nothing binds is not in force.
    fn hooks(&self) -> Arc<[Hook]> {
        let hooks = self.policies.values().filter_map(|policy| {
            let of_policy = |binding: &&Arc<Binding>| binding.policy == policy.name;
            let bindings: Vec<_> = self.bindings.values().filter(of_policy).cloned().collect();
            (!bindings.is_empty()).then(|| Hook {
                policy: policy.clone(),
                bindings,
            })
        });
        hooks.collect()
    }
}

impl Index {
    pub fn hooks(&self) -> Arc<[Hook]> {
        self.hooks.read().clone()
    }
}

impl Follower for Index {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (GROUP, "validatingadmissionpolicies"),
            (GROUP, "validatingadmissionpolicybindings"),
        ]
    }

    fn apply(&self, change: Change<'_>) {
        let mut known = self.known.lock();
        let name = change.object().metadata().name.clone();
        let is_set = matches!(change, Change::Set(_));
        if let Some(policy) = change.object().downcast_ref::<ValidatingAdmissionPolicy>() {
            match is_set {
                // Its status changes without it.
                true if known.policies.get(&name).is_some_and(|known| known.is_of(policy)) => return,
                true => known.policies.insert(name, Arc::new(Policy::new(policy))),
                false => known.policies.remove(&name),
            };
        } else if let Some(binding) = change.object().downcast_ref::<ValidatingAdmissionPolicyBinding>() {
            match is_set {
                true => known.bindings.insert(name, Arc::new(Binding::new(binding))),
                false => known.bindings.remove(&name),
            };
        }
        *self.hooks.write() = known.hooks();
    }
}
