//! Services, and the addresses and ports that are recorded as theirs, are brought together again: a server that dies
//! between taking one and writing its Service leaks it.
//!
//! `plan` says what is to be done, and is pure.
//!
//! Upstream: `pkg/registry/core/service/{ipallocator,portallocator}/controller`.

mod plan;

use api::core::v1::{Event, Service};
use api::networking::v1::{IPAddress, ServiceCIDR};
use apimachinery::status::Status;
use apimachinery::time::Time;
use jiff::Timestamp;
use registry::{Cidr, NodePorts, PortRange};
use tokio::sync::Mutex;

use super::Bootstrap;
use plan::{Finding, Fix, Leaks};

/// What is remembered from round to round.
pub struct ServiceRepair {
    ports: NodePorts,
    range: PortRange,
    leaks: Mutex<Leaks>,
}

impl ServiceRepair {
    pub fn new(bootstrap: &Bootstrap) -> ServiceRepair {
        let range = crate::server::node_port_range(&bootstrap.options);
        ServiceRepair {
            ports: NodePorts::new(bootstrap.store.clone(), range),
            range,
            leaks: Mutex::default(),
        }
    }

    /// One round over all Services.
    pub async fn run(&self, bootstrap: &Bootstrap) -> Result<(), Status> {
        self.repair_addresses(bootstrap).await?;
        self.repair_ports(bootstrap).await
    }

    async fn repair_ports(&self, bootstrap: &Bootstrap) -> Result<(), Status> {
        // Read before the Services: a port that is taken in between makes the write below fail.
        let recorded = self.ports.recorded().await.map_err(Status::internal)?;
        let services = bootstrap.local.list::<Service>("").await?;
        let mut leaks = self.leaks.lock().await;
        let (wanted, findings) = plan::ports(&services, &recorded.ports, &mut leaks, self.range);
        if wanted != recorded.ports {
            let written = self
                .ports
                .rewrite(&recorded, &wanted)
                .await
                .map_err(Status::internal)?;
            if !written {
                tracing::debug!("node ports were taken meanwhile: looked at again in the next round");
            }
        }
        report(bootstrap, "portallocator-repair-controller", findings).await
    }

    async fn repair_addresses(&self, bootstrap: &Bootstrap) -> Result<(), Status> {
        let Bootstrap { local, clock, .. } = bootstrap;
        let addresses = local.list::<IPAddress>("").await?;
        let services = local.list::<Service>("").await?;
        let ranges = ranges(bootstrap).await?;
        let (fixes, findings) = plan::addresses(&services, &addresses, &ranges, clock.now());
        for fix in fixes {
            let done = match fix {
                Fix::Create(address) => local.create(*address).await.map(drop),
                Fix::Delete(name) => local.delete::<IPAddress>("", &name).await,
            };
            match done {
                Err(status) if !status.is_not_found() && !status.is_already_exists() => return Err(status),
                _ => {}
            }
        }
        report(bootstrap, "ipallocator-repair-controller", findings).await
    }
}

async fn ranges(bootstrap: &Bootstrap) -> Result<Vec<Cidr>, Status> {
    let mut texts = bootstrap.options.service_cluster_ip_ranges.clone();
    for range in bootstrap.local.list::<ServiceCIDR>("").await? {
        texts.extend(range.spec.cidrs);
    }
    Ok(texts.iter().filter_map(|text| Cidr::parse(text)).collect())
}

/// Tells the log and, by events, those who look after the objects.
async fn report(bootstrap: &Bootstrap, reporter: &str, findings: Vec<Finding>) -> Result<(), Status> {
    for finding in findings {
        tracing::warn!(reason = finding.reason, "{}", finding.note);
        let event = event(reporter, finding, bootstrap.clock.now());
        bootstrap.local.create(event).await?;
    }
    Ok(())
}

fn event(reporter: &str, finding: Finding, now: Timestamp) -> Event {
    let time = Some(Time(now).truncated());
    let mut event = Event {
        reason: finding.reason.to_owned(),
        message: finding.note,
        type_: "Warning".to_owned(),
        action: finding.action.to_owned(),
        first_timestamp: time,
        last_timestamp: time,
        count: 1,
        reporting_component: reporter.to_owned(),
        ..Event::default()
    };
    event.source.component = reporter.to_owned();
    let namespace = match finding.object.namespace.as_str() {
        "" => "default",
        namespace => namespace,
    };
    event.metadata.namespace = namespace.to_owned();
    event.metadata.name = format!("{}.{:x}", finding.object.name, now.as_nanosecond());
    event.involved_object = finding.object;
    event
}
