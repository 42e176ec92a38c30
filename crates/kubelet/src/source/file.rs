//! Static pods: manifests in a folder (or one file). Upstream: `config/file.go`, `config/common.go`.

use super::{Change, defaults};
use crate::pod;
use api::{
    Message,
    core::v1::{Pod, Toleration},
};
use component_base::{clock::Clock, shutdown::Shutdown};
use futures_util::StreamExt;
use inotify::{Inotify, WatchMask};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// A manifest larger than this is none.
const MAX_BYTES: u64 = 1 << 20;
/// How long a burst of changes is waited out: an editor writes more than once.
const SETTLE: Duration = Duration::from_millis(200);
const EVENT_BUFFER: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read manifest")]
    Read(#[from] io::Error),
    #[error("manifest is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("cannot parse manifest: {0}")]
    Syntax(String),
    #[error("manifest is not a v1 Pod")]
    Kind,
    #[error("pod has no name")]
    NoName,
}

/// Makes the pod that a manifest stands for on this node. Pure.
pub fn parse(text: &[u8], path: &Path, node_name: &str, seen: &str) -> Result<Pod, Error> {
    let json = api::codec::yaml::to_json(text).map_err(|error| Error::Syntax(error.to_string()))?;
    let document: serde_json::Value =
        serde_json::from_slice(&json).map_err(|error| Error::Syntax(error.to_string()))?;
    if document["kind"] != "Pod" || document["apiVersion"] != "v1" {
        return Err(Error::Kind);
    }
    let mut spec = Pod::from_json(&json).map_err(|error| Error::Syntax(error.to_string()))?;
    if spec.metadata.name.is_empty() {
        return Err(Error::NoName);
    }
    defaults::apply(&mut spec);
    let hash = hash(&spec, path, node_name);
    let meta = &mut spec.metadata;
    if meta.uid.is_empty() {
        meta.uid.clone_from(&hash);
    }
    meta.name = format!("{}-{}", meta.name, node_name.to_lowercase());
    if meta.namespace.is_empty() {
        "default".clone_into(&mut meta.namespace);
    }
    meta.annotations.insert(pod::CONFIG_HASH.into(), meta.uid.clone());
    meta.annotations.insert(pod::CONFIG_SOURCE.into(), "file".into());
    meta.annotations.insert(pod::CONFIG_SEEN.into(), seen.into());
    node_name.clone_into(&mut spec.spec.node_name);
    // Nothing drives a static pod away from its node.
    spec.spec.tolerations.push(Toleration {
        operator: "Exists".into(),
        effect: "NoExecute".into(),
        ..Toleration::default()
    });
    spec.status = Default::default();
    "Pending".clone_into(&mut spec.status.phase);
    Ok(spec)
}

/// Changes with the manifest's content and place, and is as long as upstream's.
fn hash(spec: &Pod, path: &Path, node_name: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(spec.encode_to_vec());
    hasher.update(format!("host:{node_name}file:{}", path.display()));
    hasher
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub struct FileSource {
    pub path: PathBuf,
    pub node_name: String,
    /// How often the folder is read though nothing was heard of it.
    pub period: Duration,
    pub clock: Arc<dyn Clock>,
    pub changes: UnboundedSender<Change>,
}

impl FileSource {
    /// Tells of pods until shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        let mut known: BTreeMap<PathBuf, Arc<Pod>> = BTreeMap::new();
        let mut watch = self.watch();
        let mut synced = false;
        while !shutdown.is_triggered() {
            self.reload(&mut known);
            if !synced {
                synced = true;
                self.tell(Change::Synced);
            }
            let changed = async {
                match &mut watch {
                    Some(events) => drop(events.next().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => self.clock.sleep(SETTLE).await,
                () = self.clock.sleep(self.period) => {}
                () = shutdown.wait() => {}
            }
            if watch.is_none() {
                watch = self.watch();
            }
        }
    }

    /// Events of the folder. Without them, as when it doesn't exist yet, reading it now and then has to do.
    fn watch(&self) -> Option<inotify::EventStream<[u8; EVENT_BUFFER]>> {
        let mask = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::DELETE;
        let open = || {
            let inotify = Inotify::init()?;
            inotify.watches().add(&self.path, mask)?;
            inotify.into_event_stream([0; EVENT_BUFFER])
        };
        match open() {
            Ok(events) => Some(events),
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "cannot watch static pods");
                None
            }
        }
    }

    fn reload(&self, known: &mut BTreeMap<PathBuf, Arc<Pod>>) {
        let files = match manifests(&self.path) {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "unable to read config path");
                return;
            }
        };
        let gone: Vec<PathBuf> = known
            .keys()
            .filter(|path| !files.contains(path))
            .cloned()
            .collect();
        for path in gone {
            if let Some(pod) = known.remove(&path) {
                self.tell(Change::Removed(pod.metadata.uid.clone()));
            }
        }
        for path in files {
            self.reload_one(path, known);
        }
    }

    /// A manifest that can't be read leaves its pod as it was: it may be half written.
    fn reload_one(&self, path: PathBuf, known: &mut BTreeMap<PathBuf, Arc<Pod>>) {
        let seen = self.clock.now().to_string();
        let parsed = read(&path).and_then(|text| parse(&text, &path, &self.node_name, &seen));
        let pod = match parsed {
            Ok(pod) => Arc::new(pod),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "could not process manifest file");
                return;
            }
        };
        let before = known.get(&path).map(|pod| pod.metadata.uid.clone());
        if before.as_ref() == Some(&pod.metadata.uid) {
            return;
        }
        if let Some(uid) = before {
            self.tell(Change::Removed(uid));
        }
        known.insert(path, pod.clone());
        self.tell(Change::Set(pod));
    }

    fn tell(&self, change: Change) {
        // Nobody listens any more only at shutdown.
        if self.changes.send(change).is_err() {
            tracing::debug!("nobody takes static pods any more");
        }
    }
}

fn manifests(path: &Path) -> io::Result<Vec<PathBuf>> {
    if fs::metadata(path)?.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file()) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    if fs::metadata(path)?.len() > MAX_BYTES {
        return Err(Error::TooLarge);
    }
    Ok(fs::read(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: a, image: x}]}\n";

    #[test]
    fn a_manifest_becomes_a_pod_of_the_node() {
        let pod = parse(MANIFEST.as_bytes(), Path::new("/m/web.yaml"), "Node-1", "now").unwrap();
        assert_eq!(
            (pod.metadata.name.as_str(), pod.metadata.namespace.as_str()),
            ("web-node-1", "default")
        );
        assert_eq!(pod.metadata.uid.len(), 32);
        assert!(pod::is_static(&pod) && !pod::is_mirror(&pod));
        assert_eq!(pod.spec.node_name, "Node-1");
        let other = MANIFEST.replace("image: x", "image: z");
        let other = parse(other.as_bytes(), Path::new("/m/web.yaml"), "Node-1", "later").unwrap();
        assert_ne!(other.metadata.uid, pod.metadata.uid);
        let same = parse(MANIFEST.as_bytes(), Path::new("/m/web.yaml"), "Node-1", "later").unwrap();
        assert_eq!(same.metadata.uid, pod.metadata.uid);
    }

    #[test]
    fn what_is_no_pod_is_refused() {
        let parse = |text: &str| parse(text.as_bytes(), Path::new("/m/x"), "n", "now").map(|_| ());
        assert!(matches!(
            parse("kind: Deployment\napiVersion: apps/v1\n"),
            Err(Error::Kind)
        ));
        assert!(matches!(parse("kind: Pod\napiVersion: v1\n"), Err(Error::NoName)));
        assert!(matches!(parse("kind: [\n"), Err(Error::Syntax(_))));
    }
}
