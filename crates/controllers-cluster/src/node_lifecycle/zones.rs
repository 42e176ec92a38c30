//! How fast the nodes of a zone are tainted for eviction. Pure.
//!
//! Nodes that fail one by one are dealt with at the usual rate. When much of a zone fails at once, the network (or
//! we) may be what fails: slower then, or not at all, and not at all when no node of the cluster is heard of.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use api::core::v1::Node;

const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Evictions a second, and what counts as failing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    pub normal: f32,
    /// When a large zone partly fails.
    pub secondary: f32,
    /// Nodes above which a cluster is large.
    pub large_cluster: usize,
    /// The share of unready nodes at which a zone fails.
    pub unhealthy_share: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Normal,
    PartialDisruption,
    FullDisruption,
}

/// How a zone's nodes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub ready: usize,
    pub unready: usize,
}

impl Census {
    fn state(&self, rates: &Rates) -> State {
        let total = self.ready + self.unready;
        if self.ready == 0 && self.unready > 0 {
            State::FullDisruption
        } else if self.unready > 2 && self.unready as f32 / total as f32 >= rates.unhealthy_share {
            State::PartialDisruption
        } else {
            State::Normal
        }
    }
}

/// What a new census means for all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    None,
    /// No node is heard of any more: evictions stop, and taints already there are taken off.
    AllLost,
    /// Some are heard of again: nobody's silence until now counts.
    Recovered,
}

#[derive(Debug)]
struct Zone {
    state: Option<State>,
    rate: f32,
    tokens: f32,
    last: Duration,
    waiting: VecDeque<String>,
}

impl Zone {
    fn new(rate: f32, now: Duration) -> Self {
        Zone {
            state: None,
            rate,
            tokens: 1.0,
            last: now,
            waiting: VecDeque::new(),
        }
    }

    fn accrue(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.last).as_secs_f32();
        self.last = now;
        self.tokens = (self.tokens + elapsed * self.rate).min(1.0);
    }
}

#[derive(Debug)]
pub struct Zones {
    rates: Rates,
    zones: BTreeMap<String, Zone>,
}

/// The name of a node's zone.
pub fn zone_of(node: &Node) -> String {
    let label = |key: &str| {
        node.metadata
            .labels
            .get(key)
            .map(String::as_str)
            .unwrap_or_default()
    };
    match (label(REGION), label(ZONE)) {
        ("", "") => String::new(),
        (region, zone) => format!("{region}:\0:{zone}"),
    }
}

impl Zones {
    pub fn new(rates: Rates) -> Self {
        Zones {
            rates,
            zones: BTreeMap::new(),
        }
    }

    fn zone(&mut self, name: &str, now: Duration) -> &mut Zone {
        let rate = self.rates.normal;
        self.zones
            .entry(name.to_owned())
            .or_insert_with(|| Zone::new(rate, now))
    }

    /// The node is to be tainted, in its turn.
    pub fn enqueue(&mut self, zone: &str, node: &str, now: Duration) {
        let zone = self.zone(zone, now);
        if !zone.waiting.iter().any(|waiting| waiting == node) {
            zone.waiting.push_back(node.to_owned());
        }
    }

    pub fn remove(&mut self, node: &str) {
        self.zones
            .values_mut()
            .for_each(|zone| zone.waiting.retain(|waiting| waiting != node));
    }

    pub fn is_idle(&self) -> bool {
        self.zones.values().all(|zone| zone.waiting.is_empty())
    }

    /// The nodes whose turn it is.
    pub fn due(&mut self, now: Duration) -> Vec<String> {
        let mut due = Vec::new();
        for zone in self.zones.values_mut() {
            zone.accrue(now);
            while zone.tokens >= 1.0
                && let Some(node) = zone.waiting.pop_front()
            {
                zone.tokens -= 1.0;
                due.push(node);
            }
        }
        due
    }

    /// Takes in how the zones are and sets their rates.
    pub fn assess(&mut self, census: &BTreeMap<String, Census>, now: Duration) -> Shift {
        self.zones
            .retain(|name, zone| census.contains_key(name) || !zone.waiting.is_empty());
        let known = |zone: &Zone| zone.state.is_some();
        let were_lost = self.zones.values().any(known)
            && self
                .zones
                .values()
                .filter(|zone| known(zone))
                .all(|zone| zone.state == Some(State::FullDisruption));
        let states: BTreeMap<&String, State> = census
            .iter()
            .map(|(name, census)| (name, census.state(&self.rates)))
            .collect();
        let are_lost = !states.is_empty() && states.values().all(|state| *state == State::FullDisruption);
        for (name, state) in &states {
            let size = census[*name].ready + census[*name].unready;
            let rate = if are_lost { 0.0 } else { self.rate(*state, size) };
            let zone = self.zone(name, now);
            zone.accrue(now);
            zone.state = Some(*state);
            zone.rate = rate;
            if are_lost {
                zone.tokens = 0.0;
                zone.waiting.clear();
            }
        }
        match (were_lost, are_lost) {
            (false, true) => Shift::AllLost,
            (true, false) => Shift::Recovered,
            _ => Shift::None,
        }
    }

    /// A zone lost whole, while others are well, is dealt with as usual: it is really gone.
    fn rate(&self, state: State, size: usize) -> f32 {
        match state {
            State::Normal | State::FullDisruption => self.rates.normal,
            State::PartialDisruption if size > self.rates.large_cluster => self.rates.secondary,
            State::PartialDisruption => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates {
        normal: 0.1,
        secondary: 0.01,
        large_cluster: 50,
        unhealthy_share: 0.55,
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn census(entries: &[(&str, usize, usize)]) -> BTreeMap<String, Census> {
        let entry = |(zone, ready, unready): &(&str, usize, usize)| {
            (
                (*zone).to_owned(),
                Census {
                    ready: *ready,
                    unready: *unready,
                },
            )
        };
        entries.iter().map(entry).collect()
    }

    #[test]
    fn nodes_take_turns_at_the_zones_rate() {
        let mut zones = Zones::new(RATES);
        for node in ["a", "b", "b", "c"] {
            zones.enqueue("z", node, at(0));
        }
        assert_eq!(zones.due(at(0)), ["a"]);
        assert!(zones.due(at(9)).is_empty());
        assert_eq!(zones.due(at(11)), ["b"]);
        zones.remove("c");
        assert!(zones.due(at(100)).is_empty() && zones.is_idle());
    }

    #[test]
    fn a_failing_zone_slows_down_or_stops() {
        let mut zones = Zones::new(RATES);
        assert_eq!(
            zones.assess(&census(&[("small", 2, 3), ("large", 40, 60)]), at(0)),
            Shift::None
        );
        for zone in ["small", "large"] {
            zones.enqueue(zone, &format!("{zone}-1"), at(0));
            zones.enqueue(zone, &format!("{zone}-2"), at(0));
        }
        // The first of each has its token from before.
        assert_eq!(zones.due(at(0)), ["large-1", "small-1"]);
        assert!(zones.due(at(50)).is_empty());
        assert_eq!(zones.due(at(101)), ["large-2"]);
        assert!(
            zones.due(at(100_000)).is_empty(),
            "a small zone waits for better times"
        );
    }

    #[test]
    fn when_all_is_lost_nothing_is_evicted() {
        let mut zones = Zones::new(RATES);
        assert_eq!(
            zones.assess(&census(&[("a", 1, 0), ("b", 0, 2)]), at(0)),
            Shift::None
        );
        zones.enqueue("a", "n", at(0));
        assert_eq!(
            zones.assess(&census(&[("a", 0, 1), ("b", 0, 2)]), at(1)),
            Shift::AllLost
        );
        assert!(zones.due(at(1000)).is_empty());
        assert_eq!(
            zones.assess(&census(&[("a", 0, 1), ("b", 0, 2)]), at(2000)),
            Shift::None
        );
        assert_eq!(
            zones.assess(&census(&[("a", 1, 0), ("b", 0, 2)]), at(2001)),
            Shift::Recovered
        );
        zones.enqueue("b", "m", at(2001));
        assert_eq!(
            zones.due(at(2012)),
            ["m"],
            "a zone that is really gone is evicted as usual"
        );
    }
}
