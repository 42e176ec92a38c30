//! The restricted level: no root, no rights to win, nothing of the host.

use std::collections::BTreeSet;

use api::core::v1::VolumeSource;

use super::baseline::{proc_mount, seccomp, seccomp_is_allowed};
use super::view::{View, Violation, containers, plural, quoted, quoted_set, setters, uses, violation};

/// In the order of upstream's check names.
pub(super) fn check(view: &View<'_>) -> Vec<Violation> {
    let version = view.standard.version;
    // Since 1.25 a pod says which system it is for.
    let windows = version.has(25) && view.is_windows();
    // Since 1.35 a user namespace stands for what keeps root away.
    let own_root = version.has(35) && view.has_user_namespace();
    let mut found = Vec::new();
    if version.has(8) && !windows {
        found.extend(privilege_escalation(view));
    }
    if version.has(22) && !windows {
        found.extend(capabilities(view));
    }
    if version.has(35) {
        found.extend(proc_mount(view));
    }
    found.extend(volumes(view));
    if !own_root {
        found.extend(run_as_non_root(view));
    }
    if version.has(23) && !own_root {
        found.extend(run_as_user(view));
    }
    if version.has(19) && !windows {
        found.extend(seccomp(view).or_else(|| seccomp_is_missing(view)));
    }
    found
}

fn privilege_escalation(view: &View<'_>) -> Option<Violation> {
    let names = view.containers_where(|container| {
        container
            .context
            .is_none_or(|context| context.allow_privilege_escalation != Some(false))
    });
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} must set securityContext.allowPrivilegeEscalation=false",
        containers(&names)
    );
    violation("allowPrivilegeEscalation != false", detail)
}

fn capabilities(view: &View<'_>) -> Option<Violation> {
    const BINDING: &str = "NET_BIND_SERVICE";
    let keeping = view.containers_where(|container| {
        let capabilities = container
            .context
            .and_then(|context| context.capabilities.as_ref());
        !capabilities.is_some_and(|capabilities| capabilities.drop.iter().any(|dropped| dropped == "ALL"))
    });
    let mut bad = BTreeSet::new();
    for container in &view.containers {
        let added = container
            .context
            .iter()
            .flat_map(|context| &context.capabilities)
            .flat_map(|capabilities| &capabilities.add);
        bad.extend(
            added
                .map(String::as_str)
                .filter(|capability| *capability != BINDING),
        );
    }
    let adding = view.containers_where(|container| {
        let mut added = container
            .context
            .iter()
            .flat_map(|context| &context.capabilities)
            .flat_map(|capabilities| &capabilities.add);
        added.any(|capability| capability != BINDING)
    });
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!(
            r#"{} must set securityContext.capabilities.drop=["ALL"]"#,
            containers(&keeping)
        ));
    }
    if !adding.is_empty() {
        let list = quoted_set(&bad);
        details.push(format!(
            "{} must not include {list} in securityContext.capabilities.add",
            containers(&adding)
        ));
    }
    if details.is_empty() {
        None
    } else {
        violation("unrestricted capabilities", details.join("; "))
    }
}

fn volumes(view: &View<'_>) -> Option<Violation> {
    let bad = view
        .spec
        .volumes
        .iter()
        .filter_map(|volume| Some((volume.name.as_str(), restricted_type(&volume.volume_source)?)));
    let (names, types): (Vec<&str>, BTreeSet<&str>) = bad.unzip();
    if names.is_empty() {
        return None;
    }
    let detail = format!(
        "{} {} {} {} {}",
        plural("volume", names.len()),
        quoted(&names),
        uses(names.len()),
        plural("restricted volume type", types.len()),
        quoted_set(&types)
    );
    violation("restricted volume types", detail)
}

/// The type of a volume that is not allowed.
fn restricted_type(source: &VolumeSource) -> Option<&'static str> {
    let allowed = source.config_map.is_some()
        || source.csi.is_some()
        || source.downward_api.is_some()
        || source.empty_dir.is_some()
        || source.ephemeral.is_some()
        || source.image.is_some()
        || source.persistent_volume_claim.is_some()
        || source.projected.is_some()
        || source.secret.is_some();
    if allowed {
        return None;
    }
    let types = [
        (source.host_path.is_some(), "hostPath"),
        (source.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (source.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (source.git_repo.is_some(), "gitRepo"),
        (source.nfs.is_some(), "nfs"),
        (source.iscsi.is_some(), "iscsi"),
        (source.glusterfs.is_some(), "glusterfs"),
        (source.rbd.is_some(), "rbd"),
        (source.flex_volume.is_some(), "flexVolume"),
        (source.cinder.is_some(), "cinder"),
        (source.cephfs.is_some(), "cephfs"),
        (source.flocker.is_some(), "flocker"),
        (source.fc.is_some(), "fc"),
        (source.azure_file.is_some(), "azureFile"),
        (source.vsphere_volume.is_some(), "vsphereVolume"),
        (source.quobyte.is_some(), "quobyte"),
        (source.azure_disk.is_some(), "azureDisk"),
        (source.photon_persistent_disk.is_some(), "photonPersistentDisk"),
        (source.portworx_volume.is_some(), "portworxVolume"),
        (source.scale_io.is_some(), "scaleIO"),
        (source.storageos.is_some(), "storageos"),
    ];
    Some(
        types
            .iter()
            .find(|(used, _)| *used)
            .map_or("unknown", |(_, name)| name),
    )
}

fn run_as_non_root(view: &View<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let pod = view.context.and_then(|context| context.run_as_non_root);
    let bad = view.containers_where(|container| {
        container
            .context
            .is_some_and(|context| context.run_as_non_root == Some(false))
    });
    if let Some(who) = setters(pod == Some(false), &bad) {
        return violation(
            REASON,
            format!("{who} must not set securityContext.runAsNonRoot=false"),
        );
    }
    if pod == Some(true) {
        return None;
    }
    let silent = view.containers_where(|container| {
        container
            .context
            .is_none_or(|context| context.run_as_non_root.is_none())
    });
    if silent.is_empty() {
        return None;
    }
    violation(
        REASON,
        format!(
            "pod or {} must set securityContext.runAsNonRoot=true",
            containers(&silent)
        ),
    )
}

fn run_as_user(view: &View<'_>) -> Option<Violation> {
    let pod = view.context.is_some_and(|context| context.run_as_user == Some(0));
    let names = view.containers_where(|container| {
        container
            .context
            .is_some_and(|context| context.run_as_user == Some(0))
    });
    violation(
        "runAsUser=0",
        format!("{} must not set runAsUser=0", setters(pod, &names)?),
    )
}

/// Who states no profile falls under the pod's, which must be there then.
fn seccomp_is_missing(view: &View<'_>) -> Option<Violation> {
    let pod = view.context.and_then(|context| context.seccomp_profile.as_ref());
    if pod.is_some_and(|profile| seccomp_is_allowed(&profile.type_)) {
        return None;
    }
    let silent = view.containers_where(|container| {
        container
            .context
            .is_none_or(|context| context.seccomp_profile.is_none())
    });
    if silent.is_empty() {
        return None;
    }
    let detail = format!(
        r#"pod or {} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost""#,
        containers(&silent)
    );
    violation("seccompProfile", detail)
}
