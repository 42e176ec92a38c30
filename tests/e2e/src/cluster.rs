//! The cluster under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::kubectl::{Kubectl, Program, eventually, run};
use crate::{Failure, Outcome};

/// Names and ranges that collide with no other cluster of the machine.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("OXIKUBE_CLUSTER", "oxe2e"),
    ("OXIKUBE_HOST_NET", "172.31.250"),
    ("OXIKUBE_POD_CIDR", "10.245.0.0/16"),
    ("OXIKUBE_SERVICE_CIDR", "10.97.0.0/16"),
    ("OXIKUBE_API_PORT", "16443"),
    ("OXIKUBE_OUTSIDE", "no"),
];

pub struct Cluster {
    root: PathBuf,
    output: PathBuf,
    kubeconfig: PathBuf,
    programs: Vec<Program>,
    /// Whether this run made the cluster and removes it.
    owned: bool,
}

/// How kube-proxy writes its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyMode {
    Nftables,
    Iptables,
}

impl ProxyMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }
}

/// The kubectl programs: the one on the path unless others are named.
fn programs() -> Result<Vec<Program>, Failure> {
    let named = std::env::var("OXIKUBE_E2E_KUBECTLS").unwrap_or_else(|_| "kubectl".to_owned());
    named
        .split(':')
        .map(|path| Program::new(Path::new(path)))
        .collect()
}

impl Cluster {
    pub fn bring_up() -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()
            .map_err(|e| e.to_string())?;
        if let Some(kubeconfig) = std::env::var_os("OXIKUBE_E2E_KUBECONFIG") {
            let kubeconfig = PathBuf::from(kubeconfig);
            return Ok(Self {
                root,
                output: kubeconfig.parent().unwrap_or(Path::new("/")).to_owned(),
                kubeconfig,
                programs: programs()?,
                owned: false,
            });
        }
        let output = root.join("target/e2e");
        let mut cluster = Self {
            kubeconfig: output.join("admin.kubeconfig"),
            root,
            output,
            programs: Vec::new(),
            owned: true,
        };
        cluster.script("down", &[])?;
        cluster.script("up", &["--nodes", "2"])?;
        // hack/up installs kubectl where there is none.
        cluster.programs = programs()?;
        Ok(cluster)
    }

    /// The first is the one for everything.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// The first program, in a namespace.
    fn kubectl(&self, namespace: &str) -> Kubectl {
        self.kubectl_of(&self.programs[0], namespace)
    }

    pub fn kubectl_of(&self, program: &Program, namespace: &str) -> Kubectl {
        Kubectl::new(program, &self.kubeconfig, namespace)
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where the cluster's logs, pid files and binaries are.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// The pid of a daemon that hack/up started.
    pub fn pid(&self, daemon: &str) -> Result<u32, Failure> {
        let path = self.output.join("run").join(format!("{daemon}.pid"));
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
        pid.ok_or_else(|| format!("{} holds no pid", path.display()))
    }

    /// Ends a daemon at once, as a crash would.
    pub fn kill(&self, daemon: &str) -> Outcome {
        let pid = self.pid(daemon)?.to_string();
        run(Command::new("kill").args(["-9", &pid])).map(drop)
    }

    /// Ends a container at once, behind the kubelet's back. `id` is `containerd://ID`.
    pub fn kill_container(&self, namespace: &str, pod: &str, id: &str) -> Outcome {
        let node = self
            .kubectl(namespace)
            .run(&["get", "pod", pod, "-o", "jsonpath={.spec.nodeName}"])?;
        let number = node
            .strip_prefix("node-")
            .ok_or_else(|| format!("{pod} is on {node:?}"))?;
        let socket = self.output.join("nodes").join(number).join("containerd.sock");
        let id = id
            .strip_prefix("containerd://")
            .ok_or_else(|| format!("no container id: {id:?}"))?;
        let mut ctr = Command::new("ctr");
        ctr.arg("-a")
            .arg(socket)
            .args(["-n", "k8s.io", "task", "kill", "-s", "SIGKILL", id]);
        run(&mut ctr).map(drop)
    }

    /// Starts again whatever does not run.
    pub fn up_again(&self) -> Outcome {
        self.script("up", &[])
    }

    /// Starts a daemon again as it was.
    pub fn restart(&self, daemon: &str) -> Outcome {
        self.script("restart", &[daemon])
    }

    /// Starts every daemon again that has ended.
    pub fn restart_ended(&self) -> Outcome {
        self.script("restart", &[])
    }

    /// Has every node's kube-proxy write its rules in another way.
    pub fn switch_proxies(&self, mode: ProxyMode) -> Outcome {
        self.script("up", &["--proxy-mode", mode.as_str()])
    }

    /// Runs `case` in a namespace of its own, and removes the namespace whatever comes.
    pub fn in_namespace(&self, name: &str, case: impl FnOnce(&str) -> Outcome) -> Outcome {
        let words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let namespace = words
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join("-");
        let kubectl = self.kubectl("default");
        kubectl.run(&["create", "namespace", &namespace])?;
        // Without it no pod is let in.
        let served = || {
            self.kubectl(&namespace)
                .run(&["get", "serviceaccount", "default"])
        };
        let outcome = eventually("the default service account", served).and_then(|_| case(&namespace));
        let shown = match &outcome {
            Ok(()) => String::new(),
            Err(_) => self.describe(&namespace),
        };
        let removed = kubectl.run(&["delete", "namespace", &namespace, "--wait=true", "--timeout=120s"]);
        outcome.map_err(|failure| format!("{failure}\n{shown}"))?;
        removed.map(drop)
    }

    fn describe(&self, namespace: &str) -> String {
        let kubectl = self.kubectl(namespace);
        let parts = [
            &["get", "all,endpointslices", "-o", "wide"][..],
            &["get", "events"][..],
        ];
        let show = |args: &[&str]| kubectl.run(args).unwrap_or_else(|failure| failure);
        parts.map(show).join("\n")
    }

    pub fn print_state(&self) {
        for args in [
            &["get", "nodes", "-o", "wide"][..],
            &["get", "pods", "-A", "-o", "wide"],
        ] {
            println!(
                "{}",
                self.kubectl("default")
                    .run(args)
                    .unwrap_or_else(|failure| failure)
            );
        }
        let Ok(logs) = std::fs::read_dir(self.output.join("log")) else {
            return;
        };
        for log in logs.flatten() {
            let text = std::fs::read_to_string(log.path()).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            println!("--- {}\n{tail}", log.path().display());
        }
    }

    fn script(&self, name: &str, args: &[&str]) -> Outcome {
        let mut command = Command::new(self.root.join("hack").join(name));
        command.args(args).env("OXIKUBE_OUTPUT", &self.output);
        // A cluster that stood before has the names that the caller's environment says.
        if self.owned {
            command.envs(ENVIRONMENT.iter().copied());
        }
        let status = command
            .stdin(Stdio::null())
            .status()
            .map_err(|error| format!("hack/{name}: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("hack/{name} {args:?} ended with {status}"))
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.owned
            && let Err(failure) = self.script("down", &[])
        {
            eprintln!("cannot remove the cluster: {failure}");
        }
    }
}
