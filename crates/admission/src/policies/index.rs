//! The policies and bindings that are there, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::meta::v1::ObjectMeta;
use auth::{Change, Follower};
use parking_lot::{Mutex, RwLock};

use super::definition::{Binding, Policy, Rules};

/// A policy with what puts it in force.
pub struct Hook<R> {
    pub policy: Arc<Policy<R>>,
    pub bindings: Vec<Arc<Binding>>,
}

/// Kept up to date from the API's objects; requests take what is there.
pub struct Index<R> {
    known: Mutex<Known<R>>,
    hooks: RwLock<Arc<[Hook<R>]>>,
}

impl<R> Default for Index<R> {
    fn default() -> Self {
        let known = Known {
            policies: BTreeMap::new(),
            bindings: BTreeMap::new(),
        };
        Self {
            known: Mutex::new(known),
            hooks: RwLock::new(Arc::new([])),
        }
    }
}

struct Known<R> {
    policies: BTreeMap<String, Arc<Policy<R>>>,
    bindings: BTreeMap<String, Arc<Binding>>,
}

impl<R> Known<R> {
    /// A policy that nothing binds is not in force.
    fn hooks(&self) -> Arc<[Hook<R>]> {
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

impl<R> Index<R> {
    pub fn hooks(&self) -> Arc<[Hook<R>]> {
        self.hooks.read().clone()
    }
}

impl<R: Rules> Follower for Index<R> {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        R::RESOURCES
    }

    fn apply(&self, change: Change<'_>) {
        let mut known = self.known.lock();
        let name = change.object().metadata().name.clone();
        let is_set = matches!(change, Change::Set(_));
        if let Some(policy) = change.object().downcast_ref::<R::Policy>() {
            match is_set {
                // Its status changes without it.
                true if is_known(&known, &name, change.object().metadata()) => return,
                true => known.policies.insert(name, Arc::new(R::policy(policy))),
                false => known.policies.remove(&name),
            };
        } else if let Some(binding) = change.object().downcast_ref::<R::Binding>() {
            match is_set {
                true => known.bindings.insert(name, Arc::new(R::binding(binding))),
                false => known.bindings.remove(&name),
            };
        }
        *self.hooks.write() = known.hooks();
    }
}

/// Is the policy compiled from that state of it?
fn is_known<R>(known: &Known<R>, name: &str, metadata: &ObjectMeta) -> bool {
    known
        .policies
        .get(name)
        .is_some_and(|known| known.is_of(metadata))
}
