//! Changes what running containers and their pod's group have. Upstream: `doPodResizeAction`.

use super::execute::Executor;
use crate::{
    cgroup::resources::{self, GroupLimits},
    resize::plan::{self, Change, Compute, MemoryUse, Plan, Resource, Step, Update},
    runtime::labels,
};
use api::core::v1::Pod;
use cri_api::v1;

impl Executor {
    /// Breaks off at the first error; the next pass goes on from what was done by then.
    pub(super) async fn resize(&self, spec: &Pod, plan: &Plan) -> Result<(), String> {
        let begun = self.clock.monotonic();
        let result = self.try_resize(spec, plan).await;
        self.metrics
            .resized(result.is_ok(), self.clock.monotonic().saturating_sub(begun));
        result
    }

    async fn try_resize(&self, spec: &Pod, plan: &Plan) -> Result<(), String> {
        let wanted = resources::for_pod(spec, self.settings.policy);
        let current = self.groups.limits(spec);
        let pod_limit = plan::pod_shrinks(plan, current.as_ref(), &wanted);
        if pod_limit.is_some() || plan::shrinking(plan).next().is_some() {
            let used = self.memory_use(spec).await?;
            if let Some(refusal) = plan::refusal(plan, pod_limit, &used) {
                return Err(refusal);
            }
        }
        for step in plan::steps(plan, current.as_ref(), &wanted) {
            match step {
                Step::PodLimit(Resource::Memory) => self.set_group(
                    spec,
                    &GroupLimits {
                        memory_bytes: wanted.memory_bytes,
                        ..GroupLimits::default()
                    },
                )?,
                Step::PodLimit(Resource::Cpu) => self.set_group(
                    spec,
                    &GroupLimits {
                        cpu_quota_us: wanted.cpu_quota_us,
                        cpu_period_us: wanted.cpu_period_us,
                        ..GroupLimits::default()
                    },
                )?,
                Step::PodShares => self.set_group(
                    spec,
                    &GroupLimits {
                        cpu_shares: wanted.cpu_shares,
                        ..GroupLimits::default()
                    },
                )?,
                Step::Containers(resource) => {
                    for update in plan.updates(resource) {
                        self.update_container(spec, update, resource).await?;
                    }
                }
            }
        }
        let own = spec.spec.resources.as_deref().cloned();
        self.resizes
            .actuate(&spec.metadata.uid, |record| record.pod = own);
        Ok(())
    }

    fn set_group(&self, spec: &Pod, limits: &GroupLimits) -> Result<(), String> {
        self.groups
            .set(spec, limits)
            .map_err(|error| crate::worker::pass::chain(&error))
    }

    async fn update_container(&self, spec: &Pod, update: &Update, resource: Resource) -> Result<(), String> {
        let mut containers = spec.spec.init_containers.iter().chain(&spec.spec.containers);
        let Some(mut container) = containers
            .find(|container| container.name == update.name)
            .cloned()
        else {
            return Ok(());
        };
        let Change { current, desired } = update.change;
        // Memory comes first: processors are still as they were.
        let now = match resource {
            Resource::Memory => Compute {
                cpu: current.cpu,
                ..desired
            },
            Resource::Cpu => desired,
        };
        let given = plan::effective(spec.spec.resources.as_deref(), &container.resources);
        now.write(&mut container.resources);
        let settings = &self.settings;
        let linux = resources::for_container(
            spec,
            &container,
            settings.policy,
            settings.node_memory,
            &settings.huge_page_sizes,
        );
        let request = v1::UpdateContainerResourcesRequest {
            container_id: update.id.clone(),
            linux: Some(linux),
            ..v1::UpdateContainerResourcesRequest::default()
        };
        self.runtime
            .update_container_resources(request)
            .await
            .map_err(|error| error.to_string())?;
        self.resizes.actuate(&spec.metadata.uid, |record| {
            let record = record.containers.entry(update.name.clone()).or_default();
            let name = resource.name();
            for (new, old) in [
                (&given.requests, &mut record.requests),
                (&given.limits, &mut record.limits),
            ] {
                old.remove(name);
                old.extend(new.get(name).map(|amount| (name.to_owned(), amount.clone())));
            }
        });
        Ok(())
    }

    async fn memory_use(&self, spec: &Pod) -> Result<MemoryUse, String> {
        let request = v1::ListContainerStatsRequest {
            filter: Some(v1::ContainerStatsFilter {
                label_selector: labels::of_pod(&spec.metadata.uid),
                ..v1::ContainerStatsFilter::default()
            }),
        };
        let answer = self.runtime.list_container_stats(request).await;
        let stats = answer
            .map_err(|_| {
                format!(
                    "unable to read memory usage for pod {:?}",
                    crate::pod::description(spec)
                )
            })?
            .stats;
        let containers = stats.into_iter().filter_map(|stat| {
            let memory = stat.memory?;
            let used = memory.usage_bytes.or(memory.working_set_bytes)?.value;
            let labels = stat.attributes?.labels;
            Some((labels.get(labels::CONTAINER_NAME)?.clone(), used))
        });
        Ok(MemoryUse {
            pod: self.groups.usage(spec).map(|usage| usage.memory_bytes),
            containers: containers.collect(),
        })
    }
}
