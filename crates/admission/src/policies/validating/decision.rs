//! What a policy says of a request.

use std::collections::BTreeMap;

use crate::policies::error_type;

/// Of one validation.
#[derive(Debug, Default)]
pub struct Decision {
    pub denies: bool,
    /// It could not be evaluated.
    pub is_error: bool,
    pub message: String,
    pub reason: Option<String>,
}

impl Decision {
    /// As the metric labels it.
    pub fn error_type(&self) -> &'static str {
        error_type(&self.message)
    }
}

/// Of one audit annotation.
#[derive(Debug)]
pub enum Note {
    Publish { key: String, value: String },
    Fails(String),
}

#[derive(Debug, Default)]
pub struct Findings {
    pub decisions: Vec<Decision>,
    pub notes: Vec<Note>,
}

/// The audit annotations of a policy, over its bindings.
#[derive(Default)]
pub struct Notes(BTreeMap<String, Vec<String>>);

impl Notes {
    pub fn add(&mut self, key: String, value: &str) {
        let values = self.0.entry(key).or_default();
        if !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
        }
    }

    /// With what bindings say differently side by side.
    pub fn published(self, policy: &str) -> impl Iterator<Item = (String, String)> {
        self.0
            .into_iter()
            .map(move |(key, values)| (format!("{policy}/{key}"), values.join(", ")))
    }
}
