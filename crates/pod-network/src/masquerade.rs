//! Pods' traffic to the world bears the node's address: the world has no route to pods.

use std::io::Write;
use std::process::{Command, Stdio};

use ipnet::IpNet;

use crate::plan::Plan;

const TABLE: &str = "inet oxikube-pod-network";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot run nft")]
    Run(#[from] std::io::Error),
    #[error("nft: {0}")]
    Refused(String),
}

/// The whole table, replaced in one transaction.
pub fn script(plan: &Plan) -> String {
    let rule = |v4: bool| {
        let of = |nets: &[IpNet]| {
            let nets: Vec<_> = nets
                .iter()
                .filter(|n| n.addr().is_ipv4() == v4)
                .map(ToString::to_string)
                .collect();
            nets.join(", ")
        };
        let (pods, exempt) = (of(&plan.pod_cidrs), of(&plan.unmasqueraded));
        let (ip, multicast) = if v4 {
            ("ip", "224.0.0.0/4")
        } else {
            ("ip6", "ff00::/8")
        };
        let exempt = if exempt.is_empty() {
            multicast.to_owned()
        } else {
            format!("{exempt}, {multicast}")
        };
        match pods.is_empty() {
            true => String::new(),
            false => {
                format!("    {ip} saddr {{ {pods} }} {ip} daddr != {{ {exempt} }} masquerade fully-random\n")
            }
        }
    };
    format!(
        "add table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n  chain postrouting {{\n    \
         type nat hook postrouting priority srcnat;\n{}{}  }}\n}}\n",
        rule(true),
        rule(false)
    )
}

/// Whether the table stands.
pub fn stands() -> Result<bool, Error> {
    let status = Command::new("nft")
        .args(["list", "chain"])
        .args(TABLE.split(' '))
        .arg("postrouting")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(status.success())
}

pub fn remove() -> Result<(), Error> {
    run(&format!("add table {TABLE}\ndelete table {TABLE}\n"))
}

/// Runs a transaction. Blocks while `nft` runs.
pub fn run(script: &str) -> Result<(), Error> {
    let mut nft = Command::new("nft");
    let mut child = nft
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A tool that stops reading says why on stderr, which tells more than a broken pipe.
        let _ = input.write_all(script.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Refused(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}
