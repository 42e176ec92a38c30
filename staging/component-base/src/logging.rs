//! Logs on standard error, in klog's text form or as JSON, filtered by `-v`.
//!
//! Levels: `error!` and `warn!` and `info!` always show; `debug!` from `-v=4`, `trace!` from `-v=6`.

mod format;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

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

/// Libraries that narrate every frame and handshake: below `-v=8` they say what is wrong, and no more.
const TALKATIVE: &[&str] = &[
    "h2",
    "hyper",
    "hyper_util",
    "rustls",
    "tokio_rustls",
    "tokio_util",
    "tonic",
    "tower",
    "mio",
];

/// Starts logging at a verbosity.
pub fn start(verbosity: i64, format: Format) {
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .event_format(format::Klog::new(format));
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(targets(verbosity)));
    // An error means that a subscriber is installed already, which the doc comment of `init` allows.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn targets(verbosity: i64) -> Targets {
    let libraries = match verbosity {
        ..=7 => LevelFilter::WARN,
        8..=9 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let targets = TALKATIVE.iter().map(|name| (*name, libraries));
    Targets::new()
        .with_targets(targets)
        .with_default(level(verbosity))
}

fn level(verbosity: i64) -> LevelFilter {
    match verbosity {
        ..=3 => LevelFilter::INFO,
        4..=5 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_are_quiet_until_asked() {
        let check = |verbosity: i64, target: &str, level: Level, expected: bool| {
            assert_eq!(
                targets(verbosity).would_enable(target, &level),
                expected,
                "{verbosity} {target} {level}"
            );
        };
        check(2, "kubelet::sync", Level::INFO, true);
        check(2, "kubelet::sync", Level::DEBUG, false);
        check(4, "kubelet::sync", Level::DEBUG, true);
        check(6, "h2::codec", Level::DEBUG, false);
        check(6, "h2::codec", Level::WARN, true);
        check(8, "h2::codec", Level::DEBUG, true);
    }
}
