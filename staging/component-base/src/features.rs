//! Feature gates: a table of the gates a daemon knows, and which of them are on.

use std::collections::BTreeMap;

use crate::options::{FlagSet, Values};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("missing bool value for {0}")]
    MissingValue(String),
    #[error("invalid value of {0}={1}")]
    InvalidValue(String, String),
    #[error("cannot set feature gate {name} to {value}, feature is locked to {default}")]
    Locked {
        name: String,
        value: bool,
        default: bool,
    },
}

/// How far a feature has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Alpha,
    Beta,
    Stable,
    Deprecated,
}

impl Stage {
    /// The label that `kubernetes_feature_enabled` carries.
    pub fn label(self) -> &'static str {
        match self {
            Self::Alpha => "ALPHA",
            Self::Beta => "BETA",
            Self::Stable => "",
            Self::Deprecated => "DEPRECATED",
        }
    }
}

/// A gate as declared.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    pub name: &'static str,
    pub default: bool,
    pub stage: Stage,
    /// A locked gate cannot leave its default.
    pub locked: bool,
}

/// The gates of one daemon.
#[derive(Clone, Debug)]
pub struct FeatureGates {
    gates: BTreeMap<&'static str, (Feature, bool)>,
    unrecognized: Vec<String>,
}

impl FeatureGates {
    pub fn new(table: &[Feature]) -> Self {
        let gates = table
            .iter()
            .map(|feature| (feature.name, (*feature, feature.default)))
            .collect();
        Self {
            gates,
            unrecognized: Vec::new(),
        }
    }

    /// Is the gate on? A gate that is not in the table is off.
    pub fn enabled(&self, name: &str) -> bool {
        self.gates.get(name).is_some_and(|(_, on)| *on)
    }

    /// Sets gates from `--feature-gates` or a configuration file. `AllAlpha` and `AllBeta` set every gate
    /// of the stage that is not named itself. Unknown gates are kept for [`FeatureGates::unrecognized`]:
    /// upstream warns of them and goes on, so that flags survive a gate's removal.
    pub fn set(&mut self, values: &BTreeMap<String, String>) -> Result<(), Error> {
        let mut wanted = BTreeMap::new();
        for (name, value) in values {
            // A component prefix (`kube:Gate=true`) is upstream's form for several components in one process.
            let name = name.rsplit(':').next().unwrap_or(name);
            wanted.insert(name.to_owned(), parse(name, value)?);
        }
        for (all, stage) in [("AllAlpha", Stage::Alpha), ("AllBeta", Stage::Beta)] {
            let Some(on) = wanted.remove(all) else { continue };
            let of_stage = |(feature, _): &&mut (Feature, bool)| feature.stage == stage && !feature.locked;
            self.gates
                .values_mut()
                .filter(of_stage)
                .for_each(|gate| gate.1 = on);
        }
        for (name, on) in wanted {
            match self.gates.get_mut(name.as_str()) {
                None => self.unrecognized.push(name),
                Some((feature, _)) if feature.locked && feature.default != on => {
                    return Err(Error::Locked {
                        name,
                        value: on,
                        default: feature.default,
                    });
                }
                Some((_, value)) => *value = on,
            }
        }
        Ok(())
    }

    /// Sets gates from the values of the flag that [`add_flag`] declared.
    pub fn set_from(&mut self, values: &Values) -> Result<(), Error> {
        self.set(&values.map("feature-gates"))
    }

    pub fn unrecognized(&self) -> &[String] {
        &self.unrecognized
    }

    /// Every gate with its present state, for `kubernetes_feature_enabled` and `/flagz`.
    pub fn iter(&self) -> impl Iterator<Item = (Feature, bool)> + '_ {
        self.gates.values().copied()
    }
}

/// Declares `--feature-gates`.
pub fn add_flag(set: &mut FlagSet) {
    set.map(
        "feature-gates",
        "",
        "Feature gates to set, as Name=true|false pairs",
    );
}

fn parse(name: &str, value: &str) -> Result<bool, Error> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        "" => Err(Error::MissingValue(name.to_owned())),
        _ => Err(Error::InvalidValue(name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Feature] = &[
        Feature {
            name: "New",
            default: false,
            stage: Stage::Alpha,
            locked: false,
        },
        Feature {
            name: "Newer",
            default: false,
            stage: Stage::Alpha,
            locked: false,
        },
        Feature {
            name: "Ready",
            default: true,
            stage: Stage::Beta,
            locked: false,
        },
        Feature {
            name: "Done",
            default: true,
            stage: Stage::Stable,
            locked: true,
        },
    ];

    fn set(pairs: &[(&str, &str)]) -> Result<String, Error> {
        let mut gates = FeatureGates::new(TABLE);
        gates.set(
            &pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )?;
        let on: Vec<_> = gates
            .iter()
            .filter(|(_, on)| *on)
            .map(|(feature, _)| feature.name)
            .collect();
        Ok(format!(
            "{} unknown {}",
            on.join(" "),
            gates.unrecognized().join(" ")
        ))
    }

    #[test]
    fn gates_follow_defaults_stages_and_names() {
        assert_eq!(set(&[]).unwrap(), "Done Ready unknown ");
        assert_eq!(
            set(&[("AllAlpha", "true"), ("New", "false")]).unwrap(),
            "Done Newer Ready unknown "
        );
        assert_eq!(
            set(&[("AllBeta", "false"), ("Gone", "true"), ("kube:New", "1")]).unwrap(),
            "Done New unknown Gone"
        );
    }

    #[test]
    fn bad_settings_are_refused() {
        let locked = Error::Locked {
            name: "Done".into(),
            value: false,
            default: true,
        };
        assert_eq!(set(&[("Done", "false")]).unwrap_err(), locked);
        assert_eq!(
            set(&[("New", "yes")]).unwrap_err().to_string(),
            "invalid value of New=yes"
        );
        assert_eq!(
            set(&[("New", "")]).unwrap_err().to_string(),
            "missing bool value for New"
        );
    }
}
