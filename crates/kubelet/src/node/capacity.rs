//! What the node has, and what of it pods can use. Pure. Upstream: `cm/node_container_manager_linux.go`.

use super::machine::{Disk, Machine};
use crate::config::Config;
use apimachinery::quantity::{Format, Quantity};
use std::collections::BTreeMap;

pub type Resources = BTreeMap<String, Quantity>;

fn bytes(count: u64) -> Quantity {
    Quantity::from_i64(i64::try_from(count).unwrap_or(i64::MAX), Format::BinarySi)
}

pub fn capacity(machine: &Machine, disk: Disk, config: &Config) -> Resources {
    let per_core = config.pods_per_core * machine.processors;
    let pods = if config.pods_per_core > 0 {
        per_core.min(config.max_pods)
    } else {
        config.max_pods
    };
    let mut capacity = Resources::from([
        (
            "cpu".to_owned(),
            Quantity::from_i64(machine.processors, Format::DecimalSi),
        ),
        ("memory".to_owned(), bytes(machine.memory_bytes.unsigned_abs())),
        ("ephemeral-storage".to_owned(), bytes(disk.total_bytes)),
        ("pods".to_owned(), Quantity::from_i64(pods, Format::DecimalSi)),
    ]);
    for (size, reserved) in &machine.huge_pages {
        capacity.insert(format!("hugepages-{}", bytes(*size)), bytes(*reserved));
    }
    capacity
}

/// Without what is reserved, and what eviction keeps free.
pub fn allocatable(capacity: &Resources, config: &Config) -> Resources {
    let mut allocatable = capacity.clone();
    for (resource, quantity) in &mut allocatable {
        for reserved in [&config.kube_reserved, &config.system_reserved] {
            if let Some(amount) = reserved.get(resource) {
                quantity.sub(amount);
            }
        }
        let signal = match resource.as_str() {
            "memory" => "memory.available",
            "ephemeral-storage" => "nodefs.available",
            _ => "",
        };
        if let Some(threshold) = config.eviction_hard.get(signal) {
            quantity.sub(&bytes(threshold_value(
                threshold,
                capacity[resource].value().unsigned_abs(),
            )));
        }
        if quantity.sign() < 0 {
            *quantity = Quantity::default();
        }
    }
    // Huge pages are memory that nothing else can use.
    let huge: Vec<Quantity> = capacity
        .iter()
        .filter(|(name, _)| name.starts_with("hugepages-"))
        .map(|(_, amount)| amount.clone())
        .collect();
    if let Some(memory) = allocatable.get_mut("memory") {
        huge.iter().for_each(|amount| memory.sub(amount));
    }
    allocatable
}

/// A threshold in bytes or in percent of what there is. One that is neither counts as none.
pub fn threshold_value(threshold: &str, total: u64) -> u64 {
    if let Some(percent) = threshold.strip_suffix('%') {
        let percent: f64 = percent.parse().unwrap_or(0.0);
        return (total as f64 * percent / 100.0) as u64;
    }
    Quantity::parse(threshold).map_or(0, |quantity| u64::try_from(quantity.value()).unwrap_or(0))
}

/// What the API says that the node has, and the kubelet knows nothing of: extended resources that others advertise.
/// Huge pages of a size that is gone are not among them.
pub fn foreign(advertised: &Resources, own: &Resources) -> Resources {
    let is_foreign = |name: &str| !own.contains_key(name) && !name.starts_with("hugepages-");
    advertised
        .iter()
        .filter(|(name, _)| is_foreign(name))
        .map(|(name, quantity)| (name.clone(), quantity.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_not_for_pods() {
        let machine = Machine {
            processors: 4,
            memory_bytes: 8 << 30,
            huge_pages: [(2 << 20, 1 << 30)].into(),
            ..Machine::default()
        };
        let disk = Disk {
            total_bytes: 100 << 30,
            ..Disk::default()
        };
        let mut config = Config::default();
        config
            .kube_reserved
            .insert("cpu".into(), Quantity::parse("500m").unwrap());
        config
            .system_reserved
            .insert("memory".into(), Quantity::parse("1Gi").unwrap());
        let capacity = capacity(&machine, disk, &config);
        assert_eq!(capacity["hugepages-2Mi"].to_string(), "1Gi");
        let allocatable = allocatable(&capacity, &config);
        assert_eq!(allocatable["cpu"].to_string(), "3500m");
        assert_eq!(allocatable["memory"].value(), (6 << 30) - (100 << 20));
        assert_eq!(allocatable["ephemeral-storage"].value(), 90 << 30);
        assert_eq!(allocatable["pods"].value(), 110);
        config.pods_per_core = 10;
        assert_eq!(super::capacity(&machine, disk, &config)["pods"].value(), 40);
    }

    #[test]
    fn thresholds() {
        assert_eq!(threshold_value("10%", 1000), 100);
        assert_eq!(threshold_value("1Ki", 1000), 1024);
    }

    #[test]
    fn resources_that_others_advertise_are_foreign() {
        let resources = |names: &[&str]| -> Resources {
            let one = Quantity::parse("1").unwrap();
            names
                .iter()
                .map(|name| ((*name).to_owned(), one.clone()))
                .collect()
        };
        let advertised = resources(&["cpu", "example.com/gpu", "hugepages-1Gi"]);
        let own = resources(&["cpu", "hugepages-2Mi"]);
        assert_eq!(foreign(&advertised, &own), resources(&["example.com/gpu"]));
    }
}
