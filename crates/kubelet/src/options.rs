//! The command line. Flags go over the configuration file, as upstream has it.

use crate::config::{self, Config, Taint};
use apimachinery::quantity::Quantity;
use component_base::{
    config as files,
    options::{FlagSet, Values},
    upstream,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to load kubelet config file, path: {path}, error: {source}")]
    Config { path: PathBuf, source: files::Error },
    #[error("invalid argument {value:?} for \"--{flag}\" flag: {reason}")]
    Flag {
        flag: &'static str,
        value: String,
        reason: String,
    },
    #[error("cannot read the host's name: {0}")]
    Hostname(#[from] nix::errno::Errno),
}

#[derive(Debug, Clone)]
pub struct Options {
    pub config: Config,
    /// Without one the kubelet runs static pods alone.
    pub kubeconfig: Option<PathBuf>,
    pub bootstrap_kubeconfig: Option<PathBuf>,
    pub node_name: String,
    pub hostname: String,
    pub node_ips: Vec<String>,
    pub root_dir: PathBuf,
    pub cert_dir: PathBuf,
    pub node_labels: BTreeMap<String, String>,
}

pub fn flags() -> FlagSet {
    let mut set = FlagSet::new(
        "kubelet",
        "The kubelet is the node agent: it registers the node and runs the pods that are bound to it.",
    );
    set.string(
        "config",
        "",
        "Path of the configuration file; flags go over what it says.",
    );
    set.string(
        "kubeconfig",
        "",
        "Path of the kubeconfig file; without it the kubelet runs without an API server.",
    );
    set.string(
        "bootstrap-kubeconfig",
        "",
        "Path of a kubeconfig to get a client certificate with, when --kubeconfig does not exist.",
    );
    set.string(
        "hostname-override",
        "",
        "Name to use for the node in place of the host's.",
    );
    set.string(
        "node-ip",
        "",
        "Address of the node, or one of each family with a comma between.",
    );
    set.string(
        "root-dir",
        "/var/lib/kubelet",
        "Folder of the kubelet's files, such as volumes.",
    );
    set.string(
        "cert-dir",
        "/var/lib/kubelet/pki",
        "Folder of the kubelet's certificates.",
    );
    set.map(
        "node-labels",
        "",
        "Labels to give the node when it is registered.",
    );
    set.string(
        "register-with-taints",
        "",
        "Taints to give the node when it is registered, as key=value:effect.",
    );
    set.switch("register-node", true, "Register the node with the API server.");
    set.string(
        "container-runtime-endpoint",
        "",
        "Socket of the container runtime.",
    );
    set.string(
        "image-service-endpoint",
        "",
        "Socket of the image service, when it is not the runtime's.",
    );
    set.string("pod-manifest-path", "", "Folder of static pod manifests.");
    set.string("cgroup-root", "", "Control group under which pods stand.");
    set.string(
        "cgroup-driver",
        "cgroupfs",
        "How the kubelet names control groups.",
    );
    set.strings("cluster-dns", "", "Addresses of the cluster's DNS servers.");
    set.string("cluster-domain", "", "Domain of the cluster.");
    set.string(
        "resolv-conf",
        "/etc/resolv.conf",
        "Resolver configuration that pods' own is based on.",
    );
    set.string("address", "0.0.0.0", "Address to serve on.");
    set.int("port", 10250, "Port to serve on.");
    set.int(
        "healthz-port",
        10248,
        "Port of the healthz endpoint (0 turns it off).",
    );
    set.string(
        "healthz-bind-address",
        "127.0.0.1",
        "Address of the healthz endpoint.",
    );
    set.switch(
        "anonymous-auth",
        false,
        "Take requests without credentials, as system:anonymous.",
    );
    set.string("client-ca-file", "", "Authorities of client certificates.");
    set.string("authorization-mode", "Webhook", "AlwaysAllow or Webhook.");
    set.switch(
        "authentication-token-webhook",
        true,
        "Ask the API server about bearer tokens.",
    );
    set.string(
        "tls-cert-file",
        "",
        "Certificate to serve with; made and signed by the kubelet itself if unset.",
    );
    set.string("tls-private-key-file", "", "Key of --tls-cert-file.");
    set.int("max-pods", 110, "How many pods the node takes.");
    set.switch("fail-swap-on", true, "Do not start on a machine that swaps.");
    set.map(
        "kube-reserved",
        "",
        "Resources kept from pods for Kubernetes itself.",
    );
    set.map("system-reserved", "", "Resources kept from pods for the system.");
    set.string("provider-id", "", "Identifier of the node at the cloud provider.");
    set.strings(
        "allowed-unsafe-sysctls",
        "",
        "Kernel parameters, or prefixes with a star, that pods may set beside the safe ones.",
    );
    set.known(upstream::flags::KUBELET);
    set
}

impl Options {
    pub fn new(values: &Values) -> Result<Self, Error> {
        let mut config = match values.non_empty("config") {
            Some(path) => load(Path::new(path))?,
            None => Config::default(),
        };
        over(values, &mut config)?;
        let hostname = nix::unistd::gethostname()?.to_string_lossy().to_lowercase();
        let node_name = values
            .non_empty("hostname-override")
            .map_or(hostname.clone(), |name| name.trim().to_lowercase());
        let path = |name: &str| values.non_empty(name).map(PathBuf::from);
        Ok(Self {
            config,
            kubeconfig: path("kubeconfig"),
            bootstrap_kubeconfig: path("bootstrap-kubeconfig"),
            node_name,
            hostname: values
                .non_empty("hostname-override")
                .map_or(hostname, ToOwned::to_owned),
            node_ips: node_ips(values.string("node-ip"))?,
            root_dir: values.string("root-dir").into(),
            cert_dir: values.string("cert-dir").into(),
            node_labels: values.map("node-labels"),
        })
    }
}

fn load(path: &Path) -> Result<Config, Error> {
    let failed = |source| Error::Config {
        path: path.to_path_buf(),
        source,
    };
    let document = files::load(path).map_err(failed)?;
    let root = document
        .expect(config::KIND, &[config::API_VERSION])
        .map_err(failed)?;
    let (config, ignored) = Config::read(root).map_err(failed)?;
    if !ignored.is_empty() {
        tracing::info!(fields = ignored.join(","), "configuration fields without effect");
    }
    Ok(config)
}

fn node_ips(text: &str) -> Result<Vec<String>, Error> {
    let ips = text.split(',').map(str::trim).filter(|ip| !ip.is_empty());
    ips.map(|ip| match ip.parse::<std::net::IpAddr>() {
        Ok(ip) => Ok(ip.to_string()),
        Err(error) => Err(Error::Flag {
            flag: "node-ip",
            value: ip.to_owned(),
            reason: error.to_string(),
        }),
    })
    .collect()
}

/// Puts the flags that were given over the configuration.
fn over(values: &Values, config: &mut Config) -> Result<(), Error> {
    let text = |name: &str, target: &mut String| {
        if values.changed(name) {
            values.string(name).clone_into(target);
        }
    };
    let switch = |name: &str, target: &mut bool| {
        if values.changed(name) {
            *target = values.bool(name);
        }
    };
    let path = |name: &str, target: &mut Option<PathBuf>| {
        if values.changed(name) {
            *target = values.non_empty(name).map(PathBuf::from);
        }
    };
    text(
        "container-runtime-endpoint",
        &mut config.container_runtime_endpoint,
    );
    text("image-service-endpoint", &mut config.image_service_endpoint);
    text("cgroup-root", &mut config.cgroup_root);
    text("cgroup-driver", &mut config.cgroup_driver);
    text("cluster-domain", &mut config.cluster_domain);
    text("resolv-conf", &mut config.resolv_conf);
    text("address", &mut config.address);
    text("healthz-bind-address", &mut config.healthz_bind_address);
    text("provider-id", &mut config.provider_id);
    switch("register-node", &mut config.register_node);
    switch("anonymous-auth", &mut config.authentication.anonymous);
    switch("authentication-token-webhook", &mut config.authentication.webhook);
    switch("fail-swap-on", &mut config.fail_swap_on);
    path("pod-manifest-path", &mut config.static_pod_path);
    path("client-ca-file", &mut config.authentication.client_ca_file);
    path("tls-cert-file", &mut config.tls_cert_file);
    path("tls-private-key-file", &mut config.tls_private_key_file);
    if values.changed("cluster-dns") {
        config.cluster_dns = values.strings("cluster-dns").to_vec();
    }
    if values.changed("allowed-unsafe-sysctls") {
        config.allowed_unsafe_sysctls = values.strings("allowed-unsafe-sysctls").to_vec();
    }
    if values.changed("authorization-mode") {
        config.authorization.always_allow = values.string("authorization-mode") == "AlwaysAllow";
    }
    if values.changed("max-pods") {
        config.max_pods = values.int("max-pods");
    }
    port(values, "port", &mut config.port)?;
    port(values, "healthz-port", &mut config.healthz_port)?;
    reserved(values, "kube-reserved", &mut config.kube_reserved)?;
    reserved(values, "system-reserved", &mut config.system_reserved)?;
    if values.changed("register-with-taints") {
        config.register_with_taints = taints(values.string("register-with-taints"))?;
    }
    Ok(())
}

fn port(values: &Values, flag: &'static str, target: &mut u16) -> Result<(), Error> {
    if values.changed(flag) {
        let value = values.int(flag);
        *target = u16::try_from(value).map_err(|_| Error::Flag {
            flag,
            value: value.to_string(),
            reason: "must be between 0 and 65535".into(),
        })?;
    }
    Ok(())
}

fn reserved(
    values: &Values,
    flag: &'static str,
    target: &mut BTreeMap<String, Quantity>,
) -> Result<(), Error> {
    if !values.changed(flag) {
        return Ok(());
    }
    target.clear();
    for (resource, amount) in values.map(flag) {
        let quantity = Quantity::parse(&amount).map_err(|error| Error::Flag {
            flag,
            value: format!("{resource}={amount}"),
            reason: error.to_string(),
        })?;
        target.insert(resource, quantity);
    }
    Ok(())
}

/// `key=value:effect`, or `key:effect`, with commas between.
pub fn taints(text: &str) -> Result<Vec<Taint>, Error> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let failed = || Error::Flag {
                flag: "register-with-taints",
                value: word.to_owned(),
                reason: "must be key=value:effect".into(),
            };
            let (pair, effect) = word.rsplit_once(':').ok_or_else(failed)?;
            if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
                return Err(failed());
            }
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok(Taint {
                key: key.into(),
                value: value.into(),
                effect: effect.into(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use component_base::options::Invocation;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        match flags().parse(arguments.iter().copied()) {
            Ok(Invocation::Run(values)) => Options::new(&values).map_err(|error| error.to_string()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn flags_go_over_the_configuration() {
        let options = parse(&[
            "--hostname-override=Node-1",
            "--node-ip=10.0.0.1,fd00::1",
            "--node-labels=a=b,c=d",
            "--register-with-taints=k=v:NoSchedule,x:NoExecute",
            "--max-pods=5",
        ])
        .unwrap();
        assert_eq!(
            (
                options.node_name.as_str(),
                options.node_ips.len(),
                options.config.max_pods
            ),
            ("node-1", 2, 5)
        );
        assert_eq!(options.node_labels["c"], "d");
        assert_eq!(options.config.register_with_taints[1].effect, "NoExecute");
        assert!(options.kubeconfig.is_none());
    }

    #[test]
    fn mistakes_are_named() {
        assert!(parse(&["--node-ip=nope"]).unwrap_err().contains("--node-ip"));
        assert!(
            parse(&["--register-with-taints=x"])
                .unwrap_err()
                .contains("key=value:effect")
        );
        assert!(parse(&["--port=70000"]).unwrap_err().contains("--port"));
    }
}
