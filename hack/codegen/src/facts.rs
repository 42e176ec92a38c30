//! Recorded facts -> the tables under `api/`: the only code that knows the recording's form.

mod resource_facts;
mod type_facts;

use crate::{Output, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Every table, as files.
pub fn tables(reference: &Path) -> Result<Vec<Output>> {
    let facts = load(&reference.join("fields.json"))?;
    let swagger = load(&reference.join("swagger.json"))?;
    let mut outputs = type_facts::types(&facts, &swagger, &schemas(reference)?)?;
    outputs.push(type_facts::kinds(&facts)?);
    outputs.push(resource_facts::resources(reference, &facts)?);
    Ok(outputs)
}

fn load(path: &Path) -> Result<Value> {
    let text = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// The schemas of every OpenAPI v3 document: they state defaults, which version 2 leaves out.
fn schemas(reference: &Path) -> Result<Vec<Value>> {
    let mut schemas = Vec::new();
    for entry in fs::read_dir(reference.join("openapi-v3"))? {
        let mut document = load(&entry?.path())?;
        if let Some(found) = document.pointer_mut("/components/schemas") {
            schemas.push(found.take());
        }
    }
    Ok(schemas)
}

/// A string member, empty when absent.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
