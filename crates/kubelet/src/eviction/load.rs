//! What a pod uses of the node. Pure.

use super::signal::Resource;
use api::core::v1::Pod;
use std::{collections::BTreeMap, sync::Arc};

/// Files of one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Files {
    pub bytes: u64,
    pub inodes: u64,
}

impl Files {
    pub fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.inodes += other.inodes;
    }

    pub fn of(self, resource: Resource) -> u64 {
        match resource {
            Resource::Inodes => self.inodes,
            _ => self.bytes,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct ContainerLoad {
    pub name: String,
    pub memory_bytes: u64,
    /// What it wrote beside its volumes.
    pub rootfs: Files,
    pub logs: Files,
}

#[derive(Debug, Clone, Default)]
pub struct PodLoad {
    pub pod: Arc<Pod>,
    /// Whether the runtime knew anything of it.
    pub is_measured: bool,
    pub memory_bytes: u64,
    pub processes: u64,
    pub containers: Vec<ContainerLoad>,
    /// Volumes on the node's disk that live as long as the pod, by name.
    pub volumes: BTreeMap<String, Files>,
}

/// Whether images and what containers write are kept on the file system of the kubelet's own files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Shared,
    Dedicated,
}

/// A file system as thresholds name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    Node,
    Image,
}

impl PodLoad {
    /// What the pod keeps on a file system.
    pub fn files(&self, system: FileSystem, layout: Layout) -> Files {
        let mut files = Files::default();
        let (node, image) = match layout {
            Layout::Shared => (true, true),
            Layout::Dedicated => (system == FileSystem::Node, system == FileSystem::Image),
        };
        for container in &self.containers {
            if node {
                files.add(container.logs);
            }
            if image {
                files.add(container.rootfs);
            }
        }
        if node {
            self.volumes.values().for_each(|volume| files.add(*volume));
        }
        files
    }
}
