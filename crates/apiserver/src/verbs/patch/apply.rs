//! Apply patches, before field ownership exists: the configuration is merged over the object, so that what it states
//! holds and what it leaves out stays. Removing a field by leaving it out needs managed fields
//! (structured-merge), which take this place.

use api::codec;
use apimachinery::status::Status;
use bytes::Bytes;
use serde_json::Value;

/// A partial object.
pub struct Configuration(Value);

impl Configuration {
    /// Reads YAML or JSON.
    pub fn parse(body: &Bytes) -> Result<Configuration, Status> {
        let unreadable =
            |error: &dyn std::fmt::Display| Status::bad_request(format!("error decoding YAML: {error}"));
        let json = codec::yaml::to_json(body).map_err(|error| unreadable(&error))?;
        let document: Value = serde_json::from_slice(&json).map_err(|error| unreadable(&error))?;
        if document["metadata"]["managedFields"]
            .as_array()
            .is_some_and(|entries| !entries.is_empty())
        {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        Ok(Configuration(document))
    }

    /// The object with the configuration merged over it.
    pub fn apply(&self, ty: &'static api::types::Type, document: Value) -> Result<Value, Status> {
        super::strategic(ty, document, &self.0)
    }
}
