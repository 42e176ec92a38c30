//! What a namespace's labels ask for.

use std::collections::BTreeMap;
use std::fmt;

use apimachinery::field::{Error, ErrorList, Path};

const PREFIX: &str = "pod-security.kubernetes.io/";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A version of the standards. What is newest has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Minor(u32),
    Latest,
}

/// A level in a version: `baseline:v1.30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) level: Level,
    pub(super) version: Version,
}

/// What is enforced, noted for the audit log, and warned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: Standard,
    pub(super) audit: Standard,
    pub(super) warn: Standard,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "privileged" => Self::Privileged,
            "baseline" => Self::Baseline,
            "restricted" => Self::Restricted,
            _ => return None,
        })
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest);
        }
        let digits = text.strip_prefix("v1.")?;
        let canonical = digits == "0" || !digits.starts_with('0');
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (canonical && plain)
            .then(|| digits.parse().ok().map(Self::Minor))
            .flatten()
    }

    /// Is a rule that came with this minor version part of the standard?
    pub(super) fn has(self, minor: u32) -> bool {
        self >= Self::Minor(minor)
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.version {
            Version::Latest => write!(f, "{level}:latest"),
            Version::Minor(minor) => write!(f, "{level}:v1.{minor}"),
        }
    }
}

impl Policy {
    /// Labels that cannot be read are errors, and strict where it matters: an unknown level is enforced as
    /// `restricted`, and neither audited nor warned of.
    pub(super) fn of(labels: &BTreeMap<String, String>) -> (Self, ErrorList) {
        let mut reader = Reader {
            labels,
            errors: ErrorList::new(),
        };
        let enforce_level = reader.level("enforce");
        let enforce = Standard {
            level: enforce_level.map_or(Level::Privileged, |level| level.unwrap_or(Level::Restricted)),
            version: reader.version("enforce").unwrap_or(Version::Latest),
        };
        let audit_level = reader.level("audit");
        let audit = Standard {
            level: audit_level.flatten().unwrap_or(Level::Privileged),
            version: reader.version("audit").unwrap_or(Version::Latest),
        };
        let warn_level = reader.level("warn");
        let warn_version = reader.version("warn");
        let mut warn = Standard {
            level: warn_level.flatten().unwrap_or(Level::Privileged),
            version: warn_version.unwrap_or(Version::Latest),
        };
        // What is enforced is warned of as well, so that what makes pods shows it.
        if warn_level.is_none() && enforce_level.flatten().is_some() && enforce.level > warn.level {
            warn.level = enforce.level;
            warn.version = warn_version.unwrap_or(enforce.version);
        }
        (Self { enforce, audit, warn }, reader.errors)
    }

    pub(super) fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn]
            .iter()
            .all(|standard| standard.level == Level::Privileged)
    }
}

struct Reader<'a> {
    labels: &'a BTreeMap<String, String>,
    errors: ErrorList,
}

impl Reader<'_> {
    /// `None`: no label; `Some(None)`: not a level.
    fn level(&mut self, mode: &str) -> Option<Option<Level>> {
        let key = format!("{PREFIX}{mode}");
        let value = self.labels.get(&key)?;
        let level = Level::parse(value);
        if level.is_none() {
            self.refuse(
                &key,
                value.clone(),
                "must be one of privileged, baseline, restricted",
            );
        }
        Some(level)
    }

    fn version(&mut self, mode: &str) -> Option<Version> {
        let key = format!("{PREFIX}{mode}-version");
        let value = self.labels.get(&key)?;
        let version = Version::parse(value);
        if version.is_none() {
            self.refuse(&key, value.clone(), r#"must be "latest" or "v1.x""#);
        }
        version
    }

    fn refuse(&mut self, key: &str, value: String, detail: &str) {
        let path = Path::new("metadata").child("labels").key(key);
        self.errors.push(Error::invalid(&path, value, detail));
    }
}
