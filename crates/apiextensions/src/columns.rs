//! Columns of tables: the name, and what a definition wants to be shown.
//!
//! Upstream: `apiextensions-apiserver/pkg/registry/customresource/tableconvertor`.

use api::apiextensions::v1::{CustomResourceColumnDefinition, CustomResourceDefinitionVersion};
use api::catalogue::Column;
use api::descriptions::Description;
use api::types::meta_v1::OBJECT_META;
use apimachinery::time::Time;
use jiff::Timestamp;
use registry::table::since;
use serde_json::Value;

use crate::jsonpath::JsonPath;
use crate::rows::Rows;

/// What one column shows of an object.
pub struct Cell {
    kind: String,
    path: JsonPath,
}

/// The columns that a version states; without any, the age.
fn stated(version: &CustomResourceDefinitionVersion) -> Vec<CustomResourceColumnDefinition> {
    if !version.additional_printer_columns.is_empty() {
        return version.additional_printer_columns.clone();
    }
    vec![CustomResourceColumnDefinition {
        name: "Age".to_owned(),
        type_: "date".to_owned(),
        description: described("creationTimestamp"),
        json_path: ".metadata.creationTimestamp".to_owned(),
        ..CustomResourceColumnDefinition::default()
    }]
}

fn described(field: &str) -> String {
    Description::of(&OBJECT_META)
        .field(field)
        .unwrap_or_default()
        .to_owned()
}

/// The columns of a version as the catalogue has them, and what they show. A version with a path that can't be read shows
/// names alone.
pub fn of(version: &CustomResourceDefinitionVersion, rows: &mut Rows) -> (Vec<Column>, Vec<Cell>) {
    let mut columns = vec![Column {
        name: "Name",
        kind: "string",
        format: "name",
        description: rows.text(&described("name")),
        priority: 0,
    }];
    let mut cells = Vec::new();
    for column in stated(version) {
        let Some(path) = JsonPath::parse(&column.json_path) else {
            return (columns, cells);
        };
        let described = match column.description.as_str() {
            "" => format!(
                "Custom resource definition column (in JSONPath format): {}",
                column.json_path
            ),
            stated => stated.to_owned(),
        };
        columns.push(Column {
            name: rows.text(&column.name),
            kind: rows.text(&column.type_),
            format: rows.text(&column.format),
            description: rows.text(&described),
            priority: column.priority,
        });
        cells.push(Cell {
            kind: column.type_,
            path,
        });
    }
    (columns, cells)
}

impl Cell {
    /// What an object shows here.
    pub fn show(&self, document: &Value, now: Timestamp) -> Value {
        let found = self.path.find(document).unwrap_or_default();
        let Some(value) = found.first() else {
            return Value::Null;
        };
        match (self.kind.as_str(), value) {
            ("string", Value::String(_)) => (*value).clone(),
            ("string", value) => value.to_string().into(),
            ("integer", Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => integer.into(),
                (None, Some(float)) => (float as i64).into(),
                (None, None) => Value::Null,
            },
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => (*value).clone(),
            ("date", Value::String(text)) => match text.parse::<Timestamp>() {
                Ok(time) => since(Some(Time(time)), now).into(),
                Err(_) => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}
