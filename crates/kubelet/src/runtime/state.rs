//! The sandboxes and containers of one pod as the runtime reports them.

use api::core::v1::LifecycleHandler;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running,
    Exited,
    Unknown,
}

impl ContainerState {
    pub fn from_cri(state: i32) -> Self {
        match state {
            0 => Self::Created,
            1 => Self::Running,
            2 => Self::Exited,
            _ => Self::Unknown,
        }
    }

    /// The word that upstream prints.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Unknown => "unknown",
        }
    }
}

/// One sandbox. Times are Unix nanoseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sandbox {
    pub id: String,
    pub attempt: u32,
    pub ready: bool,
    pub created_at: i64,
    /// Primary address first; empty for the host's network.
    pub ips: Vec<String>,
    /// Whether the runtime reported a network at all.
    pub has_network: bool,
    pub host_network: bool,
}

/// One container, running or not. Times are Unix nanoseconds, zero when unset.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerStatus {
    pub id: String,
    pub name: String,
    pub state: ContainerState,
    pub created_at: i64,
    pub started_at: i64,
    pub finished_at: i64,
    pub exit_code: i32,
    /// The image as named in the specification.
    pub image: String,
    /// The image as resolved: a digest, or an id.
    pub image_id: String,
    pub hash: u64,
    pub restart_count: u32,
    pub reason: String,
    pub message: String,
    pub annotations: Annotations,
    pub resources: Given,
}

/// What a container was given, as far as it is known: processors in thousandths, memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    pub cpu_request: Option<i64>,
    pub cpu_limit: Option<i64>,
    pub memory_request: Option<i64>,
    pub memory_limit: Option<i64>,
}

impl Default for ContainerStatus {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            state: ContainerState::Unknown,
            created_at: 0,
            started_at: 0,
            finished_at: 0,
            exit_code: 0,
            image: String::new(),
            image_id: String::new(),
            hash: 0,
            restart_count: 0,
            reason: String::new(),
            message: String::new(),
            annotations: Annotations::default(),
            resources: Given::default(),
        }
    }
}

/// What a container needs to be ended well even when its pod's specification is gone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotations {
    pub deletion_grace_period: Option<i64>,
    pub termination_grace_period: Option<i64>,
    pub pre_stop: Option<LifecycleHandler>,
    pub termination_message_path: String,
    pub termination_message_policy: String,
}

/// Everything the runtime holds for one pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodState {
    pub uid: String,
    pub name: String,
    pub namespace: String,
    /// Newest first.
    pub sandboxes: Vec<Sandbox>,
    /// Newest first.
    pub containers: Vec<ContainerStatus>,
}

impl PodState {
    /// The newest container of that name.
    pub fn find(&self, name: &str) -> Option<&ContainerStatus> {
        self.containers.iter().find(|status| status.name == name)
    }

    pub fn find_id(&self, id: &str) -> Option<&ContainerStatus> {
        self.containers.iter().find(|status| status.id == id)
    }

    pub fn running(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.containers
            .iter()
            .filter(|c| matches!(c.state, ContainerState::Running | ContainerState::Unknown))
    }

    /// The addresses of the newest sandbox, if it is ready.
    pub fn ips(&self) -> &[String] {
        self.sandboxes
            .first()
            .filter(|sandbox| sandbox.ready)
            .map_or(&[], |sandbox| &sandbox.ips)
    }

    pub fn is_empty(&self) -> bool {
        self.sandboxes.is_empty() && self.containers.is_empty()
    }

    /// Nothing of the pod runs any more.
    pub fn is_stopped(&self) -> bool {
        self.running().next().is_none() && !self.sandboxes.iter().any(|sandbox| sandbox.ready)
    }
}
