//! From one rule set to the next: a transaction for `nft -f -`, which the kernel applies whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::names::{TABLE, family};
use super::rules::{Chain, Container, ContainerKind, Elements, RuleSet};

/// Elements per `add element` line; nft's parser recurses over the list.
const ELEMENTS_PER_LINE: usize = 256;

/// What is in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    Known(RuleSet),
    /// Only names were listed: what is found at start, or after a failure. Empty when there is no table.
    Found(Found),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub chains: BTreeSet<String>,
    pub containers: BTreeMap<String, ContainerKind>,
}

/// A transaction and what it leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    pub text: String,
    /// Chains emptied, but not deleted: before Linux 6.2 a chain counts as referenced for a moment after the map
    /// element that led to it is gone, and deleting it in the same transaction fails.
    pub stale_chains: Vec<String>,
}

impl Transaction {
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// The transaction that turns `applied` into `desired`.
pub fn difference(applied: &Applied, desired: &RuleSet) -> Transaction {
    let mut writer = Writer {
        out: String::new(),
        prefix: format!("{} {TABLE}", family(desired.family)),
    };
    let stale_chains = match applied {
        Applied::Known(current) => writer.update(current, desired),
        Applied::Found(found) => writer.replace(found, desired),
    };
    Transaction {
        text: writer.out,
        stale_chains,
    }
}

/// The transaction that deletes chains which nothing refers to any more.
pub fn deletion<'a>(rules: &RuleSet, chains: impl IntoIterator<Item = &'a String>) -> String {
    let prefix = format!("{} {TABLE}", family(rules.family));
    chains
        .into_iter()
        .map(|chain| format!("delete chain {prefix} {chain}\n"))
        .collect()
}

struct Writer {
    out: String,
    prefix: String,
}

impl Writer {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.out.write_fmt(line);
        self.out.push('\n');
    }

    fn update(&mut self, current: &RuleSet, desired: &RuleSet) -> Vec<String> {
        for (name, container) in &desired.containers {
            if !current.containers.contains_key(name) {
                self.declare_container(name, container);
            }
        }
        let changed: Vec<_> = desired
            .chains
            .iter()
            .filter(|(name, chain)| current.chains.get(*name) != Some(chain))
            .collect();
        let stale: Vec<_> = current
            .chains
            .keys()
            .filter(|name| !desired.chains.contains_key(*name))
            .cloned()
            .collect();
        self.write_chains(&changed, &stale);
        for (name, container) in &desired.containers {
            let before = match current.containers.get(name) {
                Some(Container {
                    elements: Elements::Listed(elements),
                    ..
                }) => elements,
                _ => &BTreeMap::new(),
            };
            self.write_elements(name, before, container);
        }
        for (name, container) in &current.containers {
            if !desired.containers.contains_key(name) {
                self.delete_container(name, container.kind);
            }
        }
        stale
    }

    /// Writes everything, in place of whatever is there; clients' affinities survive.
    fn replace(&mut self, found: &Found, desired: &RuleSet) -> Vec<String> {
        let prefix = self.prefix.clone();
        self.line(format_args!("add table {prefix}"));
        for (name, chain) in &desired.chains {
            if chain.hook.is_some() && found.chains.contains(name) {
                // A base chain's priority can't be altered.
                self.line(format_args!("delete chain {prefix} {name}"));
            }
        }
        for (name, container) in &desired.containers {
            self.declare_container(name, container);
            if container.elements != Elements::Dynamic && found.containers.contains_key(name) {
                self.line(format_args!("flush {} {prefix} {name}", container.kind.as_str()));
            }
        }
        let all: Vec<_> = desired.chains.iter().collect();
        let stale: Vec<_> = found
            .chains
            .iter()
            .filter(|name| !desired.chains.contains_key(*name))
            .cloned()
            .collect();
        self.write_chains(&all, &stale);
        for (name, container) in &desired.containers {
            self.write_elements(name, &BTreeMap::new(), container);
        }
        for (name, kind) in &found.containers {
            if !desired.containers.contains_key(name) {
                self.delete_container(name, *kind);
            }
        }
        stale
    }

    fn declare_container(&mut self, name: &str, container: &Container) {
        let prefix = self.prefix.clone();
        let kind = container.kind.as_str();
        self.line(format_args!(
            "add {kind} {prefix} {name} {{ {} }}",
            container.definition
        ));
    }

    fn delete_container(&mut self, name: &str, kind: ContainerKind) {
        let prefix = self.prefix.clone();
        self.line(format_args!("delete {} {prefix} {name}", kind.as_str()));
    }

    /// All chains are declared before any rule, since rules jump to chains.
    fn write_chains(&mut self, changed: &[(&String, &Chain)], stale: &[String]) {
        let prefix = self.prefix.clone();
        for (name, chain) in changed {
            match chain.hook {
                Some(hook) => self.line(format_args!("add chain {prefix} {name} {{ {hook} }}")),
                None => self.line(format_args!("add chain {prefix} {name}")),
            }
            self.line(format_args!("flush chain {prefix} {name}"));
        }
        for name in stale {
            self.line(format_args!("flush chain {prefix} {name}"));
        }
        for (name, chain) in changed {
            for rule in &chain.rules {
                self.line(format_args!("add rule {prefix} {name} {rule}"));
            }
        }
    }

    fn write_elements(&mut self, name: &str, before: &BTreeMap<String, String>, container: &Container) {
        let Elements::Listed(after) = &container.elements else {
            return;
        };
        let gone: Vec<_> = before
            .iter()
            .filter(|(key, value)| after.get(*key) != Some(value))
            .map(|(k, v)| entry(k, v))
            .collect();
        let new: Vec<_> = after
            .iter()
            .filter(|(key, value)| before.get(*key) != Some(value))
            .map(|(k, v)| entry(k, v))
            .collect();
        let prefix = self.prefix.clone();
        for (operation, entries) in [("delete", gone), ("add", new)] {
            for chunk in entries.chunks(ELEMENTS_PER_LINE) {
                self.line(format_args!(
                    "{operation} element {prefix} {name} {{ {} }}",
                    chunk.join(", ")
                ));
            }
        }
    }
}

fn entry(key: &str, value: &str) -> String {
    if value.is_empty() {
        key.to_owned()
    } else {
        format!("{key} : {value}")
    }
}
