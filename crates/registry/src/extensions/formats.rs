//! Formats of strings and numbers that the server knows.

use api::apiextensions::v1::{CustomResourceDefinitionSpec, JSONSchemaProps};
use apimachinery::field::Path;

use super::hoisted::Hoisted;
use super::schema::parts;

/// Of strings, without dashes.
const OF_STRINGS: [&str; 26] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "k8slongname",
    "k8sshortname",
    "mac",
    "password",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
];

/// Formats that mean nothing, in the order of the schemas.
pub(super) fn unrecognized(spec: &CustomResourceDefinitionSpec) -> Vec<String> {
    let hoisted = Hoisted::of(spec);
    let own = hoisted.versions.iter().filter_map(|version| {
        let schema = version.schema.as_deref()?;
        schema.open_api_v3_schema.as_deref()
    });
    let mut formats = Vec::new();
    for schema in hoisted.schema.into_iter().chain(own) {
        collect(schema, &mut formats);
    }
    formats
}

fn collect(schema: &JSONSchemaProps, formats: &mut Vec<String>) {
    let format = schema.format.as_str();
    let known = match schema.type_.as_str() {
        "" | "string" => OF_STRINGS.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    };
    if !format.is_empty() && !known {
        formats.push(format.to_owned());
    }
    for (part, _) in parts(schema, &Path::nil()) {
        collect(part, formats);
    }
}
