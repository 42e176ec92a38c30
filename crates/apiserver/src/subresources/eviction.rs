//! Eviction: deleting a pod if its disruption budget allows.

mod budget;

use api::core::v1::{Pod, PodCondition};
use api::meta::v1::{DeleteOptions, Preconditions};
use api::policy::v1::{Eviction, PodDisruptionBudget};
use api::{Message, pod_conditions, selector};
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use apimachinery::time::Time;

use crate::decode::{Expected, read_message};
use crate::request::Request;
use crate::request::negotiate::Offers;
use crate::request::options::{WriteKind, WriteOptions};
use crate::resource::Served;
use crate::response::{Response, created};
use crate::state::Api;
use crate::verbs::{check_delete_options, writer};
use crate::write::OperationOptions;

const EVICTION: Expected = Expected {
    group: "policy",
    version: "v1",
    kind: "Eviction",
    ty: &api::types::policy_v1::EVICTION,
    also: &["v1beta1"],
};

/// How often a conflict that is not the client's is tried again.
const ATTEMPTS: usize = 20;

/// POST `pods/NAME/eviction`.
pub async fn create(api: &Api, served: &Served, request: &mut Request) -> Result<Response, Status> {
    let output = request.output(Offers::Plain)?;
    let options = WriteOptions::parse(&request.query, WriteKind::Create)?;
    let proto = read_message(request, EVICTION, options.field_validation).await?;
    let mut eviction = Eviction::decode(&proto).map_err(|error| Status::bad_request(error.to_string()))?;
    if eviction.metadata.name != request.info.name {
        return Err(Status::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    let mut delete_options = eviction.delete_options.as_deref().cloned().unwrap_or_default();
    crate::write::metadata::settle_namespace(&mut eviction.metadata, &request.info.namespace)?;
    if options.dry_run {
        settle_dry_run(&mut delete_options)?;
    }
    api.admit_subresource(request, served.row, &mut eviction, options.dry_run)
        .await?;
    let fixed = delete_options
        .preconditions
        .as_ref()
        .is_some_and(|preconditions| preconditions.resource_version.is_some());
    let mut outcome = Err(Status::internal("the eviction was not tried"));
    for _ in 0..ATTEMPTS {
        outcome = evict(api, served, request, &delete_options).await;
        // Somebody else changed pod or budget: look again, unless the client insists on what it saw.
        if fixed || !outcome.as_ref().is_err_and(Status::is_conflict) {
            break;
        }
    }
    outcome?;
    created(output)
}

/// What the request is, the deletion is.
fn settle_dry_run(options: &mut DeleteOptions) -> Result<(), Status> {
    if options.dry_run.is_empty() {
        options.dry_run = vec!["All".to_owned()];
    }
    if options.dry_run == ["All"] {
        return Ok(());
    }
    let stated = options.dry_run.join(" ");
    Err(Status::unknown(format!(
        "Non-matching dry-run options in request and content: [All] and [{stated}]"
    )))
}

/// One attempt: take a disruption from the budget if need be, then mark and delete the pod.
async fn evict(api: &Api, served: &Served, request: &Request, options: &DeleteOptions) -> Result<(), Status> {
    let pods = &served.objects;
    let key = pods.key(&request.info.namespace, &request.info.name);
    let not_found = || Status::not_found(&pods.group_resource(), &request.info.name);
    let loaded = pods.load(&key).await?.ok_or_else(not_found)?;
    let pod = loaded.object.downcast_ref::<Pod>().ok_or_else(not_found)?;
    check_delete_options(options)?;
    let mut options = options.clone();
    let must_not_change = if is_disrupted_anyway(pod) {
        !is_terminal(pod)
    } else {
        take_disruption(api, pod, !options.dry_run.is_empty()).await? == Taken::NotCounted
    };
    if must_not_change {
        let preconditions = options
            .preconditions
            .get_or_insert_with(|| Box::new(Preconditions::default()));
        preconditions
            .resource_version
            .get_or_insert_with(|| pod.metadata.resource_version.clone());
    }
    if options.dry_run.is_empty() {
        mark(api, served, request, &mut options).await?;
    }
    let dry_run = !options.dry_run.is_empty();
    let mut writer = writer(api, served, request, dry_run, OperationOptions(options.to_json()));
    writer.subresource = "";
    writer.delete(&options).await.map(drop)
}

/// Pods whose end disrupts nothing that was not disrupted already.
fn is_disrupted_anyway(pod: &Pod) -> bool {
    is_terminal(pod) || pod.status.phase == "Pending"
}

fn is_terminal(pod: &Pod) -> bool {
    matches!(pod.status.phase.as_str(), "Succeeded" | "Failed") || pod.metadata.deletion_timestamp.is_some()
}

/// What the budget says to an eviction that it allows.
#[derive(PartialEq, Eq)]
enum Taken {
    /// There is none, or a disruption was taken from it.
    Counted,
    /// The pod is unhealthy and goes beside the budget, provided it stays so.
    NotCounted,
}

async fn take_disruption(api: &Api, pod: &Pod, dry_run: bool) -> Result<Taken, Status> {
    let Some(budgets) = api.resources.objects("policy", "poddisruptionbudgets") else {
        return Ok(Taken::Counted);
    };
    let snapshot = budgets
        .cache
        .snapshot(storage::cache::Freshness::Latest)
        .await
        .map_err(|error| crate::objects::failed(&error))?;
    let prefix = budgets.prefix_of(&pod.metadata.namespace);
    let mut matching = Vec::new();
    for entry in snapshot.range(prefix.as_bytes(), None) {
        let loaded = budgets.decode(entry.stored().clone())?;
        if loaded
            .object
            .downcast_ref::<PodDisruptionBudget>()
            .is_some_and(|budget| selects(budget, pod))
        {
            matching.push(entry.key().clone());
        }
    }
    let key = match matching.as_slice() {
        [] => return Ok(Taken::Counted),
        [key] => key.to_string(),
        _ => {
            let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::generic(500, "", &GroupResource::default(), "", why));
        }
    };
    let mut taken = Taken::Counted;
    let now = Time(api.clock.now());
    budgets
        .change(&key, dry_run, |object| {
            let Some(budget) = object.downcast_mut::<PodDisruptionBudget>() else {
                return Ok(());
            };
            if !pod_conditions::is_ready(pod) && budget::lets_unhealthy_go(budget) {
                taken = Taken::NotCounted;
                return Ok(());
            }
            budget::take(budget, &pod.metadata.name, now)
        })
        .await?;
    Ok(taken)
}

fn selects(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let selector = budget.spec.selector.as_deref().map(selector::from_label_selector);
    matches!(selector, Some(Ok(selector)) if selector.matches(&pod.metadata.labels))
}

/// Says in the pod why it goes.
async fn mark(
    api: &Api,
    served: &Served,
    request: &Request,
    options: &mut DeleteOptions,
) -> Result<(), Status> {
    let key = served.objects.key(&request.info.namespace, &request.info.name);
    let now = Time(api.clock.now()).truncated();
    let wanted = options.preconditions.clone();
    let changed = served
        .objects
        .change(&key, false, |object| {
            if let Some(preconditions) = &wanted {
                crate::write::check_preconditions(served.row, preconditions, object)?;
            }
            if let Some(pod) = object.downcast_mut::<Pod>() {
                set_disruption_target(pod, now);
            }
            Ok(())
        })
        .await?;
    let written = changed.ok_or_else(|| Status::not_found(&served.group_resource(), &request.info.name))?;
    if let (Some(preconditions), Some(revision)) = (&mut options.preconditions, written.revision) {
        // It was us who changed the pod since.
        preconditions.resource_version = preconditions
            .resource_version
            .as_ref()
            .map(|_| revision.to_string());
    }
    Ok(())
}

fn set_disruption_target(pod: &mut Pod, now: Time) {
    let conditions = &mut pod.status.conditions;
    let index = conditions
        .iter()
        .position(|condition| condition.type_ == "DisruptionTarget")
        .unwrap_or_else(|| {
            conditions.push(PodCondition {
                type_: "DisruptionTarget".to_owned(),
                ..PodCondition::default()
            });
            conditions.len() - 1
        });
    let condition = &mut conditions[index];
    if condition.status != "True" {
        condition.last_transition_time = Some(now);
    }
    condition.status = "True".to_owned();
    condition.reason = "EvictionByEvictionAPI".to_owned();
    condition.message = "Eviction API: evicting".to_owned();
}
