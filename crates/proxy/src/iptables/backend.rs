//! Keeps iptables as the rule set says, by its command line tools.

use super::chain_names::{CANARY, KUBELET_FIREWALL, is_service_chain};
use super::jumps::{FIXED_CHAINS, JUMPS, Jump, KUBELET_JUMPS};
use super::restore::{Applied, Script, difference, saved_chains};
use super::rules::RuleSet;
use crate::command::{Error, Runner};
use crate::model::Family;

/// Wait for other programs that hold the tables' lock, in seconds.
const LOCK_WAIT: &str = "5";

/// The tables of one family, and what we know of them.
#[derive(Debug)]
pub struct Backend {
    tools: Tools,
    applied: Option<Applied>,
}

/// How a sync went about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Full,
    Partial,
}

#[derive(Clone, Debug)]
struct Tools {
    runner: Runner,
    family: Family,
}

impl Tools {
    fn name(&self, suffix: &str) -> String {
        let base = if self.family == Family::V4 {
            "iptables"
        } else {
            "ip6tables"
        };
        format!("{base}{suffix}")
    }

    async fn iptables(&self, arguments: Vec<String>) -> Result<String, Error> {
        let mut all = vec!["-w".to_owned(), LOCK_WAIT.to_owned()];
        all.extend(arguments);
        self.runner.run(&self.name(""), &all, None).await
    }

    async fn restore(&self, script: &str) -> Result<(), Error> {
        let arguments = ["-w", LOCK_WAIT, "--noflush", "--counters"];
        self.runner
            .run(&self.name("-restore"), &arguments, Some(script))
            .await
            .map(drop)
    }

    async fn save(&self, table: &str) -> Result<String, Error> {
        self.runner.run(&self.name("-save"), &["-t", table], None).await
    }

    async fn chain_exists(&self, table: &str, chain: &str) -> bool {
        self.iptables(["-t", table, "-S", chain, "1"].map(str::to_owned).to_vec())
            .await
            .is_ok()
    }

    async fn ensure_jump(&self, jump: &Jump) -> Result<(), Error> {
        match self.iptables(jump.arguments("-C")).await {
            Ok(_) => Ok(()),
            // Any failure of the check looks the same; a real one shows again on inserting.
            Err(Error::Failed { .. }) => self.iptables(jump.arguments("-I")).await.map(drop),
            Err(error) => Err(error),
        }
    }
}

impl Backend {
    pub fn new(runner: Runner, family: Family) -> Self {
        Self {
            tools: Tools { runner, family },
            applied: None,
        }
    }

    /// Whether `--random-fully` is known: since iptables 1.6.2.
    pub async fn has_random_fully(&self) -> Result<bool, Error> {
        let text = self
            .tools
            .runner
            .run(&self.tools.name(""), &["--version"], None)
            .await?;
        Ok(version(&text).is_some_and(|version| version >= (1, 6, 2)))
    }

    /// Fails where the tool or the kernel lacks what rules of the family need.
    pub async fn check_present(&self) -> Result<(), Error> {
        let arguments = ["-t", "nat", "-S", "POSTROUTING", "1"];
        self.tools
            .iptables(arguments.map(str::to_owned).to_vec())
            .await
            .map(drop)
    }

    /// The extent that the next sync will have.
    pub fn next_extent(&self) -> Extent {
        if self.applied.is_some() {
            Extent::Partial
        } else {
            Extent::Full
        }
    }

    /// Makes the tables hold `rules`: the difference to what the last sync made, or everything if that isn't
    /// known. After an error the next sync writes everything.
    pub async fn sync(&mut self, rules: &RuleSet) -> Result<Script, Error> {
        match self.applied.take() {
            Some(applied) => {
                let script = difference(&applied, rules);
                if !script.is_empty() {
                    self.tools.restore(&script.text).await?;
                }
                self.applied = Some(Applied::of(rules));
                Ok(script)
            }
            None => self.sync_all(rules).await,
        }
    }

    async fn sync_all(&mut self, rules: &RuleSet) -> Result<Script, Error> {
        let saved = self.tools.save("nat").await?;
        let mut script = difference(&Applied::unknown(saved_chains(&saved)), rules);
        for (table, _) in FIXED_CHAINS {
            script
                .text
                .push_str(&format!("*{table}\n:{CANARY} - [0:0]\nCOMMIT\n"));
        }
        self.tools.restore(&script.text).await?;
        // Jumps last: until then no packet comes to half-made chains.
        for jump in JUMPS {
            self.tools.ensure_jump(jump).await?;
        }
        if rules.filter.chains.contains_key(KUBELET_FIREWALL) {
            for jump in KUBELET_JUMPS {
                self.tools.ensure_jump(jump).await?;
            }
        }
        self.applied = Some(Applied::of(rules));
        Ok(script)
    }

    /// Forgets what is known, so that the next sync writes everything.
    pub fn invalidate(&mut self) {
        self.applied = None;
    }

    /// Whether the tables are still as we left them, as far as the canary chains tell: a firewall that is
    /// reloaded flushes everything, canaries included.
    pub async fn intact(&self) -> bool {
        for (table, _) in FIXED_CHAINS {
            if !self.tools.chain_exists(table, CANARY).await {
                return false;
            }
        }
        true
    }

    /// Removes every trace of the proxy.
    pub async fn cleanup(&mut self) -> Result<(), Error> {
        self.applied = None;
        for jump in JUMPS {
            // Several copies are possible when versions differed.
            while self.tools.iptables(jump.arguments("-D")).await.is_ok() {}
        }
        for (table, fixed) in FIXED_CHAINS {
            let saved = self.tools.save(table).await?;
            let ours = |chain: &&str| fixed.contains(chain) || (*table == "nat" && is_service_chain(chain));
            let chains: Vec<&str> = saved_chains(&saved).filter(ours).collect();
            if chains.is_empty() {
                continue;
            }
            let declared: String = chains.iter().map(|chain| format!(":{chain} - [0:0]\n")).collect();
            let deleted: String = chains.iter().map(|chain| format!("-X {chain}\n")).collect();
            self.tools
                .restore(&format!("*{table}\n{declared}{deleted}COMMIT\n"))
                .await?;
        }
        Ok(())
    }
}

/// The version in the output of `iptables --version`, such as `iptables v1.8.9 (nf_tables)`.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let word = text.split_whitespace().find_map(|word| word.strip_prefix('v'))?;
    let mut numbers = word.split('.').map(str::parse);
    Some((
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
    ))
}

#[cfg(test)]
mod tests;
