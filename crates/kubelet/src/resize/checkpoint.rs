//! A file with the resources of pods, as upstream writes it: either kubelet goes on where the other stopped.
//! Upstream: `allocation/state`, `checkpointmanager`.

use super::allocation::PodResources;
use crate::container_hash::fnv1a;
use api::{Message, core::v1::ResourceRequirements};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "could not restore state from checkpoint: {reason}, please drain this node and delete pod resource \
         information checkpoint file {path:?} before restarting Kubelet"
    )]
    Corrupt { path: PathBuf, reason: String },
}

type Entries = BTreeMap<String, PodResources>;

/// Resources by the uid of their pod, in memory and on disk.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    entries: Mutex<Entries>,
}

impl Checkpoint {
    pub fn open(path: PathBuf) -> Result<Self, Error> {
        let entries = match fs::read_to_string(&path) {
            Ok(text) => read(&text).map_err(|reason| Error::Corrupt {
                path: path.clone(),
                reason,
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Entries::new(),
            Err(source) => {
                return Err(Error::File {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        Ok(Self {
            path,
            entries: Mutex::new(entries),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, uid: &str) -> Option<PodResources> {
        self.lock().get(uid).cloned()
    }

    /// Holds for this kubelet even when it can't be written.
    pub fn set(&self, uid: &str, resources: PodResources) -> Result<(), Error> {
        let mut entries = self.lock();
        if entries.get(uid) == Some(&resources) {
            return Ok(());
        }
        entries.insert(uid.to_owned(), resources);
        self.store(&entries)
    }

    pub fn retain(&self, wanted: impl Fn(&str) -> bool) -> Result<(), Error> {
        let mut entries = self.lock();
        let before = entries.len();
        entries.retain(|uid, _| wanted(uid));
        if entries.len() == before {
            return Ok(());
        }
        self.store(&entries)
    }

    /// The file is whole at any moment: a new one takes the old one's place.
    fn store(&self, entries: &Entries) -> Result<(), Error> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let new = folder.join(format!(".{name}.new"));
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = File::create(&new)?;
            file.write_all(write(entries).as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|source| Error::File {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }
}

/// Upstream prints a value with its type before hashing it.
fn checksum(data: &str) -> u64 {
    u64::from(fnv1a(format!("(string){data}").as_bytes()))
}

fn write(entries: &Entries) -> String {
    let resources = |resources: &ResourceRequirements| -> Value {
        serde_json::from_slice(&resources.to_json()).unwrap_or_default()
    };
    let pods: Map<String, Value> = entries
        .iter()
        .map(|(uid, pod)| {
            let containers: Map<String, Value> = pod
                .containers
                .iter()
                .map(|(name, own)| (name.clone(), resources(own)))
                .collect();
            let own = pod.pod.as_ref().map(resources);
            (
                uid.clone(),
                json!({ "ContainerResources": containers, "PodLevelResources": own }),
            )
        })
        .collect();
    let data = if pods.is_empty() {
        json!({})
    } else {
        json!({ "entries": pods })
    };
    let data = data.to_string();
    json!({ "data": data, "checksum": checksum(&data) }).to_string()
}

fn read(text: &str) -> Result<Entries, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let data = document["data"].as_str().ok_or("there is no data")?;
    if document["checksum"].as_u64() != Some(checksum(data)) {
        return Err("checkpoint is corrupted".to_owned());
    }
    let data: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
    let pods = data["entries"].as_object().into_iter().flatten();
    pods.map(|(uid, pod)| Ok((uid.clone(), read_pod(pod)?))).collect()
}

fn read_pod(pod: &Value) -> Result<PodResources, String> {
    let resources = |value: &Value| {
        ResourceRequirements::from_json(value.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    let containers = pod["ContainerResources"].as_object().into_iter().flatten();
    Ok(PodResources {
        containers: containers
            .map(|(name, own)| Ok((name.clone(), resources(own)?)))
            .collect::<Result<_, String>>()?,
        pod: match &pod["PodLevelResources"] {
            Value::Null => None,
            own => Some(resources(own)?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of upstream's.
    const UPSTREAM: &str = r#"{"data":"{\"entries\":{\"pod1\":{\"ContainerResources\":{\"container1\":{\"requests\":{\"cpu\":\"1Ki\",\"memory\":\"1Ki\"}}}}}}","checksum":1178570812}"#;

    #[test]
    fn upstream_s_file_is_read_and_survives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::write(&path, UPSTREAM).unwrap();
        let first = Checkpoint::open(path.clone()).unwrap();
        let pod = first.get("pod1").unwrap();
        assert_eq!(pod.containers["container1"].requests["cpu"].value(), 1024);
        first.set("pod2", pod.clone()).unwrap();
        let second = Checkpoint::open(path.clone()).unwrap();
        assert_eq!(second.get("pod2"), Some(pod));
        second.retain(|uid| uid == "pod2").unwrap();
        let third = Checkpoint::open(path).unwrap();
        assert!(third.get("pod1").is_none() && third.get("pod2").is_some());
    }

    #[test]
    fn a_damaged_file_is_refused() {
        for text in [&UPSTREAM.replace("1178570812", "1"), "{", "{}"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
