//! Security contexts, from the pod's and the container's to the runtime's. Pure.
//! Upstream: `pkg/securitycontext`, `kuberuntime/security_context*.go`.

use crate::pod;
use api::core::v1::{AppArmorProfile, Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext};
use cri_api::v1::{
    Capability, Int64Value, LinuxContainerSecurityContext, LinuxSandboxSecurityContext, NamespaceMode,
    NamespaceOption, SeLinuxOption, SecurityProfile, SupplementalGroupsPolicy, security_profile::ProfileType,
};
use std::path::Path;

/// What the default proc mount hides.
const MASKED_PATHS: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
];
const MASKED_SYS_PATHS: [&str; 2] = ["/sys/firmware", "/sys/devices/virtual/powercap"];
const READ_ONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
/// The largest user id of the API.
const MAX_UID: i64 = i32::MAX as i64;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("container's runAsUser breaks non-root policy (pod: {pod:?}, container: {container})")]
    RunsAsRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: {pod:?}, container: {container})"
    )]
    NamedUser {
        user: String,
        pod: String,
        container: String,
    },
    #[error("container has runAsNonRoot and image will run as root (pod: {pod:?}, container: {container})")]
    ImageRunsAsRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has an invalid user id ({uid}) (pod: {pod:?}, container: {container})"
    )]
    InvalidUid {
        uid: i64,
        pod: String,
        container: String,
    },
    #[error("localhost seccomp profile for container {0} needs localhostProfile")]
    SeccompPath(String),
}

/// The user that an image runs as unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageUser {
    pub uid: Option<i64>,
    pub name: String,
}

/// How the node fills what pods leave open.
#[derive(Debug, Clone, Default)]
pub struct Defaults<'a> {
    /// An unset seccomp profile means the runtime's rather than none.
    pub seccomp_default: bool,
    /// The folder of localhost seccomp profiles.
    pub seccomp_root: &'a str,
}

/// The container's context with what it leaves open taken from the pod's.
pub fn effective(pod: &Pod, container: &Container) -> SecurityContext {
    let mut own = container.security_context.as_deref().cloned().unwrap_or_default();
    if let Some(shared) = pod.spec.security_context.as_deref() {
        own.se_linux_options = own.se_linux_options.or_else(|| shared.se_linux_options.clone());
        own.run_as_user = own.run_as_user.or(shared.run_as_user);
        own.run_as_group = own.run_as_group.or(shared.run_as_group);
        own.run_as_non_root = own.run_as_non_root.or(shared.run_as_non_root);
        own.seccomp_profile = own.seccomp_profile.or_else(|| shared.seccomp_profile.clone());
        own.app_armor_profile = own.app_armor_profile.or_else(|| shared.app_armor_profile.clone());
    }
    own
}

/// A container that must not run as root doesn't.
pub fn verify_non_root(pod: &Pod, container: &Container, image: &ImageUser) -> Result<(), Error> {
    let context = effective(pod, container);
    if context.run_as_non_root != Some(true) {
        return Ok(());
    }
    let (pod, container) = (pod::description(pod), container.name.clone());
    match (context.run_as_user, image.uid) {
        (Some(0), _) => Err(Error::RunsAsRoot { pod, container }),
        (Some(_), _) => Ok(()),
        (None, Some(0)) => Err(Error::ImageRunsAsRoot { pod, container }),
        (None, Some(uid)) if !(0..=MAX_UID).contains(&uid) => Err(Error::InvalidUid { uid, pod, container }),
        (None, None) if !image.name.is_empty() => Err(Error::NamedUser {
            user: image.name.clone(),
            pod,
            container,
        }),
        (None, _) => Ok(()),
    }
}

/// Which namespaces a pod shares with whom.
pub fn namespaces(pod: &Pod) -> NamespaceOption {
    let node_or =
        |node: bool, otherwise: NamespaceMode| i32::from(if node { NamespaceMode::Node } else { otherwise });
    let shared = pod.spec.share_process_namespace == Some(true);
    NamespaceOption {
        network: node_or(pod.spec.host_network, NamespaceMode::Pod),
        ipc: node_or(pod.spec.host_ipc, NamespaceMode::Pod),
        pid: node_or(
            pod.spec.host_pid,
            if shared {
                NamespaceMode::Pod
            } else {
                NamespaceMode::Container
            },
        ),
        ..NamespaceOption::default()
    }
}

pub fn for_sandbox(pod: &Pod) -> LinuxSandboxSecurityContext {
    let mut result = LinuxSandboxSecurityContext {
        privileged: pod
            .spec
            .init_containers
            .iter()
            .chain(&pod.spec.containers)
            .any(pod::is_privileged),
        // The sandbox itself does nothing: it needs no more than the runtime's profile.
        seccomp: Some(profile(ProfileType::RuntimeDefault, String::new())),
        namespace_options: Some(namespaces(pod)),
        ..LinuxSandboxSecurityContext::default()
    };
    if let Some(context) = pod.spec.security_context.as_deref() {
        result.run_as_user = context.run_as_user.map(|value| Int64Value { value });
        result.run_as_group = context.run_as_group.map(|value| Int64Value { value });
        result.supplemental_groups = supplemental_groups(context);
        result.supplemental_groups_policy = groups_policy(context);
        result.selinux_options = context.se_linux_options.as_deref().map(se_linux);
    }
    result
}

pub fn for_container(
    pod: &Pod,
    container: &Container,
    image: &ImageUser,
    defaults: &Defaults<'_>,
) -> Result<LinuxContainerSecurityContext, Error> {
    let context = effective(pod, container);
    let privileged = context.privileged == Some(true);
    let unmasked = context.proc_mount.as_deref() == Some("Unmasked");
    let mut result = LinuxContainerSecurityContext {
        capabilities: context.capabilities.as_deref().map(|capabilities| Capability {
            add_capabilities: capabilities.add.clone(),
            drop_capabilities: capabilities.drop.clone(),
            ..Capability::default()
        }),
        privileged,
        namespace_options: Some(namespaces(pod)),
        selinux_options: context.se_linux_options.as_deref().map(se_linux),
        run_as_user: context.run_as_user.map(|value| Int64Value { value }),
        run_as_group: context.run_as_group.map(|value| Int64Value { value }),
        readonly_rootfs: context.read_only_root_filesystem == Some(true),
        no_new_privs: context.allow_privilege_escalation == Some(false),
        masked_paths: if unmasked { Vec::new() } else { masked_paths() },
        readonly_paths: if unmasked {
            Vec::new()
        } else {
            READ_ONLY_PATHS.map(String::from).to_vec()
        },
        seccomp: Some(seccomp(&context, container, privileged, defaults)?),
        apparmor: context.app_armor_profile.as_deref().map(app_armor),
        ..LinuxContainerSecurityContext::default()
    };
    if result.run_as_user.is_none() {
        result.run_as_user = image.uid.map(|value| Int64Value { value });
        result.run_as_username.clone_from(&image.name);
    }
    if let Some(shared) = pod.spec.security_context.as_deref() {
        result.supplemental_groups = supplemental_groups(shared);
        result.supplemental_groups_policy = groups_policy(shared);
    }
    Ok(result)
}

fn masked_paths() -> Vec<String> {
    MASKED_PATHS
        .iter()
        .chain(&MASKED_SYS_PATHS)
        .map(ToString::to_string)
        .collect()
}

fn supplemental_groups(context: &PodSecurityContext) -> Vec<i64> {
    context
        .fs_group
        .into_iter()
        .chain(context.supplemental_groups.iter().copied())
        .collect()
}

fn groups_policy(context: &PodSecurityContext) -> i32 {
    match context.supplemental_groups_policy.as_deref() {
        Some("Strict") => SupplementalGroupsPolicy::Strict.into(),
        _ => SupplementalGroupsPolicy::Merge.into(),
    }
}

fn se_linux(options: &api::core::v1::SELinuxOptions) -> SeLinuxOption {
    SeLinuxOption {
        user: options.user.clone(),
        role: options.role.clone(),
        r#type: options.type_.clone(),
        level: options.level.clone(),
    }
}

fn profile(kind: ProfileType, localhost: String) -> SecurityProfile {
    SecurityProfile {
        profile_type: kind.into(),
        localhost_ref: localhost,
    }
}

fn seccomp(
    context: &SecurityContext,
    container: &Container,
    privileged: bool,
    defaults: &Defaults<'_>,
) -> Result<SecurityProfile, Error> {
    if privileged {
        return Ok(profile(ProfileType::Unconfined, String::new()));
    }
    let unset = if defaults.seccomp_default {
        ProfileType::RuntimeDefault
    } else {
        ProfileType::Unconfined
    };
    let Some(chosen) = context.seccomp_profile.as_deref() else {
        return Ok(profile(unset, String::new()));
    };
    match chosen.type_.as_str() {
        "RuntimeDefault" => Ok(profile(ProfileType::RuntimeDefault, String::new())),
        "Localhost" => localhost_seccomp(chosen, container, defaults),
        _ => Ok(profile(ProfileType::Unconfined, String::new())),
    }
}

fn localhost_seccomp(
    chosen: &SeccompProfile,
    container: &Container,
    defaults: &Defaults<'_>,
) -> Result<SecurityProfile, Error> {
    let name = chosen
        .localhost_profile
        .as_deref()
        .filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Error::SeccompPath(container.name.clone()))?;
    let path = Path::new(defaults.seccomp_root).join(name);
    Ok(profile(
        ProfileType::Localhost,
        path.to_string_lossy().into_owned(),
    ))
}

fn app_armor(chosen: &AppArmorProfile) -> SecurityProfile {
    match chosen.type_.as_str() {
        "RuntimeDefault" => profile(ProfileType::RuntimeDefault, String::new()),
        "Localhost" => profile(
            ProfileType::Localhost,
            chosen.localhost_profile.clone().unwrap_or_default(),
        ),
        _ => profile(ProfileType::Unconfined, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    fn pod(shared: &str, own: &str) -> (Pod, Container) {
        let json = format!(
            r#"{{"metadata":{{"name":"p","namespace":"n","uid":"u"}},
                "spec":{{"securityContext":{shared},"containers":[{{"name":"c","securityContext":{own}}}]}}}}"#
        );
        let pod = Pod::from_json(json.as_bytes()).unwrap();
        let container = pod.spec.containers[0].clone();
        (pod, container)
    }

    fn built(shared: &str, own: &str, image: &ImageUser) -> LinuxContainerSecurityContext {
        let (pod, container) = pod(shared, own);
        for_container(
            &pod,
            &container,
            image,
            &Defaults {
                seccomp_default: false,
                seccomp_root: "/seccomp",
            },
        )
        .unwrap()
    }

    #[test]
    fn the_container_s_word_goes_before_the_pod_s() {
        let image = ImageUser {
            uid: Some(7),
            name: String::new(),
        };
        let context = built(
            r#"{"runAsUser":1,"runAsGroup":2,"fsGroup":3,"supplementalGroups":[4]}"#,
            "{}",
            &image,
        );
        assert_eq!(context.run_as_user, Some(Int64Value { value: 1 }));
        assert_eq!(context.supplemental_groups, [3, 4]);
        let context = built(
            r#"{"runAsUser":1}"#,
            r#"{"runAsUser":9,"allowPrivilegeEscalation":false}"#,
            &image,
        );
        assert_eq!(context.run_as_user, Some(Int64Value { value: 9 }));
        assert!(context.no_new_privs);
        assert_eq!(
            built("{}", "{}", &image).run_as_user,
            Some(Int64Value { value: 7 })
        );
    }

    #[test]
    fn profiles() {
        let image = ImageUser::default();
        let of = |own: &str| built("{}", own, &image).seccomp.unwrap();
        assert_eq!(of("{}").profile_type, i32::from(ProfileType::Unconfined));
        assert_eq!(
            of(r#"{"seccompProfile":{"type":"RuntimeDefault"}}"#).profile_type,
            i32::from(ProfileType::RuntimeDefault)
        );
        let local = of(r#"{"seccompProfile":{"type":"Localhost","localhostProfile":"a.json"}}"#);
        assert_eq!(local.localhost_ref, "/seccomp/a.json");
        assert_eq!(
            of(r#"{"privileged":true}"#).profile_type,
            i32::from(ProfileType::Unconfined)
        );
        assert!(
            built("{}", r#"{"procMount":"Unmasked"}"#, &image)
                .masked_paths
                .is_empty()
        );
    }

    #[test]
    fn non_root_is_verified() {
        let verify = |shared: &str, own: &str, image: ImageUser| {
            let (pod, container) = pod(shared, own);
            verify_non_root(&pod, &container, &image).map_err(|error| error.to_string())
        };
        let named = || ImageUser {
            uid: None,
            name: "www".into(),
        };
        let root = || ImageUser {
            uid: Some(0),
            name: String::new(),
        };
        assert_eq!(verify("{}", "{}", root()), Ok(()));
        assert_eq!(
            verify(r#"{"runAsNonRoot":true}"#, "{}", root()),
            Err(
                r#"container has runAsNonRoot and image will run as root (pod: "p_n(u)", container: c)"#
                    .into()
            )
        );
        assert!(
            verify(r#"{"runAsNonRoot":true}"#, "{}", named())
                .unwrap_err()
                .contains("non-numeric user (www)")
        );
        assert_eq!(
            verify(r#"{"runAsNonRoot":true}"#, r#"{"runAsUser":5}"#, root()),
            Ok(())
        );
        assert!(verify(r#"{"runAsNonRoot":true}"#, r#"{"runAsUser":0}"#, named()).is_err());
    }
}
