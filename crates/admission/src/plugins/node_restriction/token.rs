//! Tokens that a kubelet asks for: bound to a pod that it runs, for an audience that the pod asks for.

use api::authentication::v1::TokenRequest;
use api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use api::storage::v1::CSIDriver;
use apimachinery::status::Status;

use super::Case;
use crate::Operation;

impl Case<'_, '_> {
    pub(super) async fn token(&self) -> Result<(), Status> {
        let Some(request) = self
            .review
            .object_as::<TokenRequest>()
            .filter(|_| self.is(Operation::Create))
        else {
            return Ok(());
        };
        let bound = request.spec.bound_object_ref.as_deref();
        let Some(bound) =
            bound.filter(|to| to.api_version == "v1" && to.kind == "Pod" && !to.name.is_empty())
        else {
            return self.refuse("node requested token not bound to a pod");
        };
        if bound.uid.is_empty() {
            return self.refuse("node requested token with a pod binding without a uid");
        }
        let pod = self.existing_pod(&bound.name).await?;
        if bound.uid != pod.metadata.uid {
            return self.refuse(format!(
                "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
                bound.uid
            ));
        }
        if pod.spec.node_name != self.node {
            return self.refuse("node requested token bound to a pod scheduled on a different node");
        }
        self.audience(request, &pod).await
    }

    async fn audience(&self, request: &TokenRequest, pod: &Pod) -> Result<(), Status> {
        let audience = match request.spec.audiences.as_slice() {
            [] => "",
            [one] => one.as_str(),
            _ => return self.refuse("node may only request 0 or 1 audiences"),
        };
        if pod
            .spec
            .volumes
            .iter()
            .any(|volume| self.asks_for(pod, volume, audience))
        {
            return Ok(());
        }
        // A credential provider of the kubelet may have been given the right explicitly.
        let attributes = auth::Attributes {
            user: self.attributes.user.clone(),
            verb: "request-serviceaccounts-token-audience".to_owned(),
            namespace: self.attributes.namespace.to_owned(),
            api_version: "v1".to_owned(),
            resource: audience.to_owned(),
            name: self.attributes.name.to_owned(),
            resource_request: true,
            ..auth::Attributes::default()
        };
        if self.authorizer.authorize(&attributes).await.is_allowed() {
            return Ok(());
        }
        let user = &self.attributes.user.name;
        self.refuse(format!(
            "audience {audience:?} not found in pod spec volume, {user} is not authorized to request tokens for this audience"
        ))
    }

    /// Does a volume want a token for the audience, itself or through its CSI driver?
    fn asks_for(&self, pod: &Pod, volume: &Volume, audience: &str) -> bool {
        let source = &volume.volume_source;
        let mut projections = source.projected.iter().flat_map(|projected| &projected.sources);
        if projections.any(|part| {
            part.service_account_token
                .as_ref()
                .is_some_and(|token| token.audience == audience)
        }) {
            return true;
        }
        let claim = match (&source.ephemeral, &source.persistent_volume_claim) {
            (Some(_), _) => Some(format!("{}-{}", pod.metadata.name, volume.name)),
            (None, Some(claim)) => Some(claim.claim_name.clone()),
            (None, None) => None,
        };
        let driver = match (claim, &source.csi) {
            (Some(claim), _) => self.driver_of_claim(&claim),
            (None, Some(csi)) => Some(csi.driver.clone()),
            (None, None) => None,
        };
        let driver = driver.and_then(|name| self.objects.cached::<CSIDriver>("", &name));
        driver.is_some_and(|driver| {
            driver
                .spec
                .token_requests
                .iter()
                .any(|request| request.audience == audience)
        })
    }

    fn driver_of_claim(&self, name: &str) -> Option<String> {
        let claim = self
            .objects
            .cached::<PersistentVolumeClaim>(self.attributes.namespace, name)?;
        let volume = self
            .objects
            .cached::<PersistentVolume>("", &claim.spec.volume_name)?;
        volume.spec.persistent_volume_source.csi.map(|csi| csi.driver)
    }
}
