//! Tables: rows of cells for people.

use api::Message;
use api::catalogue::Column;
use api::codec::TypeMeta;
use api::meta::v1::ObjectMeta;
use apimachinery::status::Status;
use serde_json::json;

use super::{Renderer, Source, internal, push_with_type, table_api_version, with_type};
use crate::kind;
use crate::request::negotiate::{Encoding, Output, TableVersion, View};
use crate::request::query::Query;

/// What a row carries of its object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

impl IncludeObject {
    /// Reads `includeObject=`.
    pub fn parse(query: &Query) -> Result<IncludeObject, Status> {
        match query.get("includeObject").unwrap_or_default() {
            "" | "Metadata" => Ok(IncludeObject::Metadata),
            "None" => Ok(IncludeObject::None),
            "Object" => Ok(IncludeObject::Object),
            other => Err(Status::bad_request(format!(
                "includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

impl Renderer<'_> {
    pub(super) fn table_of_one(&self, version: TableVersion, source: &Source<'_>) -> Result<Vec<u8>, Status> {
        let metadata = source.revision().map_or_else(
            || "{}".to_owned(),
            |revision| format!("{{\"resourceVersion\":\"{revision}\"}}"),
        );
        let mut out = self.begin_table(version, &metadata, true);
        out.extend(self.row(source)?);
        end_table(&mut out);
        Ok(out)
    }

    /// Everything of a table up to its first row.
    pub(super) fn begin_table(&self, version: TableVersion, metadata: &str, with_columns: bool) -> Vec<u8> {
        begin(version, metadata, with_columns.then_some(self.served.row.columns))
    }

    /// One row.
    pub(super) fn row(&self, source: &Source<'_>) -> Result<Vec<u8>, Status> {
        let objects = &self.served.objects;
        let object = objects.read(&source.value()).map_err(internal)?;
        let cells = objects.strategy().table_row(&*object, self.now);
        let mut out = b"{\"cells\":".to_vec();
        serde_json::to_writer(&mut out, &cells).map_err(internal)?;
        out.extend_from_slice(b",\"object\":");
        out.extend(self.row_object(source)?);
        out.push(b'}');
        Ok(out)
    }

    /// The version that the metadata of rows bears: that of the table.
    fn row_version(&self) -> &'static str {
        match self.output.view {
            View::Table(version) => table_api_version(version),
            _ => table_api_version(TableVersion::V1),
        }
    }

    fn row_object(&self, source: &Source<'_>) -> Result<Vec<u8>, Status> {
        let view = match self.include {
            IncludeObject::None => return Ok(b"null".to_vec()),
            IncludeObject::Metadata => View::Metadata,
            IncludeObject::Object => View::Full,
        };
        let plain = Renderer {
            output: Output {
                encoding: Encoding::Json,
                view,
                pretty: false,
            },
            ..*self
        };
        let json = plain.json(source)?;
        Ok(match view {
            View::Metadata => with_type("PartialObjectMetadata", self.row_version(), &json),
            _ => with_type(self.served.row.kind, &kind::api_version(self.served.row), &json),
        })
    }
}

fn begin(version: TableVersion, metadata: &str, columns: Option<&[Column]>) -> Vec<u8> {
    let columns = columns.map_or_else(
        || "null".to_owned(),
        |columns| {
            let columns: Vec<String> = columns.iter().map(column).collect();
            format!("[{}]", columns.join(","))
        },
    );
    let api_version = table_api_version(version);
    format!("{{\"kind\":\"Table\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"columnDefinitions\":{columns},\"rows\":[").into_bytes()
}

/// An object that is not stored, to be shown in a table of its own.
pub struct Unstored<'a> {
    pub kind: TypeMeta<'a>,
    pub metadata: &'a ObjectMeta,
    pub message: &'a dyn Message,
    pub columns: &'a [Column],
    pub cells: Vec<serde_json::Value>,
}

impl Unstored<'_> {
    /// The table as JSON.
    pub fn table(&self, version: TableVersion, include: IncludeObject) -> Result<Vec<u8>, Status> {
        let about = json!({ "resourceVersion": self.metadata.resource_version });
        let mut out = begin(version, &about.to_string(), Some(self.columns));
        out.extend_from_slice(b"{\"cells\":");
        serde_json::to_writer(&mut out, &self.cells).map_err(internal)?;
        out.extend_from_slice(b",\"object\":");
        match include {
            IncludeObject::None => out.extend_from_slice(b"null"),
            IncludeObject::Metadata => {
                let json = kind::metadata_document(self.metadata).map_err(internal)?;
                push_with_type(
                    &mut out,
                    "PartialObjectMetadata",
                    table_api_version(version),
                    &json,
                );
            }
            IncludeObject::Object => {
                let raw = self.message.encode_to_vec();
                kind::push_json(Some(self.kind), self.message.descriptor(), &raw, &mut out)
                    .map_err(internal)?;
            }
        }
        out.push(b'}');
        end_table(&mut out);
        Ok(out)
    }
}

pub(super) fn end_table(out: &mut Vec<u8>) {
    out.extend_from_slice(b"]}\n");
}

fn column(column: &Column) -> String {
    let [name, kind, format, description] =
        [column.name, column.kind, column.format, column.description].map(|text| json!(text));
    format!(
        "{{\"name\":{name},\"type\":{kind},\"format\":{format},\"description\":{description},\"priority\":{}}}",
        column.priority
    )
}
