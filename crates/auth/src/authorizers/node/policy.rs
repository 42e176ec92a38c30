//! What a node may do with each resource.

use api::rbac::v1::PolicyRule;
use apimachinery::fields::Selector;

use super::graph::{Graph, Kind};
use crate::authorizers::rbac::rules;
use crate::{Attributes, Decision};

const NODE_LEASES: &str = "kube-node-lease";

/// Allowed, or the reason why this authorizer has no opinion.
type Verdict = Result<(), String>;

pub(super) fn decide(
    node: &str,
    attributes: &Attributes,
    graph: &Graph,
    node_rules: &[PolicyRule],
) -> Decision {
    let question = Question {
        node,
        attributes,
        graph,
    };
    let verdict = match question.divided() {
        Some(verdict) => verdict,
        None if node_rules.iter().any(|rule| rules::allows(rule, attributes)) => Ok(()),
        None => Err(String::new()),
    };
    match verdict {
        Ok(()) => Decision::Allow {
            reason: String::new(),
        },
        Err(reason) => Decision::NoOpinion { reason },
    }
}

struct Question<'a> {
    node: &'a str,
    attributes: &'a Attributes,
    graph: &'a Graph,
}

impl Question<'_> {
    /// The verdict for resources whose objects are divided among nodes; `None` for the others.
    fn divided(&self) -> Option<Verdict> {
        let Attributes {
            resource_request,
            api_group,
            resource,
            subresource,
            ..
        } = self.attributes;
        if !resource_request {
            return None;
        }
        Some(match (api_group.as_str(), resource.as_str()) {
            ("", "secrets") => self.read(Kind::Secret),
            ("", "configmaps") => self.read(Kind::ConfigMap),
            ("", "persistentvolumeclaims") if subresource == "status" => {
                self.update_status(Kind::VolumeClaim)
            }
            ("", "persistentvolumeclaims") => self.get_only().and_then(|()| self.related(Kind::VolumeClaim)),
            ("", "persistentvolumes") => self.get_only().and_then(|()| self.named(Graph::has_volume)),
            ("resource.k8s.io", "resourceclaims") => {
                self.get_only().and_then(|()| self.related(Kind::ResourceClaim))
            }
            ("storage.k8s.io", "volumeattachments") => {
                self.get_only().and_then(|()| self.named(Graph::has_attachment))
            }
            ("", "serviceaccounts") => self.service_account(),
            ("coordination.k8s.io", "leases") => self.lease(),
            ("storage.k8s.io", "csinodes") => self.csi_node(),
            ("resource.k8s.io", "resourceslices") => self.slice(),
            ("", "nodes") => self.node(),
            ("", "pods") => self.pod(),
            _ => return None,
        })
    }

    fn verb(&self) -> &str {
        &self.attributes.verb
    }

    fn unrelated(&self) -> String {
        format!(
            "no relationship found between node '{}' and this object",
            self.node
        )
    }

    /// Is the object used by a pod of this node?
    fn related(&self, kind: Kind) -> Verdict {
        let Attributes { namespace, name, .. } = self.attributes;
        if name.is_empty() {
            return refuse("No Object name found");
        }
        if self.graph.belongs(self.node, kind, namespace, name) {
            Ok(())
        } else {
            Err(self.unrelated())
        }
    }

    fn named(&self, has: fn(&Graph, &str, &str) -> bool) -> Verdict {
        let name = &self.attributes.name;
        if name.is_empty() {
            return refuse("No Object name found");
        }
        if has(self.graph, self.node, name) {
            Ok(())
        } else {
            Err(self.unrelated())
        }
    }

    /// Reading single objects: list and watch are for one name, too.
    fn read(&self, kind: Kind) -> Verdict {
        if !matches!(self.verb(), "get" | "list" | "watch") {
            return refuse("can only read resources of this type");
        }
        if !self.attributes.subresource.is_empty() {
            return refuse("cannot read subresource");
        }
        if self.attributes.namespace.is_empty() {
            return refuse("can only read namespaced object of this type");
        }
        self.related(kind)
    }

    fn get_only(&self) -> Verdict {
        match (self.verb(), self.attributes.subresource.as_str()) {
            ("get", "") => Ok(()),
            ("get", _) => refuse("cannot get subresource"),
            _ => refuse("can only get individual resources of this type"),
        }
    }

    fn update_status(&self, kind: Kind) -> Verdict {
        match self.verb() {
            "update" | "patch" => self.related(kind),
            _ => refuse("can only get/update/patch this type"),
        }
    }

    fn service_account(&self) -> Verdict {
        let Attributes {
            subresource, name, ..
        } = self.attributes;
        match (self.verb(), subresource.as_str()) {
            ("get", "") => self.read(Kind::ServiceAccount),
            ("create", "token") if !name.is_empty() => self.related(Kind::ServiceAccount),
            ("create", _) if !name.is_empty() => {
                refuse("can only create token subresource of serviceaccount")
            }
            _ => refuse("can only create tokens for individual service accounts"),
        }
    }

    /// The name is not known on a create: admission compares it.
    fn is_own(&self) -> bool {
        self.verb() == "create" || self.attributes.name == self.node
    }

    fn changes(&self) -> bool {
        matches!(self.verb(), "get" | "create" | "update" | "patch" | "delete")
    }

    fn lease(&self) -> Verdict {
        if !self.changes() {
            return refuse("can only get, create, update, patch, or delete a node lease");
        }
        if self.attributes.namespace != NODE_LEASES {
            return Err(format!(
                "can only access leases in the {NODE_LEASES:?} system namespace"
            ));
        }
        if self.is_own() {
            Ok(())
        } else {
            refuse("can only access node lease with the same name as the requesting node")
        }
    }

    fn csi_node(&self) -> Verdict {
        if !self.changes() {
            return refuse("can only get, create, update, patch, or delete a CSINode");
        }
        if !self.attributes.subresource.is_empty() {
            return refuse("cannot authorize CSINode subresources");
        }
        if self.is_own() {
            Ok(())
        } else {
            refuse("can only access CSINode with the same name as the requesting node")
        }
    }

    fn slice(&self) -> Verdict {
        if !self.attributes.subresource.is_empty() {
            return refuse("cannot authorize ResourceSlice subresources");
        }
        match self.verb() {
            // Admission looks at the new object's node.
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => self.named(Graph::has_slice),
            "watch" | "list" | "deletecollection" if self.selects("spec.nodeName") => Ok(()),
            "watch" | "list" | "deletecollection" => {
                refuse("can only list/watch/deletecollection resourceslices with nodeName field selector")
            }
            _ => refuse(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection",
            ),
        }
    }

    /// Admission limits writes to the node's own object.
    fn node(&self) -> Verdict {
        let (node, name) = (self.node, self.attributes.name.as_str());
        match (self.attributes.subresource.as_str(), self.verb()) {
            ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
            ("", "get" | "list" | "watch") if name == node => Ok(()),
            ("", "get" | "list" | "watch") if name.is_empty() => Err(format!(
                "node '{node}' cannot read all nodes, only its own Node object"
            )),
            ("", "get" | "list" | "watch") => Err(format!(
                "node '{node}' cannot read '{name}', only its own Node object"
            )),
            _ => refuse(""),
        }
    }

    /// Admission limits writes to pods of the node.
    fn pod(&self) -> Verdict {
        match (self.attributes.subresource.as_str(), self.verb()) {
            ("", "list" | "watch") if self.selects("spec.nodeName") => Ok(()),
            ("", "list" | "watch") if self.attributes.name.is_empty() => {
                refuse("can only list/watch pods with spec.nodeName field selector")
            }
            ("", "get" | "list" | "watch") => self.own_pod(),
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            _ => refuse(""),
        }
    }

    fn own_pod(&self) -> Verdict {
        let Attributes { namespace, name, .. } = self.attributes;
        if name.is_empty() {
            return refuse("No Object name found");
        }
        if self.graph.has_pod(self.node, namespace, name) {
            Ok(())
        } else {
            Err(self.unrelated())
        }
    }

    /// Does the request select this node's objects by a field?
    fn selects(&self, field: &str) -> bool {
        let selector = Selector::parse(&self.attributes.field_selector);
        selector.is_ok_and(|selector| selector.requires_exact_match(field) == Some(self.node))
    }
}

fn refuse(reason: &str) -> Verdict {
    Err(reason.to_owned())
}
