//! The long forms by hand: `history seeds|kills|events|readers`, see docs/BENCHMARKS.md.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use component_base::options::{Invocation, Values};
use component_base::{logging, shutdown};
use control_plane::{ControlPlane, Options, options};
use history::flood::{self, Flood};
use history::readers::{self, Readers};
use history::schedule::{Backend, COMPACTION, Schedule};
use history::site::Settings;
use history::{Error, kills, seeds};

const USAGE: &str = "history seeds   [--store memory|embedded|etcd] [--from SEED] [--count N] [--server PROGRAM]
       history kills   [--cycles N] [--seed SEED]
       history events  [--store embedded|etcd] [--count N] [--watchers N] [--kill-every SECONDS] [--server PROGRAM]
       history readers [--watchers N] [--changes N] [--server PROGRAM]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        return fail(&format!("usage: {USAGE}"));
    };
    let outcome = match command.as_str() {
        "writer" => return kills::child(rest),
        "server" => serve(rest),
        "seeds" | "kills" | "events" | "readers" => Arguments::parse(rest)
            .and_then(|arguments| run(command, &arguments))
            .map_err(Into::into),
        _ => Err(Error::Usage(USAGE.to_owned()).into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::FAILURE
}

/// The API server of this workspace, so that the tests need no other program than this one.
fn serve(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let values: Values = match options::flags().parse(arguments.iter().map(String::as_str))? {
        Invocation::Run(values) => values,
        Invocation::Print(text) => {
            println!("{text}");
            return Ok(());
        }
    };
    logging::init(&values)?;
    let options = Options::from_values(&values)?;
    runtime()?.block_on(async {
        let shutdown = shutdown::signal()?;
        ControlPlane::build(options, shutdown).await?.run().await?;
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::io("a runtime"))
}

fn run(command: &str, arguments: &Arguments) -> Result<(), Error> {
    match command {
        "seeds" => run_seeds(arguments),
        "kills" => {
            let settings = kills::Settings {
                program: this_program()?,
                cycles: arguments.number("cycles", 10_000)?,
                seed: arguments.number("seed", 1)?,
                report_every: 1000,
            };
            println!("{}", kills::run(&settings)?);
            Ok(())
        }
        "events" => run_events(arguments),
        _ => run_readers(arguments),
    }
}

fn run_seeds(arguments: &Arguments) -> Result<(), Error> {
    let settings = arguments.site("memory", vec![COMPACTION.to_owned()])?;
    let (from, count) = (arguments.number("from", 1)?, arguments.number("count", 200)?);
    let schedules = (from..from + count).map(|seed| Schedule::new(seed, settings.backend));
    let summary = runtime()?.block_on(seeds::run_all(&settings, schedules, true))?;
    let summary = summary.ok_or_else(|| Error::Usage("etcd is not installed".to_owned()))?;
    println!(
        "{}: {} runs, violations in {:?}: {}",
        settings.backend.name(),
        summary.runs,
        summary.failed,
        summary.figures
    );
    if summary.failed.is_empty() {
        Ok(())
    } else {
        Err(Error::Found(format!("violations in seeds {:?}", summary.failed)))
    }
}

fn run_events(arguments: &Arguments) -> Result<(), Error> {
    let settings = arguments.site("embedded", vec!["--etcd-compaction-interval=200ms".to_owned()])?;
    let flood = Flood {
        events: arguments.number("count", 10_000_000)?,
        watchers: arguments.number("watchers", 100)? as usize,
        owners: 16,
        kill_every: Duration::from_secs(arguments.number("kill-every", 10)?),
        seed: arguments.number("seed", 1)?,
    };
    let figures = runtime()?.block_on(flood::run(&settings, &flood))?;
    let figures = figures.ok_or_else(|| Error::Usage("etcd is not installed".to_owned()))?;
    println!("{}: {figures}", settings.backend.name());
    Ok(())
}

fn run_readers(arguments: &Arguments) -> Result<(), Error> {
    let settings = arguments.site("memory", Vec::new())?;
    let readers = Readers {
        watchers: arguments.number("watchers", 5000)? as usize,
        changes: arguments.number("changes", 50)? as usize,
    };
    let figures = runtime()?.block_on(readers::run(&settings, readers))?;
    let figures = figures.ok_or_else(|| Error::Usage("etcd is not installed".to_owned()))?;
    println!("{}: {figures}", settings.backend.name());
    Ok(())
}

fn this_program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(Error::io("the path of this program"))
}

/// `--name value` pairs.
struct Arguments(Vec<(String, String)>);

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self, Error> {
        let pairs = arguments.chunks(2).map(|pair| match pair {
            [name, value] if name.starts_with("--") => Ok((name[2..].to_owned(), value.clone())),
            _ => Err(Error::Usage(USAGE.to_owned())),
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let mut given = self.0.iter().filter(|(given, _)| given == name);
        given.next_back().map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, Error> {
        self.text(name).map_or(Ok(default), |text| {
            text.parse()
                .map_err(|_| Error::Usage(format!("--{name} takes a number")))
        })
    }

    fn site(&self, default: &str, more_flags: Vec<String>) -> Result<Settings, Error> {
        let store = self.text("store").unwrap_or(default);
        Ok(Settings {
            backend: Backend::parse(store).ok_or_else(|| Error::Usage(format!("no store {store:?}")))?,
            server: match self.text("server") {
                Some(program) => (PathBuf::from(program), Vec::new()),
                None => (this_program()?, vec!["server".to_owned()]),
            },
            more_flags,
        })
    }
}
