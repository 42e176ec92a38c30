//! Flags.

use std::time::Duration;

use component_base::options::{FlagSet, Values};

use crate::Error;

/// How bodies and answers are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Protobuf,
}

/// What is written and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pods,
    ConfigMaps,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub kubeconfig: String,
    /// What the lines are called; empty: by their runs.
    pub label: String,
    pub namespace: String,
    pub runs: Vec<String>,
    pub kind: Kind,
    pub encoding: Encoding,
    /// Answers may come compressed, as to client-go.
    pub gzip: bool,
    /// Operations in flight at a time.
    pub clients: usize,
    /// Connections that the clients share.
    pub connections: usize,
    /// Objects that `create` makes and the others expect.
    pub objects: usize,
    pub watchers: usize,
    /// Watchers of `fanout` that never read.
    pub stuck: usize,
    /// Bytes that `fanout` adds to the object, and thus to each event.
    pub payload: usize,
    /// How long runs without a natural end take.
    pub duration: Duration,
    /// Updates a second that `fanout` makes; 0: as many as are answered.
    pub rate: u64,
    pub page: usize,
    /// Pods are spread over that many made-up nodes; 0: pods have no node.
    pub nodes: usize,
    pub threads: usize,
    /// Processes to report the memory of, by name.
    pub processes: Vec<(String, u32)>,
}

pub fn flags() -> FlagSet {
    let mut set = FlagSet::bare(
        "bench",
        "Drives a Kubernetes API server and prints one JSON line a run.",
    );
    set.positional();
    set.string("kubeconfig", "", "who we are and where the server is");
    set.string(
        "label",
        "",
        "what the lines are called instead of the runs' names",
    );
    set.string("namespace", "bench", "made when it isn't there");
    set.string("kind", "pods", "what is written and read: pods or configmaps");
    set.string("encoding", "json", "json or protobuf");
    set.switch(
        "gzip",
        false,
        "accept compressed answers; what is counted is their plain length",
    );
    set.int("clients", 32, "operations in flight at a time");
    set.int(
        "connections",
        8,
        "connections that the clients and watchers share",
    );
    set.int(
        "objects",
        5000,
        "objects that create makes and the other runs expect",
    );
    set.int("watchers", 500, "watchers of fanout, idle and informers");
    set.int(
        "stuck",
        0,
        "further watchers of fanout, each on a connection of its own, that never read: every other one leaves its \
         socket alone, the rest never open their windows",
    );
    set.int("payload", 0, "bytes that fanout adds to the object it updates");
    set.duration(
        "duration",
        "10s",
        "how long get, list, page, select, patch, lease and fanout take",
    );
    set.int(
        "rate",
        0,
        "updates a second of fanout; 0: as many as are answered",
    );
    set.int("page", 500, "objects of a page");
    set.int("nodes", 0, "spread the pods over that many made-up nodes");
    set.int("threads", 2, "threads of the load generator");
    set.map(
        "pid",
        "",
        "name=PID of a process whose memory is reported; may be repeated",
    );
    set
}

impl Settings {
    pub fn read(values: &Values) -> Result<Self, Error> {
        let count = |flag: &str, least: i64| {
            let number = values.int(flag);
            let refused = || Error::Usage(format!("--{flag} takes a number from {least} on"));
            usize::try_from(number)
                .ok()
                .filter(|_| number >= least)
                .ok_or_else(refused)
        };
        if values.string("kubeconfig").is_empty() || values.arguments().is_empty() {
            return Err(Error::Usage(
                "bench needs --kubeconfig and the runs to make; see --help".into(),
            ));
        }
        Ok(Self {
            kubeconfig: values.string("kubeconfig").to_owned(),
            label: values.string("label").to_owned(),
            namespace: values.string("namespace").to_owned(),
            runs: values.arguments().to_vec(),
            kind: match values.string("kind") {
                "pods" => Kind::Pods,
                "configmaps" => Kind::ConfigMaps,
                other => {
                    return Err(Error::Usage(format!(
                        "--kind takes pods or configmaps, not {other}"
                    )));
                }
            },
            encoding: match values.string("encoding") {
                "json" => Encoding::Json,
                "protobuf" => Encoding::Protobuf,
                other => {
                    return Err(Error::Usage(format!(
                        "--encoding takes json or protobuf, not {other}"
                    )));
                }
            },
            gzip: values.bool("gzip"),
            clients: count("clients", 1)?,
            connections: count("connections", 1)?,
            objects: count("objects", 1)?,
            watchers: count("watchers", 1)?,
            stuck: count("stuck", 0)?,
            payload: count("payload", 0)?,
            duration: values.duration("duration"),
            rate: count("rate", 0)? as u64,
            page: count("page", 1)?,
            nodes: count("nodes", 0)?,
            threads: count("threads", 1)?,
            processes: processes(values)?,
        })
    }
}

fn processes(values: &Values) -> Result<Vec<(String, u32)>, Error> {
    let parse = |(name, pid): (String, String)| match pid.parse() {
        Ok(pid) => Ok((name, pid)),
        Err(_) => Err(Error::Usage(format!("--pid {name}={pid} is not a process"))),
    };
    values.map("pid").into_iter().map(parse).collect()
}
