//! Owners that the server didn't know: the dependents of one deleted owner needn't all ask for it.

use controller_runtime::generations::Generations;

use super::graph::Identity;

/// Owners remembered; upstream's number.
const CAPACITY: usize = 500;

/// UIDs are never used again, so that what was absent once stays so.
#[derive(Debug)]
pub struct AbsentOwners(Generations<Identity, ()>);

impl Default for AbsentOwners {
    fn default() -> Self {
        AbsentOwners(Generations::new(CAPACITY))
    }
}

impl AbsentOwners {
    pub fn insert(&mut self, owner: &Identity) {
        self.0.entry(owner.clone(), || ());
    }

    pub fn contains(&mut self, owner: &Identity) -> bool {
        self.0.contains(owner)
    }
}
