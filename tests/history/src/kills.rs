//! kill -9 of a process that writes to an embedded store, again and again: every write that it acknowledged is
//! there, nothing is torn, no revision is given twice, and watches of the past tell what happened.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use storage::{Expect, Key, RangeRequest, Revision, Store, WatchItem, Write, embedded};

use crate::Error;
use crate::random::Random;
use crate::script::{State, Step, WRITERS};

/// Small, so that segments end and snapshots are made all the time.
fn options() -> embedded::Options {
    embedded::Options {
        segment_bytes: 64 << 10,
        snapshot_after_bytes: 128 << 10,
        ..Default::default()
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("a runtime"))
}

/// The killed: goes on where each writer is, and says so after each acknowledgement. Ends only by an error.
pub fn write_forever(directory: &Path, made: &[u64]) -> Result<(), Error> {
    let store: Arc<dyn Store> = Arc::new(embedded::open(directory, options())?);
    runtime()?.block_on(async {
        let mut states = Vec::new();
        for (writer, made) in made.iter().enumerate() {
            states.push(State {
                made: *made,
                objects: objects(&*store, &State::prefix(writer)).await?.1,
                ..State::new(writer)
            });
        }
        let writers = states.into_iter().map(|state| write(store.clone(), state));
        futures_util::future::try_join_all(writers).await.map(drop)
    })
}

/// What stands under a prefix, and the revision of the store.
async fn objects(store: &dyn Store, prefix: &str) -> Result<(Revision, BTreeMap<String, Vec<u8>>), Error> {
    let request = RangeRequest {
        prefix: Key::from(prefix),
        ..Default::default()
    };
    let page = store.range(request).await?;
    let objects = page.items.iter();
    let objects = objects.map(|item| (item.key.to_string(), item.value.bytes().to_vec()));
    Ok((page.revision, objects.collect()))
}

async fn write(store: Arc<dyn Store>, mut state: State) -> Result<(), Error> {
    loop {
        let step = state.next();
        commit(&*store, &step).await?;
        state.apply(step);
        println!("{} {}", state.writer, state.made);
    }
}

async fn commit(store: &dyn Store, step: &Step) -> Result<Revision, Error> {
    let key = step.key.as_bytes();
    let (_, current) = store.get(key, None).await?;
    let expect = current.map_or(Expect::Absent, |item| Expect::Unchanged(item.mod_revision));
    let write = match &step.value {
        Some(value) => Write::Put {
            value: Bytes::copy_from_slice(value),
            ttl: None,
        },
        None => Write::Delete,
    };
    Ok(store.commit(key, expect, write).await?)
}

/// How to run [`write_forever`] in a process of its own: `program writer DIRECTORY MADE...`.
pub struct Settings {
    pub program: PathBuf,
    pub cycles: u64,
    pub seed: u64,
    /// Says how far it is every so many cycles; 0: never.
    pub report_every: u64,
}

/// What the cycles were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub cycles: u64,
    pub acknowledged: u64,
    /// Not acknowledged when the process was killed, and there.
    pub unacknowledged: u64,
    /// Killed before the first acknowledgement: while the store was being opened, mostly.
    pub killed_early: u64,
    /// Events that were told by watches of the past; compaction by snapshots takes the others.
    pub events: u64,
    pub millis: u64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} kills (-9), {} of them while the store was opened; {} acknowledged writes, none lost; {} more were \
             made and not yet acknowledged; {} events told again after restarts; {:.1} s",
            self.cycles,
            self.killed_early,
            self.acknowledged,
            self.unacknowledged,
            self.events,
            self.millis as f64 / 1000.0
        )
    }
}

/// Kills and checks; an error names what was lost.
pub fn run(settings: &Settings) -> Result<Figures, Error> {
    let began = Instant::now();
    let folder = tempfile::tempdir().map_err(Error::io("a temporary folder"))?;
    let directory = folder.path().join("store");
    let mut random = Random::new(settings.seed);
    let mut states: Vec<_> = (0..WRITERS).map(State::new).collect();
    let mut figures = Figures::default();
    for cycle in 0..settings.cycles {
        let before: u64 = states.iter().map(|state| state.made).sum();
        let told = kill_once(&settings.program, &directory, &states, &mut random)?;
        let acknowledged: u64 = told.iter().sum();
        figures.cycles += 1;
        figures.killed_early += u64::from(acknowledged == before);
        figures.acknowledged += acknowledged - before;
        let found = Found::read(&directory, before)?;
        states = found
            .verify(states, &told)
            .map_err(|what| Error::Found(format!("seed {}, cycle {cycle}: {what}", settings.seed)))?;
        let after: u64 = states.iter().map(|state| state.made).sum();
        figures.unacknowledged += after - acknowledged;
        figures.events += found.events.unwrap_or_default();
        if settings.report_every > 0 && (cycle + 1) % settings.report_every == 0 {
            figures.millis = began.elapsed().as_millis() as u64;
            println!("{figures}");
        }
    }
    figures.millis = began.elapsed().as_millis() as u64;
    Ok(figures)
}

/// Runs the writers, kills them at a random moment, and returns how far each said it was.
fn kill_once(
    program: &Path,
    directory: &Path,
    states: &[State],
    random: &mut Random,
) -> Result<Vec<u64>, Error> {
    let mut told: Vec<_> = states.iter().map(|state| state.made).collect();
    let mut child = Command::new(program)
        .arg("writer")
        .arg(directory)
        .args(told.iter().map(u64::to_string))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::io("start the writers"))?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| Error::Unexpected("no pipe".to_owned()))?;
    let mut lines = BufReader::new(output).lines();
    // Some are killed by time from their start, most after so many writes and a moment.
    let writes = if random.one_in(4) {
        0
    } else {
        random.between(1, 60)
    };
    for _ in 0..writes {
        let Some(Ok(line)) = lines.next() else { break };
        note(&line, &mut told);
    }
    std::thread::sleep(Duration::from_micros(random.below(if writes == 0 {
        15_000
    } else {
        1500
    })));
    kill(&mut child)?;
    for line in lines.map_while(Result::ok) {
        note(&line, &mut told);
    }
    Ok(told)
}

fn kill(child: &mut Child) -> Result<(), Error> {
    if let Some(status) = child.try_wait().map_err(Error::io("wait"))? {
        return Err(Error::Found(format!("the writers ended by themselves: {status}")));
    }
    child.kill().map_err(Error::io("kill"))?;
    child.wait().map_err(Error::io("wait for the killed"))?;
    Ok(())
}

/// The last line may have been cut by the kill.
fn note(line: &str, told: &mut [u64]) {
    let Some((writer, made)) = line.split_once(' ') else {
        return;
    };
    let (Ok(writer), Ok(made)) = (writer.parse::<usize>(), made.parse::<u64>()) else {
        return;
    };
    // A cut number is a smaller one.
    if let Some(known) = told.get_mut(writer) {
        *known = made.max(*known);
    }
}

/// What a store holds after a kill.
struct Found {
    revision: Revision,
    objects: BTreeMap<String, Vec<u8>>,
    /// Told by a watch from the state before; `None` when a snapshot had taken the log's place.
    events: Option<u64>,
}

impl Found {
    fn read(directory: &Path, before: u64) -> Result<Self, Error> {
        let store = embedded::open(directory, options())?;
        runtime()?.block_on(async {
            let (revision, objects) = objects(&store, "/w/").await?;
            Ok(Self {
                revision,
                objects,
                events: replay(&store, Revision(before + 1), revision).await?,
            })
        })
    }

    /// What stands there is each writer's state at what it was told, or one operation later.
    fn verify(&self, before: Vec<State>, told: &[u64]) -> Result<Vec<State>, String> {
        let mut states = Vec::new();
        for (mut state, told) in before.into_iter().zip(told) {
            while state.made < *told {
                state.apply(state.next());
            }
            let prefix = State::prefix(state.writer);
            let found: BTreeMap<_, _> = self
                .objects
                .iter()
                .filter(|(key, _)| key.starts_with(&prefix))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let is_of = |state: &State| found == state.objects;
            if !is_of(&state) {
                state = state.after_next();
            }
            if !is_of(&state) {
                return Err(format!(
                    "writer {} was told {told} writes; what is there is neither their result nor that of one more",
                    state.writer
                ));
            }
            states.push(state);
        }
        let writes: u64 = states.iter().map(|state| state.made).sum();
        if self.revision != Revision(writes + 1) {
            return Err(format!(
                "{writes} writes were made, and the revision is {}",
                self.revision
            ));
        }
        Ok(states)
    }
}

/// Every revision from `after` to the newest, each once and in order; `None` where the past is gone.
async fn replay(store: &dyn Store, after: Revision, newest: Revision) -> Result<Option<u64>, Error> {
    let mut watch = match store.watch(Key::from("/w/"), Some(after)).await {
        Ok(watch) => watch,
        Err(storage::Error::Compacted { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut position = after;
    while position < newest {
        match watch.next().await {
            Some(Ok(WatchItem::Events(events))) => {
                for event in events {
                    if event.revision != position.next() {
                        return Err(Error::Found(format!(
                            "a watch told revision {} after {position}",
                            event.revision
                        )));
                    }
                    position = event.revision;
                }
            }
            Some(Ok(WatchItem::Progress(_))) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Error::Found(format!("a watch ended after revision {position}"))),
        }
    }
    Ok(Some(newest.0 - after.0))
}

/// The child's side of `history writer DIRECTORY MADE...`.
pub fn child(arguments: &[String]) -> ExitCode {
    let made: Option<Vec<u64>> = arguments.iter().skip(1).map(|text| text.parse().ok()).collect();
    let (Some(directory), Some(made)) = (arguments.first(), made) else {
        drop(writeln!(
            std::io::stderr(),
            "usage: history writer DIRECTORY MADE..."
        ));
        return ExitCode::FAILURE;
    };
    match write_forever(Path::new(directory), &made) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}
