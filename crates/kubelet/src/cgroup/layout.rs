//! Where the groups of pods stand: `<root>/kubepods[/burstable|/besteffort]/pod<uid>`.

use api::{core::v1::Pod, qos::Class};

const PODS: &str = "kubepods";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: String,
    per_qos: bool,
}

impl Layout {
    /// `root` is the group under which all others stand, `/` by default.
    pub fn new(root: &str, per_qos: bool) -> Self {
        Self {
            root: root.trim_end_matches('/').to_owned(),
            per_qos,
        }
    }

    /// The group of all pods.
    pub fn pods(&self) -> String {
        if self.per_qos {
            format!("{}/{PODS}", self.root)
        } else {
            format!("{}/", self.root)
        }
    }

    /// The group of a class; guaranteed pods stand directly under the group of all.
    pub fn class(&self, class: Class) -> String {
        let pods = self.pods();
        if !self.per_qos {
            return pods;
        }
        match class {
            Class::Guaranteed => pods,
            Class::Burstable => format!("{pods}/burstable"),
            Class::BestEffort => format!("{pods}/besteffort"),
        }
    }

    pub fn classes(&self) -> Vec<String> {
        if !self.per_qos {
            return Vec::new();
        }
        [Class::Guaranteed, Class::Burstable, Class::BestEffort]
            .map(|class| self.class(class))
            .to_vec()
    }

    /// The pod's own group, which the runtime is told to put containers under; nothing when pods have none.
    pub fn pod(&self, pod: &Pod) -> Option<String> {
        self.per_qos
            .then(|| format!("{}/pod{}", self.class(api::qos::class(pod)), pod.metadata.uid))
    }

    /// The uid of the pod whose group has this name.
    pub fn uid(name: &str) -> Option<&str> {
        name.strip_prefix("pod").filter(|uid| !uid.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let mut pod = Pod::default();
        pod.metadata.uid = "u-1".into();
        let layout = Layout::new("/", true);
        assert_eq!(layout.pod(&pod).as_deref(), Some("/kubepods/besteffort/podu-1"));
        assert_eq!(
            layout.classes(),
            ["/kubepods", "/kubepods/burstable", "/kubepods/besteffort"]
        );
        assert_eq!(Layout::new("/node-1/", true).pods(), "/node-1/kubepods");
        assert_eq!(Layout::new("", false).pod(&pod), None);
        assert_eq!(Layout::uid("podu-1"), Some("u-1"));
        assert_eq!(Layout::uid("burstable"), None);
    }
}
