//! Tables: rows of cells for people.

use apimachinery::status::Status;
use serde_json::json;

use super::{Renderer, Source, internal, table_api_version, with_type};
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
        let columns = match with_columns {
            false => "null".to_owned(),
            true => {
                let columns: Vec<String> = self.served.row.columns.iter().map(column).collect();
                format!("[{}]", columns.join(","))
            }
        };
        let api_version = table_api_version(version);
        format!("{{\"kind\":\"Table\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"columnDefinitions\":{columns},\"rows\":[").into_bytes()
    }

    /// One row.
    pub(super) fn row(&self, source: &Source<'_>) -> Result<Vec<u8>, Status> {
        let objects = &self.served.objects;
        let mut object = kind::stored::decode(objects.row, &source.value()).map_err(internal)?;
        objects.strategy().default(&mut *object);
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

pub(super) fn end_table(out: &mut Vec<u8>) {
    out.extend_from_slice(b"]}\n");
}

fn column(column: &api::catalogue::Column) -> String {
    let [name, kind, format] = [column.name, column.kind, column.format].map(|text| json!(text));
    format!(
        "{{\"name\":{name},\"type\":{kind},\"format\":{format},\"description\":\"\",\"priority\":{}}}",
        column.priority
    )
}
