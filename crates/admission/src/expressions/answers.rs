//! What expressions ask of the authorizer.
//!
//! Evaluation does not wait: an expression that asks what is not known yet ends, the authorizer is asked, and the
//! expression is evaluated anew. Answers are kept for the time of one request.

use std::collections::HashMap;

use auth::{Authorizer, UserInfo};
use cel::authorizer::{Answers, Check, Decision, Subject, Target};
use parking_lot::Mutex;

/// Each check costs, so that a policy's budget allows for fewer.
pub const MOST_CHECKS: usize = 64;

/// The answers so far.
#[derive(Default)]
pub struct Known(Mutex<HashMap<Check, Decision>>);

impl Answers for Known {
    fn answer(&self, check: &Check) -> Option<Decision> {
        self.0.lock().get(check).cloned()
    }
}

impl Known {
    /// Asks, and keeps the answer.
    pub async fn ask(&self, authorizer: &dyn Authorizer, requester: &UserInfo, check: Check) {
        let decision = authorizer.authorize(&attributes(requester, &check)).await;
        let decision = Decision {
            allowed: decision.is_allowed(),
            reason: decision.reason().to_owned(),
            error: None,
        };
        self.0.lock().insert(check, decision);
    }
}

fn attributes(requester: &UserInfo, check: &Check) -> auth::Attributes {
    let user = match &check.subject {
        Subject::Requester => requester.clone(),
        Subject::ServiceAccount { namespace, name } => UserInfo::service_account(namespace, name, ""),
    };
    let verb = check.verb.clone();
    match &check.of {
        Target::Path(path) => auth::Attributes {
            user,
            verb,
            path: path.clone(),
            ..auth::Attributes::default()
        },
        Target::Resource(resource) => auth::Attributes {
            user,
            verb,
            namespace: resource.namespace.clone(),
            api_group: resource.group.clone(),
            api_version: "*".to_owned(),
            resource: resource.resource.clone(),
            subresource: resource.subresource.clone(),
            name: resource.name.clone(),
            resource_request: true,
            path: String::new(),
            field_selector: resource.field_selector.clone(),
            label_selector: resource.label_selector.clone(),
        },
    }
}
