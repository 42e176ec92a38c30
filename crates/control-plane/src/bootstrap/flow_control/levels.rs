//! The priority levels: who shares the server's capacity, and how much of it each is due.

use api::flowcontrol::v1::{
    ExemptPriorityLevelConfiguration, LimitResponse, LimitedPriorityLevelConfiguration,
    PriorityLevelConfiguration, QueuingConfiguration,
};

use super::Upkeep;

/// Requests of a limited level that wait.
#[derive(Clone, Copy)]
struct Queues {
    queues: i32,
    hand_size: i32,
}

/// As many requests wait in each queue.
const QUEUE_LENGTH: i32 = 50;

/// All of them, the suggested ones first.
pub(super) fn all() -> Vec<(Upkeep, PriorityLevelConfiguration)> {
    let queues = |queues, hand_size| Some(Queues { queues, hand_size });
    let suggested = [
        // Name, shares, percent that may be lent, queues.
        ("system", 30, 33, queues(64, 6)),
        ("node-high", 40, 25, queues(64, 6)),
        ("leader-election", 10, 0, queues(16, 4)),
        ("workload-high", 40, 50, queues(128, 6)),
        ("workload-low", 100, 90, queues(128, 6)),
        ("global-default", 20, 50, queues(128, 6)),
    ];
    let suggested = suggested
        .into_iter()
        .map(|(name, shares, lendable, queues)| (Upkeep::Suggested, limited(name, shares, lendable, queues)));
    let mandatory = [limited("catch-all", 5, 0, None), exempt()];
    let mandatory = mandatory.map(|level| (Upkeep::Mandatory, level));
    suggested.chain(mandatory).collect()
}

fn limited(name: &str, shares: i32, lendable: i32, queues: Option<Queues>) -> PriorityLevelConfiguration {
    let queuing = queues.map(|Queues { queues, hand_size }| {
        Box::new(QueuingConfiguration {
            queues,
            hand_size,
            queue_length_limit: QUEUE_LENGTH,
        })
    });
    let limited = LimitedPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(shares),
        limit_response: LimitResponse {
            type_: if queuing.is_some() { "Queue" } else { "Reject" }.to_owned(),
            queuing,
        },
        lendable_percent: Some(lendable),
        borrowing_limit_percent: None,
    };
    let mut level = PriorityLevelConfiguration::default();
    level.metadata.name = name.to_owned();
    level.spec.type_ = "Limited".to_owned();
    level.spec.limited = Some(Box::new(limited));
    level
}

fn exempt() -> PriorityLevelConfiguration {
    let mut level = PriorityLevelConfiguration::default();
    level.metadata.name = "exempt".to_owned();
    level.spec.type_ = "Exempt".to_owned();
    level.spec.exempt = Some(Box::new(ExemptPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(0),
        lendable_percent: Some(0),
    }));
    level
}
