//! Builds what the rest of the kubelet needs.

use super::Error;
use crate::{
    cgroup::{
        hierarchy::{Hierarchy, Version},
        layout::Layout,
        pods::PodGroups,
        resources::{self, GroupLimits, Policy},
    },
    config::Config,
    dns::Cluster,
    events::Events,
    metrics::Metrics,
    node::{
        addresses,
        capacity::{self, Resources},
        machine::{Disk, Machine},
    },
    options::Options,
    settings::Settings,
    sysctl,
    volume::directory::Root,
};
use client::Client;
use component_base::{clock::Clock, shutdown::Shutdown, version};
use controller_runtime::Recorder;
use cri_api::{Runtime, v1};
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

const CGROUPS: &str = "/sys/fs/cgroup";
/// How long a runtime that isn't up yet is waited for.
const RUNTIME_ATTEMPTS: usize = 30;
const RUNTIME_PAUSE: Duration = Duration::from_secs(1);

/// What is known of the node before anything runs.
pub struct Prepared {
    pub machine: Machine,
    pub capacity: Resources,
    pub settings: Arc<Settings>,
    pub groups: PodGroups,
}

pub fn client(options: &Options) -> Result<Option<Client>, Error> {
    let Some(path) = &options.kubeconfig else {
        return Ok(None);
    };
    let agent = format!("kubelet/{} (linux)", version::GIT_VERSION);
    let config = client::Config::from_kubeconfig(path)?
        .with_user_agent(agent)
        .with_rate(options.config.kube_api_qps, options.config.kube_api_burst);
    Ok(Some(Client::new(config)?))
}

/// Connects to the runtime and asks what it is; one that is being started is waited for.
pub async fn runtime(
    config: &Config,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<dyn Runtime>, v1::VersionResponse), Error> {
    let endpoint = &config.container_runtime_endpoint;
    let failed = |source| Error::Runtime {
        endpoint: endpoint.clone(),
        source,
    };
    let client = cri_api::Client::new(
        endpoint,
        &config.image_service_endpoint,
        config.runtime_request_timeout,
    )
    .map_err(failed)?
    .observed_by(metrics.clone());
    let runtime: Arc<dyn Runtime> = Arc::new(client);
    let mut attempt = 0;
    loop {
        match runtime
            .version(v1::VersionRequest {
                version: "0.1.0".into(),
            })
            .await
        {
            Ok(version) => return Ok((runtime, version)),
            Err(error) if attempt < RUNTIME_ATTEMPTS && !error.is_unimplemented() => {
                tracing::info!(%error, endpoint, "waiting for the container runtime");
                attempt += 1;
                tokio::time::sleep(RUNTIME_PAUSE).await;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

pub async fn prepare(
    options: &Options,
    version: &v1::VersionResponse,
    attached: bool,
) -> Result<Prepared, Error> {
    let config = &options.config;
    let machine = Machine::read().map_err(io("cannot read what the machine has"))?;
    if config.fail_swap_on && machine.swap_bytes > 0 {
        return Err(Error::Swap);
    }
    if config.cgroups_per_qos && config.cgroup_driver != "cgroupfs" {
        return Err(Error::CgroupDriver(config.cgroup_driver.clone()));
    }
    if let Some(reason) = config
        .allowed_unsafe_sysctls
        .iter()
        .find_map(|pattern| sysctl::invalid_pattern(pattern))
    {
        return Err(Error::Sysctl(reason));
    }
    let hierarchy = Hierarchy::detect(Path::new(CGROUPS))?;
    if config.fail_cgroup_v1 && hierarchy.version() == Version::V1 {
        return Err(Error::CgroupV1);
    }
    for folder in [
        &options.root_dir,
        &config.pod_logs_dir,
        &options.root_dir.join("pods"),
        &options.root_dir.join("seccomp"),
    ] {
        fs::create_dir_all(folder).map_err(io(format!("cannot create {}", folder.display())))?;
    }
    share_mounts(&options.root_dir);
    adjust_oom_score(config.oom_score_adj);
    let disk = Disk::of(&options.root_dir).map_err(io("cannot measure the root folder"))?;
    let capacity = capacity::capacity(&machine, disk, config);
    let allocatable = capacity::allocatable(&capacity, config);
    let policy = Policy {
        enforce_cpu_quota: config.cpu_cfs_quota,
        cpu_period_us: i64::try_from(config.cpu_cfs_quota_period.as_micros())
            .unwrap_or(resources::DEFAULT_PERIOD_US),
        pod_pids_limit: config.pod_pids_limit,
    };
    let layout = Layout::new(&config.cgroup_root, config.cgroups_per_qos);
    let groups = PodGroups::new(hierarchy, layout.clone(), policy);
    groups.prepare(&all_pods_limits(&capacity, config))?;
    let settings = Settings {
        node_name: options.node_name.clone(),
        node_ips: node_ips(options)?,
        root: Root::new(&options.root_dir),
        pod_logs: config.pod_logs_dir.clone(),
        runtime_name: version.runtime_name.clone(),
        layout,
        policy,
        node_memory: machine.memory_bytes,
        allocatable,
        huge_page_sizes: machine.huge_page_sizes(),
        seccomp_default: config.seccomp_default,
        allowed_unsafe_sysctls: config.allowed_unsafe_sysctls.clone(),
        dns: Cluster {
            servers: config.cluster_dns.clone(),
            domain: config.cluster_domain.clone(),
        },
        resolv_conf: config.resolv_conf.clone(),
        sync_frequency: config.sync_frequency,
        max_crash_back_off: config.max_crash_back_off,
        attached,
    };
    Ok(Prepared {
        machine,
        capacity,
        settings: Arc::new(settings),
        groups,
    })
}

fn node_ips(options: &Options) -> Result<Vec<String>, Error> {
    let chosen: Vec<String> = options
        .node_ips
        .iter()
        .filter(|ip| ip.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified()))
        .cloned()
        .collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let found = addresses::detect().map_err(io("cannot list the machine's addresses"))?;
    found.map(|ip| vec![ip.to_string()]).ok_or(Error::NoAddress)
}

/// All pods together may use what isn't reserved; what eviction keeps free is its matter, not the kernel's.
fn all_pods_limits(capacity: &Resources, config: &Config) -> GroupLimits {
    let left = |resource: &str| {
        let mut amount = capacity.get(resource).cloned().unwrap_or_default();
        for reserved in [&config.kube_reserved, &config.system_reserved] {
            if let Some(reserved) = reserved.get(resource) {
                amount.sub(reserved);
            }
        }
        amount
    };
    let enforce = config.enforce_node_allocatable.iter().any(|what| what == "pods");
    let memory = left("memory");
    GroupLimits {
        cpu_shares: enforce.then(|| resources::shares(left("cpu").milli_value())),
        memory_bytes: Some(memory.value()).filter(|bytes| enforce && *bytes > 0),
        ..GroupLimits::default()
    }
}

/// Volumes' mounts have to reach containers that ask for them.
fn share_mounts(root: &Path) {
    use nix::mount::{MsFlags, mount};
    let is_mount = crate::volume::mount_table::is_mount_point(root).unwrap_or(false);
    let bind = || {
        if !is_mount {
            mount(Some(root), root, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        }
        mount(
            None::<&str>,
            root,
            None::<&str>,
            MsFlags::MS_SHARED | MsFlags::MS_REC,
            None::<&str>,
        )
    };
    if let Err(error) = bind() {
        tracing::warn!(path = %root.display(), %error, "cannot share the mounts of the root folder");
    }
}

fn adjust_oom_score(score: i32) {
    if let Err(error) = fs::write("/proc/self/oom_score_adj", score.to_string()) {
        tracing::info!(score, %error, "cannot set the kubelet's own OOM score");
    }
}

/// Where the runtime keeps images; the kubelet's root if it doesn't say.
pub async fn image_dir(runtime: &dyn Runtime, root_dir: &Path) -> PathBuf {
    let info = runtime.image_fs_info(v1::ImageFsInfoRequest {}).await;
    let mountpoint = info
        .ok()
        .and_then(|info| info.image_filesystems.into_iter().find_map(|fs| fs.fs_id));
    let path = mountpoint
        .map(|id| PathBuf::from(id.mountpoint))
        .filter(|path| path.exists());
    path.unwrap_or_else(|| root_dir.to_path_buf())
}

pub async fn listen(address: &str, port: u16) -> Result<TcpListener, Error> {
    let text = crate::probe::action::authority(address, port);
    TcpListener::bind(&text).await.map_err(|source| Error::Listen {
        address: text,
        source,
    })
}

pub fn events(
    client: Option<&Client>,
    node_name: &str,
    clock: &Arc<dyn Clock>,
    shutdown: &Shutdown,
) -> Events {
    let recorder = client.map(|client| {
        Recorder::start(
            client.clone(),
            "kubelet",
            node_name,
            clock.clone(),
            shutdown.clone(),
        )
    });
    Events::new(recorder, node_name)
}
