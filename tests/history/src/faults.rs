//! Troubles, done to a site when their time has come.

use std::time::Duration;

use crate::Error;
use crate::journal::Journal;
use crate::record::Time;
use crate::schedule::{Fault, Trouble};
use crate::site::Site;

/// Caches may be filled anew for so long after the store was away: they try again every now and then.
const AFTERMATH: Time = 15_000_000;

/// Does all of them, each when so many operations were answered.
pub async fn run(site: &Site, faults: Vec<Fault>, journal: Journal) -> Result<(), Error> {
    let before = site.still_disturbed_for();
    if !before.is_zero() {
        journal.disturbance(0, before.as_micros() as Time).await;
    }
    let mut answered = journal.answered();
    for fault in faults {
        let due = answered.wait_for(|answered| *answered >= fault.after).await;
        due.map_err(|_| Error::Unexpected("the journal is gone".to_owned()))?;
        let from = journal.now();
        apply(site, fault).await?;
        if let Some(aftermath) = aftermath(fault.trouble) {
            journal.disturbance(from, journal.now() + aftermath).await;
            site.disturbed_for(Duration::from_micros(aftermath));
        }
    }
    Ok(())
}

/// For how long after it revisions known before may be refused as too old; `None`: never.
fn aftermath(trouble: Trouble) -> Option<Time> {
    match trouble {
        Trouble::PauseServer | Trouble::CutClients | Trouble::HoldClients => None,
        // A server that is ready has filled its caches.
        Trouble::KillServer => Some(0),
        Trouble::CutStore | Trouble::HoldStore | Trouble::KillStore | Trouble::PauseStore => Some(AFTERMATH),
    }
}

async fn apply(site: &Site, fault: Fault) -> Result<(), Error> {
    let time = Duration::from_millis(fault.millis);
    let node = &site.nodes[fault.server];
    match fault.trouble {
        Trouble::KillServer => site.kill_server(fault.server).await?,
        Trouble::PauseServer => {
            let process = node.process.lock().await;
            process.pause()?;
            tokio::time::sleep(time).await;
            process.go_on()?;
        }
        Trouble::CutClients => node.clients.cut(),
        Trouble::HoldClients => node.clients.hold_for(time).await,
        Trouble::CutStore => {
            if let Some(relay) = &node.store {
                relay.refuse_for(time).await;
            }
        }
        Trouble::HoldStore => {
            if let Some(relay) = &node.store {
                relay.hold_for(time).await;
            }
        }
        Trouble::KillStore => {
            if let Some(etcd) = &site.etcd {
                let mut etcd = etcd.lock().await;
                etcd.kill()?;
                tokio::time::sleep(time).await;
                etcd.restart()?;
            }
        }
        Trouble::PauseStore => {
            if let Some(etcd) = &site.etcd {
                let etcd = etcd.lock().await;
                etcd.pause()?;
                tokio::time::sleep(time).await;
                etcd.go_on()?;
            }
        }
    }
    Ok(())
}
