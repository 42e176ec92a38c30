//! Makes a container image from local files: an archive that is an OCI layout and a docker-archive at once, which
//! `ctr images import`, `docker load` and `skopeo` read. The same input gives the same bytes.
//!
//! ```text
//! images --tag oxikube.io/echo:v1 --file target/echo-server:/echo-server --entrypoint /echo-server out.tar
//! ```

mod archive;
mod image;
mod options;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("images: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let options = options::parse(std::env::args().skip(1))?;
    let bytes = image::build(&options.image)?;
    std::fs::write(&options.output, bytes).map_err(|source| Error::File {
        path: options.output,
        source,
    })
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("{0}: too long for a tar header")]
    LongName(String),
}
