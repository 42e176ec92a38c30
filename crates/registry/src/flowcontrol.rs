//! Flow schemas and priority levels.

pub mod flow_schema;

use api::flowcontrol::v1::{
    LimitResponse, LimitedPriorityLevelConfiguration, PriorityLevelConfiguration, QueuingConfiguration,
};
use apimachinery::field::{Error, ErrorList, Path};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

pub use flow_schema::FlowSchemas;

const EXEMPT: &str = "Exempt";
const LIMITED: &str = "Limited";
/// The only level that is exempt.
const EXEMPT_NAME: &str = "exempt";
const MOST_QUEUES: i32 = 10_000_000;
/// Bits of hash that dealing hands of queues may take.
const HASH_BITS: u32 = 60;

/// PriorityLevelConfigurations.
pub struct PriorityLevels;

impl Rules for PriorityLevels {
    type Object = PriorityLevelConfiguration;
    const STATUS_KEEPS_METADATA: bool = true;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn default(level: &mut PriorityLevelConfiguration) {
        if let Some(exempt) = &mut level.spec.exempt {
            exempt.nominal_concurrency_shares.get_or_insert(0);
            exempt.lendable_percent.get_or_insert(0);
        }
        if let Some(limited) = &mut level.spec.limited {
            limited.nominal_concurrency_shares.get_or_insert(30);
            limited.lendable_percent.get_or_insert(0);
            if let Some(queuing) = &mut limited.limit_response.queuing {
                let or = |number: &mut i32, default: i32| {
                    if *number == 0 {
                        *number = default;
                    }
                };
                or(&mut queuing.hand_size, 8);
                or(&mut queuing.queues, 64);
                or(&mut queuing.queue_length_limit, 50);
            }
        }
    }

    fn validate(level: &PriorityLevelConfiguration) -> ErrorList {
        let (spec, path) = (&level.spec, Path::new("spec"));
        let mut errors = ErrorList::new();
        if (level.metadata.name == EXEMPT_NAME) != (spec.type_ == EXEMPT) {
            let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
            errors.push(Error::invalid(&path.child("type"), spec.type_.as_str(), detail));
        }
        match spec.type_.as_str() {
            EXEMPT => {
                if spec.limited.is_some() {
                    let detail = "must be nil if the type is not Limited";
                    errors.push(Error::forbidden(&path.child("limited"), detail));
                }
                if let Some(exempt) = &spec.exempt {
                    let shares = exempt.nominal_concurrency_shares;
                    errors.extend(validate_shares(
                        shares,
                        exempt.lendable_percent,
                        &path.child("exempt"),
                    ));
                }
            }
            LIMITED => {
                if spec.exempt.is_some() {
                    let detail = "must be nil if the type is Limited";
                    errors.push(Error::forbidden(&path.child("exempt"), detail));
                }
                let at = path.child("limited");
                match &spec.limited {
                    None => errors.push(Error::required(&at, "must not be empty when type is Limited")),
                    Some(limited) => errors.extend(validate_limited(limited, &at)),
                }
            }
            other => errors.push(Error::not_supported(
                &path.child("type"),
                other,
                &[EXEMPT, LIMITED],
            )),
        }
        errors
    }

    fn validate_status_update(
        level: &PriorityLevelConfiguration,
        _old: &PriorityLevelConfiguration,
    ) -> ErrorList {
        validate_condition_types(
            level
                .status
                .conditions
                .iter()
                .map(|condition| condition.type_.as_str()),
        )
    }

    fn row(object: &PriorityLevelConfiguration, now: Timestamp) -> Vec<Value> {
        table::cluster::priority_level(object, now)
    }
}

fn validate_shares(shares: Option<i32>, lendable: Option<i32>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if let Some(shares) = shares.filter(|shares| *shares < 0) {
        let at = path.child("nominalConcurrencyShares");
        errors.push(Error::invalid(&at, shares, "must be a non-negative integer"));
    }
    errors.extend(validate_lendable(lendable, path));
    errors
}

fn validate_lendable(percent: Option<i32>, path: &Path) -> Option<Error> {
    let percent = percent.filter(|percent| !(0..=100).contains(percent))?;
    let detail = "must be between 0 and 100, inclusive";
    Some(Error::invalid(&path.child("lendablePercent"), percent, detail))
}

fn validate_limited(limited: &LimitedPriorityLevelConfiguration, path: &Path) -> ErrorList {
    let mut errors = validate_shares(limited.nominal_concurrency_shares, None, path);
    errors.extend(validate_response(
        &limited.limit_response,
        &path.child("limitResponse"),
    ));
    errors.extend(validate_lendable(limited.lendable_percent, path));
    if let Some(percent) = limited.borrowing_limit_percent.filter(|percent| *percent < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.push(Error::invalid(
            &path.child("borrowingLimitPercent"),
            percent,
            detail,
        ));
    }
    errors
}

fn validate_response(response: &LimitResponse, path: &Path) -> ErrorList {
    let at = path.child("queuing");
    match (response.type_.as_str(), &response.queuing) {
        ("Reject", Some(_)) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            vec![Error::forbidden(&at, detail)]
        }
        ("Reject", None) => ErrorList::new(),
        ("Queue", None) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            vec![Error::required(&at, detail)]
        }
        ("Queue", Some(queuing)) => validate_queuing(queuing, &at),
        (other, _) => vec![Error::not_supported(
            &path.child("type"),
            other,
            &["Queue", "Reject"],
        )],
    }
}

fn validate_queuing(queuing: &QueuingConfiguration, path: &Path) -> ErrorList {
    let (queues, hand) = (queuing.queues, queuing.hand_size);
    let mut errors = ErrorList::new();
    let mut wrong = |field: &'static str, number: i32, detail: String| {
        errors.push(Error::invalid(&path.child(field), number, detail));
    };
    let positive = || "must be positive".to_owned();
    if queuing.queue_length_limit <= 0 {
        wrong("queueLengthLimit", queuing.queue_length_limit, positive());
    }
    if queues <= 0 {
        wrong("queues", queues, positive());
    } else if queues > MOST_QUEUES {
        wrong(
            "queues",
            queues,
            format!("must not be greater than {MOST_QUEUES}"),
        );
    }
    if hand <= 0 {
        wrong("handSize", hand, positive());
    } else if hand > queues {
        wrong(
            "handSize",
            hand,
            format!("should not be greater than queues ({queues})"),
        );
    } else if entropy_bits(queues, hand) > f64::from(HASH_BITS) {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        );
        wrong("handSize", hand, detail);
    }
    errors
}

fn entropy_bits(queues: i32, hand: i32) -> f64 {
    (f64::from(queues).log2() * f64::from(hand)).ceil()
}

fn validate_condition_types<'a>(types: impl Iterator<Item = &'a str>) -> ErrorList {
    let path = Path::new("status").child("conditions");
    let mut seen: Vec<&str> = Vec::new();
    let mut errors = ErrorList::new();
    for (index, kind) in types.enumerate() {
        let at = path.index(index).child("type");
        if seen.contains(&kind) {
            errors.push(Error::duplicate(&at, kind));
        }
        seen.push(kind);
        errors.extend(kind.is_empty().then(|| Error::required(&at, "")));
    }
    errors
}
