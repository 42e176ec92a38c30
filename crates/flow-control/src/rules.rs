//! From the configuration objects, all of them together, to what is to be in force. Pure.

use std::collections::BTreeMap;

use api::flowcontrol::v1::{
    FlowSchema, FlowSchemaCondition, PriorityLevelConfiguration, QueuingConfiguration,
};
use apimachinery::time::Time;
use jiff::Timestamp;

use crate::borrowing::Shares;
use crate::dealer::{self, Dealer};
use crate::fair_queue::Policy;
use crate::mandatory::{self, CATCH_ALL, EXEMPT};
use crate::schema::Schema;

/// The type of the condition that this part of the server keeps.
pub const DANGLING: &str = "Dangling";

/// Of a limited level whose object states none.
const DEFAULT_SHARES: i32 = 30;

/// A priority level as it is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelRule {
    pub name: String,
    pub uid: String,
    pub policy: Policy,
    pub shares: Shares,
    /// No object names it any more; it is kept until its last request is done.
    pub quiescing: bool,
}

/// Why a level's object can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("the parts that are set don't fit the type {0:?}")]
    Union(String),
    #[error("only the level \"exempt\" is exempt")]
    Exemption,
    #[error(transparent)]
    Hand(#[from] dealer::Error),
}

/// What is to be in force.
#[derive(Debug, Default)]
pub struct Configuration {
    pub levels: Vec<LevelRule>,
    /// In the order in which they are tried. Each one's level is among the levels.
    pub schemas: Vec<Schema>,
    /// Levels that are ignored.
    pub broken: Vec<(String, Broken)>,
    /// Conditions that are not as they ought to be, by schema.
    pub conditions: Vec<(String, FlowSchemaCondition)>,
}

/// The objects by name.
pub type Schemas = BTreeMap<String, FlowSchema>;
pub type Levels = BTreeMap<String, PriorityLevelConfiguration>;

/// `lingering`: levels that have requests still; those that are no longer wanted go on until they have none.
pub fn configuration(
    schemas: &Schemas,
    levels: &Levels,
    lingering: Vec<LevelRule>,
    now: Timestamp,
) -> Configuration {
    let mut configuration = Configuration::default();
    for object in levels.values() {
        match level(object) {
            Ok(rule) => configuration.levels.push(rule),
            Err(broken) => configuration.broken.push((object.metadata.name.clone(), broken)),
        }
    }
    configuration.take_schemas(schemas, now);
    for imagined in mandatory::levels() {
        if !configuration.has_level(&imagined.metadata.name) {
            configuration.levels.extend(level(&imagined));
        }
    }
    for rule in lingering {
        if !configuration.has_level(&rule.name) {
            configuration.levels.push(LevelRule {
                quiescing: true,
                ..rule
            });
        }
    }
    configuration
}

impl Configuration {
    fn has_level(&self, name: &str) -> bool {
        self.levels.iter().any(|level| level.name == name)
    }

    /// Schemas whose level is missing or broken don't match anything, and say so in their status.
    fn take_schemas(&mut self, schemas: &Schemas, now: Timestamp) {
        let mut usable = Vec::with_capacity(schemas.len() + 2);
        for schema in schemas.values() {
            let name = &schema.spec.priority_level_configuration.name;
            let found = self.has_level(name);
            let condition = dangling(found, name, now);
            if !states(schema, &condition) {
                self.conditions.push((schema.metadata.name.clone(), condition));
            }
            if found {
                usable.push(schema);
            }
        }
        usable.sort_by_key(|schema| (schema.spec.matching_precedence, &schema.metadata.name));
        let has = |name: &str| usable.iter().any(|schema| schema.metadata.name == name);
        let (has_exempt, has_catch_all) = (has(EXEMPT), has(CATCH_ALL));
        let [exempt, catch_all] = mandatory::schemas();
        self.schemas.extend((!has_exempt).then(|| Schema::new(&exempt)));
        self.schemas.extend(usable.into_iter().map(Schema::new));
        self.schemas
            .extend((!has_catch_all).then(|| Schema::new(&catch_all)));
    }
}

/// A level's object, checked.
pub fn level(object: &PriorityLevelConfiguration) -> Result<LevelRule, Broken> {
    let spec = &object.spec;
    let union = || Broken::Union(spec.type_.clone());
    let is_exempt = spec.type_ == "Exempt";
    if is_exempt != (object.metadata.name == EXEMPT) {
        return Err(Broken::Exemption);
    }
    let (policy, shares) = match (spec.type_.as_str(), &spec.limited, &spec.exempt) {
        ("Exempt", None, Some(exempt)) => {
            let shares = Shares {
                shares: not_negative(exempt.nominal_concurrency_shares.unwrap_or(0)),
                lendable_percent: not_negative(exempt.lendable_percent.unwrap_or(0)),
                borrowing_limit_percent: None,
            };
            (Policy::Exempt, shares)
        }
        ("Limited", Some(limited), None) => {
            let response = &limited.limit_response;
            let policy = match (response.type_.as_str(), &response.queuing) {
                ("Reject", None) => Policy::Reject,
                ("Queue", Some(queuing)) => queue(queuing)?,
                _ => return Err(union()),
            };
            let shares = Shares {
                shares: not_negative(limited.nominal_concurrency_shares.unwrap_or(DEFAULT_SHARES)),
                lendable_percent: not_negative(limited.lendable_percent.unwrap_or(0)),
                borrowing_limit_percent: limited.borrowing_limit_percent.map(not_negative),
            };
            (policy, shares)
        }
        _ => return Err(union()),
    };
    Ok(LevelRule {
        name: object.metadata.name.clone(),
        uid: object.metadata.uid.clone(),
        policy,
        shares,
        quiescing: false,
    })
}

fn queue(queuing: &QueuingConfiguration) -> Result<Policy, Broken> {
    Ok(Policy::Queue {
        dealer: Dealer::new(queuing.queues, queuing.hand_size)?,
        length_limit: not_negative(queuing.queue_length_limit),
    })
}

fn not_negative(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn dangling(found: bool, level: &str, now: Timestamp) -> FlowSchemaCondition {
    let (status, reason, rest) = if found {
        ("False", "Found", "and it exists")
    } else {
        ("True", "NotFound", "but there is no such object")
    };
    FlowSchemaCondition {
        type_: DANGLING.to_owned(),
        status: status.to_owned(),
        last_transition_time: Some(Time(now)),
        reason: reason.to_owned(),
        message: format!(
            "This FlowSchema references the PriorityLevelConfiguration object named {level:?} {rest}"
        ),
    }
}

/// Whether the schema has the condition, whenever it came to have it.
fn states(schema: &FlowSchema, wanted: &FlowSchemaCondition) -> bool {
    schema.status.conditions.iter().any(|condition| {
        condition.type_ == wanted.type_
            && condition.status == wanted.status
            && condition.reason == wanted.reason
            && condition.message == wanted.message
    })
}

#[cfg(test)]
mod tests;
