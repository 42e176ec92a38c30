//! Command line flags with upstream's syntax (pflag's): `--flag=value`, `--flag value`, `--switch`,
//! `--switch=false`, `_` in a name taken for `-`, lists by comma or repetition.
//!
//! A daemon declares a [`FlagSet`], parses it into [`Values`], and reads those into its own options struct.
//! Flags that upstream has and the daemon does not act on are listed in a table given to
//! [`FlagSet::known`]: they are accepted, checked for their kind, and reported once by
//! [`Values::warn_ignored`]. Any other unknown flag is an error.
//!
//! The parser is our own rather than clap's: clap neither treats `--switch value` as pflag does, nor
//! prints pflag's errors and usage, on which scripts rely.

mod usage;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::logging;
use crate::version;

pub use value::{Kind, parse_duration};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("unknown flag: --{0}")]
    UnknownFlag(String),
    #[error("unknown shorthand flag: {0:?} in -{1}")]
    UnknownShorthand(char, String),
    #[error("bad flag syntax: {0}")]
    BadSyntax(String),
    #[error("flag needs an argument: --{0}")]
    MissingArgument(String),
    #[error("invalid argument {value:?} for \"--{flag}\" flag: {reason}")]
    InvalidArgument {
        flag: String,
        value: String,
        reason: String,
    },
    #[error("unknown command {0:?} for {1:?}")]
    UnexpectedArgument(String, String),
}

/// One declared flag.
#[derive(Clone, Debug)]
struct Flag {
    kind: Kind,
    default: String,
    usage: String,
}

/// The flags of one command.
#[derive(Clone, Debug)]
pub struct FlagSet {
    command: String,
    about: String,
    flags: BTreeMap<String, Flag>,
    known: BTreeMap<String, Kind>,
    positional: Positional,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Positional {
    Refused,
    Accepted,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Invocation {
    Run(Values),
    /// The text to print on standard output before leaving with success (`--help`, `--version`).
    Print(String),
}

impl FlagSet {
    /// A set with the flags that every command has: `--help`, `--version`, `--v`, `--vmodule`,
    /// `--logging-format`, `--log-flush-frequency`.
    pub fn new(command: &str, about: &str) -> Self {
        let mut set = Self::bare(command, about);
        set.flag(
            "version",
            Kind::Version,
            "false",
            "Print version information and quit; --version=raw prints every field",
        );
        logging::add_flags(&mut set);
        set
    }

    /// A set with `--help` only, for subcommands.
    pub fn bare(command: &str, about: &str) -> Self {
        let mut set = Self {
            command: command.to_owned(),
            about: about.to_owned(),
            flags: BTreeMap::new(),
            known: BTreeMap::new(),
            positional: Positional::Refused,
        };
        set.switch("help", false, "Show this help and quit");
        set
    }

    /// Lets the command take arguments that are not flags ([`Values::arguments`]).
    pub fn positional(&mut self) -> &mut Self {
        self.positional = Positional::Accepted;
        self
    }

    pub fn flag(&mut self, name: &str, kind: Kind, default: &str, usage: &str) -> &mut Self {
        let flag = Flag {
            kind,
            default: default.to_owned(),
            usage: usage.to_owned(),
        };
        debug_assert!(
            default.is_empty() || kind.check(default).is_ok(),
            "the default of --{name} does not parse"
        );
        self.flags.insert(name.to_owned(), flag);
        self
    }

    pub fn string(&mut self, name: &str, default: &str, usage: &str) -> &mut Self {
        self.flag(name, Kind::String, default, usage)
    }

    pub fn switch(&mut self, name: &str, default: bool, usage: &str) -> &mut Self {
        self.flag(name, Kind::Bool, if default { "true" } else { "false" }, usage)
    }

    pub fn int(&mut self, name: &str, default: i64, usage: &str) -> &mut Self {
        self.flag(name, Kind::Int, &default.to_string(), usage)
    }

    pub fn float(&mut self, name: &str, default: f64, usage: &str) -> &mut Self {
        self.flag(name, Kind::Float, &default.to_string(), usage)
    }

    /// `default` in Go's notation, as in `1m30s`.
    pub fn duration(&mut self, name: &str, default: &str, usage: &str) -> &mut Self {
        self.flag(name, Kind::Duration, default, usage)
    }

    /// A list: comma separated, and each repetition appends.
    pub fn strings(&mut self, name: &str, default: &str, usage: &str) -> &mut Self {
        self.flag(name, Kind::Strings, default, usage)
    }

    /// A list where each repetition is one element, commas included.
    pub fn string_array(&mut self, name: &str, usage: &str) -> &mut Self {
        self.flag(name, Kind::StringArray, "", usage)
    }

    /// `key=value` pairs: comma separated, and each repetition adds.
    pub fn map(&mut self, name: &str, default: &str, usage: &str) -> &mut Self {
        self.flag(name, Kind::Map, default, usage)
    }

    /// Upstream's flags which the daemon accepts without acting on them: name and upstream's word for the
    /// kind of value (empty for a switch).
    pub fn known(&mut self, table: &[(&str, &str)]) -> &mut Self {
        for (name, kind) in table {
            if !self.flags.contains_key(*name) {
                self.known.insert((*name).to_owned(), Kind::from_upstream(kind));
            }
        }
        self
    }

    /// Parses arguments (without the program's name).
    pub fn parse<I, S>(&self, arguments: I) -> Result<Invocation, Error>
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let arguments: Vec<String> = arguments.into_iter().map(Into::into).collect();
        self.parse_all(&arguments)
    }

    /// Parses the process's own arguments.
    pub fn parse_process(&self) -> Result<Invocation, Error> {
        self.parse(
            std::env::args_os()
                .skip(1)
                .map(|argument| argument.to_string_lossy().into_owned()),
        )
    }

    /// The text of `--help`.
    pub fn usage(&self) -> String {
        usage::render(self)
    }

    fn parse_all(&self, arguments: &[String]) -> Result<Invocation, Error> {
        let mut values = Values::defaults(self);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                values.arguments.extend(rest.by_ref().cloned());
            } else if let Some(flag) = argument.strip_prefix("--") {
                self.parse_flag(argument, flag, &mut rest, &mut values)?;
            } else if argument.len() > 1 && argument.starts_with('-') {
                self.parse_shorthand(&argument[1..], &mut rest, &mut values)?;
            } else {
                values.arguments.push(argument.clone());
            }
        }
        if values.bool("help") {
            return Ok(Invocation::Print(self.usage()));
        }
        if let Some(text) = self.version_text(&values) {
            return Ok(Invocation::Print(text));
        }
        match values.arguments.first() {
            Some(argument) if self.positional == Positional::Refused => {
                Err(Error::UnexpectedArgument(argument.clone(), self.command.clone()))
            }
            _ => Ok(Invocation::Run(values)),
        }
    }

    fn parse_flag<'a>(
        &self,
        argument: &str,
        flag: &str,
        rest: &mut impl Iterator<Item = &'a String>,
        values: &mut Values,
    ) -> Result<(), Error> {
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(Error::BadSyntax(argument.to_owned()));
        }
        let name = name.replace('_', "-");
        let (kind, declared) = match (self.flags.get(&name), self.known.get(&name)) {
            (Some(flag), _) => (flag.kind, true),
            (None, Some(kind)) => (*kind, false),
            (None, None) => return Err(Error::UnknownFlag(name)),
        };
        let value = match (inline, kind.implied()) {
            (Some(value), _) => value,
            (None, Some(implied)) => implied,
            (None, None) => rest.next().ok_or_else(|| Error::MissingArgument(name.clone()))?,
        };
        kind.check(value).map_err(|reason| Error::InvalidArgument {
            flag: name.clone(),
            value: value.to_owned(),
            reason,
        })?;
        if declared {
            values.set(&name, kind, value);
        } else {
            values.ignored.push(name);
        }
        Ok(())
    }

    /// `-h`, `-v N`, `-v=N`, `-vN`: the only short forms that upstream's daemons have.
    fn parse_shorthand<'a>(
        &self,
        letters: &str,
        rest: &mut impl Iterator<Item = &'a String>,
        values: &mut Values,
    ) -> Result<(), Error> {
        let first = letters.chars().next().unwrap_or('-');
        let attached = letters[first.len_utf8()..].trim_start_matches('=');
        let flag = match first {
            'h' => "help".to_owned(),
            'v' if attached.is_empty() => "v".to_owned(),
            'v' => format!("v={attached}"),
            _ => return Err(Error::UnknownShorthand(first, letters.to_owned())),
        };
        self.parse_flag(letters, &flag, rest, values)
    }

    fn version_text(&self, values: &Values) -> Option<String> {
        if !self.flags.contains_key("version") {
            return None;
        }
        match values.string("version") {
            "" | "false" => None,
            "raw" => Some(format!("{:#?}\n", version::get())),
            _ => Some(format!("Kubernetes {}\n", version::GIT_VERSION)),
        }
    }
}

/// Parsed flags. Asking for a flag that was not declared is a mistake of the program and gives the zero
/// value in release builds, a failed assertion in debug builds.
#[derive(Clone, Debug)]
pub struct Values {
    values: BTreeMap<String, Vec<String>>,
    changed: Vec<String>,
    ignored: Vec<String>,
    arguments: Vec<String>,
}

impl Values {
    fn defaults(set: &FlagSet) -> Self {
        let values = set
            .flags
            .iter()
            .map(|(name, flag)| (name.clone(), flag.kind.split(&flag.default)))
            .collect();
        Self {
            values,
            changed: Vec::new(),
            ignored: Vec::new(),
            arguments: Vec::new(),
        }
    }

    fn set(&mut self, name: &str, kind: Kind, value: &str) {
        let first = !self.changed(name);
        let slot = self.values.entry(name.to_owned()).or_default();
        if first || !kind.accumulates() {
            slot.clear();
        }
        slot.extend(kind.split(value));
        if first {
            self.changed.push(name.to_owned());
        }
    }

    /// Was the flag given on the command line?
    pub fn changed(&self, name: &str) -> bool {
        self.changed.iter().any(|changed| changed == name)
    }

    pub fn string(&self, name: &str) -> &str {
        self.raw(name).last().map_or("", String::as_str)
    }

    /// The string, or `None` if it is empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        Some(self.string(name)).filter(|value| !value.is_empty())
    }

    pub fn bool(&self, name: &str) -> bool {
        value::parse_bool(self.string(name)).unwrap_or_default()
    }

    pub fn int(&self, name: &str) -> i64 {
        value::parse_int(self.string(name)).unwrap_or_default()
    }

    pub fn float(&self, name: &str) -> f64 {
        self.string(name).parse().unwrap_or_default()
    }

    /// Negative durations, which upstream's flags use for "off", come back as zero.
    pub fn duration(&self, name: &str) -> Duration {
        value::parse_duration(self.string(name)).unwrap_or_default()
    }

    pub fn strings(&self, name: &str) -> &[String] {
        self.raw(name)
    }

    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        let pair = |pair: &String| match pair.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), value.trim().to_owned()),
            None => (pair.trim().to_owned(), String::new()),
        };
        self.raw(name).iter().map(pair).collect()
    }

    /// What was not a flag.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Upstream's flags that were given and that this daemon does not act on.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Says once in the log which flags have no effect.
    pub fn warn_ignored(&self) {
        for flag in &self.ignored {
            tracing::warn!(flag = %flag, "flag is accepted for compatibility and has no effect");
        }
    }

    fn raw(&self, name: &str) -> &[String] {
        debug_assert!(
            self.values.contains_key(name),
            "flag --{name} is read but not declared"
        );
        self.values.get(name).map_or(&[], Vec::as_slice)
    }
}

/// What a `main` does with its command line: prints help and version, reports errors in upstream's form
/// (`Error: …`, exit code 1), and runs the daemon otherwise.
pub fn run_command(
    set: &FlagSet,
    run: impl FnOnce(Values) -> Result<(), Box<dyn std::error::Error>>,
) -> std::process::ExitCode {
    let outcome = match set.parse_process() {
        Ok(Invocation::Run(values)) => run(values),
        Ok(Invocation::Print(text)) => {
            print!("{text}");
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {}", chain(error.as_ref()));
            std::process::ExitCode::FAILURE
        }
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
