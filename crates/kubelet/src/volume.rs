//! Volumes: what a pod's containers find under their mounts.
//!
//! - [`payload`]: the files of configMap, secret, downwardAPI and projected volumes, from their objects. Pure.
//! - [`atomic_writer`]: puts such files in place so that a reader sees all of the old or all of the new.
//! - [`directory`]: where volumes stand under the kubelet's root, and the ownership of what is in them.
//! - [`empty_dir`], [`host_path`]: the two kinds that hold no objects.
//! - [`mount_table`]: mounts, unmounts, and what the kernel says is mounted.
//! - [`sub_path`]: mounts a part of a volume without following a link out of it.
//! - [`manager`]: sets up a pod's volumes, keeps them up to date, and tears them down.
//!
//! Persistent volumes and CSI are not here yet: they are further kinds for [`manager`].
//! Upstream: `pkg/volume`, `pkg/kubelet/volumemanager`.

pub mod atomic_writer;
pub mod directory;
pub mod empty_dir;
pub mod host_path;
pub mod manager;
pub mod mount_table;
pub mod payload;
pub mod sub_path;
