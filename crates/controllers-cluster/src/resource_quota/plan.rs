//! What a quota's status becomes. Pure.

use api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use api::quota::{ResourceList, add, mask};
use apimachinery::quantity::{Format, Quantity};

/// What the objects of one resource use of a quota.
pub struct Share {
    /// The quota's names that the resource counts for.
    pub names: Vec<String>,
    /// None while its objects aren't listed yet.
    pub usage: Option<ResourceList>,
}

/// The status to write, if it differs from the present one. What can't be counted yet stays as it is.
pub fn recount(quota: &ResourceQuota, shares: &[Share]) -> Option<ResourceQuotaStatus> {
    let (hard, before) = (&quota.spec.hard, &quota.status);
    let mut used = before.used.clone();
    used.extend(counted(shares));
    let used = mask(&used, hard.keys());
    let first = before.hard.is_empty() || before.used.is_empty();
    let changed = *hard != before.hard || used != before.used || (first && !used.is_empty());
    changed.then(|| ResourceQuotaStatus {
        hard: hard.clone(),
        used,
    })
}

/// The sums of all that is known whole: a name for which one resource is missing would be too low.
fn counted(shares: &[Share]) -> ResourceList {
    let mut sum = ResourceList::new();
    for share in shares {
        let zero = || Quantity::from_i64(0, Format::DecimalSi);
        let zeros = share.names.iter().map(|name| (name.clone(), zero())).collect();
        add(&mut sum, &zeros);
        if let Some(usage) = &share.usage {
            add(&mut sum, &mask(usage, &share.names));
        }
    }
    let unknown = shares.iter().filter(|share| share.usage.is_none());
    for name in unknown.flat_map(|share| &share.names) {
        sum.remove(name);
    }
    sum
}

/// Whether users wait for this quota: it was declared anew, or has a limit without a count that could be made.
pub fn is_urgent(quota: &ResourceQuota, is_counted: impl Fn(&String) -> bool) -> bool {
    let status = &quota.status;
    let lacks_count = |name: &String| !status.used.contains_key(name) && is_counted(name);
    quota.spec.hard != status.hard || status.hard.keys().any(lacks_count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> ResourceList {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, amount)| (name.to_owned(), Quantity::parse(amount).expect("valid")))
            .collect()
    }

    fn print(list: &ResourceList) -> String {
        let pairs: Vec<String> = list
            .iter()
            .map(|(name, amount)| format!("{name}={amount}"))
            .collect();
        pairs.join(" ")
    }

    fn quota(spec: &str, hard: &str, used: &str) -> ResourceQuota {
        let mut quota = ResourceQuota::default();
        quota.spec.hard = list(spec);
        quota.status.hard = list(hard);
        quota.status.used = list(used);
        quota
    }

    /// A share is `names: usage`, with `?` for what isn't known.
    fn check(quota: &ResourceQuota, shares: &[&str], expected: Option<&str>) {
        let shares: Vec<Share> = shares
            .iter()
            .map(|share| {
                let (names, usage) = share.split_once(':').expect("a share");
                Share {
                    names: names.split(' ').map(str::to_owned).collect(),
                    usage: (usage.trim() != "?").then(|| list(usage)),
                }
            })
            .collect();
        let status = recount(quota, &shares);
        if let Some(status) = &status {
            assert_eq!(status.hard, quota.spec.hard);
        }
        let used = status.map(|status| print(&status.used));
        assert_eq!(used.as_deref(), expected);
    }

    #[test]
    fn usage_is_what_is_counted_now() {
        let fresh = quota("cpu=1 pods=2", "", "");
        check(&fresh, &["cpu pods: pods=1 memory=1Gi"], Some("cpu=0 pods=1"));
        let present = quota("pods=2", "pods=2", "pods=1");
        check(&present, &["pods: pods=1"], None);
        check(&present, &["pods:"], Some("pods=0"));
        check(
            &quota("pods=3", "pods=2", "pods=1"),
            &["pods: pods=1"],
            Some("pods=1"),
        );
        // A name that the quota no longer has goes; one that nothing counts is left out.
        check(
            &quota("pods=2 x.io/y=1", "pods=2 cpu=1", "pods=1 cpu=1"),
            &["pods: pods=1"],
            Some("pods=1"),
        );
    }

    #[test]
    fn resources_add_up_and_the_unknown_is_left_alone() {
        let fresh = quota("requests.x.io/gpu=4", "", "");
        let shares = [
            "requests.x.io/gpu: requests.x.io/gpu=1",
            "requests.x.io/gpu: requests.x.io/gpu=2",
        ];
        check(&fresh, &shares, Some("requests.x.io/gpu=3"));
        let half = ["requests.x.io/gpu: requests.x.io/gpu=1", "requests.x.io/gpu: ?"];
        check(&fresh, &half, Some(""));
        let present = quota("pods=2", "pods=2", "pods=1");
        check(&present, &["pods: ?"], None);
    }

    #[test]
    fn urgency() {
        let urgent = |quota: ResourceQuota| is_urgent(&quota, |name| name == "pods");
        assert!(urgent(quota("pods=1", "", "")));
        assert!(urgent(quota("pods=1", "pods=1", "")));
        assert!(!urgent(quota("x=1", "x=1", "")));
        assert!(!urgent(quota("pods=1", "pods=1", "pods=0")));
    }
}
