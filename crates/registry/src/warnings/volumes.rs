//! Volumes: plugins that are gone, and files that hide each other.

use api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};
use apimachinery::field::Path;
use apimachinery::quote::quote;

/// Plugins that are deprecated, most of which do nothing any more.
pub(super) fn plugins(volumes: &[Volume], path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, volume) in volumes.iter().enumerate() {
        let (path, source) = (path.index(index), &volume.volume_source);
        let mut warn = |there: bool, field: &'static str, why: &str| {
            if there {
                warnings.push(format!("{}: {why}", path.child(field)));
            }
        };
        let gone = "deprecated in v1.22, non-functional in v1.25+";
        warn(
            source.photon_persistent_disk.is_some(),
            "photonPersistentDisk",
            "deprecated in v1.11, non-functional in v1.16+",
        );
        warn(
            source.git_repo.is_some(),
            "gitRepo",
            "deprecated in v1.11, and disabled by default in v1.33+",
        );
        warn(
            source.scale_io.is_some(),
            "scaleIO",
            "deprecated in v1.16, non-functional in v1.22+",
        );
        warn(source.flocker.is_some(), "flocker", gone);
        warn(source.storageos.is_some(), "storageOS", gone);
        warn(source.quobyte.is_some(), "quobyte", gone);
        warn(
            source.glusterfs.is_some(),
            "glusterfs",
            "deprecated in v1.25, non-functional in v1.26+",
        );
        let later = "deprecated in v1.28, non-functional in v1.31+";
        let ephemeral = source.ephemeral.as_deref();
        if let Some(template) = ephemeral.and_then(|own| own.volume_claim_template.as_deref()) {
            let path = path.child("ephemeral").child("volumeClaimTemplate").child("spec");
            warnings.extend(super::claim(&template.spec, &path));
        }
        for (there, field) in [(source.cephfs.is_some(), "cephfs"), (source.rbd.is_some(), "rbd")] {
            if there {
                warnings.push(format!("{}: {later}", path.child(field)));
            }
        }
    }
    warnings
}

/// A file, and what it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    path: String,
    source: String,
}

impl std::fmt::Display for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&quote(&self.path))?;
        if !self.source.is_empty() {
            write!(f, " ({})", self.source)?;
        }
        Ok(())
    }
}

trait HasPath {
    fn path(&self) -> &str;
}

impl HasPath for KeyToPath {
    fn path(&self) -> &str {
        &self.path
    }
}

impl HasPath for DownwardAPIVolumeFile {
    fn path(&self) -> &str {
        &self.path
    }
}

fn files<T: HasPath>(items: &[T], source: &str) -> Vec<File> {
    items
        .iter()
        .map(|item| file(item.path(), source.to_owned()))
        .collect()
}

fn file(path: &str, source: String) -> File {
    File {
        path: path.trim_end_matches('/').to_owned(),
        source,
    }
}

/// Files of one volume of which one is, or is within, another.
pub(super) fn overlapping_paths(volumes: &[Volume]) -> Vec<String> {
    let mut warnings = Vec::new();
    for volume in volumes {
        let source = &volume.volume_source;
        let mut check = |what: &str, files: Vec<File>| {
            let name = quote(&volume.name);
            let overlaps = overlaps(files).into_iter();
            warnings.extend(overlaps.map(|own| format!("volume {name} ({what}): overlapping paths: {own}")));
        };
        if let Some(map) = &source.config_map {
            let what = format!("ConfigMap {}", quote(&map.local_object_reference.name));
            check(&what, files(&map.items, ""));
        }
        if let Some(secret) = &source.secret {
            let what = format!("Secret {}", quote(&secret.secret_name));
            check(&what, files(&secret.items, ""));
        }
        if let Some(downward) = &source.downward_api {
            check("DownwardAPI", files(&downward.items, ""));
        }
        let Some(projected) = &source.projected else {
            continue;
        };
        check(
            "Projected",
            projected.sources.iter().flat_map(projection).collect(),
        );
        let empty = projected
            .sources
            .iter()
            .filter(|own| **own == VolumeProjection::default());
        let name = quote(&volume.name);
        warnings.extend(empty.map(|_| format!("volume {name} (Projected) has no sources provided")));
    }
    warnings
}

fn projection(source: &VolumeProjection) -> Vec<File> {
    if let Some(map) = source.config_map.as_deref().filter(|own| !own.items.is_empty()) {
        let what = format!("ConfigMap {}", quote(&map.local_object_reference.name));
        return files(&map.items, &what);
    }
    if let Some(secret) = source.secret.as_deref().filter(|own| !own.items.is_empty()) {
        let what = format!("Secret {}", quote(&secret.local_object_reference.name));
        return files(&secret.items, &what);
    }
    if let Some(downward) = source.downward_api.as_deref().filter(|own| !own.items.is_empty()) {
        return files(&downward.items, "DownwardAPI");
    }
    if let Some(token) = &source.service_account_token {
        return vec![file(&token.path, "ServiceAccountToken".to_owned())];
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        let name = bundle.name.as_deref().or(bundle.signer_name.as_deref());
        let what = format!("ClusterTrustBundle {}", quote(name.unwrap_or_default()));
        return vec![file(&bundle.path, what)];
    }
    let Some(certificate) = &source.pod_certificate else {
        return Vec::new();
    };
    [
        (&certificate.certificate_chain_path, "PodCertificate chain"),
        (&certificate.key_path, "PodCertificate key"),
        (
            &certificate.credential_bundle_path,
            "PodCertificate credential bundle",
        ),
    ]
    .into_iter()
    .filter(|(path, _)| !path.is_empty())
    .map(|(path, what)| file(path, what.to_owned()))
    .collect()
}

fn overlaps(files: Vec<File>) -> Vec<String> {
    let mut found = Vec::new();
    for (index, file) in files.iter().enumerate().filter(|(_, own)| !own.path.is_empty()) {
        let within =
            |inner: &File, outer: &File| format!("{}/", inner.path).starts_with(&format!("{}/", outer.path));
        let before = files[..index].iter().filter(|other| !other.path.is_empty());
        let clashing = before.filter(|other| within(file, other) || within(other, file));
        found.extend(clashing.map(|other| format!("{file} with {other}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rules::tests::parse;

    #[track_caller]
    fn check(volume: Value, expected: &[&str]) {
        assert_eq!(overlapping_paths(&[parse(&volume)]), expected);
    }

    #[test]
    fn files_that_hide_each_other() {
        check(
            json!({"name": "v", "configMap": {"name": "m", "items": [
                {"key": "a", "path": "x"}, {"key": "b", "path": "x/y"}, {"key": "c", "path": "xy"},
            ]}}),
            &[r#"volume "v" (ConfigMap "m"): overlapping paths: "x/y" with "x""#],
        );
        check(
            json!({"name": "v", "projected": {"sources": [
                {"secret": {"name": "s", "items": [{"key": "a", "path": "t"}]}},
                {"serviceAccountToken": {"path": "t"}},
                {},
            ]}}),
            &[
                r#"volume "v" (Projected): overlapping paths: "t" (ServiceAccountToken) with "t" (Secret "s")"#,
                r#"volume "v" (Projected) has no sources provided"#,
            ],
        );
    }
}
