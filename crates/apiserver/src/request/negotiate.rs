//! Content negotiation: what to answer in, and how a body is written.

use apimachinery::status::Status;

use crate::discovery::ListVersion;

/// Media type of protobuf in the `k8s\0` envelope.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Encodings that objects are served and read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

impl Encoding {
    const ALL: [Encoding; 3] = [Encoding::Json, Encoding::Yaml, Encoding::Protobuf];

    /// The media type of one document.
    pub fn media_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
            Encoding::Protobuf => PROTOBUF,
        }
    }

    /// The media type of a stream of watch events.
    pub fn stream_media_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            _ => "application/json",
        }
    }
}

/// What the client wants to see of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The object itself.
    Full,
    /// Rows of cells, for printing.
    Table(TableVersion),
    /// Only the metadata.
    Metadata,
}

/// Versions of the Table kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableVersion {
    V1,
    V1Beta1,
}

/// The outcome of negotiating the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    pub encoding: Encoding,
    pub view: View,
    pub pretty: bool,
}

impl Output {
    /// Whole objects, not indented.
    pub const fn plain(encoding: Encoding) -> Output {
        Output {
            encoding,
            view: View::Full,
            pretty: false,
        }
    }
}

/// What an endpoint can offer beside the plain object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offers {
    /// Plain objects.
    Plain,
    /// Tables and metadata as well.
    Views,
    /// Tables and metadata, of custom objects: these have no protobuf form.
    Custom,
    /// A stream: no YAML.
    Stream,
}

struct Clause<'a> {
    main: &'a str,
    sub: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f64,
}

/// Chooses an output for an `Accept` header.
pub fn negotiate(accept: Option<&str>, offers: Offers) -> Result<Output, Status> {
    let accept = accept.unwrap_or_default().trim();
    if accept.is_empty() {
        return Ok(Output {
            encoding: Encoding::Json,
            view: View::Full,
            pretty: false,
        });
    }
    for clause in clauses(accept) {
        for encoding in Encoding::ALL {
            let (main, sub) = encoding
                .media_type()
                .split_once('/')
                .expect("invariant: media types have a slash");
            let matches =
                (clause.main == main || clause.main == "*") && (clause.sub == sub || clause.sub == "*");
            if !matches || (offers == Offers::Stream && encoding == Encoding::Yaml) {
                continue;
            }
            if let Some(output) = accept_clause(&clause, encoding, offers) {
                return Ok(output);
            }
        }
    }
    Err(Status::not_acceptable(offered(offers)))
}

/// Which form of the discovery document is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryDocument {
    Legacy,
    Aggregated(ListVersion),
}

/// Chooses form and encoding of a discovery document.
pub fn negotiate_discovery(accept: Option<&str>) -> Result<(DiscoveryDocument, Output), Status> {
    for clause in clauses(accept.unwrap_or_default()) {
        let parameter = |name: &str| {
            clause
                .parameters
                .iter()
                .find(|(known, _)| *known == name)
                .map_or("", |(_, value)| *value)
        };
        let version = match (parameter("g"), parameter("as"), parameter("v")) {
            ("apidiscovery.k8s.io", "APIGroupDiscoveryList", "v2") => ListVersion::V2,
            ("apidiscovery.k8s.io", "APIGroupDiscoveryList", "v2beta1") => ListVersion::V2Beta1,
            ("", "", _) => break,
            _ => continue,
        };
        let media = format!("{}/{}", clause.main, clause.sub);
        if let Some(encoding) = Encoding::ALL
            .into_iter()
            .find(|encoding| encoding.media_type() == media)
        {
            return Ok((
                DiscoveryDocument::Aggregated(version),
                Output {
                    encoding,
                    view: View::Full,
                    pretty: false,
                },
            ));
        }
    }
    Ok((DiscoveryDocument::Legacy, negotiate(accept, Offers::Plain)?))
}

/// `Accept` clauses in order of preference.
fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header
        .split(',')
        .filter_map(|part| {
            let mut pieces = part.split(';').map(str::trim);
            let (main, sub) = match pieces.next()? {
                "*" => ("*", "*"),
                media => media.split_once('/')?,
            };
            let mut quality = 1.0;
            let mut parameters = Vec::new();
            for piece in pieces {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                match name.trim() {
                    "" => {}
                    "q" => quality = value.trim().parse().unwrap_or(1.0),
                    name => parameters.push((name, value.trim().trim_matches('"'))),
                }
            }
            Some(Clause {
                main: main.trim(),
                sub: sub.trim(),
                parameters,
                quality,
            })
        })
        .collect();
    // Stable: clauses of equal quality keep the client's order; exact types go before wildcards.
    clauses.sort_by(|a, b| {
        let wild = |clause: &Clause<'_>| (clause.main == "*", clause.sub == "*");
        b.quality
            .total_cmp(&a.quality)
            .then_with(|| wild(a).cmp(&wild(b)))
    });
    clauses
}

fn accept_clause(clause: &Clause<'_>, encoding: Encoding, offers: Offers) -> Option<Output> {
    let (mut kind, mut group, mut version) = (None, "", "");
    let mut pretty = false;
    for (name, value) in &clause.parameters {
        match *name {
            "as" => kind = Some(*value),
            "g" => group = value,
            "v" => version = value,
            "stream" if !value.is_empty() && *value != "watch" => return None,
            "sv" if !value.is_empty() => return None,
            "pretty" => pretty = *value == "1",
            _ => {}
        }
    }
    let view = match kind {
        None if offers == Offers::Custom && encoding == Encoding::Protobuf => return None,
        None if group.is_empty() && version.is_empty() => View::Full,
        _ if offers == Offers::Plain || group != "meta.k8s.io" => return None,
        Some("Table") => {
            // Tables have no protobuf form that carries their cells.
            if encoding == Encoding::Protobuf {
                return None;
            }
            View::Table(table_version(version)?)
        }
        Some("PartialObjectMetadata" | "PartialObjectMetadataList")
            if matches!(version, "v1" | "v1beta1") =>
        {
            View::Metadata
        }
        _ => return None,
    };
    Some(Output {
        encoding,
        view,
        pretty,
    })
}

fn table_version(version: &str) -> Option<TableVersion> {
    match version {
        "v1" => Some(TableVersion::V1),
        "v1beta1" => Some(TableVersion::V1Beta1),
        _ => None,
    }
}

/// The 406 for a stream in an encoding that has no framing.
pub fn stream_not_acceptable() -> Status {
    Status::not_acceptable(offered(Offers::Stream))
}

fn offered(offers: Offers) -> &'static [&'static str] {
    match offers {
        Offers::Stream => &[
            "application/json;stream=watch",
            "application/vnd.kubernetes.protobuf;stream=watch",
        ],
        _ => &["application/json", "application/yaml", PROTOBUF],
    }
}

/// How a body with this `Content-Type` is to be read.
pub fn body_encoding(content_type: Option<&str>) -> Result<Encoding, Status> {
    let media = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if media.is_empty() {
        return Ok(Encoding::Json);
    }
    let known = Encoding::ALL
        .into_iter()
        .find(|encoding| media.eq_ignore_ascii_case(encoding.media_type()));
    known.ok_or_else(|| Status::unsupported_media_type(offered(Offers::Plain)))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(accept: &str, offers: Offers, expected: Expect) {
        let line = match negotiate(Some(accept), offers) {
            Ok(output) => format!(
                "{:?} {:?}{}",
                output.encoding,
                output.view,
                if output.pretty { " pretty" } else { "" }
            ),
            Err(status) => format!("{} {}", status.code, status.message),
        };
        expected.assert_eq(&line);
    }

    #[test]
    fn views_and_encodings() {
        check("", Offers::Views, expect!["Json Full"]);
        check("*/*", Offers::Views, expect!["Json Full"]);
        check(
            "application/vnd.kubernetes.protobuf,application/json",
            Offers::Views,
            expect!["Protobuf Full"],
        );
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Offers::Views,
            expect!["Json Table(V1)"],
        );
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Offers::Plain,
            expect!["Json Full"],
        );
        check(
            "application/json;as=Table;v=v9;g=meta.k8s.io",
            Offers::Views,
            expect![
                "406 only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
            ],
        );
        check(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Offers::Views,
            expect!["Protobuf Metadata"],
        );
        check(
            "text/html;q=0.9, application/yaml;q=0.8",
            Offers::Views,
            expect!["Yaml Full"],
        );
        check(
            "application/json;pretty=1",
            Offers::Plain,
            expect!["Json Full pretty"],
        );
        check(
            "application/yaml",
            Offers::Stream,
            expect![
                "406 only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
            ],
        );
    }

    #[test]
    fn bodies() {
        assert_eq!(
            body_encoding(Some("application/json; charset=utf-8")),
            Ok(Encoding::Json)
        );
        assert_eq!(body_encoding(None), Ok(Encoding::Json));
        assert_eq!(
            body_encoding(Some("text/plain")).expect_err("unsupported").code,
            415
        );
    }
}
