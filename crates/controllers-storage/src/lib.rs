//! Controllers of storage.
//!
//! In reading order: [`pod_claims`] says which volume claims a pod uses; [`protection`] keeps claims, volumes and
//! volume attributes classes while they are in use; [`ephemeral_volume`] makes the claims that pods bring themselves.
//!
//! Each controller is observe (informer stores), plan (pure) and execute (requests). This crate must not know the
//! controller-manager that starts them, nor any driver of volumes.
//!
//! Upstream: pkg/controller/volume/{pvcprotection,pvprotection,vacprotection,ephemeral}

pub mod ephemeral_volume;
pub mod pod_claims;
pub mod protection;
