//! `/api` and `/apis`: what is served, in the legacy documents and in the aggregated one.

use api::Message;
use api::codec::{self, TypeMeta};
use apimachinery::status::Status;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use sha2::{Digest, Sha512};

use crate::aggregation::discovery::merged;
use crate::discovery::{self, Group, ListVersion};
use crate::request::Request;
use crate::request::negotiate::{DiscoveryDocument, Encoding, Offers, Output, negotiate_discovery};
use crate::response::{Response, bytes, full, json_document, page_not_found};
use crate::routes;
use crate::state::Api;

/// Serves one document; 404 for groups and versions that there are not.
pub fn serve(api: &Api, segments: &[&str], request: &Request) -> Result<Response, Status> {
    let own = api.groups.load();
    let groups = &*merged(&own, &api.aggregation.state());
    if let Some(absent) = absent(groups, segments) {
        return absent;
    }
    // The list of groups is the aggregator's, which takes any method.
    if segments != ["apis"] {
        routes::check_discovery(request)?;
    }
    let group_of = |name: &str| groups.iter().find(|group| group.name == name);
    let (document, mut output) = match segments {
        [_] => negotiate_discovery(request.header("accept"))?,
        _ => (DiscoveryDocument::Legacy, request.output(Offers::Plain)?),
    };
    output.pretty |= request.wants_pretty();
    match (segments, document) {
        (["api" | "apis"], DiscoveryDocument::Aggregated(version)) => {
            let core = segments == ["api"];
            let list = discovery::aggregated(groups.iter().filter(|group| group.name.is_empty() == core));
            aggregated(&list, version, output, request)
        }
        (["api"], _) => legacy(
            &discovery::api_versions(groups, &api.server_address),
            "",
            "APIVersions",
            output,
        ),
        (["apis"], _) => legacy(&discovery::group_list(groups), "v1", "APIGroupList", output),
        (["api", version], _) => resource_list("", version, "", groups, output),
        (["apis", group], _) => match group_of(group).filter(|group| !group.name.is_empty()) {
            Some(group) => legacy(&discovery::group(group), "v1", "APIGroup", output),
            None => Ok(page_not_found()),
        },
        (["apis", group, version], _) => resource_list(group, version, "v1", groups, output),
        _ => Ok(page_not_found()),
    }
}

/// The answer for groups and versions that there are not, whatever is asked of them: of a group that is served it is a
/// Status.
fn absent(groups: &[Group], segments: &[&str]) -> Option<Result<Response, Status>> {
    let (group, version) = match segments {
        ["api", version] => ("", Some(version)),
        ["apis", group] if !group.is_empty() => (*group, None),
        ["apis", group, version] if !group.is_empty() => (*group, Some(version)),
        _ => return None,
    };
    let Some(group) = groups.iter().find(|known| known.name == group) else {
        return Some(Ok(page_not_found()));
    };
    let serves = |version: &&str| group.versions.iter().any(|known| known.name == *version);
    match version {
        Some(version) if !serves(version) => Some(Err(Status::path_not_found())),
        _ => None,
    }
}

fn resource_list(
    group: &str,
    version: &str,
    api_version: &str,
    groups: &[Group],
    output: Output,
) -> Result<Response, Status> {
    let found = groups.iter().find(|known| known.name == group);
    let found =
        found.and_then(|group| Some((group, group.versions.iter().find(|known| known.name == version)?)));
    let (group, version) = found.ok_or_else(Status::path_not_found)?;
    let list = discovery::resource_list(group, version);
    legacy(&list, api_version, "APIResourceList", output)
}

fn legacy(document: &dyn Message, api_version: &str, kind: &str, output: Output) -> Result<Response, Status> {
    let raw = document.encode_to_vec();
    if output.encoding == Encoding::Protobuf {
        let meta = TypeMeta { api_version, kind };
        return Ok(bytes(
            StatusCode::OK,
            Encoding::Protobuf.media_type(),
            codec::envelope::wrap(meta, &raw),
        ));
    }
    Ok(json_document(
        StatusCode::OK,
        json(TypeMeta { api_version, kind }, document, &raw)?,
        output,
    ))
}

fn json(meta: TypeMeta<'_>, document: &dyn Message, raw: &[u8]) -> Result<Vec<u8>, Status> {
    let mut out = Vec::with_capacity(raw.len() * 2);
    codec::proto_to_json(Some(meta), document.descriptor(), raw, &mut out).map_err(Status::internal)?;
    Ok(out)
}

fn aggregated(
    list: &dyn Message,
    version: ListVersion,
    output: Output,
    request: &Request,
) -> Result<Response, Status> {
    let raw = list.encode_to_vec();
    let tag = format!("\"{}\"", hex(&Sha512::digest(&raw)));
    let unchanged = request
        .headers()
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let meta = version.type_meta();
    let mut response = match output.encoding {
        _ if unchanged => {
            let mut response = Response::new(full(Vec::new()));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        Encoding::Protobuf => bytes(
            StatusCode::OK,
            Encoding::Protobuf.media_type(),
            codec::envelope::wrap(meta, &raw),
        ),
        _ => json_document(StatusCode::OK, json(meta, list, &raw)?, output),
    };
    let (_, short) = meta.api_version.split_once('/').unwrap_or(("", "v2"));
    let content_type = format!(
        "{};g=apidiscovery.k8s.io;v={short};as=APIGroupDiscoveryList",
        output.encoding.media_type()
    );
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_str(&content_type).map_err(Status::internal)?,
    );
    headers.insert(ETAG, HeaderValue::from_str(&tag).map_err(Status::internal)?);
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    Ok(response)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
