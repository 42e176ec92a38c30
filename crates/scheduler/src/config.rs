//! The configuration file: KubeSchedulerConfiguration, `kubescheduler.config.k8s.io/v1`.
//!
//! Fields of plugins that are not here are accepted, and named at start so that no one relies on them.

mod plugins;

use std::path::{Path, PathBuf};
use std::time::Duration;

use component_base::config::{self as file, Object};
use controller_runtime::leader_election;

use crate::profile::{DEFAULT_SCHEDULER_NAME, Profile};
use crate::queue::Timing;

/// Everything that the file sets.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    pub kubeconfig: Option<PathBuf>,
    /// Requests a second to the API server; not positive: unlimited.
    pub qps: f32,
    pub burst: u32,
    pub leader_election: Option<leader_election::Config>,
    pub timing: Timing,
    pub profiles: Vec<ProfileConfig>,
    /// What the file asks for that is not built, in words.
    pub unsupported: Vec<String>,
}

/// One entry of `profiles`.
#[derive(Clone, Debug)]
pub struct ProfileConfig {
    pub scheduler_name: String,
    pub percentage_of_nodes_to_score: i32,
    pub plugins: plugins::Selection,
    pub arguments: plugins::ArgumentsConfig,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] file::Error),
    #[error("profiles[{index}].schedulerName: Duplicate value: {name:?}")]
    DuplicateProfile { index: usize, name: String },
    #[error("{path}: {reason}")]
    Invalid { path: String, reason: String },
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            qps: 0.0,
            burst: 100,
            leader_election: Some(leader_election::Config::new("kube-system", "kube-scheduler", "")),
            timing: Timing::default(),
            profiles: vec![ProfileConfig::default()],
            unsupported: Vec::new(),
        }
    }
}

impl Default for ProfileConfig {
    fn default() -> Self {
        Self {
            scheduler_name: DEFAULT_SCHEDULER_NAME.to_owned(),
            percentage_of_nodes_to_score: 0,
            plugins: plugins::Selection::default(),
            arguments: plugins::ArgumentsConfig::default(),
        }
    }
}

impl ProfileConfig {
    pub fn build(&self) -> Profile {
        self.plugins.build(
            &self.scheduler_name,
            self.percentage_of_nodes_to_score,
            &self.arguments,
        )
    }
}

impl SchedulerConfig {
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::read(file::load(path)?)
    }

    fn read(document: file::Document) -> Result<Self, Error> {
        let mut root = document.expect("KubeSchedulerConfiguration", &["kubescheduler.config.k8s.io/v1"])?;
        let mut out = Self {
            unsupported: root.ignore(&["parallelism", "enableProfiling", "enableContentionProfiling"]),
            ..Self::default()
        };
        if root
            .objects("extenders")?
            .is_some_and(|extenders| !extenders.is_empty())
        {
            return Err(Error::Invalid {
                path: "extenders".into(),
                reason: "extenders are not supported".into(),
            });
        }
        if let Some(connection) = root.object("clientConnection")? {
            out.read_connection(connection)?;
        }
        if let Some(election) = root.object("leaderElection")? {
            out.leader_election = read_election(election)?;
        }
        let seconds = |value: Option<i64>, default: Duration| {
            value
                .and_then(|s| u64::try_from(s).ok())
                .map_or(default, Duration::from_secs)
        };
        out.timing.initial_backoff =
            seconds(root.int("podInitialBackoffSeconds")?, out.timing.initial_backoff);
        out.timing.max_backoff = seconds(root.int("podMaxBackoffSeconds")?, out.timing.max_backoff);
        let percentage = root.int("percentageOfNodesToScore")?.unwrap_or(0);
        if let Some(profiles) = root.objects("profiles")? {
            out.profiles = Vec::new();
            for (index, profile) in profiles.into_iter().enumerate() {
                let profile = read_profile(profile, percentage, &mut out.unsupported)?;
                if out
                    .profiles
                    .iter()
                    .any(|other| other.scheduler_name == profile.scheduler_name)
                {
                    return Err(Error::DuplicateProfile {
                        index,
                        name: profile.scheduler_name,
                    });
                }
                out.profiles.push(profile);
            }
        }
        root.finish()?;
        Ok(out)
    }

    fn read_connection(&mut self, mut connection: Object) -> Result<(), Error> {
        self.kubeconfig = connection
            .string("kubeconfig")?
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        if let Some(qps) = connection.float("qps")? {
            self.qps = qps as f32;
        }
        if let Some(burst) = connection.int("burst")? {
            self.burst = u32::try_from(burst).unwrap_or(self.burst);
        }
        connection.ignore(&["acceptContentTypes", "contentType"]);
        Ok(connection.finish()?)
    }
}

fn read_election(mut election: Object) -> Result<Option<leader_election::Config>, Error> {
    let namespace = election
        .string("resourceNamespace")?
        .unwrap_or_else(|| "kube-system".into());
    let name = election
        .string("resourceName")?
        .unwrap_or_else(|| "kube-scheduler".into());
    let mut config = leader_election::Config::new(&namespace, &name, "");
    let mut set = |name: &str, span: &mut Duration| -> Result<(), Error> {
        if let Some(value) = election.duration(name)? {
            *span = value;
        }
        Ok(())
    };
    set("leaseDuration", &mut config.lease_duration)?;
    set("renewDeadline", &mut config.renew_deadline)?;
    set("retryPeriod", &mut config.retry_period)?;
    let elect = election.bool("leaderElect")?.unwrap_or(true);
    election.ignore(&["resourceLock"]);
    election.finish()?;
    Ok(elect.then_some(config))
}

fn read_profile(
    mut profile: Object,
    percentage: i64,
    unsupported: &mut Vec<String>,
) -> Result<ProfileConfig, Error> {
    let name = profile
        .string("schedulerName")?
        .unwrap_or_else(|| DEFAULT_SCHEDULER_NAME.to_owned());
    let percentage = profile.int("percentageOfNodesToScore")?.unwrap_or(percentage);
    let arguments =
        plugins::ArgumentsConfig::read(profile.objects("pluginConfig")?.unwrap_or_default(), unsupported)?;
    let selection = match profile.object("plugins")? {
        Some(selection) => plugins::Selection::read(selection, unsupported)?,
        None => plugins::Selection::default(),
    };
    profile.finish()?;
    Ok(ProfileConfig {
        scheduler_name: name,
        percentage_of_nodes_to_score: i32::try_from(percentage).unwrap_or(0),
        plugins: selection,
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str) -> Result<SchedulerConfig, String> {
        let header = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
        let document = file::Document::parse(&format!("{header}{yaml}")).map_err(|e| e.to_string())?;
        SchedulerConfig::read(document).map_err(|e| e.to_string())
    }

    fn names(profile: &Profile) -> (Vec<&str>, Vec<(&str, i64)>) {
        let filters = profile.filters.iter().map(|plugin| plugin.name()).collect();
        (
            filters,
            profile
                .scorers
                .iter()
                .map(|(plugin, weight)| (plugin.name(), *weight))
                .collect(),
        )
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let config = check("").expect("valid");
        let profile = config.profiles[0].build();
        let (filters, scorers) = names(&profile);
        assert_eq!(filters, crate::profile::DEFAULT_FILTERS);
        assert_eq!(scorers, crate::profile::DEFAULT_SCORERS);
        assert!(config.leader_election.is_some());
    }

    #[test]
    fn plugins_are_disabled_enabled_and_weighed() {
        let config = check(
            "profiles:\n- schedulerName: mine\n  plugins:\n    score:\n      disabled: [{name: '*'}]\n      enabled: [{name: NodeResourcesFit, weight: 7}]\n    multiPoint:\n      disabled: [{name: InterPodAffinity}]\nleaderElection: {leaderElect: false}\n",
        )
        .expect("valid");
        let profile = config.profiles[0].build();
        let (filters, scorers) = names(&profile);
        assert!(!filters.contains(&"InterPodAffinity"));
        assert_eq!(scorers, [("NodeResourcesFit", 7)]);
        assert_eq!(profile.scheduler_name, "mine");
        assert!(config.leader_election.is_none());
    }

    #[test]
    fn mistakes_are_named_with_their_path() {
        let error = |yaml: &str| check(yaml).err().unwrap_or_default();
        assert!(
            error("podMaxBackoff: 3\n").contains("podMaxBackoff"),
            "{}",
            error("podMaxBackoff: 3\n")
        );
        assert!(
            error("profiles:\n- {schedulerName: a}\n- {schedulerName: a}\n")
                .contains("profiles[1].schedulerName")
        );
        let unknown = "profiles:\n- plugins:\n    filter:\n      enabled: [{name: Nope}]\n";
        assert!(error(unknown).contains("Nope"), "{}", error(unknown));
    }
}
