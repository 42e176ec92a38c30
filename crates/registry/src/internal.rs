//! Values as errors show them when upstream hands them its internal structs: Go's field names, nothing left out.
//!
//! Upstream's internal types have no JSON names, so that an error about a whole struct prints
//! `{"APIGroup":"","Kind":"Role","Name":"r"}` where a client wrote `{"kind":"Role","name":"r"}`.

mod diff;

use std::collections::BTreeMap;

use api::Message;
use api::types::{Base, Container, Field, Type};
use apimachinery::field::Value as Shown;
use serde_json::value::RawValue;

/// Words that Go writes in capitals.
const INITIALISMS: [&str; 12] = [
    "api", "ca", "cel", "csi", "dns", "fs", "http", "id", "ip", "tls", "uid", "url",
];

/// Fields that upstream's internal types call otherwise: how the type's name begins, JSON name, internal name.
const RENAMED: [(&str, &str, &str); 58] = [
    ("DeviceAttribute", "bool", "BoolValue"),
    ("DeviceAttribute", "bools", "BoolValues"),
    ("DeviceAttribute", "int", "IntValue"),
    ("DeviceAttribute", "ints", "IntValues"),
    ("DeviceAttribute", "string", "StringValue"),
    ("DeviceAttribute", "strings", "StringValues"),
    ("DeviceAttribute", "version", "VersionValue"),
    ("DeviceAttribute", "versions", "VersionValues"),
    ("JSONSchemaProps", "$ref", "Ref"),
    ("JSONSchemaProps", "$schema", "Schema"),
    (
        "JSONSchemaProps",
        "x-kubernetes-embedded-resource",
        "XEmbeddedResource",
    ),
    ("JSONSchemaProps", "x-kubernetes-int-or-string", "XIntOrString"),
    ("JSONSchemaProps", "x-kubernetes-list-map-keys", "XListMapKeys"),
    ("JSONSchemaProps", "x-kubernetes-list-type", "XListType"),
    ("JSONSchemaProps", "x-kubernetes-map-type", "XMapType"),
    (
        "JSONSchemaProps",
        "x-kubernetes-preserve-unknown-fields",
        "XPreserveUnknownFields",
    ),
    ("JSONSchemaProps", "x-kubernetes-validations", "XValidations"),
    ("Glusterfs", "endpoints", "EndpointsName"),
    ("RBD", "monitors", "CephMonitors"),
    ("RBD", "image", "RBDImage"),
    ("RBD", "pool", "RBDPool"),
    ("RBD", "user", "RadosUser"),
    ("Event", "reportingComponent", "ReportingController"),
    ("", "awsElasticBlockStore", "AWSElasticBlockStore"),
    ("", "cephfs", "CephFS"),
    ("", "chapAuthDiscovery", "DiscoveryCHAPAuth"),
    ("", "chapAuthSession", "SessionCHAPAuth"),
    ("", "cidr", "CIDR"),
    ("", "cidrs", "CIDRs"),
    ("", "diskURI", "DataDiskURI"),
    ("", "externalID", "DoNotUseExternalID"),
    ("", "fc", "FC"),
    ("", "gcePersistentDisk", "GCEPersistentDisk"),
    ("", "gid", "GID"),
    ("", "gmsaCredentialSpec", "GMSACredentialSpec"),
    ("", "gmsaCredentialSpecName", "GMSACredentialSpecName"),
    ("", "grpc", "GRPC"),
    ("", "iqn", "IQN"),
    ("", "iscsi", "ISCSI"),
    ("", "iscsiInterface", "ISCSIInterface"),
    ("", "lastState", "LastTerminationState"),
    ("", "nfs", "NFS"),
    ("", "os", "OS"),
    ("", "osImage", "OSImage"),
    ("", "pdName", "PDName"),
    ("", "podCIDR", "PodCIDR"),
    ("", "qosClass", "QOSClass"),
    ("", "rbd", "RBD"),
    ("", "scaleIO", "ScaleIO"),
    ("", "seLinuxChangePolicy", "SELinuxChangePolicy"),
    ("", "seLinuxOptions", "SELinuxOptions"),
    ("", "sslEnabled", "SSLEnabled"),
    ("", "storageos", "StorageOS"),
    ("", "tcpSocket", "TCPSocket"),
    ("", "ttlSecondsAfterFinished", "TTLSecondsAfterFinished"),
    ("", "tty", "TTY"),
    ("", "wwids", "WWIDs"),
    ("", "wwns", "WWNs"),
];

/// Types whose internal twins order their fields otherwise, or have fewer: type, JSON names.
const ORDERED: [(&str, &[&str]); 7] = [
    (
        "PodSpec",
        &[
            "volumes",
            "initContainers",
            "containers",
            "ephemeralContainers",
            "restartPolicy",
            "terminationGracePeriodSeconds",
            "activeDeadlineSeconds",
            "dnsPolicy",
            "nodeSelector",
            "serviceAccountName",
            "automountServiceAccountToken",
            "nodeName",
            "securityContext",
            "imagePullSecrets",
            "hostname",
            "subdomain",
            "setHostnameAsFQDN",
            "affinity",
            "schedulerName",
            "tolerations",
            "hostAliases",
            "priorityClassName",
            "priority",
            "preemptionPolicy",
            "dnsConfig",
            "readinessGates",
            "runtimeClassName",
            "overhead",
            "enableServiceLinks",
            "topologySpreadConstraints",
            "os",
            "schedulingGates",
            "resourceClaims",
            "resources",
            "hostnameOverride",
            "schedulingGroup",
        ],
    ),
    (
        "PodSecurityContext",
        &[
            "seLinuxOptions",
            "windowsOptions",
            "runAsUser",
            "runAsGroup",
            "runAsNonRoot",
            "supplementalGroups",
            "supplementalGroupsPolicy",
            "fsGroup",
            "fsGroupChangePolicy",
            "sysctls",
            "seccompProfile",
            "appArmorProfile",
            "seLinuxChangePolicy",
        ],
    ),
    (
        "VolumeSource",
        &[
            "hostPath",
            "emptyDir",
            "gcePersistentDisk",
            "awsElasticBlockStore",
            "gitRepo",
            "secret",
            "nfs",
            "iscsi",
            "glusterfs",
            "persistentVolumeClaim",
            "rbd",
            "quobyte",
            "flexVolume",
            "cinder",
            "cephfs",
            "flocker",
            "downwardAPI",
            "fc",
            "azureFile",
            "configMap",
            "vsphereVolume",
            "azureDisk",
            "photonPersistentDisk",
            "projected",
            "portworxVolume",
            "scaleIO",
            "storageos",
            "csi",
            "ephemeral",
            "image",
        ],
    ),
    (
        "PersistentVolumeSource",
        &[
            "gcePersistentDisk",
            "awsElasticBlockStore",
            "hostPath",
            "glusterfs",
            "nfs",
            "rbd",
            "quobyte",
            "iscsi",
            "flexVolume",
            "cinder",
            "cephfs",
            "fc",
            "flocker",
            "azureFile",
            "vsphereVolume",
            "azureDisk",
            "photonPersistentDisk",
            "portworxVolume",
            "scaleIO",
            "local",
            "storageos",
            "csi",
        ],
    ),
    (
        "JobSpec",
        &[
            "parallelism",
            "completions",
            "podFailurePolicy",
            "successPolicy",
            "activeDeadlineSeconds",
            "backoffLimit",
            "backoffLimitPerIndex",
            "maxFailedIndexes",
            "selector",
            "manualSelector",
            "template",
            "ttlSecondsAfterFinished",
            "completionMode",
            "suspend",
            "podReplacementPolicy",
            "managedBy",
        ],
    ),
    (
        "JSONSchemaProps",
        &[
            "id",
            "$schema",
            "$ref",
            "description",
            "type",
            "nullable",
            "format",
            "title",
            "default",
            "maximum",
            "exclusiveMaximum",
            "minimum",
            "exclusiveMinimum",
            "maxLength",
            "minLength",
            "pattern",
            "maxItems",
            "minItems",
            "uniqueItems",
            "multipleOf",
            "enum",
            "maxProperties",
            "minProperties",
            "required",
            "items",
            "allOf",
            "oneOf",
            "anyOf",
            "not",
            "properties",
            "additionalProperties",
            "patternProperties",
            "dependencies",
            "additionalItems",
            "definitions",
            "externalDocs",
            "example",
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-embedded-resource",
            "x-kubernetes-int-or-string",
            "x-kubernetes-list-map-keys",
            "x-kubernetes-list-type",
            "x-kubernetes-map-type",
            "x-kubernetes-validations",
        ],
    ),
    ("ContainerResourceMetricSource", &["name", "container", "target"]),
];

/// Fields of a pod's spec that stand in its security context internally: JSON name, internal name, when unset.
const OF_HOST: [(&str, &str, &str); 5] = [
    ("hostNetwork", "HostNetwork", "false"),
    ("hostPID", "HostPID", "false"),
    ("hostIPC", "HostIPC", "false"),
    ("shareProcessNamespace", "ShareProcessNamespace", "null"),
    ("hostUsers", "HostUsers", "null"),
];

/// A struct as upstream's internal one prints.
pub(crate) fn shown(message: &impl Message) -> Shown {
    Shown::Json(text(message))
}

/// A list of structs; an empty one counts as absent.
pub(crate) fn shown_list<T: Message>(messages: &[T]) -> Shown {
    if messages.is_empty() {
        return Shown::Json("null".to_owned());
    }
    let items: Vec<String> = messages.iter().map(text).collect();
    Shown::Json(format!("[{}]", items.join(",")))
}

/// How one struct became another, line by line.
pub(crate) fn change<T: Message>(old: &T, new: &T) -> String {
    diff::unified(&indented(&text(old)), &indented(&text(new)))
}

/// Compact JSON with line breaks, one space a level, as Go indents it.
fn indented(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0usize, false, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_text {
            out.push(character);
            in_text = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '"' => {
                in_text = true;
                out.push(character);
            }
            '{' | '[' => {
                out.push(character);
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                    continue;
                }
                depth += 1;
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => out.push(other),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth));
}

fn text(message: &impl Message) -> String {
    let mut out = String::new();
    let json = message.to_json();
    write_message(
        &mut out,
        message.descriptor(),
        std::str::from_utf8(&json).unwrap_or_default(),
    );
    out
}

/// JSON by parts, which keeps the order of what clients wrote.
type Members<'a> = BTreeMap<String, &'a RawValue>;

fn members(json: &str) -> Members<'_> {
    serde_json::from_str(json).unwrap_or_default()
}

fn write_message(out: &mut String, kind: &Type, json: &str) {
    // The types of metadata have no internal twins.
    if kind.package.path.ends_with("apis/meta/v1") {
        return write_json(out, json);
    }
    out.push('{');
    write_fields(out, kind, &members(json), &mut true);
    out.push('}');
}

fn write_fields(out: &mut String, kind: &Type, members: &Members<'_>, first: &mut bool) {
    let order = ORDERED.iter().find(|(name, _)| *name == kind.name);
    match order {
        Some((_, names)) => {
            let field = |name: &&str| kind.fields.iter().find(|field| field.name == *name);
            write_each(out, kind, names.iter().filter_map(field), members, first);
        }
        None => write_each(out, kind, kind.fields.iter(), members, first),
    }
}

fn write_each<'a>(
    out: &mut String,
    kind: &Type,
    fields: impl Iterator<Item = &'a Field>,
    members: &Members<'_>,
    first: &mut bool,
) {
    for field in fields {
        let embedded = match field.base {
            Base::Message(inlined) if field.name.is_empty() => {
                write_fields(out, inlined, members, first);
                true
            }
            Base::Message(metadata) if metadata.name == "ObjectMeta" => {
                write_embedded(out, metadata, members.get(field.name).copied(), first);
                true
            }
            _ => false,
        };
        if embedded {
            continue;
        }
        write_name(out, &go_name(kind.name, field.name), first);
        match (kind.name, field.name, members.get(field.name)) {
            ("PodSpec", "securityContext", value) => write_pod_security(out, field, members, value),
            (_, _, Some(value)) => write_field(out, field, value.get()),
            (_, _, None) => write_absent(out, field),
        }
    }
}

fn write_name(out: &mut String, name: &str, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
}

/// Metadata is embedded, so that its members stand among those of the struct.
fn write_embedded(out: &mut String, kind: &Type, metadata: Option<&RawValue>, first: &mut bool) {
    let members = metadata.map(|own| members(own.get())).unwrap_or_default();
    for field in kind.fields {
        if let Some(value) = members.get(field.name) {
            write_name(out, field.name, first);
            write_json(out, value.get());
        }
    }
}

fn write_pod_security(out: &mut String, field: &Field, spec: &Members<'_>, own: Option<&&RawValue>) {
    let mut first = true;
    out.push('{');
    for (json, name, unset) in OF_HOST {
        write_name(out, name, &mut first);
        out.push_str(spec.get(json).map_or(unset, |value| value.get()));
    }
    if let Base::Message(kind) = field.base {
        let members = own.map(|own| members(own.get())).unwrap_or_default();
        write_fields(out, kind, &members, &mut first);
    }
    out.push('}');
}

fn write_field(out: &mut String, field: &Field, json: &str) {
    let Base::Message(kind) = field.base else {
        return write_json(out, json);
    };
    if field.container == Container::Map {
        out.push('{');
        let mut first = true;
        for (key, item) in members(json) {
            write_name(out, &key, &mut first);
            write_message(out, kind, item.get());
        }
        out.push('}');
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) {
        out.push('[');
        for (index, item) in items.into_iter().enumerate() {
            out.push_str(if index > 0 { "," } else { "" });
            write_message(out, kind, item.get());
        }
        out.push(']');
    } else if json == "null" {
        out.push_str("null");
    } else {
        write_message(out, kind, json);
    }
}

fn write_absent(out: &mut String, field: &Field) {
    if field.pointer || field.container != Container::One {
        return out.push_str("null");
    }
    match field.base {
        Base::Message(kind) => write_message(out, kind, "{}"),
        Base::String => out.push_str("\"\""),
        Base::Quantity => out.push_str("\"0\""),
        Base::Int32 | Base::Int64 | Base::Float64 | Base::IntOrString => out.push('0'),
        Base::Bool => out.push_str("false"),
        _ => out.push_str("null"),
    }
}

/// JSON as Go's encoder writes it, which escapes what HTML could take for markup.
fn write_json(out: &mut String, json: &str) {
    for character in json.chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            other => out.push(other),
        }
    }
}

/// `apiGroup` -> `APIGroup`
fn go_name(kind: &str, name: &str) -> String {
    if let Some((.., renamed)) = RENAMED
        .iter()
        .find(|(of, json, _)| kind.starts_with(of) && *json == name)
    {
        return (*renamed).to_owned();
    }
    let word = name.find(|c: char| c.is_ascii_uppercase()).unwrap_or(name.len());
    let (first, rest) = name.split_at(word);
    if INITIALISMS.contains(&first) {
        return first.to_ascii_uppercase() + rest;
    }
    // `ips`, `urls`
    if let Some(single) = first
        .strip_suffix('s')
        .filter(|single| INITIALISMS.contains(single))
    {
        return format!("{}s{rest}", single.to_ascii_uppercase());
    }
    let mut letters = first.chars();
    let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
    initial.into_iter().chain(letters).chain(rest.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::parse;
    use serde_json::json;

    #[test]
    fn prints_all_fields_by_their_go_names() {
        let role: api::rbac::v1::RoleRef = parse(&json!({"kind": "Role"}));
        let expected = r#"{"APIGroup":"","Kind":"Role","Name":""}"#;
        assert_eq!(shown(&role), Shown::Json(expected.to_owned()));
        let claim: api::resource::v1::DeviceClaim = parse(&json!({
            "requests": [{"name": "a", "exactly": {"deviceClassName": "c", "selectors": [{"cel": {"expression": "a<b"}}]}}],
            "config": [{"opaque": {"driver": "d", "parameters": {"x": 1}}}],
        }));
        let expected = concat!(
            r#"{"Requests":[{"Name":"a","Exactly":{"DeviceClassName":"c","Selectors":[{"CEL":{"Expression":"a\u003cb"}}],"#,
            r#""AllocationMode":"","Count":0,"AdminAccess":null,"Tolerations":null,"Capacity":null},"FirstAvailable":null}],"#,
            r#""Constraints":null,"Config":[{"Requests":null,"Opaque":{"Driver":"d","Parameters":{"x":1}}}]}"#,
        );
        assert_eq!(shown(&claim), Shown::Json(expected.to_owned()));
    }

    #[test]
    fn pods_have_their_own_order() {
        let spec: api::core::v1::PodSpec = parse(&json!({
            "hostNetwork": true, "serviceAccount": "s", "securityContext": {"runAsUser": 1},
            "containers": [{"name": "c", "livenessProbe": {"tcpSocket": {"port": 1}}}],
        }));
        let Shown::Json(text) = shown(&spec) else {
            panic!("no JSON")
        };
        let expected = r#""NodeName":"","SecurityContext":{"HostNetwork":true,"HostPID":false,"HostIPC":false,"ShareProcessNamespace":null,"HostUsers":null,"SELinuxOptions":null,"WindowsOptions":null,"RunAsUser":1,"#;
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains(
                r#""LivenessProbe":{"Exec":null,"HTTPGet":null,"TCPSocket":{"Port":1,"Host":""},"GRPC":null,"#
            ),
            "{text}"
        );
        assert!(!text.contains("ServiceAccount\":"), "{text}");
    }

    #[test]
    fn says_how_a_struct_changed() {
        let old: api::apps::v1::DaemonSetUpdateStrategy = parse(&json!({"type": "OnDelete"}));
        let new = parse(&json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}));
        assert_eq!(
            change(&old, &new),
            concat!(
                "@@ -1,4 +1,7 @@\n {\n- \"Type\": \"OnDelete\",\n- \"RollingUpdate\": null\n",
                "+ \"Type\": \"RollingUpdate\",\n+ \"RollingUpdate\": {\n+  \"MaxUnavailable\": null,\n+  \"MaxSurge\": 1\n+ }\n }\n",
            )
        );
    }
}
