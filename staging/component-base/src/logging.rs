//! Logs on standard error, in klog's text form or as JSON, filtered by `-v`.
//!
//! Levels: `error!` and `warn!` and `info!` always show; `debug!` from `-v=4`, `trace!` from `-v=6`.

mod format;

use tracing_subscriber::filter::LevelFilter;

use crate::options::{FlagSet, Kind, Values};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("unsupported log format: {0:?}")]
    Format(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Declares upstream's logging flags.
pub fn add_flags(set: &mut FlagSet) {
    set.flag(
        "v",
        Kind::Int,
        "0",
        "Log verbosity: 4 shows debug messages, 6 shows traces",
    );
    set.string("logging-format", "text", "Log format: text or json");
    set.known(&[
        ("vmodule", "pattern"),
        ("log-flush-frequency", "duration"),
        ("log-json-info-buffer-size", "quantity"),
        ("log-json-split-stream", ""),
        ("log-text-info-buffer-size", "quantity"),
        ("log-text-split-stream", ""),
    ]);
}

/// Starts logging as the flags say. In a process where logging has started already (several daemons in one
/// test) the first one's settings stay.
pub fn init(values: &Values) -> Result<(), Error> {
    let format = match values.string("logging-format") {
        "text" | "" => Format::Text,
        "json" => Format::Json,
        other => return Err(Error::Format(other.to_owned())),
    };
    start(values.int("v"), format);
    Ok(())
}

/// Starts logging at a verbosity.
pub fn start(verbosity: i64, format: Format) {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level(verbosity))
        .with_writer(std::io::stderr)
        .event_format(format::Klog::new(format))
        .finish();
    // An error means that a subscriber is installed already, which the doc comment of `init` allows.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn level(verbosity: i64) -> LevelFilter {
    match verbosity {
        ..=3 => LevelFilter::INFO,
        4..=5 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}
