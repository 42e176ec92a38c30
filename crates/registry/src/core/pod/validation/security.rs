//! Security contexts of pods and containers.

use std::collections::BTreeSet;

use api::core::v1::{AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, Sysctl};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_valid_group_id, is_valid_user_id};

use super::mounts::descending_path;
use crate::internal::shown;

const MAX_SYSCTL: usize = 253;
const SYSCTL_PATTERN: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const MAX_APP_ARMOR_PROFILE: usize = 4095;

type IdCheck = fn(i64) -> Vec<String>;

fn validate_id(id: Option<i64>, check: IdCheck, path: &Path) -> ErrorList {
    let Some(id) = id else { return ErrorList::new() };
    check(id)
        .into_iter()
        .map(|message| Error::invalid(path, id, message))
        .collect()
}

fn validate_word(value: Option<&str>, supported: &[&str], path: &Path) -> Option<Error> {
    let value = value.filter(|value| !supported.contains(value))?;
    Some(Error::not_supported(path, value, supported))
}

pub(super) fn validate_pod(spec: &PodSpec, path: &Path) -> ErrorList {
    let Some(context) = spec.security_context.as_deref() else {
        return ErrorList::new();
    };
    let mut errors = validate_id(context.fs_group, is_valid_group_id, &path.child("fsGroup"));
    errors.extend(validate_id(
        context.run_as_user,
        is_valid_user_id,
        &path.child("runAsUser"),
    ));
    errors.extend(validate_id(
        context.run_as_group,
        is_valid_group_id,
        &path.child("runAsGroup"),
    ));
    for (index, group) in context.supplemental_groups.iter().enumerate() {
        let path = path.child("supplementalGroups").index(index);
        errors.extend(validate_id(Some(*group), is_valid_group_id, &path));
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid {
        let path = path.child("shareProcessNamespace");
        errors.push(Error::invalid(
            &path,
            true,
            "ShareProcessNamespace and HostPID cannot both be enabled",
        ));
    }
    errors.extend(validate_sysctls(&context.sysctls, spec, &path.child("sysctls")));
    errors.extend(validate_pod_words(context, path));
    errors.extend(validate_seccomp(
        context.seccomp_profile.as_deref(),
        &path.child("seccompProfile"),
    ));
    errors.extend(validate_app_armor(
        context.app_armor_profile.as_deref(),
        &path.child("appArmorProfile"),
    ));
    errors
}

fn validate_pod_words(context: &PodSecurityContext, path: &Path) -> ErrorList {
    let words: [(&str, &Option<String>, &[&str]); 3] = [
        (
            "fsGroupChangePolicy",
            &context.fs_group_change_policy,
            &["Always", "OnRootMismatch"],
        ),
        (
            "supplementalGroupsPolicy",
            &context.supplemental_groups_policy,
            &["Merge", "Strict"],
        ),
        // The other one, MountOption, is of a feature that is off (KEP-1710).
        (
            "seLinuxChangePolicy",
            &context.se_linux_change_policy,
            &["Recursive"],
        ),
    ];
    let words = words.into_iter();
    words
        .filter_map(|(field, value, known)| validate_word(value.as_deref(), known, &path.child(field)))
        .collect()
}

fn validate_sysctls(sysctls: &[Sysctl], spec: &PodSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut names = BTreeSet::new();
    for (index, sysctl) in sysctls.iter().enumerate() {
        let path = path.index(index).child("name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if !is_sysctl(name) {
            let detail =
                format!("must have at most {MAX_SYSCTL} characters and match regex {SYSCTL_PATTERN}");
            errors.push(Error::invalid(&path, name, detail));
        } else if names.contains(name) {
            errors.push(Error::duplicate(&path, name));
        }
        names.insert(name);
        let dotted = name.replace('/', ".");
        let of_node = (spec.host_network && dotted.starts_with("net."))
            || (spec.host_ipc
                && (dotted.starts_with("kernel.shm")
                    || dotted.starts_with("kernel.msg")
                    || dotted == "kernel.sem"
                    || dotted.starts_with("fs.mqueue.")));
        if of_node {
            let what = if spec.host_network && dotted.starts_with("net.") {
                "hostNet"
            } else {
                "hostIPC"
            };
            errors.push(Error::invalid(
                &path,
                name,
                format!("may not be specified when '{what}' is true"),
            ));
        }
    }
    errors
}

fn is_sysctl(name: &str) -> bool {
    let part = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
    };
    name.len() <= MAX_SYSCTL && name.split(['.', '/']).all(part)
}

pub(super) fn validate_container(
    context: Option<&SecurityContext>,
    host_users: Option<bool>,
    path: &Path,
) -> ErrorList {
    let Some(context) = context else {
        return ErrorList::new();
    };
    let mut errors = validate_id(context.run_as_user, is_valid_user_id, &path.child("runAsUser"));
    errors.extend(validate_id(
        context.run_as_group,
        is_valid_group_id,
        &path.child("runAsGroup"),
    ));
    if let Some(mount) = context.proc_mount.as_deref() {
        let path = path.child("procMount");
        errors.extend(validate_word(Some(mount), &["Default", "Unmasked"], &path));
        if mount == "Unmasked" && host_users.unwrap_or(true) {
            let detail = "`hostUsers` must be false to use `Unmasked`";
            errors.push(Error::invalid(&path, Some(mount), detail));
        }
    }
    errors.extend(validate_seccomp(
        context.seccomp_profile.as_deref(),
        &path.child("seccompProfile"),
    ));
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(Error::invalid(path, shown(context), detail));
        }
        let added = context
            .capabilities
            .as_deref()
            .map(|capabilities| capabilities.add.as_slice())
            .unwrap_or_default();
        if added.iter().any(|capability| capability == "CAP_SYS_ADMIN") {
            let detail =
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(Error::invalid(path, shown(context), detail));
        }
    }
    errors.extend(validate_app_armor(
        context.app_armor_profile.as_deref(),
        &path.child("appArmorProfile"),
    ));
    errors
}

fn validate_seccomp(profile: Option<&SeccompProfile>, path: &Path) -> ErrorList {
    let Some(profile) = profile else {
        return ErrorList::new();
    };
    let types = ["Localhost", "RuntimeDefault", "Unconfined"];
    let mut errors = ErrorList::new();
    if profile.type_.is_empty() {
        let detail = "type is required when seccompProfile is set";
        errors.push(Error::required(&path.child("type"), detail));
    } else {
        errors.extend(super::one_of(&profile.type_, &types, &path.child("type")));
    }
    let path = path.child("localhostProfile");
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => {
            errors.push(Error::required(
                &path,
                "must be set when seccomp type is Localhost",
            ));
        }
        ("Localhost", Some(file)) => errors.extend(descending_path(file, &path)),
        (_, Some(_)) => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(Error::invalid(&path, shown(profile), detail));
        }
        (_, None) => {}
    }
    errors
}

fn validate_app_armor(profile: Option<&AppArmorProfile>, path: &Path) -> ErrorList {
    let Some(profile) = profile else {
        return ErrorList::new();
    };
    let (type_path, path) = (path.child("type"), path.child("localhostProfile"));
    let required = || Error::required(&path, "must be set when AppArmor type is Localhost");
    let mut errors = ErrorList::new();
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => errors.push(required()),
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.push(Error::invalid(&path, name, "must not be padded with whitespace"));
            } else if name.is_empty() {
                errors.push(required());
            }
            if name.len() > MAX_APP_ARMOR_PROFILE {
                errors.push(Error::too_long(&path, MAX_APP_ARMOR_PROFILE));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            let detail = "can only be set when AppArmor type is Localhost";
            errors.push(Error::invalid(&path, Some(name.as_str()), detail));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.push(Error::required(
            &type_path,
            "type is required when appArmorProfile is set",
        )),
        (other, _) => {
            let types = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(Error::not_supported(&type_path, other, &types));
        }
    }
    errors
}

/// A pod with users of its own keeps to itself in other ways too.
pub(super) fn validate_host_users(spec: &PodSpec, path: &Path) -> ErrorList {
    if spec.host_users.unwrap_or(true) {
        return ErrorList::new();
    }
    let set = [
        ("hostNetwork", spec.host_network),
        ("HostPID", spec.host_pid),
        ("HostIPC", spec.host_ipc),
    ];
    let set = set.into_iter().filter(|(_, set)| *set);
    let mut errors: ErrorList = set
        .map(|(field, _)| Error::forbidden(&path.child(field), "when `hostUsers` is false"))
        .collect();
    for (field, containers) in [
        ("initContainers", &spec.init_containers),
        ("containers", &spec.containers),
    ] {
        let with_devices = containers
            .iter()
            .enumerate()
            .filter(|(_, container)| !container.volume_devices.is_empty());
        errors.extend(with_devices.map(|(index, _)| {
            let path = path.child(field).index(index).child("volumeDevices");
            Error::forbidden(&path, "when `hostUsers` is false")
        }));
    }
    errors
}
