//! A kubelet changes its own node, the pods on it, and little else.

mod node;
mod pod;
mod token;

use std::sync::Arc;

use api::certificates::v1::CertificateSigningRequest;
use api::core::v1::PersistentVolumeClaim;
use api::resource::v1::ResourceSlice;
use apimachinery::status::Status;
use auth::{Authorizer, Objects};

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

const NODE_LEASES: &str = "kube-node-lease";
const NODE_SIGNERS: [&str; 2] = [
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/kube-apiserver-client-kubelet",
];

pub struct NodeRestriction {
    objects: Arc<dyn Objects>,
    authorizer: Arc<dyn Authorizer>,
}

/// One request of a node.
struct Case<'a, 'r> {
    node: &'a str,
    attributes: &'a Attributes<'a>,
    review: &'a Review<'r>,
    objects: &'a dyn Objects,
    authorizer: &'a dyn Authorizer,
}

impl NodeRestriction {
    pub fn new(objects: Arc<dyn Objects>, authorizer: Arc<dyn Authorizer>) -> Self {
        Self { objects, authorizer }
    }

    async fn check(
        &self,
        node: &str,
        attributes: &Attributes<'_>,
        review: &Review<'_>,
    ) -> Result<(), Status> {
        let case = Case {
            node,
            attributes,
            review,
            objects: &*self.objects,
            authorizer: &*self.authorizer,
        };
        if node.is_empty() {
            return case.refuse(format!(
                "could not determine node from user {:?}",
                attributes.user.name
            ));
        }
        match (
            attributes.resource.group.as_str(),
            attributes.resource.resource.as_str(),
        ) {
            ("", "pods") => case.pod().await,
            ("", "nodes") => case.node(),
            ("", "persistentvolumeclaims") if attributes.subresource == "status" => case.claim_status(),
            ("", "persistentvolumeclaims") => case.refuse("may only update PVC status"),
            ("", "serviceaccounts") if attributes.subresource == "token" => case.token().await,
            ("coordination.k8s.io", "leases") => case.lease(),
            ("storage.k8s.io", "csinodes") => {
                case.own("can only access CSINode with the same name as the requesting node")
            }
            ("resource.k8s.io", "resourceslices") => case.slice(),
            ("certificates.k8s.io", "certificatesigningrequests") => case.signing_request(),
            _ => Ok(()),
        }
    }
}

impl Case<'_, '_> {
    fn refuse<T>(&self, message: impl Into<String>) -> Result<T, Status> {
        Err(self
            .attributes
            .forbidden(self.review.object().or(self.review.old), message))
    }

    fn is(&self, operation: Operation) -> bool {
        self.attributes.operation == operation
    }

    /// The name of the object: on a create the URL has none.
    fn name(&self) -> &str {
        match self.review.object() {
            Some(object) if self.attributes.name.is_empty() => &object.metadata().name,
            _ => self.attributes.name,
        }
    }

    fn own(&self, refusal: &str) -> Result<(), Status> {
        if self.name() == self.node {
            Ok(())
        } else {
            self.refuse(refusal)
        }
    }

    fn lease(&self) -> Result<(), Status> {
        if self.attributes.namespace != NODE_LEASES {
            return self.refuse(format!(
                "can only access leases in the {NODE_LEASES:?} system namespace"
            ));
        }
        self.own("can only access node lease with the same name as the requesting node")
    }

    /// Nodes report sizes and conditions; nothing else of a claim is theirs.
    fn claim_status(&self) -> Result<(), Status> {
        if !self.is(Operation::Update) {
            return self.refuse(format!(
                "unexpected operation {:?}",
                self.attributes.operation.as_str()
            ));
        }
        let (Some(new), Some(old)) = (
            self.review.object_as::<PersistentVolumeClaim>(),
            self.review.old_as::<PersistentVolumeClaim>(),
        ) else {
            return Ok(());
        };
        let rest = |claim: &PersistentVolumeClaim| {
            let mut claim = claim.clone();
            claim.metadata.resource_version.clear();
            claim.metadata.managed_fields.clear();
            claim.status.capacity.clear();
            claim.status.conditions.clear();
            claim.status.allocated_resources.clear();
            claim.status.allocated_resource_statuses.clear();
            claim
        };
        if rest(new) == rest(old) {
            return Ok(());
        }
        let node = self.node;
        self.refuse(format!(
            "node {node:?} is not allowed to update fields other than status.quantity and status.conditions"
        ))
    }

    fn slice(&self) -> Result<(), Status> {
        let of = |slice: Option<&ResourceSlice>| {
            slice.and_then(|slice| slice.spec.node_name.as_deref()) == Some(self.node)
        };
        match self.attributes.operation {
            Operation::Create if !of(self.review.object_as()) => {
                self.refuse("can only create ResourceSlice with the same NodeName as the requesting node")
            }
            Operation::Delete if !of(self.review.old_as()) => {
                self.refuse("can only delete ResourceSlice with the same NodeName as the requesting node")
            }
            _ => Ok(()),
        }
    }

    /// A node asks for certificates in its own name.
    fn signing_request(&self) -> Result<(), Status> {
        let Some(request) = self
            .review
            .object_as::<CertificateSigningRequest>()
            .filter(|_| self.is(Operation::Create))
        else {
            return Ok(());
        };
        if !NODE_SIGNERS.contains(&request.spec.signer_name.as_str()) {
            return Ok(());
        }
        let parsed = match pki::request::Request::from_pem(&request.spec.request) {
            Ok(parsed) => parsed,
            Err(error) => return self.refuse(format!("unable to parse csr: {error}")),
        };
        let wanted = auth::authorizers::node::user_of(self.node);
        if parsed.subject.common_name == wanted {
            return Ok(());
        }
        self.refuse("can only create a node CSR with CN=".to_owned() + &wanted)
    }
}

impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation != Operation::Connect
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        match attributes.user.node_name() {
            Some(node) => Box::pin(self.check(node, attributes, review)),
            None => pass(),
        }
    }
}

#[cfg(test)]
mod tests;
