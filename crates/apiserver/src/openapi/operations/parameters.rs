//! Parameters of operations, without descriptions.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub kind: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
}

impl Parameter {
    pub const fn path(name: &'static str) -> Self {
        Self {
            name,
            place: Place::Path,
            kind: "string",
        }
    }

    pub const fn query(name: &'static str, kind: &'static str) -> Self {
        Self {
            name,
            place: Place::Query,
            kind,
        }
    }

    /// Whether clients look for it in each operation, so that it is not shared between them.
    pub fn stays_in_place(&self) -> bool {
        self.place == Place::Path || matches!(self.name, "dryRun" | "fieldValidation")
    }
}

const fn text(name: &'static str) -> Parameter {
    Parameter::query(name, "string")
}

const fn flag(name: &'static str) -> Parameter {
    Parameter::query(name, "boolean")
}

const fn number(name: &'static str) -> Parameter {
    Parameter::query(name, "integer")
}

pub const CREATE: &[Parameter] = &[text("dryRun"), text("fieldManager"), text("fieldValidation")];

pub const PATCH: &[Parameter] = &[
    text("dryRun"),
    text("fieldManager"),
    text("fieldValidation"),
    flag("force"),
];

pub const DELETE: &[Parameter] = &[
    text("dryRun"),
    number("gracePeriodSeconds"),
    flag("ignoreStoreReadErrorWithClusterBreakingPotential"),
    flag("orphanDependents"),
    text("propagationPolicy"),
];

pub const LIST: &[Parameter] = &[
    flag("allowWatchBookmarks"),
    text("continue"),
    text("fieldSelector"),
    text("labelSelector"),
    number("limit"),
    text("resourceVersion"),
    text("resourceVersionMatch"),
    flag("sendInitialEvents"),
    number("timeoutSeconds"),
    flag("watch"),
];

/// Deleting a collection takes what selects its items and what deletes each.
pub fn delete_collection() -> Vec<Parameter> {
    let selecting = LIST
        .iter()
        .filter(|p| !matches!(p.name, "allowWatchBookmarks" | "watch"));
    let mut parameters: Vec<Parameter> = DELETE.iter().chain(selecting).copied().collect();
    parameters.sort_by_key(|parameter| parameter.name);
    parameters
}

/// The options of a connection or of a log, as query parameters.
pub fn connect(kind: &str) -> &'static [Parameter] {
    match kind {
        "PodExecOptions" => {
            const {
                &[
                    text("command"),
                    text("container"),
                    flag("stderr"),
                    flag("stdin"),
                    flag("stdout"),
                    flag("tty"),
                ]
            }
        }
        "PodAttachOptions" => {
            const {
                &[
                    text("container"),
                    flag("stderr"),
                    flag("stdin"),
                    flag("stdout"),
                    flag("tty"),
                ]
            }
        }
        "PodPortForwardOptions" => const { &[number("ports")] },
        "PodLogOptions" => {
            const {
                &[
                    text("container"),
                    flag("follow"),
                    flag("insecureSkipTLSVerifyBackend"),
                    number("limitBytes"),
                    flag("previous"),
                    number("sinceSeconds"),
                    text("stream"),
                    number("tailLines"),
                    flag("timestamps"),
                ]
            }
        }
        "PodProxyOptions" | "ServiceProxyOptions" | "NodeProxyOptions" => const { &[text("path")] },
        _ => &[],
    }
}
