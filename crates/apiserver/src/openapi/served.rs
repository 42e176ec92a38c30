//! Documents as they are served: made on first use, kept compressed.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::OnceLock;

use api::catalogue::Resource;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Map, json};
use sha2::{Digest, Sha256};

use super::custom::CustomKind;
use super::document::{self, Document};
use super::{gnostic, rows};

/// The forms of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    /// `application/com.github.proto-openapi.spec.v2@v1.0+protobuf`
    Protobuf,
}

impl Form {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        }
    }
}

/// A document's content.
#[derive(Clone, Debug)]
pub struct Served {
    gzip: Bytes,
    hash: String,
}

impl Served {
    fn new(content: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        // Writing to memory does not fail; were it to, the document would be empty and fail to parse.
        let compressed = encoder.write_all(content).and_then(|()| encoder.finish());
        Self {
            gzip: compressed.unwrap_or_default().into(),
            hash: hash(content),
        }
    }

    /// For clients that accept gzip, which nearly all do.
    pub fn gzip(&self) -> Bytes {
        self.gzip.clone()
    }

    pub fn identity(&self) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        GzDecoder::new(self.gzip.as_ref()).read_to_end(&mut content)?;
        Ok(content)
    }

    /// The entity tag, with its quotes.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }

    /// What version 3's index appends to the document's path.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// Every OpenAPI document of a server.
pub struct Documents {
    rows: Vec<&'static Resource>,
    custom: Vec<CustomKind>,
    v2_json: OnceLock<Served>,
    v2_protobuf: OnceLock<Served>,
    /// By the path below `/openapi/v3/`.
    v3: BTreeMap<String, (Part, OnceLock<Served>)>,
    index: OnceLock<Served>,
}

/// What a document of version 3 covers.
#[derive(Clone, Copy)]
enum Part {
    GroupVersion(&'static str, &'static str),
    Group(&'static str),
    Versions,
    Groups,
    ServerVersion,
}

impl Documents {
    /// Documents of the enabled groups and versions.
    pub fn new(enabled: impl Fn(&str, &str) -> bool) -> Self {
        let rows = rows(enabled);
        let mut v3 = BTreeMap::new();
        let mut add = |path: String, part: Part| _ = v3.insert(path, (part, OnceLock::new()));
        add("api".to_owned(), Part::Versions);
        add("apis".to_owned(), Part::Groups);
        add("version".to_owned(), Part::ServerVersion);
        for row in &rows {
            let part = Part::GroupVersion(row.group, row.version);
            match row.group {
                "" => add(format!("api/{}", row.version), part),
                group => {
                    add(format!("apis/{group}"), Part::Group(group));
                    add(format!("apis/{group}/{}", row.version), part);
                }
            }
        }
        Self {
            rows,
            custom: Vec::new(),
            v2_json: OnceLock::new(),
            v2_protobuf: OnceLock::new(),
            v3,
            index: OnceLock::new(),
        }
    }

    /// The same with these custom kinds and no others. Documents about built-in kinds alone stay as they were made.
    pub fn with_custom(&self, custom: Vec<CustomKind>) -> Self {
        let is_custom = |part: &Part| {
            let Part::GroupVersion(group, version) = *part else {
                return false;
            };
            let is_of = |kind: &CustomKind| kind.row.group == group && kind.row.version == version;
            self.custom.iter().chain(&custom).any(is_of)
        };
        let built_in = |part: &Part| match *part {
            Part::GroupVersion(group, version) => self
                .rows
                .iter()
                .any(|row| row.group == group && row.version == version),
            _ => true,
        };
        let kept = self.v3.iter().filter(|(_, (part, _))| built_in(part));
        let mut v3: BTreeMap<String, (Part, OnceLock<Served>)> = kept
            .map(|(path, (part, cell))| {
                let cell = if is_custom(part) {
                    OnceLock::new()
                } else {
                    cell.clone()
                };
                (path.clone(), (*part, cell))
            })
            .collect();
        for CustomKind { row, .. } in &custom {
            let part = Part::GroupVersion(row.group, row.version);
            let path = format!("apis/{}/{}", row.group, row.version);
            v3.entry(path).or_insert((part, OnceLock::new()));
        }
        Self {
            rows: self.rows.clone(),
            custom,
            v2_json: OnceLock::new(),
            v2_protobuf: OnceLock::new(),
            v3,
            index: OnceLock::new(),
        }
    }

    /// `/openapi/v2`
    pub fn v2(&self, form: Form) -> Served {
        let cell = match form {
            Form::Json => &self.v2_json,
            Form::Protobuf => &self.v2_protobuf,
        };
        let served = cell.get_or_init(|| {
            let document = Document::whole(&self.rows, &self.custom);
            Served::new(&match form {
                Form::Json => document.json(),
                Form::Protobuf => gnostic::encode(&document),
            })
        });
        served.clone()
    }

    /// `/openapi/v3`: where the documents are, by a path that changes when they do.
    pub fn v3_index(&self) -> Served {
        let served = self.index.get_or_init(|| {
            let mut paths = Map::new();
            for (path, (part, cell)) in &self.v3 {
                let hash = match cell.get() {
                    Some(served) => served.hash.clone(),
                    None => hash(&self.part(part).json()),
                };
                let url = format!("/openapi/v3/{path}?hash={hash}");
                paths.insert(path.clone(), json!({"serverRelativeURL": url}));
            }
            Served::new(json!({"paths": paths}).to_string().as_bytes())
        });
        served.clone()
    }

    /// `/openapi/v3/PATH`
    pub fn v3(&self, path: &str) -> Option<Served> {
        let (part, cell) = self.v3.get(path)?;
        Some(cell.get_or_init(|| Served::new(&self.part(part).json())).clone())
    }

    fn part(&self, part: &Part) -> Document {
        match part {
            Part::GroupVersion(group, version) => {
                Document::group_version(&self.rows, &self.custom, group, version)
            }
            Part::Group(group) => Document::single(document::group_path(group)),
            Part::Versions => Document::single(document::versions()),
            Part::Groups => Document::single(document::group_list()),
            Part::ServerVersion => Document::single(document::server_version()),
        }
    }
}
