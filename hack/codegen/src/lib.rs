//! Generates the API: recorded facts -> tables under `api/` -> Rust under `staging/api`.
//!
//! `codegen facts --reference DIR` reads facts recorded from upstream and rewrites `api/`.
//! `codegen rust` turns `api/` into typed structs and descriptors; with `--check` it only says whether the
//! committed files are up to date. The second step needs nothing but the repository.
//!
//! Reading order: [`table`] (the model and its text form), [`catalogue`], [`facts`], [`names`], [`structs`],
//! [`descriptors`], [`resources`].

pub mod catalogue;
mod descriptors;
pub mod facts;
pub mod names;
mod resources;
mod structs;
pub mod table;

use std::error::Error;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A file to be written, relative to the repository's root.
pub struct Output {
    pub path: PathBuf,
    pub text: String,
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every generated Rust file.
pub fn rust(root: &Path) -> Result<Vec<Output>> {
    let tables = table::Tables::read(&root.join("api/types"))?;
    let catalogue = catalogue::Catalogue::read(&root.join("api"))?;
    let mut outputs = structs::generate(&tables, &catalogue)?;
    outputs.extend(descriptors::generate(&tables, &catalogue)?);
    outputs.push(resources::generate(&tables, &catalogue)?);
    Ok(outputs)
}
