//! One run: clients, watchers and faults of a schedule on a site, and the judgement of what came of it.

use std::time::Instant;

use api::core::v1::Namespace;
use client::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::check::{Violation, check};
use crate::clients::Actor;
use crate::journal::Journal;
use crate::record::{Answer, Call, End, History};
use crate::schedule::Schedule;
use crate::site::Site;
use crate::watchers::Watcher;
use crate::{Error, faults};

/// What a run was and what the checker says of it.
pub struct Report {
    pub seed: u64,
    pub figures: Figures,
    pub violations: Vec<Violation>,
    pub history: History,
}

/// Sizes, for one line of output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub operations: usize,
    pub writes: usize,
    /// Deletes that were acknowledged.
    pub deletes: usize,
    /// Without an answer.
    pub lost: usize,
    pub sessions: usize,
    pub events: usize,
    pub expired: usize,
    pub faults: usize,
    pub millis: u64,
}

impl Figures {
    pub fn add(&mut self, other: Figures) {
        self.operations += other.operations;
        self.writes += other.writes;
        self.deletes += other.deletes;
        self.lost += other.lost;
        self.sessions += other.sessions;
        self.events += other.events;
        self.expired += other.expired;
        self.faults += other.faults;
        self.millis += other.millis;
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} operations ({} writes made, {} of them deletes; {} answers lost), {} watches with {} events \
             ({} of them told 410), {} faults, {:.1} s",
            self.operations,
            self.writes,
            self.deletes,
            self.lost,
            self.sessions,
            self.events,
            self.expired,
            self.faults,
            self.millis as f64 / 1000.0
        )
    }
}

/// Runs a schedule in a namespace of its own.
pub async fn run(site: &Site, schedule: Schedule) -> Result<Report, Error> {
    let began = Instant::now();
    let namespace = format!("seed-{}", schedule.seed);
    let clients = (0..site.nodes.len())
        .map(|node| site.client(node))
        .collect::<Result<Vec<_>, _>>()?;
    create_namespace(&clients[0], &namespace).await?;
    let journal = Journal::default();
    let (set_finish, finish) = watch::channel(None);
    let mut watchers = JoinSet::new();
    for (number, plan) in (0..).zip(&schedule.watchers) {
        let watcher = Watcher::new(
            number,
            *plan,
            &clients,
            &namespace,
            journal.clone(),
            finish.clone(),
        );
        watchers.spawn(watcher.run());
    }
    let mut actors = JoinSet::new();
    for (number, intents) in (0..).zip(schedule.clients) {
        let client = site.client(number as usize)?;
        let actor = Actor::new(&client, &namespace, number, journal.clone());
        actors.spawn(actor.follow(intents));
    }
    let fault_count = schedule.faults.len();
    // Both: the faults count the operations, which go on until the clients have done theirs.
    let work = async {
        let worked = join_all(actors).await;
        journal.finish();
        worked
    };
    let (worked, disturbed) = tokio::join!(work, faults::run(site, schedule.faults, journal.clone()));
    worked.and(disturbed)?;
    let last = Actor::new(&clients[0], &namespace, 999, journal.clone());
    set_finish.send_replace(Some(last.finale().await?));
    join_all(watchers).await?;
    let history = journal.take().await;
    let millis = began.elapsed().as_millis() as u64;
    Ok(Report {
        seed: schedule.seed,
        figures: figures(&history, fault_count, millis),
        violations: check(&history),
        history,
    })
}

async fn join_all(mut tasks: JoinSet<Result<(), Error>>) -> Result<(), Error> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Error::Unexpected(error.to_string()))??;
    }
    Ok(())
}

async fn create_namespace(client: &Client, name: &str) -> Result<(), Error> {
    let mut namespace = Namespace::default();
    namespace.metadata.name = name.to_owned();
    let created = client.api::<Namespace>().all().create(&namespace).await;
    created
        .map(drop)
        .map_err(|error| Error::Unexpected(format!("namespace: {error}")))
}

fn figures(history: &History, faults: usize, millis: u64) -> Figures {
    let count = |is: fn(&&crate::record::Operation) -> bool| history.operations.iter().filter(is).count();
    let sessions = &history.sessions;
    Figures {
        operations: history.operations.len(),
        writes: count(|operation| {
            operation.call.is_write()
                && matches!(operation.answer, Answer::Object(_) | Answer::Deleted { .. })
        }),
        deletes: count(|operation| {
            matches!(operation.call, Call::Delete(_)) && matches!(operation.answer, Answer::Deleted { .. })
        }),
        lost: count(|operation| operation.answer == Answer::Lost),
        sessions: sessions.len(),
        events: sessions.iter().map(|session| session.seen.len()).sum(),
        expired: sessions
            .iter()
            .filter(|session| matches!(session.end, End::Expired { .. }))
            .count(),
        faults,
        millis,
    }
}
