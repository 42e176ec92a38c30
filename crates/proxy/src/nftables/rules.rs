//! The rule set as a value.

use std::collections::BTreeMap;

use super::{service_rules, table};
use crate::model::Family;
use crate::rules::{Input, NoLocalEndpoints, Routing};

/// Everything the proxy wants in its table, in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    pub family: Family,
    pub chains: BTreeMap<String, Chain>,
    pub containers: BTreeMap<String, Container>,
}

/// A chain: hooked into the kernel when it has a `hook`, else reached by jumps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// `type … hook … priority …;` of a base chain.
    pub hook: Option<&'static str>,
    pub rules: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKind {
    Set,
    Map,
}

impl ContainerKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ContainerKind::Set => "set",
            ContainerKind::Map => "map",
        }
    }
}

/// A set or verdict map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub kind: ContainerKind,
    /// What stands between the braces of its declaration.
    pub definition: String,
    pub elements: Elements,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elements {
    /// By key; the value is empty in a set.
    Listed(BTreeMap<String, String>),
    /// Added by the kernel as packets pass: never touched by a sync.
    Dynamic,
}

impl RuleSet {
    pub fn new(family: Family) -> Self {
        Self {
            family,
            chains: BTreeMap::new(),
            containers: BTreeMap::new(),
        }
    }

    pub fn ensure_chain(&mut self, name: &str) -> &mut Chain {
        self.chains.entry(name.to_owned()).or_default()
    }

    pub fn rule(&mut self, chain: &str, rule: impl Into<String>) {
        self.ensure_chain(chain).rules.push(rule.into());
    }

    /// Adds an element to a declared set or map. Two services may claim one external address and port: the first
    /// by name wins, and goes on winning.
    pub fn element(&mut self, container: &str, key: String, value: String) {
        if let Some(Container {
            elements: Elements::Listed(elements),
            ..
        }) = self.containers.get_mut(container)
        {
            elements.entry(key).or_insert(value);
        }
    }

    pub fn rules(&self) -> usize {
        self.chains.values().map(|chain| chain.rules.len()).sum()
    }
}

/// Compiles the rule set; also says how many services lack local endpoints.
pub fn compile(input: &Input<'_>) -> (RuleSet, NoLocalEndpoints) {
    let mut rules = RuleSet::new(input.settings.family);
    let mut missing = NoLocalEndpoints::default();
    table::write(&mut rules, input);
    for (name, port) in input.service_ports {
        let routing = Routing::new(name, port, input);
        missing.count(&routing);
        service_rules::write_service(&mut rules, &routing, input.settings);
    }
    (rules, missing)
}
