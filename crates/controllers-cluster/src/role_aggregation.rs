//! Fills cluster roles that are made of others.
//!
//! Upstream: pkg/controller/clusterroleaggregation

use std::sync::Arc;

use api::rbac::v1::{ClusterRole, PolicyRule};
use client::{Patch, PatchParams};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

const NAME: &str = "clusterrole_aggregation";
const WORKERS: usize = 5;

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let roles = context.informers.of::<ClusterRole>();
    let queue = context.queue(NAME);
    let (store, own) = (roles.store(), queue.clone());
    // Which roles a change concerns isn't known without selecting all; they are few.
    roles.add_handler(move |_| {
        let aggregated = store
            .list()
            .into_iter()
            .filter(|role| role.aggregation_rule.is_some());
        aggregated.for_each(|role| own.add(ObjectKey::of(&role.metadata)));
    });
    let controller = Controller {
        roles: roles.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, WORKERS, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    roles: Store<ClusterRole>,
}

/// The rules of all selected roles, in the order of their names, each once. None when the role isn't aggregated, or
/// by a selector that can't be understood.
fn rules(role: &ClusterRole, mut all: Vec<Arc<ClusterRole>>) -> Option<Vec<PolicyRule>> {
    all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in &role.aggregation_rule.as_deref()?.cluster_role_selectors {
        let selector = api::selector::from_label_selector(selector).ok()?;
        let others = all
            .iter()
            .filter(|other| other.metadata.name != role.metadata.name);
        for other in others.filter(|other| selector.matches(&other.metadata.labels)) {
            for rule in &other.rules {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Some(rules)
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(role) = self.roles.get(key) else {
                return Ok(Outcome::Done);
            };
            let Some(rules) = rules(&role, self.roles.list()) else {
                return Ok(Outcome::Done);
            };
            if rules == role.rules {
                return Ok(Outcome::Done);
            }
            let rules: Vec<Value> = rules
                .iter()
                .map(client::dynamic::to_value)
                .collect::<Result<_, _>>()?;
            let version = &role.metadata.resource_version;
            let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "rules": rules}));
            let params = PatchParams {
                field_manager: Some("clusterrole-aggregation-controller".into()),
                ..PatchParams::default()
            };
            match self
                .context
                .client
                .api::<ClusterRole>()
                .patch(&key.name, &patch, &params)
                .await
            {
                Err(error) if error.is_not_found() => {}
                outcome => drop(outcome?),
            }
            Ok(Outcome::Done)
        })
    }
}

#[cfg(test)]
mod tests {
    use api::meta::v1::LabelSelector;
    use api::rbac::v1::AggregationRule;

    use super::*;

    fn role(name: &str, aggregate_to: &str, verbs: &[&str]) -> Arc<ClusterRole> {
        let mut role = ClusterRole::default();
        role.metadata.name = name.into();
        role.metadata.labels.insert("to".into(), aggregate_to.into());
        let rule = |verb: &&str| PolicyRule {
            verbs: vec![(*verb).into()],
            ..PolicyRule::default()
        };
        role.rules = verbs.iter().map(rule).collect();
        Arc::new(role)
    }

    #[test]
    fn rules_come_from_selected_roles_once_and_in_order() {
        let mut edit = (*role("edit", "edit", &["old"])).clone();
        assert_eq!(rules(&edit, Vec::new()), None);
        let selector = LabelSelector {
            match_labels: [("to".to_owned(), "edit".to_owned())].into(),
            ..LabelSelector::default()
        };
        edit.aggregation_rule = Some(Box::new(AggregationRule {
            cluster_role_selectors: vec![selector],
        }));
        let all = vec![
            role("b", "edit", &["watch", "get"]),
            role("a", "edit", &["get"]),
            role("c", "admin", &["all"]),
            Arc::new(edit.clone()),
        ];
        let verbs: Vec<String> = rules(&edit, all)
            .expect("aggregated")
            .into_iter()
            .map(|mut rule| rule.verbs.remove(0))
            .collect();
        assert_eq!(verbs, ["get", "watch"]);
    }
}
