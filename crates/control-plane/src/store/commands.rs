//! `kube-apiserver store COMMAND`: what an administrator does with stores beside or without a server.
//!
//! `check` and `backup` may run beside a server that writes; `restore` and `migrate` want an empty target.

use std::path::{Path, PathBuf};

use component_base::options::{FlagSet, Invocation, Values};
use storage::contents::Contents;
use storage::etcd::EtcdStore;
use storage::{Key, embedded, rooted};

use crate::Error;
use crate::options::store::{declare_place, embedded_directory, etcd};
use crate::store::open_etcd;

const USAGE: &str = "Works on the stores of API servers.

Usage:
  kube-apiserver store check    STORE               reads everything and verifies it; a server may be running
  kube-apiserver store check    --backup=FILE       the same for a backup
  kube-apiserver store backup   STORE --to=FILE     writes everything as of now into a file; a server may be running
  kube-apiserver store restore  STORE --from=FILE   makes a store of a backup, where there is none
  kube-apiserver store migrate  --embedded-data-dir=DIR --etcd-servers=URLS --to=etcd3|embedded
                                                    copies one into the other; servers are to be stopped

STORE is --embedded-data-dir=DIR or --etcd-servers=URLS, with the flags of kube-apiserver for TLS and prefix.
Each prints the revision, the number of keys, and a digest of keys and values that is equal for equal contents.
";

/// Revisions that a server may have given after the backup was made: skipped by a restore.
const SKIPPED_REVISIONS: i64 = 1_000_000_000;

/// Runs a command, given what follows `store` on the command line; returns what to print.
pub async fn run(arguments: &[String]) -> Result<String, Error> {
    let Some((command, flags)) = arguments.split_first() else {
        return Ok(USAGE.to_owned());
    };
    let set = match command.as_str() {
        "check" => flag_set(command, &[("backup", "Backup to check instead of a store")]),
        "backup" => flag_set(command, &[("to", "File to write")]),
        "restore" => {
            let mut set = flag_set(command, &[("from", "Backup to read")]);
            set.int(
                "skip-revisions",
                SKIPPED_REVISIONS,
                "Revisions that may have been given since the backup was made: they are not given again (embedded store only)",
            );
            set
        }
        "migrate" => flag_set(command, &[("to", "The target: etcd3 or embedded")]),
        "help" | "--help" | "-h" => return Ok(USAGE.to_owned()),
        unknown => return Err(Error::Command(unknown.to_owned())),
    };
    let values = match set.parse(flags.iter().map(String::as_str))? {
        Invocation::Run(values) => values,
        Invocation::Print(text) => return Ok(text),
    };
    match command.as_str() {
        "check" => check(&values).await,
        "backup" => backup(&values).await,
        "restore" => restore(&values).await,
        _ => migrate(&values).await,
    }
}

fn flag_set(command: &str, own: &[(&str, &str)]) -> FlagSet {
    let mut set = FlagSet::bare(
        &format!("kube-apiserver store {command}"),
        "See kube-apiserver store help.",
    );
    declare_place(&mut set);
    for (name, usage) in own {
        set.string(name, "", usage);
    }
    set
}

async fn check(values: &Values) -> Result<String, Error> {
    let contents = match values.non_empty("backup") {
        Some(file) => embedded::load(Path::new(file))?,
        None => Place::of(values)?.read().await?,
    };
    Ok(format!("{}\n", contents.report()))
}

async fn backup(values: &Values) -> Result<String, Error> {
    let file = required(values, "to")?;
    let contents = Place::of(values)?.read().await?;
    embedded::save(&file, &contents)?;
    let report = embedded::load(&file)?.report();
    Ok(format!("{report}\n"))
}

async fn restore(values: &Values) -> Result<String, Error> {
    let file = required(values, "from")?;
    let mut contents = embedded::load(&file)?;
    let place = Place::of(values)?;
    if matches!(place, Place::Embedded(_)) {
        contents.skip_revisions(u64::try_from(values.int("skip-revisions")).unwrap_or(0));
    }
    place.fill(&contents).await?;
    Ok(format!("{}\n", place.read().await?.report()))
}

async fn migrate(values: &Values) -> Result<String, Error> {
    let embedded = Place::Embedded(embedded_directory(values)?);
    let cluster = Place::etcd(values)?;
    let (from, to) = match values.string("to") {
        "etcd3" => (embedded, cluster),
        "embedded" => (cluster, embedded),
        other => {
            return Err(Error::Flag {
                flag: "to",
                why: format!("{other:?} is neither etcd3 nor embedded"),
            });
        }
    };
    to.fill(&from.read().await?).await?;
    Ok(format!("{}\n", to.read().await?.report()))
}

fn required(values: &Values, flag: &'static str) -> Result<PathBuf, Error> {
    let missing = || Error::Flag {
        flag,
        why: "must be given".to_owned(),
    };
    values.non_empty(flag).map(PathBuf::from).ok_or_else(missing)
}

/// A store, by what it is kept in.
enum Place {
    Embedded(PathBuf),
    /// With what its keys begin with.
    Etcd(Box<EtcdStore>, Key),
}

impl Place {
    fn of(values: &Values) -> Result<Self, Error> {
        if values.strings("etcd-servers").is_empty() {
            Ok(Self::Embedded(embedded_directory(values)?))
        } else {
            Self::etcd(values)
        }
    }

    fn etcd(values: &Values) -> Result<Self, Error> {
        let store = open_etcd(&etcd(values)?, None)?;
        let root = rooted::full(values.string("etcd-prefix"));
        Ok(Self::Etcd(Box::new(store), Key::from(root)))
    }

    async fn read(&self) -> Result<Contents, Error> {
        Ok(match self {
            Self::Embedded(directory) => embedded::read(directory)?,
            Self::Etcd(store, prefix) => store.contents(prefix).await?,
        })
    }

    async fn fill(&self, contents: &Contents) -> Result<(), Error> {
        match self {
            Self::Embedded(directory) => embedded::fill(directory, contents)?,
            Self::Etcd(store, prefix) => store.fill(prefix, contents).await?,
        }
        Ok(())
    }
}
