//! From one rule set to the next: the smallest `iptables-restore --noflush` input at the granularity of chains.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::chain_names::is_service_chain;
use super::rules::{RuleSet, Table};

/// What is known to be in the kernel: a digest per chain rather than the rules, which can be megabytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    filter: BTreeMap<String, ChainDigest>,
    nat: BTreeMap<String, ChainDigest>,
}

type ChainDigest = [u8; 16];

impl Applied {
    pub fn of(rules: &RuleSet) -> Self {
        Self {
            filter: digests(&rules.filter),
            nat: digests(&rules.nat),
        }
    }

    /// Nothing is known of the contents, only that these nat chains exist: what is found at start, or after a
    /// failure. Every wanted chain will be written and every other service chain removed.
    pub fn unknown<'a>(existing_nat_chains: impl IntoIterator<Item = &'a str>) -> Self {
        let nat = existing_nat_chains.into_iter().filter(|c| is_service_chain(c));
        Self {
            filter: BTreeMap::new(),
            nat: nat.map(|c| (c.to_owned(), ChainDigest::default())).collect(),
        }
    }
}

/// Input for `iptables-restore`, with the counts that the metrics show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    pub text: String,
    pub filter_rules: usize,
    pub nat_rules: usize,
}

impl Script {
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// The input that turns `applied` into `desired`. A chain is written anew when its rules differ; the declaration
/// line that precedes them empties it, and the whole table changes at once.
pub fn difference(applied: &Applied, desired: &RuleSet) -> Script {
    let mut script = Script::default();
    script.filter_rules = write_table(&mut script.text, "filter", &applied.filter, &desired.filter);
    script.nat_rules = write_table(&mut script.text, "nat", &applied.nat, &desired.nat);
    script
}

fn write_table(
    out: &mut String,
    name: &str,
    applied: &BTreeMap<String, ChainDigest>,
    desired: &Table,
) -> usize {
    let changed: Vec<_> = desired
        .chains
        .iter()
        .filter(|(chain, rules)| applied.get(*chain) != Some(&digest(&rules.text)))
        .collect();
    let stale: BTreeSet<&String> = applied
        .keys()
        .filter(|chain| !desired.chains.contains_key(*chain))
        .collect();
    if changed.is_empty() && stale.is_empty() {
        return 0;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "*{name}");
    for chain in changed
        .iter()
        .map(|(chain, _)| *chain)
        .chain(stale.iter().copied())
    {
        let _ = writeln!(out, ":{chain} - [0:0]");
    }
    for (_, rules) in &changed {
        out.push_str(&rules.text);
    }
    for chain in stale {
        let _ = writeln!(out, "-X {chain}");
    }
    out.push_str("COMMIT\n");
    changed.iter().map(|(_, rules)| rules.rules).sum()
}

fn digests(table: &Table) -> BTreeMap<String, ChainDigest> {
    table
        .chains
        .iter()
        .map(|(chain, rules)| (chain.clone(), digest(&rules.text)))
        .collect()
}

/// Never equal to the all-zero digest of an unknown chain, but with a probability of 2^-128.
fn digest(text: &str) -> ChainDigest {
    let mut short = ChainDigest::default();
    short.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    short
}

/// The chains named in the output of `iptables-save`.
pub fn saved_chains(saved: &str) -> impl Iterator<Item = &str> {
    saved
        .lines()
        .filter_map(|line| line.strip_prefix(':')?.split_whitespace().next())
}
