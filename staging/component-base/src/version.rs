//! The version this build reports: upstream's, since clients decide by it what the API can do.

use serde_json::Value;

pub const MAJOR: &str = "1";
pub const MINOR: &str = "36";
pub const GIT_VERSION: &str = "v1.36.2";

/// What `/version` answers and `--version` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub major: &'static str,
    pub minor: &'static str,
    pub git_version: &'static str,
    pub git_commit: &'static str,
    pub git_tree_state: &'static str,
    pub build_date: &'static str,
    pub compiler: &'static str,
    pub platform: &'static str,
}

/// The build's version. Commit and date come from the environment of the build (`OXIKUBE_GIT_COMMIT`,
/// `OXIKUBE_GIT_TREE_STATE`, `OXIKUBE_BUILD_DATE`), so that a plain `cargo build` stays reproducible.
pub fn get() -> Info {
    Info {
        major: MAJOR,
        minor: MINOR,
        git_version: GIT_VERSION,
        git_commit: option_env!("OXIKUBE_GIT_COMMIT").unwrap_or("unknown"),
        git_tree_state: option_env!("OXIKUBE_GIT_TREE_STATE").unwrap_or("archive"),
        build_date: option_env!("OXIKUBE_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
        compiler: "rustc",
        platform: platform(),
    }
}

impl Info {
    /// The `/version` document. `goVersion` is part of its schema; there is no Go in this build, so the
    /// value names the compiler instead.
    pub fn to_document(&self) -> String {
        let members: Vec<String> = self
            .members()
            .iter()
            .map(|(name, value)| format!("  {}: {}", Value::from(*name), Value::from(*value)))
            .collect();
        format!("{{\n{}\n}}", members.join(",\n"))
    }

    /// In upstream's order.
    fn members(&self) -> [(&'static str, &str); 13] {
        [
            ("major", self.major),
            ("minor", self.minor),
            ("emulationMajor", self.major),
            ("emulationMinor", self.minor),
            ("minCompatibilityMajor", "1"),
            ("minCompatibilityMinor", "35"),
            ("gitVersion", self.git_version),
            ("gitCommit", self.git_commit),
            ("gitTreeState", self.git_tree_state),
            ("buildDate", self.build_date),
            ("goVersion", "rust"),
            ("compiler", self.compiler),
            ("platform", self.platform),
        ]
    }
}

/// The user agent of a component, in upstream's form: `kubelet/v1.36.2 (linux/amd64) kubernetes/abcdef0`.
pub fn user_agent(component: &str) -> String {
    let info = get();
    let commit = info.git_commit.get(..7).unwrap_or(info.git_commit);
    format!(
        "{component}/{} ({}) kubernetes/{commit}",
        info.git_version, info.platform
    )
}

fn platform() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "linux/arm64"
    } else {
        "linux/amd64"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_the_one_clients_expect() {
        let document: Value = serde_json::from_str(&get().to_document()).expect("JSON");
        assert_eq!(document["gitVersion"], format!("v{MAJOR}.{MINOR}.2"));
        assert!(user_agent("kubelet").starts_with("kubelet/v1.36.2 (linux/"));
    }
}
