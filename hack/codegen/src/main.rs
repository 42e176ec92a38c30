//! The command line: `codegen facts --reference DIR`, `codegen rust [--check]`.

use codegen::{Output, Result, facts};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

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
    let root = codegen::root();
    match arguments {
        ["facts", "--reference", reference] => write(&root, facts::tables(Path::new(reference))?),
        ["rust"] => write(&root, codegen::rust(&root)?),
        ["rust", "--check"] => check(&root, &codegen::rust(&root)?),
        _ => Err("usage: codegen facts --reference DIR | codegen rust [--check]".into()),
    }
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
    Err(format!(
        "out of date (run `cargo run -p codegen -- rust`): {}",
        stale.join(", ")
    )
    .into())
}
