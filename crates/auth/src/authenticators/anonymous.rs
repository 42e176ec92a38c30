//! Requests without credentials.

use crate::UserInfo;

/// Lets such requests in as `system:anonymous`, everywhere or on some paths.
#[derive(Clone, Debug, Default)]
pub struct Anonymous {
    /// `None`: everywhere.
    paths: Option<Vec<String>>,
}

impl Anonymous {
    pub fn everywhere() -> Self {
        Self { paths: None }
    }

    /// Exactly these paths.
    pub fn limited_to(paths: Vec<String>) -> Self {
        Self { paths: Some(paths) }
    }

    /// What load balancers and kubelets probe.
    pub fn health_only() -> Self {
        Self::limited_to(["/livez", "/readyz", "/healthz"].map(str::to_owned).into())
    }

    pub fn user(&self, path: &str) -> Option<UserInfo> {
        let allowed = self
            .paths
            .as_ref()
            .is_none_or(|paths| paths.iter().any(|allowed| allowed == path));
        allowed.then(UserInfo::anonymous)
    }
}
