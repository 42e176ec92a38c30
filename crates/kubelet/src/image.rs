//! Images: which one a container means, getting it, and letting it go.
//!
//! - [`name`]: image names, their default tag and their registry.
//! - [`credentials`]: registry credentials in pull secrets.
//! - [`manager`]: makes sure that an image is there, by the pull policy.
//! - `gc::images` frees space.
//!
//! Upstream: `pkg/kubelet/images`, `pkg/credentialprovider`.

pub mod credentials;
pub mod manager;
pub mod name;

pub use manager::Images;
