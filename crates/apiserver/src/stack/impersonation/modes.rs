//! The ways to be allowed to act as somebody (KEP-5284): kinds of users with permissions of their own, each of which
//! says as well what may be done in another's name; and the one permission `impersonate` for all, as it was before.

use apimachinery::field::{Path, aggregate};
use apimachinery::validation::{is_domain_prefixed_path, name_is_dns_subdomain};
use auth::user::{
    ANONYMOUS, AUTHENTICATED, NODE_NAME_KEY, NODES, PRIVILEGED, UNAUTHENTICATED, parse_service_account,
    service_account_groups,
};
use auth::{Attributes, UserInfo};

/// Names of as many groups or extra values are first asked for all at once.
const MANY: usize = 4;

/// The one key of what a service account on a node is asked as, so that the answer holds for all nodes.
const ASSOCIATED_KEYS: &str = "authentication.kubernetes.io/associated-node-keys";

/// What must be allowed for a mode, and whom it makes.
pub struct Mode {
    pub name: &'static str,
    pub steps: Vec<Step>,
    pub user: UserInfo,
}

/// Checks that must all pass; or the one that stands for all of them.
#[derive(Default)]
pub struct Step {
    pub all_at_once: Option<Attributes>,
    pub checks: Vec<Check>,
}

pub enum Check {
    Ask(Attributes),
    /// Refused whatever the permissions, for a reason.
    Never(Attributes, String),
}

/// A mode's place among verbs and API groups.
#[derive(Clone, Copy)]
struct Form<'a> {
    /// `None` for the permission without constraints.
    constraint: Option<&'static str>,
    requestor: &'a UserInfo,
}

/// The modes that apply to a request, in the order in which they are tried.
pub fn that_apply(wanted: &UserInfo, attributes: &Attributes) -> Vec<Mode> {
    let requestor = &attributes.user;
    let only_name = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
    let node = node_of(&wanted.name);
    let service_account = parse_service_account(&wanted.name);
    let mut modes = Vec::new();
    if only_name && node.is_some_and(|node| runs_on(requestor, node)) {
        let keys = requestor.extra.keys().cloned().collect();
        let somewhere = UserInfo {
            extra: [(ASSOCIATED_KEYS.to_owned(), keys)].into(),
            ..requestor.clone()
        };
        modes.push(constrained("associated-node", wanted, attributes, &somewhere));
    }
    if only_name && node.is_some() {
        modes.push(constrained("arbitrary-node", wanted, attributes, requestor));
    }
    if only_name && service_account.is_some() {
        modes.push(constrained("serviceaccount", wanted, attributes, requestor));
    }
    if node.is_none() && service_account.is_none() {
        modes.push(constrained("user-info", wanted, attributes, requestor));
    }
    let form = Form {
        constraint: None,
        requestor,
    };
    modes.push(form.mode(wanted));
    modes
}

fn constrained(name: &'static str, wanted: &UserInfo, attributes: &Attributes, requestor: &UserInfo) -> Mode {
    let form = Form {
        constraint: Some(name),
        requestor,
    };
    let mut mode = form.mode(wanted);
    let doing = Attributes {
        user: requestor.clone(),
        verb: format!("impersonate-on:{name}:{}", attributes.verb),
        ..attributes.clone()
    };
    mode.steps.insert(0, Step::of(vec![Check::Ask(doing)]));
    mode
}

impl Step {
    fn of(checks: Vec<Check>) -> Step {
        Step {
            checks,
            ..Step::default()
        }
    }
}

impl Form<'_> {
    fn mode(&self, wanted: &UserInfo) -> Mode {
        let mut steps = vec![Step::of(vec![Check::Ask(self.user_name(wanted))])];
        if !wanted.uid.is_empty() {
            let uid = self.authentication("uids", &wanted.uid);
            steps.push(Step::of(vec![Check::Ask(uid)]));
        }
        steps.push(self.groups(&wanted.groups));
        steps.push(self.extra(wanted));
        Mode {
            name: self.constraint.unwrap_or("legacy"),
            steps,
            user: self.user(wanted),
        }
    }

    fn permission(&self, resource: &str, name: &str) -> Attributes {
        Attributes {
            user: self.requestor.clone(),
            verb: match self.constraint {
                Some(mode) => format!("impersonate:{mode}"),
                None => "impersonate".to_owned(),
            },
            api_version: "v1".to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            resource_request: true,
            ..Attributes::default()
        }
    }

    fn authentication(&self, resource: &str, name: &str) -> Attributes {
        Attributes {
            api_group: "authentication.k8s.io".to_owned(),
            ..self.permission(resource, name)
        }
    }

    /// Names and groups are in the group of authentication only since permissions have constraints.
    fn name_or_group(&self, resource: &str, name: &str) -> Attributes {
        match self.constraint {
            Some(_) => self.authentication(resource, name),
            None => self.permission(resource, name),
        }
    }

    fn user_name(&self, wanted: &UserInfo) -> Attributes {
        if let Some((namespace, name)) = parse_service_account(&wanted.name) {
            return Attributes {
                namespace: namespace.to_owned(),
                ..self.name_or_group("serviceaccounts", name)
            };
        }
        match (self.constraint, node_of(&wanted.name)) {
            (Some("associated-node"), Some(_)) => self.name_or_group("nodes", "*"),
            (Some(_), Some(node)) => self.name_or_group("nodes", node),
            _ => self.name_or_group("users", &wanted.name),
        }
    }

    fn groups(&self, groups: &[String]) -> Step {
        let ask = |group: &str| self.name_or_group("groups", group);
        let never = |name: &str, what: &str| {
            let why = format!("impersonating the {what} is not allowed");
            Step::of(vec![Check::Never(ask(name), why)])
        };
        let constrained = self.constraint.is_some();
        if constrained && groups.iter().any(String::is_empty) {
            return never("", "empty string group");
        }
        if constrained && groups.iter().any(|group| group == PRIVILEGED) {
            return never(PRIVILEGED, "system:masters group");
        }
        Step {
            all_at_once: (constrained && groups.len() >= MANY).then(|| ask("*")),
            checks: groups.iter().map(|group| Check::Ask(ask(group))).collect(),
        }
    }

    fn extra(&self, wanted: &UserInfo) -> Step {
        let ask = |key: &str, value: &str| Attributes {
            subresource: key.to_owned(),
            ..self.authentication("userextras", value)
        };
        let constrained = self.constraint.is_some();
        if let Some(why) = wanted
            .extra
            .iter()
            .find_map(|(key, values)| why_no_extra(key, values))
            .filter(|_| constrained)
        {
            return Step::of(vec![Check::Never(ask("", ""), why)]);
        }
        let values = wanted.extra.values().map(Vec::len).sum::<usize>();
        let many = wanted.extra.len() >= MANY || values >= MANY;
        Step {
            all_at_once: (constrained && many).then(|| ask("*", "*")),
            checks: wanted
                .extra
                .iter()
                .flat_map(|(key, values)| values.iter().map(move |value| (key, value)))
                .map(|(key, value)| Check::Ask(ask(key, value)))
                .collect(),
        }
    }

    fn user(&self, wanted: &UserInfo) -> UserInfo {
        let mut user = wanted.clone();
        if self.constraint.is_some() && node_of(&user.name).is_some() {
            user.groups = vec![NODES.to_owned()];
        }
        if let (true, Some((namespace, _))) = (user.groups.is_empty(), parse_service_account(&wanted.name)) {
            user.groups = service_account_groups(namespace);
        }
        if user.name != ANONYMOUS {
            let known = user.in_group(AUTHENTICATED) || user.in_group(UNAUTHENTICATED);
            user.groups.extend((!known).then(|| AUTHENTICATED.to_owned()));
        } else if !user.in_group(UNAUTHENTICATED) {
            user.groups.push(UNAUTHENTICATED.to_owned());
        }
        user
    }
}

/// The node behind a user name, if it can be a node's.
fn node_of(user: &str) -> Option<&str> {
    let name = user.strip_prefix("system:node:")?;
    name_is_dns_subdomain(name, false).is_empty().then_some(name)
}

/// Whether a service account's token is of a node.
fn runs_on(requestor: &UserInfo, node: &str) -> bool {
    let nodes = requestor.extra.get(NODE_NAME_KEY).map(Vec::as_slice);
    parse_service_account(&requestor.name).is_some() && matches!(nodes, Some([name]) if name == node)
}

/// What speaks against a key and its values where permissions have constraints.
fn why_no_extra(key: &str, values: &[String]) -> Option<String> {
    let never = |what: &str| Some(format!("impersonating {what}"));
    if key.is_empty() {
        return never("the empty string key in extra is not allowed");
    }
    let errors = is_domain_prefixed_path(&Path::new("extra").child("key"), key);
    if let Some(errors) = aggregate(&errors) {
        return never(&format!("an invalid key in extra is not allowed: {errors}"));
    }
    if values.is_empty() {
        return never("empty values in extra is not allowed");
    }
    if values.iter().any(String::is_empty) {
        return never("the empty string value in extra is not allowed");
    }
    None
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn shown(attributes: &Attributes) -> String {
        let Attributes {
            verb,
            api_group,
            resource,
            subresource,
            name,
            ..
        } = attributes;
        format!("{verb} {api_group} {resource}/{subresource} {name:?}")
    }

    fn check(wanted: UserInfo, expected: Expect) {
        let attributes = Attributes {
            user: UserInfo::new("bob", &[]),
            verb: "list".to_owned(),
            resource: "pods".to_owned(),
            resource_request: true,
            ..Attributes::default()
        };
        let mut text = String::new();
        for mode in that_apply(&wanted, &attributes) {
            text += &format!("{:?}\n", mode.user.groups);
            for check in mode.steps.iter().flat_map(|step| &step.checks) {
                text += &match check {
                    Check::Ask(attributes) => format!("  {}\n", shown(attributes)),
                    Check::Never(attributes, why) => format!("  {}: {why}\n", shown(attributes)),
                };
            }
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn every_part_needs_its_permission() {
        let mut wanted = UserInfo::new("ada", &["dev"]);
        wanted.uid = "7".to_owned();
        wanted
            .extra
            .insert("acme.io/scopes".to_owned(), vec!["view".to_owned()]);
        check(
            wanted,
            expect![[r#"
                ["dev", "system:authenticated"]
                  impersonate-on:user-info:list  pods/ ""
                  impersonate:user-info authentication.k8s.io users/ "ada"
                  impersonate:user-info authentication.k8s.io uids/ "7"
                  impersonate:user-info authentication.k8s.io groups/ "dev"
                  impersonate:user-info authentication.k8s.io userextras/acme.io/scopes "view"
                ["dev", "system:authenticated"]
                  impersonate  users/ "ada"
                  impersonate authentication.k8s.io uids/ "7"
                  impersonate  groups/ "dev"
                  impersonate authentication.k8s.io userextras/acme.io/scopes "view"
            "#]],
        );
    }

    #[test]
    fn service_accounts_and_nodes_bring_their_groups() {
        check(
            UserInfo::new("system:serviceaccount:default:web", &[]),
            expect![[r#"
                ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
                  impersonate-on:serviceaccount:list  pods/ ""
                  impersonate:serviceaccount authentication.k8s.io serviceaccounts/ "web"
                ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
                  impersonate  serviceaccounts/ "web"
            "#]],
        );
        check(
            UserInfo::new("system:node:n", &[]),
            expect![[r#"
                ["system:nodes", "system:authenticated"]
                  impersonate-on:arbitrary-node:list  pods/ ""
                  impersonate:arbitrary-node authentication.k8s.io nodes/ "n"
                ["system:authenticated"]
                  impersonate  users/ "system:node:n"
            "#]],
        );
    }

    #[test]
    fn nobody_gets_all_power_by_a_constrained_permission() {
        check(
            UserInfo::new("ada", &[PRIVILEGED]),
            expect![[r#"
                ["system:masters", "system:authenticated"]
                  impersonate-on:user-info:list  pods/ ""
                  impersonate:user-info authentication.k8s.io users/ "ada"
                  impersonate:user-info authentication.k8s.io groups/ "system:masters": impersonating the system:masters group is not allowed
                ["system:masters", "system:authenticated"]
                  impersonate  users/ "ada"
                  impersonate  groups/ "system:masters"
            "#]],
        );
    }
}
