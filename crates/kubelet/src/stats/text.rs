//! Usage in the metrics' text format: `/metrics/resource`, and what monitoring expects from `/metrics/cadvisor`.

use super::Measured;
use std::fmt::Write as _;

/// Writes metrics one family at a time.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: impl Iterator<Item = (String, f64)>) {
        let mut head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let braces = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{labels}}}")
            };
            writeln!(head, "{name}{braces} {value}").expect("invariant: writing to a String cannot fail");
        }
        self.0.push_str(&head);
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

type Samples = Vec<(String, f64)>;

/// One sample a container, with the labels of the resource metrics.
fn containers(measured: &Measured, value: impl Fn(&super::ContainerUse) -> f64) -> Samples {
    let pods = measured.pods.iter();
    pods.flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)))
        .map(|(pod, container)| {
            let labels = format!(
                r#"container="{}",namespace="{}",pod="{}""#,
                container.name, pod.namespace, pod.name
            );
            (labels, value(container))
        })
        .collect()
}

fn pods(measured: &Measured, value: impl Fn(&crate::cgroup::hierarchy::Usage) -> f64) -> Samples {
    let with_usage = measured
        .pods
        .iter()
        .filter_map(|pod| pod.usage.as_ref().map(|usage| (pod, usage)));
    with_usage
        .map(|(pod, usage)| {
            (
                format!(r#"namespace="{}",pod="{}""#, pod.namespace, pod.name),
                value(usage),
            )
        })
        .collect()
}

pub fn resource(measured: &Measured) -> String {
    let mut text = Text::default();
    let one = |value: f64| std::iter::once((String::new(), value));
    let counter = "counter";
    let gauge = "gauge";
    let cpu = "Cumulative cpu time consumed by the container in core-seconds";
    text.family(
        "container_cpu_usage_seconds_total",
        counter,
        cpu,
        containers(measured, |c| seconds(c.cpu_nanos)).into_iter(),
    );
    let memory = "Current working set of the container in bytes";
    let samples = containers(measured, |c| c.working_set_bytes as f64);
    text.family(
        "container_memory_working_set_bytes",
        gauge,
        memory,
        samples.into_iter(),
    );
    let started = "Start time of the container since unix epoch in seconds";
    let samples = containers(measured, |c| c.created_at as f64 / 1e9);
    text.family(
        "container_start_time_seconds",
        gauge,
        started,
        samples.into_iter(),
    );
    let cpu = "Cumulative cpu time consumed by the node in core-seconds";
    text.family(
        "node_cpu_usage_seconds_total",
        counter,
        cpu,
        one(seconds(measured.node.cpu_nanos)),
    );
    let memory = "Current working set of the node in bytes";
    text.family(
        "node_memory_working_set_bytes",
        gauge,
        memory,
        one(measured.node.working_set_bytes as f64),
    );
    let cpu = "Cumulative cpu time consumed by the pod in core-seconds";
    text.family(
        "pod_cpu_usage_seconds_total",
        counter,
        cpu,
        pods(measured, |u| seconds(u.cpu_nanos)).into_iter(),
    );
    let memory = "Current working set of the pod in bytes";
    text.family(
        "pod_memory_working_set_bytes",
        gauge,
        memory,
        pods(measured, |u| u.working_set_bytes as f64).into_iter(),
    );
    let error = "1 if there was an error while getting container metrics, 0 otherwise";
    text.family("resource_scrape_error", gauge, error, one(0.0));
    text.0
}

/// Name, kind, help, and a container's value.
type Family = (
    &'static str,
    &'static str,
    &'static str,
    fn(&super::ContainerUse) -> f64,
);

pub fn cadvisor(measured: &Measured) -> String {
    let mut text = Text::default();
    let labelled = |value: fn(&super::ContainerUse) -> f64| -> Samples {
        let all = measured
            .pods
            .iter()
            .flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)));
        all.map(|(pod, container)| {
            let labels = format!(
                r#"container="{}",id="/kubepods/pod{}/{}",image="{}",name="{}",namespace="{}",pod="{}""#,
                container.name,
                pod.uid,
                container.id,
                quoted(&container.image),
                container.id,
                pod.namespace,
                pod.name
            );
            (labels, value(container))
        })
        .collect()
    };
    let families: [Family; 7] = [
        (
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed in seconds.",
            |c| seconds(c.cpu_nanos),
        ),
        (
            "container_memory_usage_bytes",
            "gauge",
            "Current memory usage in bytes, including all memory regardless of when it was accessed",
            |c| c.usage_bytes as f64,
        ),
        (
            "container_memory_working_set_bytes",
            "gauge",
            "Current working set in bytes.",
            |c| c.working_set_bytes as f64,
        ),
        ("container_memory_rss", "gauge", "Size of RSS in bytes.", |c| {
            c.rss_bytes as f64
        }),
        (
            "container_fs_usage_bytes",
            "gauge",
            "Number of bytes that are consumed by the container on this filesystem.",
            |c| c.rootfs_bytes as f64,
        ),
        ("container_fs_inodes_total", "gauge", "Number of Inodes", |c| {
            c.rootfs_inodes as f64
        }),
        (
            "container_start_time_seconds",
            "gauge",
            "Start time of the container since unix epoch in seconds.",
            |c| c.created_at as f64 / 1e9,
        ),
    ];
    for (name, kind, help, value) in families {
        text.family(name, kind, help, labelled(value).into_iter());
    }
    let one = |value: f64| std::iter::once((String::new(), value));
    text.family(
        "machine_cpu_cores",
        "gauge",
        "Number of logical CPU cores.",
        one(measured.processors as f64),
    );
    text.family(
        "machine_memory_bytes",
        "gauge",
        "Amount of memory installed on the machine.",
        one(measured.memory_bytes as f64),
    );
    text.0
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ContainerUse, PodUse},
        *,
    };

    #[test]
    fn containers_are_labelled() {
        let container = ContainerUse {
            name: "c".into(),
            cpu_nanos: 1_500_000_000,
            image: "a\"b".into(),
            ..ContainerUse::default()
        };
        let pod = PodUse {
            name: "p".into(),
            namespace: "n".into(),
            containers: vec![container],
            ..PodUse::default()
        };
        let measured = Measured {
            pods: vec![pod],
            ..Measured::default()
        };
        let text = resource(&measured);
        assert!(
            text.contains(
                "container_cpu_usage_seconds_total{container=\"c\",namespace=\"n\",pod=\"p\"} 1.5\n"
            )
        );
        assert!(cadvisor(&measured).contains("image=\"a\\\"b\""));
    }
}
