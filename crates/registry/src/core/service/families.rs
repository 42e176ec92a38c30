//! Address families of Services: which a service gets, and how old clients' updates are read.

use api::core::v1::Service;
use apimachinery::field::{Error, ErrorList, Path};

use super::cluster_ips;
use super::fields::{NONE, needs_cluster_ip, needs_health_check};

const SINGLE: &str = "SingleStack";
const PREFER_DUAL: &str = "PreferDualStack";
const REQUIRE_DUAL: &str = "RequireDualStack";

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    pub fn of(ip: &str) -> Family {
        if ip.contains(':') { Family::V6 } else { Family::V4 }
    }

    fn parse(name: &str) -> Option<Family> {
        match name {
            "IPv4" => Some(Family::V4),
            "IPv6" => Some(Family::V6),
            _ => None,
        }
    }

    const fn other(self) -> Family {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }
}

/// The families that the cluster has addresses of; the first is the default.
#[derive(Clone, Copy, Debug)]
pub struct Families {
    pub primary: Family,
    pub dual: bool,
}

impl Families {
    fn has(self, family: &str) -> bool {
        Family::parse(family).is_some_and(|family| self.dual || family == self.primary)
    }
}

/// Fills the families of a service from before they existed.
pub fn default_on_read(service: &mut Service, cluster: Families) {
    normalize_new(service);
    if !needs_cluster_ip(service) || !service.spec.ip_families.is_empty() {
        return;
    }
    let spec = &mut service.spec;
    let (families, policy) = if spec.cluster_ip == NONE {
        if spec.selector.is_empty() {
            (vec![cluster.primary, cluster.primary.other()], REQUIRE_DUAL)
        } else {
            (vec![cluster.primary], SINGLE)
        }
    } else {
        let families: Vec<Family> = spec.cluster_ips.iter().map(|ip| Family::of(ip)).collect();
        let policy = if families.len() == 2 { REQUIRE_DUAL } else { SINGLE };
        (families, policy)
    };
    if families.is_empty() {
        return;
    }
    spec.ip_families = families
        .into_iter()
        .map(|family| family.name().to_owned())
        .collect();
    spec.ip_family_policy = Some(policy.to_owned());
}

/// Clients from before `clusterIPs` only set `clusterIP`.
pub fn normalize_new(service: &mut Service) {
    let spec = &mut service.spec;
    if !spec.cluster_ip.is_empty() && spec.cluster_ips.is_empty() {
        spec.cluster_ips = vec![spec.cluster_ip.clone()];
    }
}

/// The same for updates, where such a client may also clear or change the one field that it knows.
pub fn normalize_update(service: &mut Service, old: &Service) {
    let (spec, old) = (&mut service.spec, &old.spec);
    if !old.cluster_ips.is_empty() && spec.cluster_ips.is_empty() && old.cluster_ip == spec.cluster_ip {
        spec.cluster_ips.clone_from(&old.cluster_ips);
    }
    if old.cluster_ip == spec.cluster_ip || spec.cluster_ips != old.cluster_ips {
        return;
    }
    spec.cluster_ips = if spec.cluster_ip.is_empty() {
        Vec::new()
    } else {
        vec![spec.cluster_ip.clone()]
    };
}

/// Puts back what the server allotted and the client left out.
pub fn keep_allotted(service: &mut Service, old: &Service) {
    if needs_cluster_ip(old) && needs_cluster_ip(service) {
        let spec = &mut service.spec;
        if spec.cluster_ip.is_empty() {
            spec.cluster_ip.clone_from(&old.spec.cluster_ip);
        }
        if spec.cluster_ips.is_empty() {
            spec.cluster_ips.clone_from(&old.spec.cluster_ips);
        }
    }
    super::node_ports::keep_allotted(service, old);
    if needs_health_check(old) && needs_health_check(service) && service.spec.health_check_node_port == 0 {
        service.spec.health_check_node_port = old.spec.health_check_node_port;
    }
}

/// Whether an update leaves a dual-stack service alone, which then keeps working in a cluster that no longer is.
pub fn is_unchanged_dual_stack(service: &Service, old: &Service) -> bool {
    let prefers = |service: &Service| {
        service
            .spec
            .ip_family_policy
            .as_deref()
            .is_none_or(|policy| policy == PREFER_DUAL)
    };
    service.spec.ip_family_policy.is_some()
        && old.spec.type_ == service.spec.type_
        && matches!(
            service.spec.type_.as_str(),
            "ClusterIP" | "NodePort" | "LoadBalancer"
        )
        && prefers(service)
        && prefers(old)
        && service.spec.cluster_ips == old.spec.cluster_ips
        && service.spec.ip_families == old.spec.ip_families
}

/// Settles policy and families, so that there is a family for each address to come.
pub fn settle(service: &mut Service, old: Option<&Service>, cluster: Families) -> Result<(), ErrorList> {
    let external_name = !needs_cluster_ip(service);
    if external_name || old.is_some_and(|old| is_unchanged_dual_stack(service, old)) {
        return Ok(());
    }
    let selectorless = service.spec.cluster_ip == NONE && service.spec.selector.is_empty();
    if service.spec.ip_family_policy.is_none() {
        let kept = old.and_then(|old| old.spec.ip_family_policy.clone());
        let default = if selectorless { REQUIRE_DUAL } else { SINGLE };
        service.spec.ip_family_policy = Some(kept.unwrap_or_else(|| default.to_owned()));
    }
    fail(cluster_ips::validate(service, old))?;
    let single = service.spec.ip_family_policy.as_deref() == Some(SINGLE);
    fail(settle_change(service, old, single))?;
    fail(families_of_addresses(service, cluster))?;
    if selectorless {
        complete(service, cluster.primary, !single);
        return Ok(());
    }
    fail(unavailable(service, cluster))?;
    complete(service, cluster.primary, !single && cluster.dual);
    Ok(())
}

fn fail(errors: ErrorList) -> Result<(), ErrorList> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Going back to one family drops the second address; anything else may not.
fn settle_change(service: &mut Service, old: Option<&Service>, single: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("ipFamilyPolicy");
    let spec = &mut service.spec;
    let policy = spec.ip_family_policy.clone();
    if let Some(old) = old {
        if single {
            if spec.cluster_ips == old.spec.cluster_ips {
                spec.cluster_ips.truncate(1);
            }
            if spec.ip_families == old.spec.ip_families {
                spec.ip_families.truncate(1);
            }
        } else {
            let reduced = |new: &[String], old: &[String]| !new.is_empty() && new.len() < old.len();
            if reduced(&spec.cluster_ips, &old.spec.cluster_ips) {
                let detail = "must be 'SingleStack' to release the secondary cluster IP";
                errors.push(Error::invalid(&path, policy.clone(), detail));
            }
            if reduced(&spec.ip_families, &old.spec.ip_families) {
                let detail = "must be 'SingleStack' to release the secondary IP family";
                errors.push(Error::invalid(&path, policy.clone(), detail));
            }
        }
    }
    if single && spec.cluster_ips.len() == 2 {
        let detail =
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified";
        errors.push(Error::invalid(&path, policy.clone(), detail));
    }
    if single && spec.ip_families.len() == 2 {
        let detail =
            "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
        errors.push(Error::invalid(&path, policy, detail));
    }
    errors
}

/// Addresses that the client chose say their families.
fn families_of_addresses(service: &mut Service, cluster: Families) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("clusterIPs");
    let spec = &mut service.spec;
    for (index, ip) in spec.cluster_ips.iter().enumerate() {
        if ip == NONE {
            break;
        }
        let family = Family::of(ip).name();
        if index < spec.ip_families.len() {
            continue;
        }
        if cluster.has(family) {
            spec.ip_families.push(family.to_owned());
        } else {
            let detail = format!("{family} is not configured on this cluster");
            errors.push(Error::invalid(
                &path.index(index),
                spec.cluster_ips.as_slice(),
                detail,
            ));
        }
    }
    errors
}

fn unavailable(service: &Service, cluster: Families) -> ErrorList {
    let mut errors = ErrorList::new();
    let (path, spec) = (Path::new("spec"), &service.spec);
    if spec.ip_family_policy.as_deref() == Some(REQUIRE_DUAL) && !cluster.dual {
        let detail = "this cluster is not configured for dual-stack services";
        errors.push(Error::invalid(
            &path.child("ipFamilyPolicy"),
            spec.ip_family_policy.clone(),
            detail,
        ));
    }
    for (index, family) in spec
        .ip_families
        .iter()
        .enumerate()
        .filter(|(_, family)| !cluster.has(family))
    {
        let path = path.child("ipFamilies").index(index);
        errors.push(Error::invalid(&path, family, "not configured on this cluster"));
    }
    errors
}

/// The default family where none is named, and the other one where two are due.
fn complete(service: &mut Service, primary: Family, dual: bool) {
    let families = &mut service.spec.ip_families;
    if families.is_empty() {
        families.push(primary.name().to_owned());
    }
    if let (true, [only]) = (dual, families.as_slice()) {
        let other = Family::parse(only).unwrap_or(primary).other();
        families.push(other.name().to_owned());
    }
}
