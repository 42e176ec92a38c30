//! Generates the API: recorded facts -> tables under `api/` -> Rust under `staging/api`.
//!
//! `codegen facts --reference DIR` reads facts recorded from upstream and rewrites `api/`.
//! `codegen rust` turns `api/` into typed structs and descriptors; with `--check` it only says whether the
//! committed files are up to date. The second step needs nothing but the repository.
//!
//! Reading order: [`table`] (the model and its text form), [`facts`], [`names`], [`structs`], [`descriptors`],
//! [`resources`].

mod catalogue;
mod descriptors;
mod facts;
mod names;
mod resources;
mod structs;
mod table;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A file to be written, relative to the repository's root.
pub struct Output {
    pub path: PathBuf,
    pub text: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("codegen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match arguments {
        ["facts", "--reference", reference] => write(&root, facts::tables(Path::new(reference))?),
        ["rust"] => write(&root, rust(&root)?),
        ["rust", "--check"] => check(&root, &rust(&root)?),
        _ => Err("usage: codegen facts --reference DIR | codegen rust [--check]".into()),
    }
}

fn rust(root: &Path) -> Result<Vec<Output>> {
    let tables = table::Tables::read(&root.join("api/types"))?;
    let catalogue = catalogue::Catalogue::read(&root.join("api"))?;
    let mut outputs = structs::generate(&tables, &catalogue)?;
    outputs.extend(descriptors::generate(&tables, &catalogue)?);
    outputs.push(resources::generate(&tables, &catalogue)?);
    Ok(outputs)
}

fn write(root: &Path, outputs: Vec<Output>) -> Result<()> {
    for output in outputs {
        let path = root.join(&output.path);
        // An unchanged file keeps its time, so that nothing is rebuilt for it.
        if fs::read_to_string(&path).is_ok_and(|old| old == output.text) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, output.text)?;
        println!("wrote {}", output.path.display());
    }
    Ok(())
}

fn check(root: &Path, outputs: &[Output]) -> Result<()> {
    let stale: Vec<String> = outputs
        .iter()
        .filter(|output| fs::read_to_string(root.join(&output.path)).ok().as_deref() != Some(&output.text))
        .map(|output| output.path.display().to_string())
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("out of date (run `cargo run -p codegen -- rust`): {}", stale.join(", ")).into())
}
