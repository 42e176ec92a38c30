//! Keeps the table as the rule set says, by the `nft` tool.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::names::{SERVICES, TABLE, family};
use super::rules::{ContainerKind, RuleSet};
use super::transaction::{Applied, Found, Transaction, deletion, difference};
use crate::command::{Error, Runner};
use crate::iptables::backend::Extent;
use crate::model::Family;

/// How long old kernels need to notice that nothing refers to a chain any more.
const STALE_CHAIN_REST: Duration = Duration::from_secs(1);

/// The table of one family, and what we know of it.
#[derive(Debug)]
pub struct Backend {
    runner: Runner,
    family: Family,
    applied: Option<RuleSet>,
    /// Emptied chains that wait for their deletion, with the time they were emptied.
    stale: BTreeMap<String, Instant>,
    cleanup_failures: u64,
}

impl Backend {
    pub fn new(runner: Runner, family: Family) -> Self {
        Self {
            runner,
            family,
            applied: None,
            stale: BTreeMap::new(),
            cleanup_failures: 0,
        }
    }

    /// The extent that the next sync will have.
    pub fn next_extent(&self) -> Extent {
        if self.applied.is_some() {
            Extent::Partial
        } else {
            Extent::Full
        }
    }

    /// How often deleting stale chains failed so far.
    pub fn cleanup_failures(&self) -> u64 {
        self.cleanup_failures
    }

    /// Whether emptied chains wait for their deletion by another sync.
    pub fn has_stale_chains(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Makes the table hold `rules`: the difference to what the last sync made, or everything if that isn't
    /// known. After an error the next sync writes everything.
    pub async fn sync(&mut self, rules: RuleSet, now: Instant) -> Result<Transaction, Error> {
        self.delete_stale_chains(&rules, now).await;
        let applied = match self.applied.take() {
            Some(known) => Applied::Known(known),
            None => {
                self.stale.clear();
                Applied::Found(self.list().await)
            }
        };
        let transaction = difference(&applied, &rules);
        if !transaction.is_empty() {
            self.run(&transaction.text).await?;
        }
        self.stale.retain(|chain, _| !rules.chains.contains_key(chain));
        for chain in &transaction.stale_chains {
            self.stale.insert(chain.clone(), now);
        }
        self.applied = Some(rules);
        Ok(transaction)
    }

    async fn delete_stale_chains(&mut self, rules: &RuleSet, now: Instant) {
        let rested: Vec<String> = self
            .stale
            .iter()
            .filter(|(chain, since)| {
                now.saturating_duration_since(**since) >= STALE_CHAIN_REST
                    && !rules.chains.contains_key(*chain)
            })
            .map(|(chain, _)| chain.clone())
            .collect();
        if rested.is_empty() {
            return;
        }
        if let Err(error) = self.run(&deletion(rules, &rested)).await {
            tracing::warn!(%error, family = %self.family, "deleting stale nftables chains failed; writing everything");
            self.cleanup_failures += 1;
            self.applied = None;
        }
        self.stale.retain(|chain, _| !rested.contains(chain));
    }

    /// Forgets what is known, so that the next sync writes everything.
    pub fn invalidate(&mut self) {
        self.applied = None;
    }

    /// Whether the table still stands.
    pub async fn intact(&self) -> bool {
        let arguments = ["list", "chain", family(self.family), TABLE, SERVICES];
        self.runner.run("nft", &arguments, None).await.is_ok()
    }

    /// Removes every trace of the proxy.
    pub async fn cleanup(&mut self) -> Result<(), Error> {
        self.applied = None;
        self.stale.clear();
        let name = format!("{} {TABLE}", family(self.family));
        self.run(&format!("add table {name}\ndelete table {name}\n"))
            .await
    }

    async fn run(&self, script: &str) -> Result<(), Error> {
        self.runner.run("nft", &["-f", "-"], Some(script)).await.map(drop)
    }

    /// The names in the table; none when there is no table.
    async fn list(&self) -> Found {
        let arguments = ["--json", "--terse", "list", "table", family(self.family), TABLE];
        match self.runner.run("nft", &arguments, None).await {
            Ok(text) => found(&text),
            Err(_) => Found::default(),
        }
    }
}

/// Reads names out of `nft --json`. What can't be read counts as absent: the transaction then fails and says so.
fn found(text: &str) -> Found {
    let root: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let objects = root
        .get("nftables")
        .and_then(|list| list.as_array())
        .cloned()
        .unwrap_or_default();
    let names = |kind: &str| -> Vec<String> {
        let name = |object: &serde_json::Value| Some(object.get(kind)?.get("name")?.as_str()?.to_owned());
        objects.iter().filter_map(name).collect()
    };
    let sets = names("set").into_iter().map(|name| (name, ContainerKind::Set));
    let maps = names("map").into_iter().map(|name| (name, ContainerKind::Map));
    Found {
        chains: BTreeSet::from_iter(names("chain")),
        containers: sets.chain(maps).collect(),
    }
}

#[cfg(test)]
mod tests;
