//! What holds the data of a volume: exactly one kind of source, with its required fields.

use api::core::v1::{
    CSIPersistentVolumeSource, ISCSIPersistentVolumeSource, PersistentVolumeSource, PersistentVolumeSpec,
    SecretReference,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{
    inclusive_range_error, is_dns1123_subdomain, name_is_dns_label, name_is_dns_subdomain,
};

use crate::core::pod::validation::volume_sources::{validate_host_path, validate_nfs};
use crate::metadata::messages;

const MAX_DRIVER: usize = 63;
const MAX_LUN: i32 = 255;
const QUOBYTE: &str = "must be a host:port pair or multiple pairs separated by commas";
const DISK_URI: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";

/// A source: its field, and its errors if it is set.
type Source = (&'static str, Option<ErrorList>);

/// Errors of the source of a volume.
pub(super) fn validate(spec: &PersistentVolumeSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut found = false;
    for (field, wrong) in sources(&spec.persistent_volume_source, path) {
        let Some(wrong) = wrong else { continue };
        if found {
            let detail = "may not specify more than 1 volume type";
            errors.push(Error::forbidden(&path.child(field), detail));
            continue;
        }
        found = true;
        errors.extend(wrong);
        if field == "local" && spec.node_affinity.is_none() {
            let detail = "Local volume requires node affinity";
            errors.push(Error::required(&path.child("nodeAffinity"), detail));
        }
    }
    if !found {
        errors.push(Error::required(path, "must specify a volume type"));
    }
    errors
}

/// All kinds, in upstream's order.
fn sources(source: &PersistentVolumeSource, path: &Path) -> Vec<Source> {
    let mut all = simple_sources(source, path);
    let mut add = |field: &'static str, errors: Option<ErrorList>| all.push((field, errors));
    let at = |field: &'static str| path.child(field);
    add(
        "local",
        source.local.as_deref().map(|own| {
            let mut errors = required(&[("path", &own.path)], &at("local"));
            if own.path.split('/').any(|part| part == "..") {
                let detail = "must not contain '..'";
                errors.push(Error::invalid(&at("local").child("path"), &own.path, detail));
            }
            errors
        }),
    );
    add(
        "storageos",
        source
            .storageos
            .as_deref()
            .map(|own| required(&[("volumeName", &own.volume_name)], &at("storageos"))),
    );
    add(
        "csi",
        source.csi.as_deref().map(|own| validate_csi(own, &at("csi"))),
    );
    all
}

/// Those before the ones above, most of them of drivers that are gone.
fn simple_sources(source: &PersistentVolumeSource, path: &Path) -> Vec<Source> {
    let at = |field: &'static str| path.child(field);
    let none = |missing: bool, path: &Path, detail: &str| -> ErrorList {
        missing
            .then(|| Error::required(path, detail))
            .into_iter()
            .collect()
    };
    let host_path = source.host_path.as_deref();
    let gce = source.gce_persistent_disk.as_deref();
    let aws = source.aws_elastic_block_store.as_deref();
    let glusterfs = source.glusterfs.as_deref();
    let flocker = source.flocker.as_deref();
    let rbd = source.rbd.as_deref();
    let azure = source.azure_disk.as_deref();
    let scale_io = source.scale_io.as_deref();
    let named = |field: &'static str, errors: Option<ErrorList>| -> Source { (field, errors) };
    vec![
        named(
            "hostPath",
            host_path.map(|own| validate_host_path(own, &at("hostPath"))),
        ),
        named(
            "gcePersistentDisk",
            gce.map(|own| required(&[("pdName", &own.pd_name)], &at("persistentDisk"))),
        ),
        named(
            "awsElasticBlockStore",
            aws.map(|own| required(&[("volumeID", &own.volume_id)], &at("awsElasticBlockStore"))),
        ),
        named(
            "glusterfs",
            glusterfs.map(|own| {
                required(
                    &[("endpoints", &own.endpoints), ("path", &own.path)],
                    &at("glusterfs"),
                )
            }),
        ),
        named(
            "flocker",
            flocker.map(|own| {
                let missing = own.dataset_name.is_empty() && own.dataset_uuid.is_empty();
                none(
                    missing,
                    &at("flocker"),
                    "one of datasetName and datasetUUID is required",
                )
            }),
        ),
        named(
            "nfs",
            source.nfs.as_deref().map(|own| validate_nfs(own, &at("nfs"))),
        ),
        named(
            "rbd",
            rbd.map(|own| {
                let mut errors = none(own.monitors.is_empty(), &at("rbd").child("monitors"), "");
                errors.extend(required(&[("image", &own.image)], &at("rbd")));
                errors
            }),
        ),
        named(
            "quobyte",
            source.quobyte.as_deref().map(|own| {
                let path = at("quobyte");
                let mut errors = none(own.registry.is_empty(), &path.child("registry"), QUOBYTE);
                errors.extend(required(&[("volume", &own.volume)], &path));
                errors
            }),
        ),
        named(
            "cephFS",
            source
                .cephfs
                .as_deref()
                .map(|own| none(own.monitors.is_empty(), &at("cephfs").child("monitors"), "")),
        ),
        named(
            "iscsi",
            source
                .iscsi
                .as_deref()
                .map(|own| validate_iscsi(own, &at("iscsi"))),
        ),
        named(
            "cinder",
            source
                .cinder
                .as_deref()
                .map(|own| required(&[("volumeID", &own.volume_id)], &at("cinder"))),
        ),
        named(
            "fc",
            source.fc.as_deref().map(|own| {
                let missing = own.target_wwns.is_empty() == own.wwids.is_empty();
                let detail = "must specify either targetWWNs or wwids, but not both";
                none(missing, &at("fc").child("targetWWNs"), detail)
            }),
        ),
        named(
            "flexVolume",
            source
                .flex_volume
                .as_deref()
                .map(|own| required(&[("driver", &own.driver)], &at("flexVolume"))),
        ),
        named(
            "azureFile",
            source.azure_file.as_deref().map(|own| {
                let path = at("azureFile");
                let names = [("secretName", &own.secret_name), ("shareName", &own.share_name)];
                let mut errors = required(&names, &path);
                let empty = own.secret_namespace.as_deref().is_some_and(str::is_empty);
                errors.extend(none(empty, &path.child("secretNamespace"), ""));
                errors
            }),
        ),
        named(
            "vsphereVolume",
            source
                .vsphere_volume
                .as_deref()
                .map(|own| required(&[("volumePath", &own.volume_path)], &at("vsphereVolume"))),
        ),
        named(
            "photonPersistentDisk",
            source
                .photon_persistent_disk
                .as_deref()
                .map(|own| required(&[("pdID", &own.pd_id)], &at("photonPersistentDisk"))),
        ),
        named(
            "portworxVolume",
            source
                .portworx_volume
                .as_deref()
                .map(|own| required(&[("volumeID", &own.volume_id)], &at("portworxVolume"))),
        ),
        named(
            "azureDisk",
            azure.map(|own| {
                let names = [("diskName", &own.disk_name), ("diskURI", &own.disk_uri)];
                let mut errors = required(&names, &at("azureDisk"));
                if !own.disk_uri.starts_with("https://") && own.kind.as_deref() != Some("Managed") {
                    let path = at("azureDisk").child("diskURI");
                    errors.push(Error::not_supported(&path, &own.disk_uri, &[DISK_URI]));
                }
                errors
            }),
        ),
        named(
            "scaleIO",
            scale_io.map(|own| {
                let names = [
                    ("gateway", &own.gateway),
                    ("system", &own.system),
                    ("volumeName", &own.volume_name),
                ];
                required(&names, &at("scaleIO"))
            }),
        ),
    ]
}

fn required(fields: &[(&'static str, &String)], path: &Path) -> ErrorList {
    fields
        .iter()
        .filter(|(_, value)| value.is_empty())
        .map(|(field, _)| Error::required(&path.child(*field), ""))
        .collect()
}

fn validate_iscsi(source: &ISCSIPersistentVolumeSource, path: &Path) -> ErrorList {
    const FORMAT: &str = "must be valid format";
    let mut errors = required(&[("targetPortal", &source.target_portal)], path);
    if source.iqn.is_empty() {
        errors.push(Error::required(&path.child("iqn"), ""));
    } else if !is_iscsi_name(&source.iqn) {
        errors.push(Error::invalid(&path.child("iqn"), &source.iqn, FORMAT));
    }
    if !(0..=MAX_LUN).contains(&source.lun) {
        let detail = inclusive_range_error(0, i64::from(MAX_LUN));
        errors.push(Error::invalid(&path.child("lun"), source.lun, detail));
    }
    let secret = path.child("secretRef");
    if (source.chap_auth_discovery || source.chap_auth_session) && source.secret_ref.is_none() {
        errors.push(Error::required(&secret, ""));
    }
    if let Some(name) = source
        .initiator_name
        .as_deref()
        .filter(|name| !is_iscsi_name(name))
    {
        errors.push(Error::invalid(&path.child("initiatorname"), name, FORMAT));
    }
    if let Some(own) = &source.secret_ref {
        errors.extend(required(&[("name", &own.name)], &secret));
    }
    errors
}

/// Names of initiators and targets: `iqn.2001-04.com.example:disk`, or numbers after `eui.` and `naa.`.
fn is_iscsi_name(name: &str) -> bool {
    let number =
        |text: &str, digits: usize| text.len() == digits && text.chars().all(|c| c.is_ascii_alphanumeric());
    if let Some(rest) = name.strip_prefix("eui.") {
        return number(rest, 16);
    }
    if let Some(rest) = name.strip_prefix("naa.") {
        return number(rest, 32);
    }
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = || {
        let (date, rest) = name.strip_prefix("iqn.")?.split_once('.')?;
        let (year, month) = date.split_once('-')?;
        let (authority, own) = rest.split_once(':')?;
        Some((year, month, authority, own))
    };
    parts().is_some_and(|(year, month, authority, own)| {
        let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let plain = |c: char| !c.is_whitespace() && !",;*&$|".contains(c);
        digits(year, 4)
            && digits(month, 2)
            && !authority.is_empty()
            && authority.chars().all(host)
            && !own.is_empty()
            && own.chars().all(plain)
    })
}

fn validate_csi(source: &CSIPersistentVolumeSource, path: &Path) -> ErrorList {
    let (driver, at) = (&source.driver, path.child("driver"));
    let mut errors = required(&[("driver", driver)], path);
    if driver.len() > MAX_DRIVER {
        errors.push(Error::too_long(&at, MAX_DRIVER));
    }
    if !driver.is_empty() {
        let wrong = is_dns1123_subdomain(&driver.to_lowercase());
        errors.extend(messages(&at, driver, wrong));
    }
    errors.extend(required(&[("volumeHandle", &source.volume_handle)], path));
    for (field, secret) in [
        (
            "controllerPublishSecretRef",
            &source.controller_publish_secret_ref,
        ),
        ("controllerExpandSecretRef", &source.controller_expand_secret_ref),
        ("nodePublishSecretRef", &source.node_publish_secret_ref),
        ("nodeExpandSecretRef", &source.node_expand_secret_ref),
    ] {
        if let Some(secret) = secret {
            errors.extend(validate_secret(secret, &path.child(field)));
        }
    }
    errors
}

fn validate_secret(secret: &SecretReference, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (name, namespace) = (&secret.name, &secret.namespace);
    for (field, value, wrong) in [
        ("name", name, name_is_dns_subdomain(name, false)),
        ("namespace", namespace, name_is_dns_label(namespace, false)),
    ] {
        let at = path.child(field);
        if value.is_empty() {
            errors.push(Error::required(&at, ""));
        } else {
            errors.extend(messages(&at, value, wrong));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rules::tests::parse;

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        let errors = validate(&parse(&spec), &Path::new("spec"));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn one_source_with_its_fields() {
        check(json!({"nfs": {"server": "s", "path": "/p"}}), &[]);
        check(json!({}), &["spec: Required value: must specify a volume type"]);
        check(
            json!({"hostPath": {"path": "/p"}, "csi": {}}),
            &["spec.csi: Forbidden: may not specify more than 1 volume type"],
        );
        check(
            json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}}),
            &[
                "spec.csi.volumeHandle: Required value",
                "spec.csi.nodePublishSecretRef.namespace: Required value",
            ],
        );
    }

    #[test]
    fn targets_have_names_of_three_forms() {
        let iscsi = |iqn: &str| json!({"iscsi": {"targetPortal": "p", "iqn": iqn, "lun": 0}});
        for iqn in [
            "iqn.2012-01.com.example:foo",
            "eui.0123456789abcdef",
            "naa.0123456789abcdef0123456789abcdef",
        ] {
            check(iscsi(iqn), &[]);
        }
        check(
            iscsi("x"),
            &["spec.iscsi.iqn: Invalid value: \"x\": must be valid format"],
        );
    }
}
