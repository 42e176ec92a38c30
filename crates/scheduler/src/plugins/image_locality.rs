//! Prefers nodes that already have the pod's images, discounted by how few nodes have them: a node that alone holds
//! an image must not draw all its pods.

use crate::cache::Cluster;
use crate::framework::{MAX_SCORE, NodeScore, Plugin};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

const MB: i64 = 1024 * 1024;
/// Images on a node that sum up to less than this don't count.
const MIN_BYTES: i64 = 23 * MB;
/// Nor does more than this for each container.
const MAX_BYTES_PER_CONTAINER: i64 = 1000 * MB;

pub struct ImageLocality;

struct Wanted<'a> {
    images: Vec<String>,
    containers: i64,
    cluster: &'a Cluster,
}

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn score<'a>(
        &'a self,
        pod: &'a PodInfo,
        cluster: &'a Cluster,
        _feasible: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        let spec = &pod.pod.spec;
        let of_containers = spec
            .init_containers
            .iter()
            .chain(&spec.containers)
            .map(|c| c.image.as_str());
        let of_volumes = spec
            .volumes
            .iter()
            .filter_map(|v| v.volume_source.image.as_deref())
            .map(|i| i.reference.as_str());
        Some(Box::new(Wanted {
            images: of_containers.chain(of_volumes).map(with_tag).collect(),
            containers: (spec.init_containers.len() + spec.containers.len()) as i64,
            cluster,
        }))
    }
}

/// The name under which nodes report the image: with `:latest` where no tag is given.
fn with_tag(image: &str) -> String {
    let tagged = image
        .rfind(':')
        .is_some_and(|colon| image.rfind('/').is_none_or(|slash| slash < colon));
    if tagged {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

impl Wanted<'_> {
    fn bytes_on(&self, node: &NodeInfo, image: &str) -> i64 {
        let Some(size) = node.images().get(image) else {
            return 0;
        };
        let holders = self.cluster.image_nodes.get(image).copied().unwrap_or(1);
        (*size as f64 * (holders as f64 / self.cluster.nodes.len() as f64)) as i64
    }
}

impl NodeScore for Wanted<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let max = MAX_BYTES_PER_CONTAINER * self.containers.max(1);
        let bytes: i64 = self.images.iter().map(|image| self.bytes_on(node, image)).sum();
        MAX_SCORE * (bytes.clamp(MIN_BYTES, max) - MIN_BYTES) / (max - MIN_BYTES)
    }
}
