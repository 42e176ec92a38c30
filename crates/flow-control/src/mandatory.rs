//! The four objects without which flow control can't be: they hold whether they are stored or not.

use api::flowcontrol::v1::{
    ExemptPriorityLevelConfiguration, FlowDistinguisherMethod, FlowSchema, GroupSubject, LimitResponse,
    LimitedPriorityLevelConfiguration, NonResourcePolicyRule, PolicyRulesWithSubjects,
    PriorityLevelConfiguration, ResourcePolicyRule, Subject,
};
use auth::user::{AUTHENTICATED, PRIVILEGED, UNAUTHENTICATED};

pub const EXEMPT: &str = "exempt";
pub const CATCH_ALL: &str = "catch-all";

const EXEMPT_PRECEDENCE: i32 = 1;
const CATCH_ALL_PRECEDENCE: i32 = 10_000;
const CATCH_ALL_SHARES: i32 = 5;

/// `exempt` and `catch-all`.
pub fn levels() -> [PriorityLevelConfiguration; 2] {
    let mut exempt = PriorityLevelConfiguration::default();
    exempt.metadata.name = EXEMPT.to_owned();
    exempt.spec.type_ = "Exempt".to_owned();
    exempt.spec.exempt = Some(Box::new(ExemptPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(0),
        lendable_percent: Some(0),
    }));
    let mut catch_all = PriorityLevelConfiguration::default();
    catch_all.metadata.name = CATCH_ALL.to_owned();
    catch_all.spec.type_ = "Limited".to_owned();
    catch_all.spec.limited = Some(Box::new(LimitedPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(CATCH_ALL_SHARES),
        lendable_percent: Some(0),
        limit_response: LimitResponse {
            type_: "Reject".to_owned(),
            queuing: None,
        },
        borrowing_limit_percent: None,
    }));
    [exempt, catch_all]
}

/// Administrators come first and always pass; whom nothing else matches comes last.
pub fn schemas() -> [FlowSchema; 2] {
    let exempt = schema(EXEMPT, EXEMPT_PRECEDENCE, &[PRIVILEGED]);
    let mut catch_all = schema(CATCH_ALL, CATCH_ALL_PRECEDENCE, &[UNAUTHENTICATED, AUTHENTICATED]);
    catch_all.spec.distinguisher_method = Some(Box::new(FlowDistinguisherMethod {
        type_: "ByUser".to_owned(),
    }));
    [exempt, catch_all]
}

/// All requests of some groups, in the level of the same name.
fn schema(name: &str, precedence: i32, groups: &[&str]) -> FlowSchema {
    let all = || vec!["*".to_owned()];
    let group = |name: &&str| Subject {
        kind: "Group".to_owned(),
        group: Some(Box::new(GroupSubject {
            name: (*name).to_owned(),
        })),
        ..Subject::default()
    };
    let mut schema = FlowSchema::default();
    schema.metadata.name = name.to_owned();
    schema.spec.priority_level_configuration.name = name.to_owned();
    schema.spec.matching_precedence = precedence;
    schema.spec.rules = vec![PolicyRulesWithSubjects {
        subjects: groups.iter().map(group).collect(),
        resource_rules: vec![ResourcePolicyRule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            cluster_scope: true,
            namespaces: all(),
        }],
        non_resource_rules: vec![NonResourcePolicyRule {
            verbs: all(),
            non_resource_urls: all(),
        }],
    }];
    schema
}
