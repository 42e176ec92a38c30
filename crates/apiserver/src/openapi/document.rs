//! Whole documents, written piece by piece.

use std::collections::BTreeMap;

use api::catalogue::{self, Resource};
use api::types::Type;
use serde_json::{Map, Value, json};

use super::custom::{self, CustomKind};
use super::definitions::Definitions;
use super::operations::{
    self, Answer, Body, CUSTOM_PATCH_TYPES, Operation, PATCH_TYPES, Parameter, PathItem, Place, Produces,
    resource_paths,
};
use super::{Dialect, names};

/// What a document describes: paths, sorted, with the definitions that they need.
pub struct Document {
    pub dialect: Dialect,
    pub paths: BTreeMap<String, PathItem>,
    pub definitions: Definitions,
}

impl Document {
    /// Everything in one document: version 2.
    pub fn whole(rows: &[&'static Resource], custom: &[CustomKind]) -> Self {
        let mut document = Self::empty(Dialect::V2);
        for path in [versions(), group_list(), server_version()] {
            document.add(path);
        }
        for row in rows {
            if !row.group.is_empty() {
                document.add(group_path(row.group));
            }
            document.add(resource_list(row.group, row.version));
            document.add_resource(row);
        }
        custom.iter().for_each(|kind| document.add_custom(kind));
        document
    }

    /// One group and version: version 3.
    pub fn group_version(
        rows: &[&'static Resource],
        custom: &[CustomKind],
        group: &str,
        version: &str,
    ) -> Self {
        let mut document = Self::empty(Dialect::V3);
        let is_of = |row: &Resource| row.group == group && row.version == version;
        let mut rows = rows.iter().filter(|row| is_of(row)).peekable();
        if rows.peek().is_some() {
            document.add(resource_list(group, version));
        }
        rows.for_each(|row| document.add_resource(row));
        let custom = custom.iter().filter(|kind| is_of(kind.row));
        custom.for_each(|kind| document.add_custom(kind));
        document
    }

    /// A single path of discovery: version 3 has documents for these, too.
    pub fn single(path: PathItem) -> Self {
        let mut document = Self::empty(Dialect::V3);
        document.add(path);
        document
    }

    fn empty(dialect: Dialect) -> Self {
        Self {
            dialect,
            paths: BTreeMap::new(),
            definitions: Definitions::default(),
        }
    }

    fn add_resource(&mut self, row: &'static Resource) {
        for path in resource_paths(row) {
            self.add(path);
        }
    }

    fn add_custom(&mut self, kind: &CustomKind) {
        self.definitions.add_custom(kind, self.dialect);
        self.add_resource(kind.row);
    }

    fn add(&mut self, path: PathItem) {
        for operation in &path.operations {
            match operation.body {
                Some(Body::Object(ty, _)) => self.definitions.add(ty),
                Some(Body::Patch | Body::CustomPatch) => self.definitions.add_patch(),
                // What custom kinds are was added with them.
                Some(Body::Custom(_)) | None => {}
            }
            for (_, answer) in &operation.responses {
                match answer {
                    Answer::Object(ty) => self.definitions.add(ty),
                    Answer::Version => self.definitions.add_version(),
                    Answer::Custom(_) | Answer::CustomList(_) | Answer::Text | Answer::Nothing => {}
                }
            }
        }
        self.paths.insert(path.path.clone(), path);
    }

    /// The parameters that several operations share, by name: version 2 refers to them.
    pub fn shared_parameters(&self) -> BTreeMap<String, Value> {
        let paths = self.paths.values();
        let all = paths.flat_map(|path| {
            path.parameters
                .iter()
                .chain(path.operations.iter().flat_map(|operation| &operation.parameters))
        });
        let shared = all.filter(|parameter| !parameter.stays_in_place());
        shared
            .map(|parameter| (shared_name(parameter), parameter_v2(parameter)))
            .collect()
    }

    /// A path item in the document's version.
    pub fn path_item(&self, path: &PathItem) -> Value {
        let dialect = self.dialect;
        let mut item = Map::new();
        if !path.parameters.is_empty() {
            item.insert("parameters".to_owned(), parameters(&path.parameters, dialect));
        }
        for operation in &path.operations {
            let written = match dialect {
                Dialect::V2 => operation_v2(operation),
                Dialect::V3 => operation_v3(operation),
            };
            item.insert(operation.method.to_owned(), written);
        }
        Value::Object(item)
    }

    /// The document as JSON.
    pub fn json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * 1024);
        let head: &[u8] = match self.dialect {
            Dialect::V2 => {
                br#"{"swagger":"2.0","info":{"title":"Kubernetes","version":"unversioned"},"paths":{"#
            }
            Dialect::V3 => {
                br#"{"openapi":"3.0.0","info":{"title":"Kubernetes","version":"unversioned"},"paths":{"#
            }
        };
        out.extend_from_slice(head);
        members(
            &mut out,
            self.paths
                .iter()
                .map(|(name, path)| (name.as_str(), self.path_item(path))),
        );
        let definitions: &[u8] = match self.dialect {
            Dialect::V2 => br#"},"definitions":{"#,
            Dialect::V3 => br#"},"components":{"schemas":{"#,
        };
        out.extend_from_slice(definitions);
        members(&mut out, self.definitions.schemas(self.dialect));
        out.extend_from_slice(b"},");
        let security = security_definitions().to_string();
        match self.dialect {
            Dialect::V2 => {
                out.extend_from_slice(b"\"parameters\":{");
                members(
                    &mut out,
                    self.shared_parameters()
                        .iter()
                        .map(|(name, value)| (name.as_str(), value.clone())),
                );
                out.extend_from_slice(br#"},"security":[{"BearerToken":[]}],"securityDefinitions":"#);
                out.extend_from_slice(security.as_bytes());
            }
            Dialect::V3 => {
                out.extend_from_slice(b"\"securitySchemes\":");
                out.extend_from_slice(security.as_bytes());
                out.push(b'}');
            }
        }
        out.push(b'}');
        out
    }
}

fn members<'a>(out: &mut Vec<u8>, members: impl Iterator<Item = (&'a str, Value)>) {
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        api::codec::text::string(name.as_bytes(), out);
        out.push(b':');
        out.extend_from_slice(value.to_string().as_bytes());
    }
}

pub fn security_definitions() -> Value {
    json!({"BearerToken": {
        "description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey",
    }})
}

fn operation_v2(operation: &Operation) -> Value {
    let mut written = common(operation);
    let mut list = match parameters(&operation.parameters, Dialect::V2) {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    let consumes: &[&str] = match (operation.body, operation.produces) {
        (Some(Body::Patch), _) => PATCH_TYPES,
        (Some(Body::CustomPatch), _) => CUSTOM_PATCH_TYPES,
        (_, Produces::Custom) => operation.produces.media_types(),
        (_, Produces::Groups | Produces::Json) => operation.produces.media_types(),
        _ => &["*/*"],
    };
    if let Some(body) = operation.body {
        let required = !matches!(body, Body::Object(_, false));
        let mut parameter = json!({"in": "body", "name": "body", "schema": body_schema(body, Dialect::V2)});
        if required {
            parameter["required"] = json!(true);
        }
        list.insert(0, parameter);
    }
    if !list.is_empty() {
        written.insert("parameters".to_owned(), Value::Array(list));
    }
    written.insert("consumes".to_owned(), json!(consumes));
    written.insert("produces".to_owned(), json!(operation.produces.media_types()));
    written.insert("schemes".to_owned(), json!(["https"]));
    let responses = operation.responses.iter().map(|(code, answer)| {
        let mut response = Map::new();
        response.insert("description".to_owned(), json!(reason(*code)));
        if let Some(schema) = answer_schema(*answer, Dialect::V2) {
            response.insert("schema".to_owned(), schema);
        }
        (code.to_string(), Value::Object(response))
    });
    written.insert("responses".to_owned(), Value::Object(responses.collect()));
    Value::Object(written)
}

fn operation_v3(operation: &Operation) -> Value {
    let mut written = common(operation);
    if !operation.parameters.is_empty() {
        written.insert(
            "parameters".to_owned(),
            parameters(&operation.parameters, Dialect::V3),
        );
    }
    if let Some(body) = operation.body {
        let types: &[&str] = match body {
            Body::Patch => PATCH_TYPES,
            Body::CustomPatch => CUSTOM_PATCH_TYPES,
            Body::Custom(_) => operation.produces.media_types(),
            Body::Object(..) => &["*/*"],
        };
        let schema = body_schema(body, Dialect::V3);
        let mut request = json!({"content": content(types, &schema)});
        if !matches!(body, Body::Object(_, false)) {
            request["required"] = json!(true);
        }
        written.insert("requestBody".to_owned(), request);
    }
    let responses = operation.responses.iter().map(|(code, answer)| {
        let mut response = Map::new();
        response.insert("description".to_owned(), json!(reason(*code)));
        if let Some(schema) = answer_schema(*answer, Dialect::V3) {
            response.insert(
                "content".to_owned(),
                content(operation.produces.media_types(), &schema),
            );
        }
        (code.to_string(), Value::Object(response))
    });
    written.insert("responses".to_owned(), Value::Object(responses.collect()));
    Value::Object(written)
}

/// What both versions say of an operation in the same words.
fn common(operation: &Operation) -> Map<String, Value> {
    let mut written = Map::new();
    written.insert("operationId".to_owned(), json!(operation.id));
    written.insert("tags".to_owned(), json!([operation.tag]));
    if !operation.action.is_empty() {
        written.insert("x-kubernetes-action".to_owned(), json!(operation.action));
    }
    if let Some(kind) = operation.kind {
        let gvk = json!({"group": kind.group, "kind": kind.kind, "version": kind.version});
        written.insert("x-kubernetes-group-version-kind".to_owned(), gvk);
    }
    written
}

fn content(media_types: &[&str], schema: &Value) -> Value {
    let by_type = media_types
        .iter()
        .map(|media_type| ((*media_type).to_owned(), json!({"schema": schema})));
    Value::Object(by_type.collect())
}

fn parameters(parameters: &[Parameter], dialect: Dialect) -> Value {
    let write = |parameter: &Parameter| match dialect {
        Dialect::V3 => parameter_v3(parameter),
        Dialect::V2 if parameter.stays_in_place() => parameter_v2(parameter),
        Dialect::V2 => json!({"$ref": format!("#/parameters/{}", shared_name(parameter))}),
    };
    Value::Array(parameters.iter().map(write).collect())
}

/// Parameters of one name can differ in kind between operations.
fn shared_name(parameter: &Parameter) -> String {
    format!("{}-{}", parameter.name, parameter.kind)
}

fn parameter_v2(parameter: &Parameter) -> Value {
    let mut written = json!({
        "name": parameter.name, "in": place(parameter), "type": parameter.kind, "uniqueItems": true,
    });
    if parameter.place == Place::Path {
        written["required"] = json!(true);
    }
    written
}

fn parameter_v3(parameter: &Parameter) -> Value {
    let schema = json!({"type": parameter.kind, "uniqueItems": true});
    let mut written = json!({"name": parameter.name, "in": place(parameter), "schema": schema});
    if parameter.place == Place::Path {
        written["required"] = json!(true);
    }
    written
}

fn place(parameter: &Parameter) -> &'static str {
    match parameter.place {
        Place::Path => "path",
        Place::Query => "query",
    }
}

fn body_schema(body: Body, dialect: Dialect) -> Value {
    match body {
        Body::Object(ty, _) => reference(ty, dialect),
        Body::Custom(row) => custom_reference(row, row.kind, dialect),
        Body::Patch | Body::CustomPatch => {
            json!({"$ref": dialect.reference(&format!("{}.Patch", names::META))})
        }
    }
}

fn answer_schema(answer: Answer, dialect: Dialect) -> Option<Value> {
    match answer {
        Answer::Object(ty) => Some(reference(ty, dialect)),
        Answer::Custom(row) => Some(custom_reference(row, row.kind, dialect)),
        Answer::CustomList(row) => Some(custom_reference(row, row.list_kind, dialect)),
        Answer::Text => Some(json!({"type": "string"})),
        Answer::Version => Some(json!({"$ref": dialect.reference("io.k8s.apimachinery.pkg.version.Info")})),
        Answer::Nothing => None,
    }
}

fn custom_reference(row: &Resource, kind: &str, dialect: Dialect) -> Value {
    json!({"$ref": dialect.reference(&custom::definition_name(row, kind))})
}

fn reference(ty: &'static Type, dialect: Dialect) -> Value {
    json!({"$ref": dialect.reference(&names::definition(ty))})
}

fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        _ => "Unauthorized",
    }
}

fn meta(kind: &str) -> Answer {
    catalogue::kind("", "v1", kind).map_or(Answer::Nothing, |info| Answer::Object(info.ty))
}

/// `/api/`
pub fn versions() -> PathItem {
    let id = "getCoreAPIVersions".to_owned();
    operations::plain(
        "/api/".to_owned(),
        id,
        "core".to_owned(),
        Produces::Groups,
        meta("APIVersions"),
    )
}

/// `/apis/`
pub fn group_list() -> PathItem {
    let id = "getAPIVersions".to_owned();
    operations::plain(
        "/apis/".to_owned(),
        id,
        "apis".to_owned(),
        Produces::Groups,
        meta("APIGroupList"),
    )
}

/// `/version/`
pub fn server_version() -> PathItem {
    let id = "getCodeVersion".to_owned();
    operations::plain(
        "/version/".to_owned(),
        id,
        "version".to_owned(),
        Produces::Json,
        Answer::Version,
    )
}

/// `/apis/GROUP/`
pub fn group_path(group: &str) -> PathItem {
    let name = names::group(group);
    let id = format!("get{}APIGroup", names::capitalized(&name));
    operations::plain(
        format!("/apis/{group}/"),
        id,
        name,
        Produces::Groups,
        meta("APIGroup"),
    )
}

/// `/api/v1/` and `/apis/GROUP/VERSION/`
fn resource_list(group: &str, version: &str) -> PathItem {
    let path = if group.is_empty() {
        format!("/api/{version}/")
    } else {
        format!("/apis/{group}/{version}/")
    };
    let id = format!("get{}APIResources", names::group_version(group, version));
    operations::plain(
        path,
        id,
        names::tag(group, version),
        Produces::Groups,
        meta("APIResourceList"),
    )
}
