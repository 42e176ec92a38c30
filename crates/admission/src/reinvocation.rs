//! The second round of the first phase: once, if a webhook or a policy has changed the object.

use std::collections::BTreeSet;

use api::Object;

/// Where a request stands.
#[derive(Debug, Default)]
pub struct Reinvocation {
    /// A plugin wants the others to see what it made.
    pub requested: bool,
    /// This is the second round.
    pub again: bool,
    /// What the policies remember of the first.
    pub policies: Invocations,
    /// What the webhooks remember of it.
    pub webhooks: Invocations,
}

/// Which webhooks, or policies, have their turn in the second round.
#[derive(Debug, Default)]
pub struct Invocations {
    /// The object as the first round left it.
    output: Option<Vec<u8>>,
    /// Asked since the last change, and willing to be asked again.
    asked: BTreeSet<String>,
    /// To be asked again.
    again: BTreeSet<String>,
}

impl Invocations {
    /// The second round begins: others may have changed the object after the first.
    pub fn resume(&mut self, object: Option<&dyn Object>) {
        if self.output != encoded(object) {
            self.changed();
        }
    }

    /// A round ends.
    pub fn pause(&mut self, object: Option<&dyn Object>) {
        self.output = encoded(object);
    }

    /// The object has changed: whoever has seen it before must see it again.
    pub fn changed(&mut self) {
        self.again.append(&mut self.asked);
    }

    /// One was asked that is to see later changes.
    pub fn asked(&mut self, id: &str) {
        self.asked.insert(id.to_owned());
    }

    pub fn is_due_again(&self, id: &str) -> bool {
        self.again.contains(id)
    }
}

fn encoded(object: Option<&dyn Object>) -> Option<Vec<u8>> {
    object.map(|object| object.encode_to_vec())
}
