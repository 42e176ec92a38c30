//! The backend that the mode chose, behind one face.

use std::time::Instant;

use crate::command::{Error, Runner};
use crate::config::Mode;
use crate::iptables;
use crate::iptables::backend::Extent;
use crate::model::Family;
use crate::nftables;
use crate::rules::{Input, NoLocalEndpoints};

/// The packet filter of one family.
#[derive(Debug)]
pub enum Dataplane {
    IpTables(iptables::backend::Backend),
    NfTables(nftables::backend::Backend),
}

/// A rule set for one of them.
pub enum Compiled {
    IpTables(iptables::rules::RuleSet),
    NfTables(nftables::rules::RuleSet),
}

/// What a sync wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// iptables: table, rules in it, rules written now.
    pub tables: Vec<(&'static str, usize, usize)>,
    /// nftables: emptied chains wait for another sync to delete them.
    pub again: bool,
}

/// Compiles for a mode.
pub fn compile(mode: Mode, input: &Input<'_>) -> (Compiled, NoLocalEndpoints) {
    match mode {
        Mode::IpTables => {
            let (rules, missing) = iptables::rules::compile(input);
            (Compiled::IpTables(rules), missing)
        }
        Mode::NfTables => {
            let (rules, missing) = nftables::rules::compile(input);
            (Compiled::NfTables(rules), missing)
        }
    }
}

impl Dataplane {
    pub fn new(mode: Mode, family: Family, runner: Runner) -> Self {
        match mode {
            Mode::IpTables => Dataplane::IpTables(iptables::backend::Backend::new(runner, family)),
            Mode::NfTables => Dataplane::NfTables(nftables::backend::Backend::new(runner, family)),
        }
    }

    pub fn next_extent(&self) -> Extent {
        match self {
            Dataplane::IpTables(backend) => backend.next_extent(),
            Dataplane::NfTables(backend) => backend.next_extent(),
        }
    }

    /// Makes the kernel follow `rules`. Rules for another mode are never given; they would be left aside.
    pub async fn sync(&mut self, rules: Compiled) -> Result<Written, Error> {
        match (self, rules) {
            (Dataplane::IpTables(backend), Compiled::IpTables(rules)) => {
                let script = backend.sync(&rules).await?;
                let tables = vec![
                    ("filter", rules.filter.rules(), script.filter_rules),
                    ("nat", rules.nat.rules(), script.nat_rules),
                ];
                Ok(Written { tables, again: false })
            }
            (Dataplane::NfTables(backend), Compiled::NfTables(rules)) => {
                backend.sync(rules, Instant::now()).await?;
                Ok(Written {
                    tables: Vec::new(),
                    again: backend.has_stale_chains(),
                })
            }
            _ => Ok(Written::default()),
        }
    }

    pub async fn intact(&self) -> bool {
        match self {
            Dataplane::IpTables(backend) => backend.intact().await,
            Dataplane::NfTables(backend) => backend.intact().await,
        }
    }

    pub fn invalidate(&mut self) {
        match self {
            Dataplane::IpTables(backend) => backend.invalidate(),
            Dataplane::NfTables(backend) => backend.invalidate(),
        }
    }

    pub async fn cleanup(&mut self) -> Result<(), Error> {
        match self {
            Dataplane::IpTables(backend) => backend.cleanup().await,
            Dataplane::NfTables(backend) => backend.cleanup().await,
        }
    }

    /// How often deleting stale chains failed.
    pub fn cleanup_failures(&self) -> u64 {
        match self {
            Dataplane::IpTables(_) => 0,
            Dataplane::NfTables(backend) => backend.cleanup_failures(),
        }
    }
}
